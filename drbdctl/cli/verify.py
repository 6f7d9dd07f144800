"""`drbdctl verify`: DRBD's online verify of a resource, followed to its end."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from drbdctl.cli.storage import DONE, FAILED, REFUSED, UNUSABLE, complain
from drbdctl.status.ask import node_status
from drbdctl.status.peers import connected
from drbdctl.status.state import Resource, Unreadable
from drbdctl.status.words import ReplicationState
from drbdctl.steps import command

_VERIFYING = (ReplicationState.VERIFY_S, ReplicationState.VERIFY_T)
_DEADLINE = 30.0
_POLL = 1.0


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "verify",
        help="compare both copies block by block while they are in use",
        description="Have DRBD compare both copies of a resource by checksums (`verify-alg` in net { }), and say how "
        "much differs. What differs is marked, and copied at the next resync: `drbdadm disconnect` and `connect`.",
        epilog="exit status: 0 they are the same, 1 they differ or the peer is not connected, 2 DRBD can't be asked, "
        "4 the verify could not be run.",
    )
    parser.add_argument("resource")


def run(arguments: argparse.Namespace) -> int:
    """Run it to its end and return the exit status."""
    try:
        return asyncio.run(_verify(arguments.resource))
    except Unreadable as error:
        complain("verify", error)
        return UNUSABLE


async def _verify(name: str) -> int:
    before = _resource(name)
    if not connected(before):
        complain("verify", f"{name}: the peer is not connected")
        return REFUSED
    marked = _out_of_sync(before)
    began = time.monotonic()
    outcome = await command.run(["drbdadm", "verify", name], _DEADLINE)
    if not outcome.ok:
        complain("verify", f"{outcome.sentence}; is there a verify-alg in net {{ }}?")
        return FAILED
    told = -1.0
    while _is_verifying(found := _resource(name)):
        done = min((p.progress.percent or 0.0 for p in _peers(found) if p.progress is not None), default=0.0)
        if done >= told + 10:
            print(f"{name}: {done:.0f} % compared", flush=True)
            told = done
        await asyncio.sleep(_POLL)
    differs = _out_of_sync(found) - marked
    print(f"{name}: {max(differs, 0)} KiB differ, {time.monotonic() - began:.0f} s")
    return REFUSED if differs > 0 else DONE


def _resource(name: str) -> Resource:
    found = node_status().status.resource(name)
    if found is None:
        raise Unreadable(f"{name} is not up on this node; `drbdadm up {name}`")
    return found


def _peers(resource: Resource) -> list[Any]:
    return [each for link in resource.connections for each in link.peer_devices]


def _is_verifying(resource: Resource) -> bool:
    return any(each.replication in _VERIFYING for each in _peers(resource))


def _out_of_sync(resource: Resource) -> int:
    return sum(each.out_of_sync or 0 for each in _peers(resource))
