"""The command line: `pyvrrp VERB ...`, and keepalived's flags in its place.

A verb is a module of this package with `add_parser(subparsers)` and `run(arguments) -> int`. Only the one asked for is
imported, and nothing heavy here, so that `pyvrrp --version` takes no longer than Python itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from pyvrrp import __version__

VERBS = {
    "run": "run the daemon in the foreground",
    "check": "read the configuration and say what is wrong with it",
    "status": "what the running daemon does, and why",
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
    try:
        return _dispatch(arguments, own_process=argv is None)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `pyvrrp status | head`: keep the interpreter from complaining when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception as error:
        if os.environ.get("PYVRRP_DEBUG"):
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"pyvrrp: unexpected {what}; please report it with what PYVRRP_DEBUG=1 shows", file=sys.stderr)
        return 70


def _dispatch(arguments: list[str], *, own_process: bool) -> int:
    first = arguments[0] if arguments else "--help"
    if first in ("--version", "-v"):
        print(f"pyvrrp {__version__}")
        return 0
    if first.startswith("-") and first not in ("--help", "-h"):
        from pyvrrp.cli import keepalived

        return keepalived.run(arguments, own_process=own_process)
    return _run_verb(first, arguments or ["--help"], own_process=own_process)


def _run_verb(verb: str, arguments: list[str], *, own_process: bool) -> int:
    import argparse

    parser = argparse.ArgumentParser(
        prog="pyvrrp",
        description="Keep an address answering: VRRP for Linux, configured by keepalived.conf.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", "-v", action="store_true", help="print the version")
    subparsers = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    chosen = None
    for name, text in VERBS.items():
        if name == verb:
            chosen = import_module(f"pyvrrp.cli.{name}")
            chosen.add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=text)
    parsed = parser.parse_args(arguments)
    parsed.own_process = own_process
    assert chosen is not None  # argparse has refused every other verb
    status: int = chosen.run(parsed)
    return status
