"""`drbdsetup status --json` (DRBD 9 only) to the model.

Source of the format: drbdsetup.c of drbd-utils 8.9.8 to 9.34, and captures of DRBD 9.2.14.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from drbdctl.status.fields import RUNNING, applied
from drbdctl.status.state import Connection, Device, Path, PeerDevice, Progress, Resource, Status, Unreadable

_RENAMED = {
    "disk-state": "disk",
    "connection-state": "connection",
    "peer-role": "role",
    "peer-node-id": "node-id",
    "replication-state": "replication",
    "peer-disk-state": "peer-disk",
}
_Part = TypeVar("_Part")
_REASONS = ("user", "no-data", "fencing", "quorum")


def parse_json(text: str | bytes) -> Status:
    """The answer of `drbdsetup status --json`; keys that are not known are left out.

    Raises Unreadable when it is no list of resources.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"drbdsetup status --json: this is no JSON ({str(error)[:80]})") from None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Unreadable("drbdsetup status --json: this is no list of resources")
    return Status(_different([_resource(each) for each in found], "resources of one name", lambda each: each.name))


def _resource(data: Mapping[str, Any]) -> Resource:
    resource = applied(Resource(_name(data, "a resource")), _fields(data))
    # `suspended` alone is true or false; the reasons came with 9.21
    reasons = [reason for reason in _REASONS if data.get(f"suspended-{reason}") is True]
    told = data.get("suspended")
    suspended = ",".join(reasons) or ("yes" if told is True else "no" if told is False else None)
    return replace(
        resource,
        suspended=suspended,
        devices=_different([_device(each) for each in _list(data, "devices")], "devices of one volume", _volume),
        connections=tuple(_connection(each) for each in _list(data, "connections")),
    )


def _device(data: Mapping[str, Any]) -> Device:
    return applied(Device(_number(data, "volume")), _fields(data))


def _connection(data: Mapping[str, Any]) -> Connection:
    return replace(
        applied(Connection(_name(data, "a connection")), _fields(data)),
        peer_devices=_different(
            [_peer_device(each) for each in _list(data, "peer_devices")], "peer devices of one volume", _volume
        ),
        paths=tuple(_path(each) for each in _list(data, "paths")),
    )


def _peer_device(data: Mapping[str, Any]) -> PeerDevice:
    peer = applied(PeerDevice(_number(data, "volume")), _fields(data))
    if peer.replication not in RUNNING:
        return peer
    rate = _real(data.get("db1/dt1 [MiB/s]"))
    progress = Progress(
        _real(data.get("percent-resync-done")),
        _real(data.get("estimated-seconds-to-finish")),
        None if rate is None else rate * 1024,
    )
    return replace(peer, progress=progress)


def _path(data: Mapping[str, Any]) -> Path:
    established = data.get("established")
    return Path(
        _endpoint(data.get("this_host")),
        _endpoint(data.get("remote_host")),
        established if isinstance(established, bool) else None,
    )


def _endpoint(data: Any) -> str:
    if not isinstance(data, dict):
        return ""
    host = str(data.get("address", ""))
    host = f"[{host}]" if data.get("family") == "ipv6" and not host.startswith("[") else host
    return f"{data.get('family', '')}:{host}:{data.get('port', '')}"


def _fields(data: Mapping[str, Any]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for key, value in data.items():
        match value:
            case bool():
                fields[_RENAMED.get(key, key)] = "yes" if value else "no"
            case str() | int() | float():
                fields[_RENAMED.get(key, key)] = str(value)
            case _:
                pass
    return fields


def _different(found: Sequence[_Part], what: str, key: Callable[[_Part], object]) -> tuple[_Part, ...]:
    """Of two that say they are the same, nobody knows which one to believe."""
    if len({key(each) for each in found}) < len(found):
        raise Unreadable(f"drbdsetup status --json: it has two {what}")
    return tuple(found)


def _volume(part: Device | PeerDevice) -> int:
    return part.volume


def _name(data: Mapping[str, Any], what: str) -> str:
    name = data.get("name")
    if not isinstance(name, str):
        raise Unreadable(f"drbdsetup status --json: {what} has no name")
    return name


def _number(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Unreadable(f"drbdsetup status --json: {key} is no number")
    return value


def _list(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = data.get(key, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Unreadable(f"drbdsetup status --json: {key} is no list of objects")
    return found


def _real(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    return None
