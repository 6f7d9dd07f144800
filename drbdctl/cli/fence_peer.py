"""`drbdctl fence-peer`: DRBD's handler: it asks the daemon, which alone knows what VRRP and the witness say.

    handlers { fence-peer "/usr/bin/drbdctl fence-peer"; }

DRBD calls it with DRBD_RESOURCE in the environment and waits for its exit status: 5, the peer is unreachable and taken
for dead; anything else is no permission. drbd.conf(5), `fencing`.
"""

from __future__ import annotations

import argparse
import os
import syslog
from typing import Any

from drbdctl.cli.daemon import Unanswered, ask, storages
from pyvrrp.cli.run_dir import add_run_dir

NO_ANSWER = 1


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "fence-peer",
        help="a handler for drbd.conf: may the peer be taken for dead?",
        description="For `handlers { fence-peer ... }` of drbd.conf: asks the running daemon whether its rules allow a "
        "promotion without the peer.",
        epilog="exit status: 5 the peer may be taken for dead, 1 it may not, or nobody knows.",
    )
    parser.add_argument(
        "resource", nargs="?", default=os.environ.get("DRBD_RESOURCE", ""), help="(default: $DRBD_RESOURCE)"
    )
    parser.add_argument("--instance", metavar="NAME", help="of the daemon with `instance NAME` in its configuration")
    add_run_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, log the answer, and return it."""
    status, why = NO_ANSWER, f"{arguments.resource or 'no resource'}: no storage of the daemon has it"
    try:
        for name, storage in storages(arguments).items():
            if arguments.resource in storage["resources"]:
                answer = ask(arguments, name, "fence-peer", arguments.resource)
                status, why = int(answer["status"]), str(answer["why"])
    except Unanswered as unanswered:
        why = str(unanswered)
    syslog.openlog("drbdctl", syslog.LOG_PID, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_WARNING, f"fence-peer: exit status {status}: {why}")
    print(why)
    return status
