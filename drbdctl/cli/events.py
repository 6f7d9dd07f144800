"""`drbdctl events`: what changes, a line each, from `drbdsetup events2`.

With `--json` every line is an object: `time` or null, `changes` (sentences), `trusted` (nothing was missed so far).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from typing import Any

from drbdctl.status.ask import follow
from drbdctl.status.changes import changes
from drbdctl.status.events2 import Feed, Helper, parse
from drbdctl.status.state import Unreadable


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "events",
        help="follow what changes",
        description="Follow `drbdsetup events2` of DRBD 8.4 or 9 and say what changes, until it ends or Ctrl-C.",
        epilog="exit status: 0 the end of FILE, 1 the stream ended or was not understood, 2 DRBD can't be asked.",
    )
    parser.add_argument("--json", action="store_true", help="write one JSON object a line")
    parser.add_argument("--file", metavar="FILE", help="read a recorded stream; - is standard input")


def run(arguments: argparse.Namespace) -> int:
    """Print the changes and return the exit status."""
    try:
        if arguments.file is None:
            trusted = _show(follow(), as_json=arguments.json)
            print("drbdctl events: `drbdsetup events2` has ended; start again", file=sys.stderr)
            return 1
        if arguments.file == "-":
            trusted = _show(sys.stdin, as_json=arguments.json)
        else:
            with open(arguments.file, errors="replace") as file:
                trusted = _show(file, as_json=arguments.json)
    except Unreadable as error:
        print(f"drbdctl events: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"drbdctl events: {arguments.file}: {error.strerror}; name another file", file=sys.stderr)
        return 2
    return int(not trusted)


def _show(lines: Iterable[str], *, as_json: bool) -> bool:
    """Print what each line changes; True when all of them were understood."""
    feed, gap = Feed(), ""
    for line in lines:
        before, feed = feed, feed.after(line)
        event = parse(line)
        time = event.timestamp if event is not None else ""
        said = _sentences(before, feed)
        if feed.gap and feed.gap != gap:
            said.append(f"not understood, the state may be wrong from here: {feed.gap}")
        gap = feed.gap
        if not said:
            continue
        if as_json:
            print(json.dumps({"time": time or None, "changes": said, "trusted": feed.trusted}), flush=True)
        else:
            prefix = f"{time} " if time else ""
            print("\n".join(f"{prefix}{each}" for each in said), flush=True)
    return feed.trusted


def _sentences(before: Feed, after: Feed) -> list[str]:
    if after.helper is not None:
        return [_called(after.helper)]
    return changes(before.status, after.status)


def _called(helper: Helper) -> str:
    if helper.status is None:
        return f"{helper.resource}: DRBD calls {helper.name}"
    exit_status, signal = helper.status >> 8, helper.status & 0x7F
    how = f"was killed by signal {signal}" if signal else f"ended with {exit_status}"
    return f"{helper.resource}: {helper.name} {how}"
