"""`dnslb drain|up|down|auto SERVER`: the operator's word, which counts until another one, also after a restart."""

from __future__ import annotations

import argparse
import time
from typing import Any

from dnslb.cli.daemon import OK, TROUBLE, add_options, ask, told

_EVERY = 0.5
"seconds between two looks while it waits"
_EPILOG = (
    "exit status: 0 done; 1 not drained in time; 2 bad input; 3 the daemon is not running; 4 it refused, or gave no "
    "answer."
)


class Word:
    """One of these verbs."""

    def __init__(self, verb: str, text: str) -> None:
        self.verb = verb
        self.text = text

    def add_parser(self, subparsers: Any) -> None:
        """Describe the verb."""
        parser = subparsers.add_parser(
            self.verb,
            help=self.text,
            description=f"{self.text[0].upper()}{self.text[1:]}. The word counts in every virtual server that has the "
            "server, on this node, until another one is said; `dnslb auto` takes it back.",
            epilog=_EPILOG,
        )
        parser.add_argument("server", metavar="SERVER", nargs="+", help="a real server's name or address")
        if self.verb == "drain":
            parser.add_argument("--wait", action="store_true", help="return when it is drained, and may be stopped")
            parser.add_argument(
                "--timeout", type=float, default=600.0, metavar="SECONDS", help="of --wait (default: 600)"
            )
        add_options(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Say it."""
        return told(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    said = ask(arguments, arguments.verb, *arguments.server)
    for each in said:
        print(f"{each['virtual_server']}: {each['server']}: {each['word']}")
    if not getattr(arguments, "wait", False):
        return OK
    meant = {(each["virtual_server"], each["server"]) for each in said}
    deadline = time.monotonic() + arguments.timeout
    while waiting := meant & _draining(arguments):
        if time.monotonic() > deadline:
            print(f"not drained within {arguments.timeout:g} s: {', '.join(sorted(server for _, server in waiting))}")
            return TROUBLE
        time.sleep(_EVERY)
    print("drained: it may be stopped")
    return OK


def _draining(arguments: argparse.Namespace) -> set[tuple[str, str]]:
    found = ask(arguments, "counters")["virtual_servers"]
    return {(name, each["name"]) for name, servers in found.items() for each in servers
            if each["standing"] == "draining"}  # fmt: skip
