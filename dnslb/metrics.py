"""dnslb's metrics, out of its part of the snapshot that the status shows too; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pyvrrp.core.metrics import Family, Kind, Metric, Sample

Part = Mapping[str, Any]
"dnslb's part of the snapshot, or a part of that"

_VIRTUAL = ("virtual_server",)
_SERVER = ("virtual_server", "server", "address")
_CHECK = (*_SERVER, "check")


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, text, labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, text, labels)


def _interfaces(part: Part) -> Iterator[tuple[tuple[object, ...], Part]]:
    return (((name,), each) for name, each in part.get("interfaces", {}).items())


def _virtual_servers(part: Part) -> Iterator[tuple[tuple[object, ...], Part]]:
    return (((name,), each) for name, each in part.get("virtual_servers", {}).items())


def _servers(part: Part) -> Iterator[tuple[tuple[object, ...], Part]]:
    for virtual, served in _virtual_servers(part):
        yield from (((*virtual, each["name"], each["address"]), each) for each in served["servers"])


def _checks(part: Part) -> Iterator[tuple[tuple[object, ...], Part]]:
    for server, each in _servers(part):
        yield from (((*server, check["check"]), check) for check in each["checks"])


def _trackers(part: Part) -> Iterator[tuple[tuple[object, ...], Part]]:
    return (((name,), each) for name, each in part.get("checks", {}).items())


Walk = Callable[[Part], Iterator[tuple[tuple[object, ...], Part]]]


def _number(walk: Walk, key: str) -> Callable[[Part], Iterator[Sample]]:
    """One number of each; None: it has none now."""
    return lambda part: ((labels, each[key]) for labels, each in walk(part) if each.get(key) is not None)


def _length(walk: Walk, key: str) -> Callable[[Part], Iterator[Sample]]:
    return lambda part: ((labels, len(each[key])) for labels, each in walk(part))


def _truth(walk: Walk, key: str) -> Callable[[Part], Iterator[Sample]]:
    return lambda part: ((labels, bool(each[key])) for labels, each in walk(part))


def _by_result(walk: Walk, **keys: str) -> Callable[[Part], Iterator[Sample]]:
    """A sample for each of `keys`, the label's value -> the key of the number."""
    return lambda part: (
        ((*labels, value), each[key]) for labels, each in walk(part) for value, key in keys.items() if key in each
    )


def _engines(part: Part) -> Iterator[Sample]:
    for (name,), each in _interfaces(part):
        yield (name, each["engine"] or "none", each["mode"] or "", each["problem"] or each["chosen"]), 1


def _passed(part: Part) -> Iterator[Sample]:
    for (name,), each in _interfaces(part):
        yield from (((name, reason), count) for reason, count in each["passed"].items())


def _causes(part: Part) -> Iterator[Sample]:
    for (name,), each in _virtual_servers(part):
        found: dict[tuple[object, ...], int] = {}
        for cause in each["common_causes"]:
            found[name, cause["check"], cause["cause"]] = len(cause["servers"])
        yield from found.items()


def _real_server(part: Part) -> Iterator[Sample]:
    for block in part.get("blocks", ()):
        yield from (((address,), block["state"] == "held") for address in block["virtual_ipaddress"])


