"""`drbdctl status`: roles, disks, connections and resync of this node.

`--json` writes one object: `schema` (1), `source` (who said it), `release` (of the kernel module), `resources` (the
fields of drbdctl.status.state, DRBD's words as they are, null where it was not told; `healthy`, `standalone`,
`troubles`), `unread` (lines that were not understood) and `storages` (by name, what the daemon says of each: phase,
what keeps it from taking over, ...; empty where no daemon runs). Fields may be added under the same schema number.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from enum import Enum
from typing import Any

from drbdctl.cli.status_storage import lines, of_the_daemon
from drbdctl.cli.status_table import table
from drbdctl.status.ask import CONFIG, PROC, Answer, node_status
from drbdctl.status.state import Unreadable, troubles

SCHEMA = 1


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "status",
        help="roles, disks, connections and resync of this node",
        description="What DRBD does on this node: from /proc/drbd (8.x), or from `drbdsetup status --json` (9).",
        epilog="exit status: 0 all is well, 1 something is not as it should be, 2 DRBD is not there or can't be asked.",
    )
    parser.add_argument("--json", action="store_true", help="write one JSON object")
    parser.add_argument(
        "--watch", nargs="?", type=seconds, const=1.0, metavar="SECONDS", help="again and again, until Ctrl-C"
    )
    parser.add_argument("--proc", metavar="FILE", default=PROC, help="read this file in place of %(default)s")
    parser.add_argument(
        "-f", "--file", default=CONFIG, help="the configuration that names the resources of 8.x (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the state, once or again and again, and return the exit status of the last time."""
    if arguments.watch is None:
        return _once(arguments)
    while True:
        if sys.stdout.isatty():
            print("\x1b[H\x1b[2J", end="")
        if not arguments.json:
            print(f"{time.strftime('%H:%M:%S')}  every {arguments.watch:g} s, Ctrl-C ends it")
        _once(arguments)
        sys.stdout.flush()
        time.sleep(arguments.watch)


def seconds(text: str) -> float:
    """For argparse: 0.1 to 3600."""
    found = float(text)
    if not 0.1 <= found <= 3600:
        raise ValueError(text)
    return found


def _once(arguments: argparse.Namespace) -> int:
    try:
        answer = node_status(arguments.proc, arguments.file)
    except Unreadable as error:
        if arguments.json:
            print(json.dumps({"schema": SCHEMA, "error": str(error)}))
        else:
            print(f"drbdctl status: {error}", file=sys.stderr)
        return 2
    if arguments.json:
        report = {**_report(answer), "storages": of_the_daemon() if arguments.proc == PROC else {}}
        print(json.dumps(report, indent=None if arguments.watch else 2))
    else:
        print("\n".join(table(answer.status)))
        if arguments.proc == PROC:
            for line in lines(of_the_daemon()):
                print(line)
    return int(bool(answer.status.unread) or any(not each.healthy for each in answer.status.resources))


def _report(answer: Answer) -> dict[str, Any]:
    resources = [
        {
            **asdict(each, dict_factory=_plain),
            "healthy": each.healthy,
            "standalone": each.standalone,
            "troubles": troubles(each),
        }
        for each in answer.status.resources
    ]
    return {
        "schema": SCHEMA,
        "source": answer.source,
        "release": answer.release,
        "resources": resources,
        "unread": list(answer.status.unread),
    }


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = {key: value.value if isinstance(value, Enum) else value for key, value in items}
    if "unrecognized" in plain:
        plain["unrecognized"] = dict(plain["unrecognized"])
    return plain
