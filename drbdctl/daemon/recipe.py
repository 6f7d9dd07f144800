"""What undoes a storage, as one word of a command: the guard of a daemon that was killed runs it.

It says all that is needed by itself: the configuration may be another one by then, or can't be read any more.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from drbdctl.failover.group import Deadlines, Group, GroupResource, GroupVolume, Mount, Policy, Service
from drbdctl.settings import Export, Nfs, Program, Runnable, Storage, Unit

_KINDS = {"nfs": Nfs, "systemd_unit": Unit, "command": Program}


def recipe(storage: Storage) -> str:
    """One line of JSON."""
    group = storage.group
    return json.dumps(
        {
            "name": group.name,
            "instance": storage.instance,
            "end_holders": group.policy.end_holders,
            "deadlines": {name: getattr(group.deadlines, name) for name in ("stop", "unmount", "demote", "look")},
            "resources": [{"name": each.name, "volumes": list(map(asdict, each.volumes))} for each in group.managed],
            "mounts": list(map(asdict, group.mounts)),
            "services": [_written(each) for each in storage.services],
        },
        separators=(",", ":"),
    )


def from_recipe(text: str) -> Storage:
    """The storage again, as far as giving it back needs it; ValueError: this is no recipe."""
    try:
        data = json.loads(text)
        services = tuple(_read(each) for each in data["services"])
        group = Group(
            name=str(data["name"]),
            resources=tuple(
                GroupResource(name=each["name"], volumes=tuple(GroupVolume(**volume) for volume in each["volumes"]))
                for each in data["resources"]
            ),
            mounts=tuple(Mount(**each) for each in data["mounts"]),
            services=tuple(Service(each.name) for each in services),
            policy=Policy(end_holders=bool(data["end_holders"])),
            deadlines=Deadlines(**data["deadlines"]),
        )
        return Storage(group=group, instance=str(data["instance"]), services=services)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"this is no recipe of a storage: {type(error).__name__}: {error}") from None


def _written(service: Runnable) -> dict[str, Any]:
    kind = next(name for name, each in _KINDS.items() if isinstance(service, each))
    return {"kind": kind, **asdict(service)}


def _read(data: dict[str, Any]) -> Runnable:
    rest = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if key != "kind"}
    if data["kind"] == "nfs":
        rest["exports"] = tuple(map(_read_export, data["exports"]))
    found: Runnable = _KINDS[data["kind"]](**rest)
    return found


def _read_export(data: dict[str, Any]) -> Export:
    return Export(**{**data, "clients": tuple(data["clients"]), "options": tuple(data["options"])})
