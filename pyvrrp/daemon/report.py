"""What the status page tells of the speaker: who holds what, since when, and why; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pyvrrp.core.events import Phase, State
from pyvrrp.core.report import Entry, Mood, duration
from pyvrrp.daemon.status import Address, DaemonStatus, GroupStatus, InstanceStatus, Outcome, Sender, TrackerStatus

ROUTERS = "Virtual routers"
"the first headline"
_MOODS = {State.MASTER: Mood.GOOD, State.BACKUP: Mood.GOOD, State.INIT: Mood.WATCH, State.FAULT: Mood.BAD}
_MOST_SENDERS = 20


def report(status: DaemonStatus) -> Mapping[str, Sequence[Entry]]:
    """By headline; headlines with nothing below them are left out."""
    found = {
        ROUTERS: [_instance(each) for each in status.instances],
        "Sync groups": [_group(each) for each in status.groups],
        "Trackers": [_tracker(each) for each in status.trackers],
        "Other senders": [entry for name in status.foreign for entry in _foreign(name, status.foreign[name])],
        "Daemon": [_daemon(status)],
    }
    return {headline: entries for headline, entries in found.items() if entries}


def _instance(each: InstanceStatus) -> Entry:
    serving = each.state is State.MASTER and each.phase in (None, Phase.SERVING)
    mood = _MOODS[each.state]
    sentences = list(_why(each))
    if each.lowers or each.mismatch or (each.state is State.MASTER and not serving) or each.master is None:
        mood = max(mood, Mood.WATCH)
    for sender in each.mismatch:
        sentences += [f"{sender.source} differs: {_difference(*item)}" for item in sender.differs.items()]
    failed = [outcome for outcome in each.notify if not outcome.ok]
    return Entry(
        title=each.name,
        word=each.state.value if serving or each.phase is None else f"{each.state.value}, {each.phase.value}",
        mood=max(mood, Mood.WATCH) if failed else mood,
        sentences=[*sentences, *map(_failed, failed)],
        parts=[_address(address, serving=serving) for address in each.addresses],
    )


def _why(each: InstanceStatus) -> Iterator[str]:
    why = ": ".join(filter(None, (each.reason, each.detail)))
    yield f"for {duration(each.since_seconds)}: {why}"
    yield from each.faults
    yield from (f"waits for {tracker}: it has not reported yet" for tracker in each.pending)
    if each.master is None:
        yield "no MASTER has been heard"
    elif not each.master.myself:
        yield f"MASTER is {each.master.address}, priority {each.master.priority}"
    lowered = "; ".join(f"{low.weight} by {low.tracker} ({low.why})" for low in each.lowers)
    priority = each.effective_priority
    configured = f", configured {each.base_priority}" if priority != each.base_priority else ""
    yield f"VRID {each.vrid} on {each.interface}, priority {priority}{configured}{f': {lowered}' if lowered else ''}"


def _address(each: Address, *, serving: bool) -> Entry:
    if each.held is serving:
        if each.held:
            left = each.lease_seconds
            said = [] if left is None else [f"the kernel drops it in {duration(left)} unless it is renewed"]
            return Entry(each.address, f"held on {each.device}", Mood.GOOD, said)
        return Entry(each.address, "not here")
    return Entry(each.address, "held, though not MASTER" if each.held else "NOT HELD", Mood.BAD)


def _difference(field: str, text: str) -> str:
    return text if field == "packet" else f"{field}: {text}"


def _failed(outcome: Outcome) -> str:
    return f"{outcome.name} failed {duration(outcome.seconds_ago)} ago: {outcome.result}"


def _group(each: GroupStatus) -> Entry:
    failed = [_failed(outcome) for outcome in each.notify if not outcome.ok]
    said = f"for {duration(each.since_seconds)}: {', '.join(each.members)}"
    mood = max(_MOODS[each.state], Mood.WATCH if failed else Mood.PLAIN)
    return Entry(each.name, each.state.value, mood, [said, *failed])


def _tracker(each: TrackerStatus) -> Entry:
    words = {True: ("ok", Mood.GOOD), False: ("FAILED", Mood.BAD), None: ("no result yet", Mood.WATCH)}
    word, mood = words[each.healthy]
    since = "" if each.since_seconds is None else f"for {duration(each.since_seconds)}"
    said = ": ".join(filter(None, (since, each.detail)))
    return Entry(f"{each.kind} {each.name}", word, mood, [said] if said else [])


def _foreign(interface: str, senders: Sequence[Sender]) -> Iterator[Entry]:
    for sender in senders[: -_MOST_SENDERS - 1 : -1]:
        said = [f"{sender.count} packets, the last {duration(sender.seconds_ago)} ago"]
        said += [_difference(*item) for item in sender.differs.items()]
        mood = Mood.WATCH if sender.differs else Mood.PLAIN
        yield Entry(f"VRID {sender.vrid} on {interface}", f"from {sender.source}", mood, said)


def _daemon(status: DaemonStatus) -> Entry:
    late = f"timers at most {status.lateness.max * 1000:.0f} ms late"
    said = [f"up {duration(status.uptime_seconds)}, {status.config_file}, {late}"]
    mood = Mood.PLAIN
    if status.restarts:
        said.append(f"started again {status.restarts} times by the guard")
    if status.last_reload is not None and not status.last_reload.ok:
        mood = Mood.WATCH
        ago = duration(status.last_reload.seconds_ago)
        said.append(
            f"the reload {ago} ago failed, the configuration before it is in force: {status.last_reload.detail}"
        )
    if found := {severity: count for severity, count in status.findings.items() if count}:
        what = ", ".join(f"{count} of severity {severity}" for severity, count in found.items())
        said.append(f"the file has findings: {what}; `pyvrrp check` names them")
    return Entry(f"pyvrrp {status.version}", f"pid {status.pid}", mood, said)
