"""The speaker's metrics, out of the snapshot that the status shows too; pure.

Where the exporters of keepalived have a name for something (mehdy/keepalived-exporter), it is called so here, with
their labels: dashboards carry over. One of their labels is left out, `state` on counters: a counter that is another
time series after each transition can't be added up.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from pyvrrp.core.discard import DiscardReason
from pyvrrp.core.events import State
from pyvrrp.core.metrics import Family, Kind, Metric, Sample
from pyvrrp.daemon.status import DaemonStatus, InstanceStatus, Outcome, TrackerStatus
from pyvrrp.daemon.wellness import problems

STATES = {State.INIT: 0, State.BACKUP: 1, State.MASTER: 2, State.FAULT: 3}
"keepalived's numbers"
_INSTANCE = ("iname", "intf", "vrid")

PerInstance = Sequence[tuple[Metric, Callable[[InstanceStatus], float | None]]]
PerDaemon = Sequence[tuple[Metric, Callable[[DaemonStatus], Iterable[Sample]]]]


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, text, labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, text, labels)


def _counted(name: str, text: str, word: str) -> tuple[Metric, Callable[[InstanceStatus], float | None]]:
    return _counter(name, text, *_INSTANCE), lambda each: each.counters.get(word)


def _discards(name: str, reason: DiscardReason) -> tuple[Metric, Callable[[InstanceStatus], float | None]]:
    text = f"Advertisements refused as {reason.value}; also in pyvrrp_discarded_total."
    return _counter(name, text, *_INSTANCE), lambda each: each.discarded.get(reason.value)


INSTANCES: PerInstance = (
    (
        _gauge("pyvrrp_instance_state", "State of the vrrp_instance: 0 INIT, 1 BACKUP, 2 MASTER, 3 FAULT.", *_INSTANCE),
        lambda each: STATES[each.state],
    ),
    (
        _gauge(
            "pyvrrp_instance_state_timestamp_seconds", "When it came to this state, in seconds since 1970.", *_INSTANCE
        ),
        lambda each: _epoch(each.since),
    ),
    (
        _gauge("pyvrrp_priority_base", "Priority as configured.", *_INSTANCE),
        lambda each: each.base_priority,
    ),
    (
        _gauge("pyvrrp_priority_effective", "Priority with the weights of the trackers, as advertised.", *_INSTANCE),
        lambda each: each.effective_priority,
    ),
    (
        _gauge("pyvrrp_faults", "How many things keep it in FAULT; the status says which.", *_INSTANCE),
        lambda each: len(each.faults),
    ),
    (
        _gauge("pyvrrp_trackers_pending", "Trackers that have not reported yet and keep it in INIT.", *_INSTANCE),
        lambda each: len(each.pending),
    ),
    (
        _gauge("pyvrrp_master_down_interval_seconds", "Silence after which a BACKUP takes over.", *_INSTANCE),
        lambda each: each.timers.master_down_interval,
    ),
    (
        _gauge("pyvrrp_skew_time_seconds", "The part of it that depends on the priority.", *_INSTANCE),
        lambda each: each.timers.skew_time,
    ),
    (
        _gauge(
            "pyvrrp_address_lease_seconds", "Until the kernel takes the addresses away, unless renewed.", *_INSTANCE
        ),
        lambda each: min((vip.lease_seconds for vip in each.addresses if vip.lease_seconds is not None), default=None),
    ),
    (
        _gauge("pyvrrp_mismatching_senders", "Who sends with this VRID and is configured differently.", *_INSTANCE),
        lambda each: len(each.mismatch),
    ),
    _counted("keepalived_advertisements_received_total", "Advertisements received.", "advertisements_received"),
    _counted("keepalived_advertisements_sent_total", "Advertisements sent.", "advertisements_sent"),
    _counted("keepalived_become_master_total", "How often it became MASTER.", "became_master"),
    _counted("keepalived_release_master_total", "How often it ceased to be MASTER.", "released_master"),
    _counted("keepalived_priority_zero_received_total", "A MASTER was heard to give up.", "priority_zero_received"),
    _counted("keepalived_priority_zero_sent_total", "It told that it gives up.", "priority_zero_sent"),
    _discards("keepalived_packet_length_errors_total", DiscardReason.LENGTH),
    _discards("keepalived_advertisements_interval_errors_total", DiscardReason.INTERVAL),
    _discards("keepalived_ip_ttl_errors_total", DiscardReason.TTL),
    _discards("keepalived_invalid_type_received_total", DiscardReason.TYPE),
    _discards("keepalived_address_list_errors_total", DiscardReason.ADDRESS_LIST),
    _discards("keepalived_authentication_invalid_total", DiscardReason.AUTH_TYPE_INVALID),
    _discards("keepalived_authentication_mismatch_total", DiscardReason.AUTH_TYPE_MISMATCH),
    _discards("keepalived_authentication_failure_total", DiscardReason.AUTH_FAILURE),
    _counted("pyvrrp_send_errors_total", "Advertisements that could not be sent.", "send_errors"),
    _counted(
        "pyvrrp_address_list_mismatches_total",
        "Advertisements with other addresses than ours, accepted all the same.",
        "address_list_mismatches",
    ),
    _counted(
        "pyvrrp_interval_mismatches_total",
        "VRRPv3 advertisements with another interval than ours, accepted all the same.",
        "interval_mismatches",
    ),
    _counted(
        "pyvrrp_announcements_sent_total", "Gratuitous ARP and Neighbor Advertisement frames.", "announcements_sent"
    ),
    _counted("pyvrrp_lease_renewals_total", "Renewals of the leases of all its addresses.", "lease_renewals"),
    _counted("pyvrrp_addresses_restored_total", "Addresses that somebody else had removed.", "addresses_restored"),
)
"one number of each vrrp_instance; None: there is none now"


def _vip_states(status: DaemonStatus, *, excluded: bool) -> Iterator[Sample]:
    for each in status.instances:
        for vip in each.addresses:
            if vip.excluded is excluded:
                yield (each.name, vip.device, each.vrid, vip.address.partition("/")[0]), STATES[each.state]


def _held(status: DaemonStatus) -> Iterator[Sample]:
    for each in status.instances:
        for vip in each.addresses:
            yield (each.name, vip.device, each.vrid, vip.address.partition("/")[0]), vip.held


def _discarded(status: DaemonStatus) -> Iterator[Sample]:
    for each in status.instances:
        for reason, count in each.discarded.items():
            yield (*_labels(each), reason), count


def _transitions(status: DaemonStatus) -> Iterator[Sample]:
    for each in status.instances:
        for state, reasons in each.transitions.items():
            for reason, count in reasons.items():
                yield (*_labels(each), state, reason), count


def _scripts(status: DaemonStatus) -> list[TrackerStatus]:
    return [each for each in status.trackers if each.kind == "script"]


def _notified(status: DaemonStatus) -> Iterator[tuple[tuple[str, str], Outcome]]:
    for kind, owners in (("INSTANCE", status.instances), ("GROUP", status.groups)):
        for owner in owners:
            yield from (((kind, owner.name), outcome) for outcome in owner.notify)


def _notify_runs(status: DaemonStatus) -> Iterator[Sample]:
    for owner, last in _notified(status):
        yield (*owner, last.name, "ok"), last.runs - last.failures
        yield (*owner, last.name, "failed"), last.failures


_NAMED = ("type", "name")
_VIP = (*_INSTANCE, "ip_address")

DAEMON: PerDaemon = (
    (_gauge("keepalived_up", "The daemon answers."), lambda _: [((), 1)]),
    (
        Metric("pyvrrp_build_info", Kind.INFO, "What runs here.", ("version", "python", "loop")),
        lambda status: [((status.version, platform.python_version(), status.loop), 1)],
    ),
    (
        _gauge("pyvrrp_start_time_seconds", "When the daemon started, in seconds since 1970."),
        lambda status: [((), _epoch(status.started))],
    ),
    (
        _gauge(
            "keepalived_vrrp_state", "State of the vrrp_instance, at each address: see pyvrrp_instance_state.", *_VIP
        ),
        lambda status: _vip_states(status, excluded=False),
    ),
    (
        _gauge("keepalived_vrrp_excluded_state", "The same at addresses of virtual_ipaddress_excluded.", *_VIP),
        lambda status: _vip_states(status, excluded=True),
    ),
    (_gauge("pyvrrp_address_held", "Whether the address is on the interface.", *_VIP), _held),
    (
        _counter("pyvrrp_transitions_total", "Changes of state, by the new state and why.", *_INSTANCE, "to", "reason"),
        _transitions,
    ),
    (_counter("pyvrrp_discarded_total", "Advertisements refused, by reason.", *_INSTANCE, "reason"), _discarded),
    (
        _gauge("pyvrrp_sync_group_state", "State of the vrrp_sync_group: see pyvrrp_instance_state.", "name"),
        lambda status: [((each.name,), STATES[each.state]) for each in status.groups],
    ),
    (
        _gauge(
            "keepalived_script_status", "Whether the vrrp_script is healthy; 0 also before its first result.", "name"
        ),
        lambda status: [((each.name,), each.healthy is True) for each in _scripts(status)],
    ),
    (
        _gauge("keepalived_script_state", "Whether the vrrp_script runs at this moment.", "name"),
        lambda status: [((each.name,), each.running) for each in _scripts(status)],
    ),
    (
        _gauge(
            "pyvrrp_tracker_healthy", "Whether what is tracked is healthy; 0 also before its first result.", *_NAMED
        ),
        lambda status: [((each.kind, each.name), each.healthy is True) for each in status.trackers],
    ),
    (
        _gauge("pyvrrp_script_duration_seconds", "How long the last run of the vrrp_script took.", "name"),
        lambda status: [((each.name,), each.last.duration) for each in _scripts(status) if each.last],
    ),
    (
        _counter("pyvrrp_notify_runs_total", "Runs of notify scripts, ok or failed.", *_NAMED, "script", "result"),
        _notify_runs,
    ),
    (
        _gauge("pyvrrp_notify_duration_seconds", "How long the last run of a notify script took.", *_NAMED, "script"),
        lambda status: [((*owner, last.name), last.duration) for owner, last in _notified(status)],
    ),
    (
        _gauge("pyvrrp_notify_waiting", "Notify scripts that wait for the one that runs.", *_NAMED),
        lambda status: [
            *((("INSTANCE", each.name), each.notify_waiting) for each in status.instances),
            *((("GROUP", each.name), each.notify_waiting) for each in status.groups),
        ],
    ),
    (
        _counter(
            "pyvrrp_interface_discarded_total", "Packets refused before a virtual router was known.", "intf", "reason"
        ),
        lambda status: (
            ((intf, reason), count) for intf, found in status.interfaces.items() for reason, count in found.items()
        ),
    ),
    (
        _gauge("pyvrrp_foreign_senders", "Who sends VRRP that belongs to nothing here, or from our address.", "intf"),
        lambda status: [((intf,), len(found)) for intf, found in status.foreign.items()],
    ),
    (
        _counter("pyvrrp_foreign_senders_unlisted_total", "How often there was no room in the list of them.", "intf"),
        lambda status: [((intf,), count) for intf, count in status.foreign_full.items()],
    ),
    (
        _gauge("pyvrrp_timer_lateness_seconds", "How late the event loop was at the last timer."),
        lambda status: [((), status.lateness.last)],
    ),
    (
        _gauge("pyvrrp_timer_lateness_max_seconds", "How late the event loop was at most since the start."),
        lambda status: [((), status.lateness.max)],
    ),
    (
        _gauge("pyvrrp_guard_running", "Whether there is a guard."),
        lambda status: [((), status.guard is not None)],
    ),
    (
        _counter("pyvrrp_guard_restarts_total", "How often the guard has started the speaker again, also on request."),
        lambda status: [((), status.restarts)],
    ),
    (
        _gauge("pyvrrp_config_last_reload_successful", "Whether the last reload took the file over; 1 before any."),
        lambda status: [((), status.last_reload is None or status.last_reload.ok)],
    ),
    (
        _gauge("pyvrrp_config_last_reload_timestamp_seconds", "When the last reload was, in seconds since 1970."),
        lambda status: [((), _epoch(status.last_reload.at))] if status.last_reload else [],
    ),
    (
        _gauge("pyvrrp_config_findings", "What `pyvrrp check` finds in the configuration in force.", "severity"),
        lambda status: [((severity,), count) for severity, count in status.findings.items()],
    ),
    (
        _gauge("pyvrrp_problems", "What keeps /healthz from saying ok; `daemon`, or the plugin that tells.", "source"),
        lambda status: [((source,), len(found)) for source, found in problems(status).items()],
    ),
)


def families(status: DaemonStatus) -> Iterator[Family]:
    """All of them but those of plugins; read at once what is taken from it, it is made in small pieces."""
    for metric, samples in DAEMON:
        yield Family(metric, samples(status))
    for metric, number in INSTANCES:
        yield Family(metric, _each(status, number))


def _each(status: DaemonStatus, number: Callable[[InstanceStatus], float | None]) -> Iterator[Sample]:
    for each in status.instances:
        found = number(each)
        if found is not None:
            yield _labels(each), found


def _labels(each: InstanceStatus) -> tuple[str, str, int]:
    return each.name, each.interface, each.vrid


def _epoch(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
