"""The command line: `pyvrrp VERB ...`, and keepalived's flags in its place.

A verb is a module of this package: see pyvrrp.cli.verbs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pyvrrp.cli.verbs import answer, in_package, run_verb

VERBS = {
    "run": "run the daemon in the foreground",
    "check": "read the configuration and say what is wrong with it",
    "status": "what the running daemon does, and why",
    "metrics": "the running daemon's numbers, for Prometheus",
    "switchover": "give the address to the other node, without a gap",
    "restart": "change the running program without a failover",
    "sniff": "print the advertisements on a link, decoded by scapy",
    "demo": "show the product working on this machine, in network namespaces",
}
_EPILOG = """\
In place of a verb, keepalived's own flags: `pyvrrp --dont-fork -D -f FILE` runs where keepalived ran,
`pyvrrp -t -f FILE` tests a configuration, `pyvrrp -n --help` lists them all and what becomes of each.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments (without the program's name) ask for and return the exit status.

    None: the command line's. Then the process is ours: a daemon that is asked for may replace it by its guard.

    Raises SystemExit for `--help` and for arguments that argparse does not understand (status 2).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    return answer("pyvrrp", arguments, lambda: _dispatch(arguments, own_process=argv is None))


def _dispatch(arguments: list[str], *, own_process: bool) -> int:
    if arguments and arguments[0].startswith("-") and arguments[0] not in ("--help", "-h"):
        from pyvrrp.cli import keepalived

        return keepalived.run(arguments, own_process=own_process)
    description = "Keep an address answering: VRRP for Linux, configured by keepalived.conf."
    load = in_package("pyvrrp.cli")
    return run_verb("pyvrrp", description, VERBS, arguments, load, epilog=_EPILOG, own_process=own_process)
