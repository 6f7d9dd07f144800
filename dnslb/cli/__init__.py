"""The command line: `dnslb VERB ...`. A verb is a module of this package: see pyvrrp.cli.verbs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pyvrrp.cli.verbs import Verb, answer, in_package, run_verb

VERBS = {
    "status": "who gets which part of the queries, and why",
    "top": "queries per second of each server, again and again",
    "explain": "which server a client's queries go to, and by which hash",
    "drain": "give a server no new flows; its TCP connections go on",
    "up": "use a server whatever its checks say",
    "down": "give a server nothing more, from now on",
    "auto": "use a server as its checks say",
    "check": "run the checks at once",
    "sample": "which names are asked for, and by whom",
    "realserver": "make this node answer for a balancer's address, or say what is wrong with it",
}
_WORDS = ("drain", "up", "down", "auto")
_DESCRIPTION = (
    "Several DNS servers behind one address, answering directly: what the balancer of the running pyvrrp does "
    "(docs/dnslb.md), and the real server's side."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments (without the program's name; None: the command line's) ask for: the exit status.

    Raises SystemExit for `--help` and for arguments that argparse does not understand (status 2).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    return answer("dnslb", arguments, lambda: run_verb("dnslb", _DESCRIPTION, VERBS, arguments, _load))


def _load(verb: str) -> Verb:
    if verb in _WORDS:
        from dnslb.cli.word import Word

        return Word(verb, VERBS[verb])
    if verb == "realserver":
        from dnslb.real_server import cli

        return cli
    return in_package("dnslb.cli")(verb)
