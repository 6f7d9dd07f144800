"""The command line: `dnslb VERB ...`; a verb is a module of this package, only the one asked for is imported."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from pyvrrp import __version__

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


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments (without the program's name; None: the command line's) ask for: the exit status.

    Raises SystemExit for `--help` and for arguments that argparse does not understand (status 2).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `dnslb status | head`: keep the interpreter from complaining when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception as error:
        if os.environ.get("PYVRRP_DEBUG"):
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"dnslb: unexpected {what}; please report it with what PYVRRP_DEBUG=1 shows", file=sys.stderr)
        return 70


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] in (["--version"], ["-v"]):
        print(f"dnslb {__version__}")
        return 0
    parser = argparse.ArgumentParser(
        prog="dnslb",
        description="Several DNS servers behind one address, answering directly: what the balancer of the running "
        "pyvrrp does (docs/dnslb.md), and the real server's side.",
    )
    parser.add_argument("--version", "-v", action="store_true", help="print the version")
    subparsers = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    chosen = None
    for name, text in VERBS.items():
        if arguments[:1] == [name]:
            chosen = import_module(_module(name))
            chosen.add_parser(subparsers, *((name, text) if name in _WORDS else ()))
        else:
            subparsers.add_parser(name, help=text)
    parsed = parser.parse_args(arguments or ["--help"])
    assert chosen is not None  # argparse has refused every other verb
    status: int = chosen.run(parsed)
    return status


def _module(verb: str) -> str:
    """The module with the verb's `add_parser` and `run`."""
    if verb == "realserver":
        return "dnslb.real_server.cli"
    return f"dnslb.cli.{'word' if verb in _WORDS else verb}"
