"""One look at everything that a decision about a storage is made from; what can't be read stays unknown."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from drbdctl.failover.evidence import Network, Sight, Witness
from drbdctl.failover.group import Group
from drbdctl.failover.refusal import Refusal
from drbdctl.failover.seen import DRBD_MAJOR, Mounted, Seen
from drbdctl.settings import Storage
from drbdctl.status import ask, generation
from drbdctl.status.generation import Generation
from drbdctl.status.state import NotLoaded, Resource, Status, Unreadable
from drbdctl.status.words import Role
from drbdctl.steps import command, holders, services
from drbdctl.steps.effect import Run


async def look(
    storage: Storage,
    *,
    known: Mapping[str, tuple[object, tuple[Generation, ...]]] | None = None,
    sights: Mapping[str, Sight] | None = None,
    networks: Sequence[Network] = (),
    witness: Witness | None = None,
    stuck: Sequence[str] = (),
    checks: Sequence[Refusal] = (),
    journal: str = "",
    users: bool = False,
    run: Run = command.run,
) -> Seen:
    """Look; `users`: also at who holds what, and at what is mounted in other mount namespaces.

    `known` has generation identifiers by resource, with the `state` in which they are still right: they are not read
    again.
    """
    at, group = time.monotonic(), storage.group
    deadline = group.deadlines.look
    status, gap = await asyncio.to_thread(read_status)
    right = {name: found for name, (before, found) in (known or {}).items() if before == state(status.resource(name))}
    asked = [each.name for each in group.resources if each.name not in right]
    (mounts, missing), held, generations, working = await asyncio.gather(
        asyncio.to_thread(_mounts, group, everywhere=users),
        asyncio.to_thread(_holders, group) if users else _nothing(),
        _generations(asked, deadline, run),
        _services(storage, deadline, run),
    )
    return Seen(
        at=at,
        status=status,
        gap=gap,
        generations=right | generations,
        sights=sights or {},
        networks=tuple(networks),
        witness=witness,
        mounts=mounts,
        no_directory=missing,
        services=working,
        holders=held,
        read_only=frozenset(_read_only(status)),
        stuck=tuple(stuck),
        journal=journal,
        checks=tuple(checks),
    )


def read_status() -> tuple[Status, str]:
    """What the kernel says, or why it can't be known; without the module nothing is up, which is known."""
    try:
        return ask.node_status().status, ""
    except NotLoaded:
        return Status(), ""
    except Unreadable as error:
        return Status(), str(error)


async def _nothing() -> Mapping[str, tuple[str, ...]]:
    return {}


def state(resource: Resource | None) -> object:
    """What changes when the generation identifiers do: roles, disks, connections; not the counters."""
    if resource is None:
        return None
    return (
        resource.role,
        tuple((each.volume, each.role, each.disk) for each in resource.devices),
        tuple(
            (link.name, link.connection, link.peer_role, tuple((p.replication, p.peer_disk) for p in link.peer_devices))
            for link in resource.connections
        ),
    )


async def _generations(names: Sequence[str], deadline: float, run: Run) -> dict[str, tuple[Generation, ...]]:
    answers = await asyncio.gather(*(run(["drbdadm", "get-gi", name], deadline) for name in names))
    found: dict[str, tuple[Generation, ...]] = {}
    for name, answer in zip(names, answers, strict=True):
        with suppress(Unreadable):
            if answer.ok and (parsed := generation.parse(answer.output)):
                found[name] = parsed
    return found


async def _services(storage: Storage, deadline: float, run: Run) -> dict[str, bool | None]:
    found = await asyncio.gather(*(services.works(each, deadline, run) for each in storage.services))
    return {each.name: works for each, works in zip(storage.services, found, strict=True)}


def _mounts(group: Group, *, everywhere: bool) -> tuple[tuple[Mounted, ...] | None, frozenset[str]]:
    """What is mounted at, below or of the group's (None: the table can't be read), and the mount points that lack.

    A directory is looked at only where it can't hang: neither on a volume of the group nor below one.
    """
    here = holders.mounts()
    if not here:
        return None, frozenset()
    mounted = {each.point for each in here}
    points = [mount.point for mount in group.mounts]
    alone = (each for each in points if not any(each.startswith(f"{other}/") for other in points))
    missing = frozenset(each for each in alone if each not in mounted and not os.path.isdir(each))
    minors = group.minors
    found = [
        Mounted(each.point, *each.device, read_only="rw" not in each.options)
        for each in here
        if each.device in {(DRBD_MAJOR, minor) for minor in minors}
        or any(each.point == point or each.point.startswith(f"{point}/") for point in points)
    ]
    for minor in minors if everywhere else ():
        for holder in holders.holders((DRBD_MAJOR, minor)):
            if holder.kind is holders.Kind.MOUNT:
                found.append(Mounted(holder.what.partition(" of its own")[0], DRBD_MAJOR, minor, elsewhere=True))
    return tuple(found), missing


def _holders(group: Group) -> dict[str, tuple[str, ...]]:
    """By mount point and by resource."""
    by_minor = {minor: _sentences(minor) for minor in group.minors}
    found = {
        mount.point: by_minor.get(minor, ()) for mount in group.mounts if (minor := group.minor(mount)) is not None
    }
    for resource in group.resources:
        found[resource.name] = tuple(each for volume in resource.volumes for each in by_minor.get(volume.minor, ()))
    return found


def _sentences(minor: int) -> tuple[str, ...]:
    return tuple(each.sentence for each in holders.holders((DRBD_MAJOR, minor)))


def _read_only(status: Status) -> Iterator[int]:
    for resource in status.resources:
        for device in resource.devices:
            if device.minor is not None and (device.role or resource.role) is Role.PRIMARY:
                with suppress(OSError):
                    path = Path(f"/sys/dev/block/{DRBD_MAJOR}:{device.minor}/ro")
                    if path.read_text().strip() == "1":
                        yield device.minor
