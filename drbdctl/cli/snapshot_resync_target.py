"""`drbdctl snapshot-resync-target`: DRBD's handlers before-resync-target and after-resync-target.

    handlers {
        before-resync-target "/usr/bin/drbdctl snapshot-resync-target";
        after-resync-target  "/usr/bin/drbdctl snapshot-resync-target --remove";
    }

drbdadm gives DRBD_RESOURCE, DRBD_VOLUME and the backing device as DRBD_LL_DISK, with 9 as DRBD_BACKING_DEV too. A
status other than 0 of before-resync-target makes DRBD drop the connection in place of the resync.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator
from typing import Any

from drbdctl.backup import safety
from drbdctl.status.ask import node_status
from drbdctl.status.state import Resource, Unreadable
from drbdctl.steps.effect import StepFailed

_DONE, _NOT_KEPT, _UNUSABLE = 0, 1, 2


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "snapshot-resync-target",
        help="a handler for drbd.conf: keep what a resync is about to overwrite",
        description="Take an LVM snapshot of the backing device before DRBD overwrites it in a resync; called by DRBD "
        "as before-resync-target, and with --remove as after-resync-target.",
        epilog="exit status: 0 done, or not kept and the resync may go on; 1 not kept, and with "
        "--disconnect-on-error the connection is dropped in its place; 2 not called by DRBD.",
    )
    add = parser.add_argument
    add("--remove", action="store_true", help="the resync is done: remove the snapshot")
    add("--disconnect-on-error", action="store_true", help="without a snapshot there is no resync")


def run(arguments: argparse.Namespace) -> int:
    """Take it or remove it."""
    try:
        name, volumes = os.environ["DRBD_RESOURCE"], list(_volumes())
    except (KeyError, ValueError):
        print(
            "drbdctl snapshot-resync-target: DRBD_RESOURCE, DRBD_VOLUME and DRBD_LL_DISK are not set; write it into "
            "the handlers section of drbd.conf",
            file=sys.stderr,
        )
        return _UNUSABLE
    try:
        asyncio.run(_remove(name, volumes) if arguments.remove else _keep(name, volumes))
    except (StepFailed, Unreadable) as error:
        print(f"drbdctl snapshot-resync-target: {error}", file=sys.stderr)
        return _NOT_KEPT if arguments.disconnect_on_error else _DONE
    return _DONE


def _volumes() -> Iterator[tuple[int, str]]:
    numbers = os.environ["DRBD_VOLUME"].split()
    disks = (os.environ.get("DRBD_BACKING_DEV") or os.environ["DRBD_LL_DISK"]).split()
    return ((int(number), disk) for number, disk in zip(numbers, disks, strict=True))


async def _keep(name: str, volumes: list[tuple[int, str]]) -> None:
    resource = await asyncio.to_thread(_resource, name)
    for number, disk in volumes:
        kept = await safety.keep(name, number, disk, safety.RESYNC, resource)
        how = "keeps what the resync overwrites" if kept.new else "is there already and stays: an earlier one is whole"
        print(f"{name}/{number}: {kept.volume} {how}")


async def _remove(name: str, volumes: list[tuple[int, str]]) -> None:
    for number, _ in volumes:
        for removed in await safety.drop(name, number, safety.RESYNC):
            print(f"{name}/{number}: {removed} removed, the resync is done")


def _resource(name: str) -> Resource | None:
    """What DRBD says; None when it can't be asked now, which only makes the snapshot larger."""
    try:
        return node_status().status.resource(name)
    except Unreadable:
        return None
