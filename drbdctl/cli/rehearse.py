"""`drbdctl rehearse`: hand a storage to the other node and back, measured; checked on both before anything is done."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from typing import Any

from drbdctl.cli.daemon import Unanswered, add_daemon, chosen, storages
from drbdctl.cli.rehearsal_nodes import Here, There
from drbdctl.cli.storage import DONE, FAILED, REFUSED, complain
from drbdctl.rehearsal.probe import Probe
from drbdctl.rehearsal.report import as_json, lines
from drbdctl.rehearsal.run import NodeFailed, Rehearsal
from drbdctl.steps.ssh import SSH, Peer


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "rehearse",
        help="hand a storage to the other node and back, and measure it",
        description="Ask both nodes whether a hand-over would succeed, carry it out, and take the role back: with a "
        "report of each step's time on both sides, and of how long a client would have seen nothing. Clients notice "
        "two planned moves. The other node is asked by ssh.",
        epilog="exit status: 0 there and back, 1 refused: nothing was done, 3 pyvrrp is not running, 4 it went wrong "
        "on the way; the text says what to look at.",
    )
    add_daemon(parser)
    parser.add_argument("--peer", required=True, metavar="HOST", help="the other node, as ssh knows it")
    parser.add_argument("--ssh", default=shlex.join(SSH), metavar="COMMAND", help="(default: %(default)s)")
    parser.add_argument("--port", type=int, help="of the service, to ask whether it answers (default: 2049 with nfs)")
    parser.add_argument("--dry-run", action="store_true", help="only ask both nodes")
    parser.add_argument("--json", action="store_true", help="write the report as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Ask, do, report; the exit status."""
    try:
        name = chosen(arguments)
        port = arguments.port or _port(storages(arguments)[name])
    except Unanswered as unanswered:
        return unanswered.told("rehearse")
    there = There(Peer(arguments.peer, shlex.split(arguments.ssh)))
    tell = print if not arguments.json else (lambda text: print(text, file=sys.stderr))
    rehearsal = Rehearsal(name, Here(arguments), there, lambda address: Probe(address, port), tell)
    try:
        hindered = rehearsal.check()
    except NodeFailed as failed:
        hindered = [str(failed)]
    for each in hindered:
        complain("rehearse", f"refused: {each}")
    if hindered:
        return REFUSED
    if arguments.dry_run:
        print(f"storage {name}: both nodes are ready; without --dry-run it goes to {arguments.peer} and back")
        return DONE
    try:
        ways = rehearsal.run()
    except NodeFailed as failed:
        complain("rehearse", failed)
        return FAILED
    print(json.dumps(as_json(name, ways, port), indent=2) if arguments.json else "\n".join(lines(name, ways, port)))
    return DONE


def _port(storage: dict[str, Any]) -> int:
    """Of its NFS server; of another service nobody knows it: then 9, where a refusal shows that the address answers."""
    return 2049 if "nfs" in storage.get("services", ()) else 9
