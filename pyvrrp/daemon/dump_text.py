"""keepalived.data and keepalived.stats in keepalived's own words and indents: exporters search for them.

Written after dumps of keepalived 2.2.7. The parts about processes, sockets and interfaces of keepalived's own are left
out, and a password is never shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from pyvrrp.config.model import Config, Globals, Notify, SyncGroup, Track, VrrpInstance
from pyvrrp.config.model import VrrpScript as Script
from pyvrrp.core.events import State
from pyvrrp.core.reception import GROUP4, GROUP6
from pyvrrp.daemon.dump_words import address_lines, command, error_count, seconds
from pyvrrp.daemon.status import DaemonStatus, GroupStatus, InstanceStatus, TrackerStatus

_AUTH_TYPES = {"PASS": "SIMPLE_PASSWORD", "AH": "IPSEC_AH"}
_STATISTICS = (
    ("Packet Errors", (("Length", "packet_length_errors"), ("TTL", "ip_ttl_errors"),
                       ("Invalid Type", "invalid_type_pkts_received"),
                       ("Advertisement Interval", "adv_interval_errors"), ("Address List", "address_list_errors"))),
    ("Authentication Errors", (("Invalid Type", "invalid_auth_type"), ("Type Mismatch", "auth_type_mismatch"),
                               ("Failure", "auth_failures"))),
)  # fmt: skip


def stats_text(status: DaemonStatus) -> str:
    """keepalived.stats."""
    lines: list[str] = []
    for instance in status.instances:
        count = instance.counters
        lines += [
            f"VRRP Instance: {instance.name}",
            "  Advertisements:",
            f"    Received: {count['advertisements_received']}",
            f"    Sent: {count['advertisements_sent']}",
            f"  Became master: {count['became_master']}",
            f"  Released master: {count['released_master']}",
        ]
        for title, errors in _STATISTICS:
            lines.append(f"  {title}:")
            lines += [f"    {name}: {error_count(instance, reason)}" for name, reason in errors]
        lines += [
            "  Priority Zero:",
            f"    Received: {count['priority_zero_received']}",
            f"    Sent: {count['priority_zero_sent']}",
        ]
    return _text(lines)


def data_text(status: DaemonStatus, config: Config) -> str:
    """keepalived.data; `config` is the configuration that the snapshot was taken with."""
    instances = {each.name: each for each in config.instances}
    groups = {each.name: each for each in config.sync_groups}
    scripts = {each.name: each for each in config.scripts}
    lines = ["------< Global definitions >------", *_globals(config.globals), "------< VRRP Topology >------"]
    for instance in status.instances:
        lines += _instance(instance, instances[instance.name], config, status.taken)
    if groups:
        lines.append("------< VRRP Sync groups >------")
        for group in status.groups:
            lines += _group(group, groups[group.name], config, status.instances)
    if scripts:
        lines.append("------< VRRP Scripts >------")
        for tracker in status.trackers:
            if tracker.kind == "script":
                lines += _script(tracker, scripts[tracker.name], config)
    return _text(lines)


def _globals(settings: Globals) -> Iterator[str]:
    yield f" Network namespace = {settings.net_namespace or '(default)'}"
    yield f" Router ID = {settings.router_id}"
    yield f" Dynamic interfaces = {_truth(settings.dynamic_interfaces)}"
    yield f" VRRP IPv4 mcast group = {settings.multicast_group4 or GROUP4}"
    yield f" VRRP IPv6 mcast group = {settings.multicast_group6 or GROUP6}"
    yield f" Gratuitous ARP interval = {settings.garp_interval:.6f}"
    yield f" Gratuitous NA interval = {settings.gna_interval:.6f}"
    yield f" Script security {'enabled' if settings.enable_script_security else 'disabled'}"


def _instance(now: InstanceStatus, made: VrrpInstance, config: Config, taken: str) -> Iterator[str]:
    yield f" VRRP Instance = {now.name}"
    yield f"   VRRP Version = {now.version}"
    if now.sync_group:
        yield f"   Sync group = {now.sync_group}"
    if now.family == 6:
        yield "   Using Native IPv6"
    yield f"   State = {now.state.value}"
    if now.state is State.BACKUP and now.master and not now.master.myself:
        yield f"   Master router = {now.master.address}"
        yield f"   Master priority = {now.master.priority}"
        if now.version == 3:
            yield f"   Master advert int = {now.timers.master_adver_int:.2f} sec"
    yield from ("   Flags:", "     Using unicast") if now.unicast else ("   Flags: none",)
    yield f"   Wantstate = {now.state.value}"
    yield "   Number of config faults = 0"
    yield f"   Number of interface and track script faults = {len(now.faults)}"
    yield f"   Number of track scripts init = {len(now.pending)}"
    yield f"   Last transition = {_time(seconds(now.since))}"
    wait = min(now.timers.running.values(), default=None)
    yield f"   Read timeout = {'DISABLED' if wait is None else _time(seconds(taken) + wait)}"
    yield f"   Master down timer = {int(now.timers.master_down_interval * 1e6)} usecs"
    yield from _wiring(now, made, config.globals)
    yield from _election(now, made)
    yield from _addresses(now, made)
    if now.unicast:
        yield from _unicast(made)
    yield from _tracks(made.tracks, config.scripts)
    yield "   Using smtp notification = no"
    yield f"   Notify deleted = {'Deleted' if made.notify.deleted else 'Fault'}"
    yield from _notify(made.notify)
    yield "   Notify priority changes = false"


def _wiring(now: InstanceStatus, made: VrrpInstance, settings: Globals) -> Iterator[str]:
    yield f"   Interface = {now.interface}"
    if made.dont_track_primary:
        yield "   VRRP interface tracking disabled"
    if made.parameters.skip_check_adv_addr:
        yield "   Skip checking advert IP addresses"
    yield f"   Using src_ip = {now.source or '(none)'}{' (from configuration)' if made.source else ''}"
    if not now.unicast:
        group = settings.multicast_group4 or GROUP4 if now.family == 4 else settings.multicast_group6 or GROUP6
        yield f"   Multicast address {made.multicast_group or group}"


def _election(now: InstanceStatus, made: VrrpInstance) -> Iterator[str]:
    parameters = made.parameters
    yield f"   Gratuitous ARP delay = {parameters.garp_master_delay:g}"
    yield f"   Gratuitous ARP repeat = {parameters.garp_master_repeat}"
    yield f"   Gratuitous ARP refresh = {parameters.garp_master_refresh:g}"
    yield f"   Gratuitous ARP refresh repeat = {parameters.garp_master_refresh_repeat}"
    yield f"   Gratuitous ARP lower priority delay = {parameters.garp_lower_prio_delay:g}"
    yield f"   Gratuitous ARP lower priority repeat = {parameters.garp_lower_prio_repeat}"
    yield f"   Down timer adverts = {parameters.down_timer_adverts}"
    yield f"   Send advert after receive lower priority advert = {_truth(not parameters.lower_prio_no_advert)}"
    yield f"   Send advert after receive higher priority advert = {_truth(parameters.higher_prio_send_advert)}"
    yield f"   Virtual Router ID = {now.vrid}"
    yield f"   Priority = {now.base_priority}"
    yield f"   Effective priority = {now.effective_priority}"
    yield f"   Total priority = {now.effective_priority}"
    yield f"   Advert interval = {_interval(now.timers.advert_int, now.version)}"
    if now.version == 3 and now.timers.master_adver_int != now.timers.advert_int:
        yield f"   Master advert interval = {_interval(now.timers.master_adver_int, now.version)}"
    yield "   Accept = enabled"
    yield f"   Preempt = {'enabled' if now.preempt else 'disabled'}"
    if now.preempt_delay:
        yield f"   Preempt delay = {now.preempt_delay:g} secs"
    yield "   Promote_secondaries = disabled"
    if now.version == 2:
        kind = made.authentication.auth_type if made.authentication else ""
        yield f"   Authentication type = {_AUTH_TYPES.get(kind, 'none')}"
        if kind == "PASS":
            yield "   Password = ********"


def _addresses(now: InstanceStatus, made: VrrpInstance) -> Iterator[str]:
    advertised, excluded = address_lines(now, made)
    yield f"   Virtual IP ({len(advertised)}):"
    yield from (f"     {line}" for line in advertised)
    if excluded:
        yield "   Virtual IP Excluded :"
        yield from (f"     {line}" for line in excluded)


def _unicast(made: VrrpInstance) -> Iterator[str]:
    yield f"   Unicast TTL = {made.unicast_ttl}"
    yield f"   Check unicast src : {'yes' if made.check_unicast_src else 'no'}"
    yield "   Unicast Peer :"
    for peer in made.unicast_peers:
        low, high = peer.min_ttl or 0, 255 if peer.max_ttl is None else peer.max_ttl
        yield f"     {peer.address} min_ttl {low} max_ttl {high}"
    yield "   Unicast checksum compatibility = no"


def _tracks(tracks: Iterable[Track], scripts: Iterable[Script]) -> Iterator[str]:
    own = {each.name: each for each in scripts}
    for kind, title in (("interface", "Tracked interfaces"), ("script", "Tracked scripts")):
        chosen = [track for track in tracks if track.kind == kind]
        if chosen:
            yield f"   {title} :"
            yield from (f"     {track.name} {_weight(track, own)}" for track in chosen)


def _weight(track: Track, scripts: dict[str, Script]) -> str:
    script = scripts.get(track.name) if track.kind == "script" else None
    weight = track.weight if track.weight is not None else script.weight if script else 0
    reverse = track.reverse if track.reverse is not None else script.reverse if script else False
    return f"weight {weight}{' reverse' if reverse else ''}"


def _notify(notify: Notify) -> Iterator[str]:
    for title, script in (
        ("Backup", notify.backup),
        ("Master", notify.master),
        ("Fault", notify.fault),
        ("Stop", notify.stop),
        ("Deleted", notify.deleted),
        ("Generic", notify.any),
        ("Master rx lower pri", notify.master_rx_lower_pri),
    ):
        if script:
            yield f"   {title} state transition script = {command(script)}"


def _group(now: GroupStatus, made: SyncGroup, config: Config, instances: Iterable[InstanceStatus]) -> Iterator[str]:
    members = [each for each in instances if each.name in now.members]
    faults = sum(each.state is State.FAULT for each in members)
    waiting = sum(bool(each.pending) for each in members)
    yield f" VRRP Sync Group = {now.name}, {now.state.value}"
    yield f"   Num member fault {faults}, num member init {waiting}"
    yield "   VRRP member instances :"
    yield from (f"     {member}" for member in now.members)
    if made.sync_group_tracking_weight:
        yield "   sync group tracking weight set"
    yield "   Using smtp notification = no"
    yield from _tracks(made.tracks, config.scripts)
    yield from _notify(made.notify)


def _script(now: TrackerStatus, made: Script, config: Config) -> Iterator[str]:
    yield f" VRRP Script = {now.name}"
    yield f"   Command = {command(made.command)}"
    yield f"   Interval = {made.interval:g} sec"
    yield f"   Timeout = {made.timeout:g} sec"
    yield f"   Weight = {made.weight}{' reverse' if made.reverse else ''}"
    yield f"   Rise = {made.rise}"
    yield f"   Fall = {made.fall}"
    yield f"   Result = {now.result}"
    yield "   Insecure = no"
    yield f"   Init state = {'INIT' if now.healthy is None else 'unknown'}"
    yield f"   Status = {'GOOD' if now.healthy else 'BAD'}"
    yield "   Tracking instances :"
    tracking = [(instance.name, instance.tracks) for instance in config.instances]
    tracking += [(member, group.tracks) for group in config.sync_groups for member in group.members]
    for instance, tracks in tracking:
        for track in tracks:
            if track.kind == "script" and track.name == now.name:
                yield f"     {instance}, {_weight(track, {made.name: made})}"
    yield f"   State = {'running' if now.running else 'idle'}"


def _time(moment: float) -> str:
    """`1795359187.202852 (Sun Nov 22 14:53:07.202852 2026)`, local time."""
    local = datetime.fromtimestamp(moment)
    return f"{moment:.6f} ({local:%a %b %e %H:%M:%S}.{local.microsecond:06d} {local:%Y})"


def _interval(interval: float, version: int) -> str:
    return f"{interval:g} sec" if version == 2 else f"{round(interval * 1000)} milli-sec"


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