METRICS: Sequence[tuple[Metric, Callable[[Part], Iterable[Sample]]]] = (
    (
        Metric(
            "dnslb_engine_info",
            Kind.INFO,
            "What balances on an interface, and why.",
            ("intf", "engine", "mode", "reason"),
        ),
        _engines,
    ),
    (
        _gauge("dnslb_engine_running", "Whether anything balances on the interface.", "intf"),
        _truth(_interfaces, "engine"),
    ),
    (
        _counter("dnslb_tables_installed_total", "How often the engine was given something else to do.", "intf"),
        _number(_interfaces, "installed"),
    ),
    (
        _counter("dnslb_passed_total", "Packets for a service that were not sent on, by reason.", "intf", "reason"),
        _passed,
    ),
    (
        _counter("dnslb_lost_total", "Packets that the engine was too slow for, or could not send.", "intf"),
        _number(_interfaces, "lost"),
    ),
    (
        _gauge("dnslb_arp_leaks", "Real servers that answer ARP for the virtual address.", "intf"),
        lambda part: ((labels, len(each["arp"].get("leaks", ()))) for labels, each in _interfaces(part)),
    ),
    (
        _gauge("dnslb_virtual_server_addresses", "Addresses with a port that it is to answer on.", *_VIRTUAL),
        _length(_virtual_servers, "endpoints"),
    ),
    (
        _gauge("dnslb_virtual_server_held", "Those that are on this node now.", *_VIRTUAL),
        _length(_virtual_servers, "held"),
    ),
    (
        _gauge("dnslb_virtual_server_quorum", "Whether enough of its servers are up.", *_VIRTUAL),
        _truth(_virtual_servers, "quorum"),
    ),
    (
        _gauge("dnslb_virtual_server_panic", "Whether servers are used though they are down.", *_VIRTUAL),
        _truth(_virtual_servers, "panic"),
    ),
    (
        _gauge("dnslb_virtual_server_sorry", "Whether the sorry server gets all new flows.", *_VIRTUAL),
        _truth(_virtual_servers, "sorry"),
    ),
    (
        _gauge("dnslb_virtual_server_findings", "Sentences about servers that are not alike.", *_VIRTUAL),
        _length(_virtual_servers, "findings"),
    ),
    (
        _gauge(
            "dnslb_common_cause_servers",
            "Servers that fail a check all for the same cause.",
            *_VIRTUAL,
            "check",
            "cause",
        ),
        _causes,
    ),
    (
        _counter("dnslb_server_packets_total", "Packets that went to the real server.", *_SERVER),
        _number(_servers, "packets"),
    ),
    (
        _counter("dnslb_server_bytes_total", "The same in bytes, with the Ethernet header.", *_SERVER),
        _number(_servers, "octets"),
    ),
    (
        _gauge("dnslb_server_standing", "1, with its standing in one word.", *_SERVER, "standing"),
        lambda part: (((*labels, each["standing"]), 1) for labels, each in _servers(part)),
    ),
    (_gauge("dnslb_server_share_ratio", "Its part of new flows, by its weight.", *_SERVER), _number(_servers, "share")),
    (_gauge("dnslb_server_weight", "As configured.", *_SERVER), _number(_servers, "weight")),
    (
        _gauge("dnslb_server_effective_weight", "As its health and slow start leave it; 0: no new flows.", *_SERVER),
        _number(_servers, "effective_weight"),
    ),
    (
        _gauge("dnslb_server_reachable", "Whether its MAC address is known, or it is this node.", *_SERVER),
        lambda part: ((labels, bool(each["mac"] or each["local"])) for labels, each in _servers(part)),
    ),
    (
        _counter("dnslb_server_transitions_total", "How often it came up or went down.", *_SERVER, "to"),
        _by_result(_servers, up="went_up", down="went_down"),
    ),
    (
        _gauge("dnslb_check_healthy", "Whether the check is passed; 0 also before its first result.", *_CHECK),
        _truth(_checks, "healthy"),
    ),
    (
        _counter("dnslb_check_results_total", "Runs of the check; broken: it could not be made.", *_CHECK, "result"),
        _by_result(_checks, passed="passed", failed="failed", broken="broken"),
    ),
    (_gauge("dnslb_check_duration_seconds", "How long its last run took.", *_CHECK), _number(_checks, "latency")),
    (
        _gauge("dnslb_check_mean_duration_seconds", "The moving mean of good answers.", *_CHECK),
        _number(_checks, "mean_latency"),
    ),
    (_gauge("dnslb_check_age_seconds", "Since its last run.", *_CHECK), _number(_checks, "age")),
    (
        _counter("dnslb_dns_check_results_total", "Runs of a vrrp_dns_check.", "name", "result"),
        _by_result(_trackers, passed="passed", failed="failed"),
    ),
    (_gauge("dnslb_dns_check_duration_seconds", "How long its last run took.", "name"), _number(_trackers, "latency")),
    (_gauge("dnslb_dns_check_age_seconds", "Since its last run.", "name"), _number(_trackers, "age")),
    (
        _gauge(
            "dnslb_local_real_server_held", "Whether this node answers for the address as a real server.", "address"
        ),
        _real_server,
    ),
)


def families(part: Part) -> Iterator[Family]:
    """All of them."""
    return (Family(metric, samples(part)) for metric, samples in METRICS)
