"""`dnslb check now [SERVER]`."""

from __future__ import annotations

import argparse
from typing import Any

from dnslb.cli.daemon import OK, TROUBLE, Document, add_options, ask, told
from dnslb.cli.table import harmless

_EPILOG = (
    "exit status: 0 all pass; 1 one fails; 2 bad input; 3 the daemon is not running; 4 it refused, or gave no answer."
)


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "check",
        help="run the checks at once",
        description="Run the checks of the real servers now and say what each one found; it counts as any other run.",
        epilog=_EPILOG,
    )
    parser.add_argument("when", choices=["now"], help="there is no other time")
    parser.add_argument("server", metavar="SERVER", nargs="*", help="a real server's name or address (default: all)")
    add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Have them run, and print."""
    return told(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    document: Document = ask(arguments, "check", *arguments.server)
    failed = False
    for name, served in document["virtual_servers"].items():
        for server in served["servers"]:
            if arguments.server and not {server["name"], server["address"]} & set(arguments.server):
                continue
            for check in server["checks"]:
                passes = check["healthy"] and not check["failing"]  # one failure alone does not make it unhealthy
                failed = failed or not passes
                verdict = "ok    " if passes else "FAILED"
                print(harmless(f"{verdict} {name}: {server['name']}: {check['check']}: {check['detail']}"))
    return TROUBLE if failed else OK
