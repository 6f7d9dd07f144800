"""`dnslb top`: queries per second of each server, its part of them beside the part that its weight says."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

from dnslb.cli.daemon import OK, Document, add_options, ask, told
from dnslb.cli.table import aligned, harmless

_CLEAR = "\x1b[H\x1b[2J"
_HEAD = ("server", "standing", "qps", "part", "weight says", "")
_BAR = 30


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "top",
        help="queries per second of each server, again and again",
        description="Packets per second that each real server gets, its part of all of them, and the part that its "
        "weight says. A TCP connection counts as its segments.",
        epilog="exit status: 0; 3 the daemon is not running; 4 it refused, or gave no answer; 130 interrupted.",
    )
    parser.add_argument("--every", type=_seconds, default=1.0, metavar="SECONDS", help="(default: 1)")
    parser.add_argument("-n", "--count", type=int, metavar="N", help="end after N tables")
    add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print tables until interrupted."""
    return told(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    before: Document = ask(arguments, "counters")
    shown = 0
    while arguments.count is None or shown < arguments.count:
        time.sleep(arguments.every)
        now: Document = ask(arguments, "counters")
        text = "\n".join(map(harmless, rates(before, now)))
        print(f"{_CLEAR if sys.stdout.isatty() else ''}{text}", flush=True)
        before, shown = now, shown + 1
    return OK


def rates(before: Document, now: Document) -> Iterator[str]:
    """The lines of one table, from two answers of the daemon."""
    seconds = max(now["at"] - before["at"], 0.001)
    for name, servers in now["virtual_servers"].items():
        earlier = {each["address"]: each["packets"] for each in before["virtual_servers"].get(name, [])}
        qps = [max(each["packets"] - earlier.get(each["address"], 0), 0) / seconds for each in servers]
        total = sum(qps)
        yield f"{name}  {total:.0f} per second"
        rows = [_HEAD]
        for each, rate in zip(servers, qps, strict=True):
            part = rate / total if total else 0.0
            bar = "#" * round(part * _BAR)
            rows.append((each["name"], each["standing"], f"{rate:.0f}", f"{part:.1%}", f"{each['share']:.1%}", bar))
        yield from aligned(rows, left=frozenset((0, 1, 5)))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r}: seconds between 0.1 and 3600")
    return seconds
