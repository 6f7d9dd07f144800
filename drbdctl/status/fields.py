"""The `key:value` words of `drbdsetup status` and `events2`: onto the objects of the model.

Both tools print the same keys; the JSON has longer ones, which are translated where it is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from drbdctl.status.state import Connection, Device, Path, PeerDevice, Progress, Resource, with_unrecognized
from drbdctl.status.words import ConnectionState, DiskState, ReplicationState, Role, Word, recognize

_UNDERFLOW = 2**63
"counters beyond it went below zero in the kernel; seen for ap-in-flight"


def whole(text: str) -> int | None:
    """A counter, or None: no number, or one that is the kernel's underflow."""
    if not re.fullmatch(r"[0-9]{1,20}", text):
        return None
    value = int(text)
    return value if value < _UNDERFLOW else None


def real(text: str) -> float | None:
    """A number with a fraction, or None."""
    if not re.fullmatch(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def flag(text: str) -> bool | None:
    """True for yes, False for no, None for anything else (`unknown`)."""
    return {"yes": True, "no": False}.get(text)


def _text(text: str) -> str:
    return text


_WORDS: Mapping[type, Mapping[str, tuple[str, Callable[[str], Word]]]] = {
    Resource: {"role": ("role", partial(recognize, Role))},
    Device: {"disk": ("disk", partial(recognize, DiskState))},
    Connection: {
        "connection": ("connection", partial(recognize, ConnectionState)),
        "role": ("peer_role", partial(recognize, Role)),
    },
    PeerDevice: {
        "replication": ("replication", partial(recognize, ReplicationState)),
        "peer-disk": ("peer_disk", partial(recognize, DiskState)),
    },
    Path: {},
}
_VALUES: Mapping[type, Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    Resource: {
        "node-id": ("node_id", whole),
        "suspended": ("suspended", _text),
        "force-io-failures": ("force_io_failures", flag),
        "write-ordering": ("write_ordering", _text),
        "may_promote": ("may_promote", flag),
        "promotion_score": ("promotion_score", whole),
    },
    Device: {
        "minor": ("minor", whole),
        "client": ("client", flag),
        "quorum": ("quorum", flag),
        "open": ("open", flag),
        "backing_dev": ("backing_dev", _text),
        "size": ("size", whole),
        "read": ("read", whole),
        "written": ("written", whole),
        "al-writes": ("al_writes", whole),
        "bm-writes": ("bm_writes", whole),
        "upper-pending": ("upper_pending", whole),
        "lower-pending": ("lower_pending", whole),
        "al-suspended": ("al_suspended", flag),
        "blocked": ("blocked", _text),
    },
    Connection: {
        "node-id": ("peer_node_id", whole),
        "congested": ("congested", flag),
        "tls": ("tls", flag),
        "ap-in-flight": ("ap_in_flight", whole),
        "rs-in-flight": ("rs_in_flight", whole),
    },
    PeerDevice: {
        "peer-client": ("peer_client", flag),
        "resync-suspended": ("resync_suspended", _text),
        "received": ("received", whole),
        "sent": ("sent", whole),
        "out-of-sync": ("out_of_sync", whole),
        "pending": ("pending", whole),
        "unacked": ("unacked", whole),
    },
    Path: {"established": ("established", flag)},
}
_Object = TypeVar("_Object", Resource, Device, Connection, PeerDevice, Path)


def applied(thing: _Object, fields: Mapping[str, str]) -> _Object:
    """The object with the fields that it knows; of a word that is not known, the text is kept as unrecognized.

    `--diff` values (`old->new`) count as their new part.
    """
    changes: dict[str, Any] = {}
    unrecognized = getattr(thing, "unrecognized", ())
    words, values = _WORDS[type(thing)], _VALUES[type(thing)]
    for key, text in fields.items():
        new = text.rpartition("->")[2]
        if key in words:
            name, recognized = words[key]
            changes[name] = word = recognized(new)
            unrecognized = with_unrecognized(unrecognized, key, None if word.value else new)
        elif key in values:
            name, read = values[key]
            changes[name] = read(new)
    if isinstance(thing, PeerDevice):
        changes["progress"] = _progress(thing, fields, changes.get("replication", thing.replication))
    if not isinstance(thing, Path):
        changes["unrecognized"] = unrecognized
    return replace(thing, **changes)


RUNNING = frozenset(
    {ReplicationState.SYNC_SOURCE, ReplicationState.SYNC_TARGET, ReplicationState.PAUSED_SYNC_S}
    | {ReplicationState.PAUSED_SYNC_T, ReplicationState.VERIFY_S, ReplicationState.VERIFY_T}
)
"replication states that make progress"


def _progress(thing: PeerDevice, fields: Mapping[str, str], state: ReplicationState) -> Progress | None:
    """`done` is in percent, `eta` in seconds, `dbdt1` in MiB/s; outside of a resync there is none."""
    if state not in RUNNING:
        return None
    before = thing.progress or Progress()
    if not fields.keys() & {"done", "eta", "dbdt1"}:
        return thing.progress
    rate = real(fields["dbdt1"]) if "dbdt1" in fields else None
    return Progress(
        real(fields["done"]) if "done" in fields else before.percent,
        real(fields["eta"]) if "eta" in fields else before.seconds_left,
        rate * 1024 if rate is not None else before.rate,
    )
