"""drbdctl's metrics, out of its part of the snapshot that the status shows too; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pyvrrp.core.metrics import Family, Kind, Metric, Sample

Part = Mapping[str, Any]
"drbdctl's part of the snapshot, or a part of that"

_STORAGE = ("storage",)
_RESOURCE = ("storage", "resource")
_VOLUME = (*_RESOURCE, "volume")
_PEER = (*_RESOURCE, "peer")
_PEER_VOLUME = (*_PEER, "volume")
_KIB = 1024


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, text, labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, text, labels)


Found = Iterator[tuple[tuple[object, ...], Part]]


def _storages(part: Part) -> Found:
    return (((name,), each) for name, each in part.get("storages", {}).items())


def _resources(part: Part) -> Found:
    for storage, each in _storages(part):
        yield from (((*storage, name), state) for name, state in each["states"].items())


def _volumes(part: Part) -> Found:
    for resource, each in _resources(part):
        yield from (((*resource, volume["volume"]), volume) for volume in each["volumes"])


def _peers(part: Part) -> Found:
    for resource, each in _resources(part):
        yield from (((*resource, peer["peer"]), peer) for peer in each["connections"])


def _peer_volumes(part: Part) -> Found:
    for peer, each in _peers(part):
        yield from (((*peer, volume["volume"]), volume) for volume in each["volumes"])


Walk = Callable[[Part], Found]
Samples = Callable[[Part], Iterable[Sample]]


def _word(walk: Walk, key: str) -> Samples:
    """1 with the word that it is in now."""
    return lambda part: (((*labels, each[key] or "not known"), 1) for labels, each in walk(part))


def _number(walk: Walk, key: str, scale: float = 1) -> Samples:
    """One number of each; None: it has none now."""
    return lambda part: ((labels, each[key] * scale) for labels, each in walk(part) if each[key] is not None)


def _length(walk: Walk, key: str) -> Samples:
    return lambda part: ((labels, len(each[key])) for labels, each in walk(part))


def _tally(key: str) -> Samples:
    return lambda part: ((labels, each["tally"][key]) for labels, each in _storages(part))


def _refused(part: Part) -> Iterator[Sample]:
    for (name,), each in _storages(part):
        yield from (((name, rule), 1) for rule in sorted(set(each["rules"])))


def _holders(part: Part) -> Iterator[Sample]:
    for (name,), each in _storages(part):
        yield from (((name, what), len(found)) for what, found in each["holders"].items())


def _backup(name: str, text: str) -> tuple[Metric, Samples]:
    """One of the numbers of drbdctl.backup.health.Health.metrics."""

    def samples(part: Part) -> Iterator[Sample]:
        for resource, each in part.get("backups", {}).items():
            if name in each["metrics"]:
                yield (resource,), each["metrics"][name]

    return _gauge(name, text, "resource"), samples


METRICS: Sequence[tuple[Metric, Samples]] = (
    (
        _gauge("drbdctl_storage_phase", "1, with the phase of the storage.", *_STORAGE, "phase"),
        _word(_storages, "phase"),
    ),
    (_gauge("drbdctl_storage_wish", "1, with what is wanted of it.", *_STORAGE, "wish"), _word(_storages, "wish")),
    (
        _gauge("drbdctl_storage_seen_age_seconds", "Since it was looked at.", *_STORAGE),
        _number(_storages, "seen_seconds_ago"),
    ),
    (_gauge("drbdctl_storage_faults", "What keeps this node from the role.", *_STORAGE), _length(_storages, "faults")),
    (
        _gauge("drbdctl_storage_degraded", "What is not as it should be, though it serves.", *_STORAGE),
        _length(_storages, "degraded"),
    ),
    (
        _gauge("drbdctl_storage_alarm", "1: somebody must come and look at it.", *_STORAGE),
        lambda part: ((labels, bool(each["alarm"])) for labels, each in _storages(part)),
    ),
    (
        _gauge("drbdctl_storage_stuck_commands", "Commands that were killed and hang in the kernel.", *_STORAGE),
        _length(_storages, "stuck"),
    ),
    (_gauge("drbdctl_refused", "1 for each rule that forbids the promotion now.", *_STORAGE, "rule"), _refused),
    (
        _gauge(
            "drbdctl_holders",
            "Who keeps a mount point or a resource in use, when it was looked for.",
            *_STORAGE,
            "what",
        ),
        _holders,
    ),
    (_counter("drbdctl_takeovers_total", "Promotions that were brought to their end.", *_STORAGE), _tally("takeovers")),
    (_counter("drbdctl_takeovers_failed_total", "Promotions that were given up.", *_STORAGE), _tally("gave_up")),
    (
        _counter("drbdctl_steps_failed_total", "Steps that failed, on the way up or down.", *_STORAGE),
        _tally("steps_failed"),
    ),
    (_counter("drbdctl_alarms_total", "Times that somebody was called.", *_STORAGE), _tally("alarms")),
    (
        _gauge("drbdctl_resource_role", "1, with DRBD's word for the role.", *_RESOURCE, "role"),
        _word(_resources, "role"),
    ),
    (
        _gauge("drbdctl_resource_troubles", "What is not as it should be; drbdctl status names it.", *_RESOURCE),
        _length(_resources, "troubles"),
    ),
    (
        _gauge("drbdctl_disk_state", "1, with DRBD's word for the disk of the volume.", *_VOLUME, "disk"),
        _word(_volumes, "disk"),
    ),
    (_gauge("drbdctl_size_bytes", "Size of the volume.", *_VOLUME), _number(_volumes, "size", _KIB)),
    (
        _gauge("drbdctl_connection_state", "1, with DRBD's word for the link to the peer.", *_PEER, "connection"),
        _word(_peers, "connection"),
    ),
    (_gauge("drbdctl_peer_role", "1, with the peer's role.", *_PEER, "role"), _word(_peers, "peer_role")),
    (
        _gauge("drbdctl_peer_disk_state", "1, with the state of the peer's disk.", *_PEER_VOLUME, "disk"),
        _word(_peer_volumes, "peer_disk"),
    ),
    (
        _gauge("drbdctl_replication_state", "1, with DRBD's word for the replication.", *_PEER_VOLUME, "replication"),
        _word(_peer_volumes, "replication"),
    ),
    (
        _gauge(
            "drbdctl_out_of_sync_bytes",
            "What differs from the peer; 0 says nothing while it is not connected.",
            *_PEER_VOLUME,
        ),
        _number(_peer_volumes, "out_of_sync", _KIB),
    ),
    (
        _gauge("drbdctl_resync_done_ratio", "Of a resync or verify that is under way, 0 to 1.", *_PEER_VOLUME),
        _number(_peer_volumes, "done_percent", 0.01),
    ),
    (
        _gauge("drbdctl_resync_left_seconds", "Until its end, as DRBD thinks.", *_PEER_VOLUME),
        _number(_peer_volumes, "seconds_left"),
    ),
    _backup("drbdctl_backup_age_seconds", "Since the snapshot of the newest archive that is known here."),
    _backup("drbdctl_backup_last_ok", "1: the last run made an archive, or left it to the peer."),
    _backup("drbdctl_backup_verify_age_seconds", "Since a sample was last restored and compared."),
    _backup("drbdctl_backup_verify_ok", "1: the last verify found what was backed up."),
    _backup("drbdctl_backup_running", "A run is on."),
    _backup("drbdctl_backup_alarms", "What is wrong with the backups; drbdctl backup status names it."),
    _backup("drbdctl_backup_duration_seconds", "How long the newest archive took, where this node made it."),
    _backup("drbdctl_backup_size_bytes", "Bytes of the files in it."),
)


def families(part: Part) -> Iterator[Family]:
    """All of them."""
    return (Family(metric, samples(part)) for metric, samples in METRICS)
