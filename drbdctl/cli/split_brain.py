"""`drbdctl split-brain`: both sides beside each other; on an operator's word one of them is discarded."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drbdctl.backup.safety import before_discard
from drbdctl.backup.surroundings import node
from drbdctl.cli.storage import DONE, FAILED, REFUSED, UNUSABLE, complain
from drbdctl.drbd_conf import load
from drbdctl.failover.split_brain import Side, compared, export, imported
from drbdctl.status.ask import CONFIG, node_status
from drbdctl.status.ask import run as ask_drbd
from drbdctl.status.state import Unreadable
from drbdctl.status.words import Role
from drbdctl.steps import command
from drbdctl.steps.effect import StepFailed
from drbdctl.steps.ssh import SSH, Peer, PeerFailed

_DEADLINE = 30.0


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "split-brain",
        help="both sides of a split brain beside each other, and how to end it",
        description="Show what this node says of a resource beside what the other one said (--export there, "
        "--peer-file here), and which side has less to lose. With --discard-my-data this node gives up what it wrote "
        "alone and is resynced.",
        epilog="exit status: 0 shown or done, 1 refused, 2 DRBD or the file can't be read, 4 a command failed.",
    )
    parser.add_argument("resource")
    parser.add_argument("--export", action="store_true", help="write this side as JSON, for the other node")
    parser.add_argument("--peer-file", metavar="FILE", help="the other side, as --export wrote it; - is standard input")
    parser.add_argument("--peer", metavar="HOST", help="fetch the other side by ssh from this host")
    parser.add_argument("--ssh", default=shlex.join(SSH), metavar="COMMAND", help="(default: %(default)s)")
    parser.add_argument("--discard-my-data", action="store_true", help="lose what this node wrote alone")
    parser.add_argument("--yes", action="store_true", help="do not ask before something is discarded")


def run(arguments: argparse.Namespace) -> int:
    """Show it, or do it, and return the exit status."""
    try:
        ours = side(arguments.resource)
        if arguments.export:
            print(export(ours))
            return DONE
        if arguments.discard_my_data:
            return _discard(ours, asked=not arguments.yes)
        if arguments.peer is None and arguments.peer_file is None:
            export_there = f"`drbdctl split-brain {ours.resource} --export` there, and --peer-file here"
            complain("split-brain", f"the other side is missing: --peer HOST fetches it by ssh; or {export_there}")
            return REFUSED
        print("\n".join(compared(ours, imported(_other_side(arguments)))))
    except (Unreadable, PeerFailed) as error:
        complain("split-brain", error)
        return UNUSABLE
    except OSError as error:
        complain("split-brain", f"{arguments.peer_file}: {error.strerror}")
        return UNUSABLE
    return DONE


def _other_side(arguments: argparse.Namespace) -> str:
    """As --export wrote it; raises PeerFailed, OSError."""
    if arguments.peer is not None:
        command = ["drbdctl", "split-brain", arguments.resource, "--export"]
        return Peer(arguments.peer, shlex.split(arguments.ssh)).run(command, _DEADLINE)
    return sys.stdin.read() if arguments.peer_file == "-" else Path(arguments.peer_file).read_text()


def side(name: str) -> Side:
    """What this node says; raises Unreadable."""
    found = node_status().status.resource(name)
    if found is None:
        raise Unreadable(f"{name} is not up on this node; `drbdadm up {name}`")
    roles = {device.role or found.role for device in found.devices} or {found.role}
    written = [device.written for device in found.devices]
    return Side(
        node=os.uname().nodename,
        resource=name,
        role=(roles.pop() if len(roles) == 1 else Role.UNKNOWN).value,
        disks=tuple(device.disk.value for device in found.devices),
        connection=found.connections[0].connection.value if found.connections else "StandAlone",
        identifiers=ask_drbd(["drbdadm", "get-gi", name]),
        written=None if None in written else sum(each or 0 for each in written),
        taken=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _discard(ours: Side, *, asked: bool) -> int:
    if ours.role != Role.SECONDARY.value:
        complain("split-brain", f"{ours.resource} is {ours.role} here; `drbdctl demote` first")
        return REFUSED
    if ours.connection == "Connected":
        complain("split-brain", f"{ours.resource} is connected: there is nothing to discard")
        return REFUSED
    if asked:
        print(
            f"What {ours.node} wrote to {ours.resource} without its peer will be lost. Type the resource's name: ",
            end="",
        )
        if sys.stdin.readline().strip() != ours.resource:
            complain("split-brain", "nothing was changed")
            return REFUSED
    _keep(ours.resource)
    # Of a StandAlone resource 8.4 says that there is nothing to disconnect: that is as good as done.
    asyncio.run(command.run(["drbdadm", "disconnect", ours.resource], _DEADLINE))
    outcome = asyncio.run(command.run(["drbdadm", "connect", "--discard-my-data", ours.resource], _DEADLINE))
    if not outcome.ok:
        complain("split-brain", outcome.sentence)
        return FAILED
    print(f"{ours.resource}: connecting; what was written here alone is discarded once the peer is there")
    return DONE


def _keep(resource: str) -> None:
    """A snapshot of what is about to be discarded, where the disk is a logical volume."""
    try:
        kept = asyncio.run(before_discard(node(load(CONFIG).config, resource), resource))
    except (StepFailed, LookupError, OSError) as error:
        print(f"no snapshot: {error}")
    else:
        print("kept as: " + ", ".join(kept))
