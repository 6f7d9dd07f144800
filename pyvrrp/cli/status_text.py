"""A status snapshot as text, for somebody who was woken up: the state and why first, what is normal last and short."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pyvrrp.core.report import duration

Document = dict[str, Any]
"a decoded DaemonStatus, or a part of one (docs/status.md)"

_COLOURS = {"MASTER": "32", "BACKUP": "36", "INIT": "33", "FAULT": "1;31", "FAILED": "31"}
_LONGEST_OUTPUT = 300
_MOST_FOREIGN = 20
"senders of an interface"


def render(document: Document, *, colour: bool = False) -> str:
    """The whole snapshot; `colour` adds terminal escapes to states and failures."""
    lines = [*_daemon(document)]
    for instance in document["instances"]:
        lines += ["", *_instance(instance)]
    for interface, refused in document["interfaces"].items():
        if text := _refused(refused):
            lines += ["", f"{interface}: packets that belong to no vrrp_instance here were discarded: {text}"]
    for interface, senders in document["foreign"].items():
        if senders:
            full = document["foreign_full"].get(interface, 0)
            lines += ["", f"{interface}: other senders{f' (no room for all, {full} times)' if full else ''}"]
            lines += _foreign(senders)
    if document["groups"]:
        lines += ["", "sync groups", *(f"  {line}" for group in document["groups"] for line in _group(group))]
    if document["trackers"]:
        lines += ["", "trackers", *(f"  {_tracker(tracker)}" for tracker in document["trackers"])]
    for name, part in document["plugins"].items():
        # A plugin that has a summary, sentences, has a command line of its own for the rest.
        shown = [("", sentence) for sentence in part["summary"]] if part.get("summary") else part.items()
        if said := [_line(key, _compact(value)) for key, value in shown if value]:
            lines += ["", f"plugin {name}", *said]
    text = "\n".join(map(_harmless, lines))
    if colour:
        for word, code in _COLOURS.items():
            text = text.replace(f" {word} ", f" \x1b[{code}m{word}\x1b[0m ")
    return text


def _daemon(document: Document) -> Iterator[str]:
    late = document["lateness"]["max"]
    yield (
        f"pyvrrp {document['version']}, pid {document['pid']}, up {duration(document['uptime_seconds'])}, "
        f"{document['config_file']}, {document['loop']}, timers at most {late * 1000:.0f} ms late"
    )
    if restarts := document["restarts"]:
        yield _line("restarts", f"{restarts} by the guard, pid {document['guard']}")
    reload = document["last_reload"]
    if reload and not reload["ok"]:
        ago = duration(reload["seconds_ago"])
        yield _line("reload", f"FAILED {ago} ago, the old configuration is in force: {reload['detail']}")
    yield _line("instances", _summary(document["instances"]))


def _summary(instances: list[Document]) -> str:
    """`1 FAULT (VI_2), 2 MASTER, 1 BACKUP`: those that are not at work by name."""
    parts = []
    for state in ("FAULT", "INIT", "MASTER", "BACKUP"):
        names = [each["name"] for each in instances if each["state"] == state]
        if names:
            parts.append(f"{len(names)} {state} " + (f"({', '.join(names)})" if state in ("FAULT", "INIT") else ""))
    return ", ".join(part.rstrip() for part in parts) or "none"


def _instance(instance: Document) -> Iterator[str]:
    phase = instance["phase"]
    state = f"{instance['state']} ({phase})" if phase and phase != "serving" else instance["state"]
    why = ": ".join(filter(None, (instance["reason"], instance["detail"])))
    since = datetime.fromisoformat(instance["since"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    yield f"{instance['name']}  {state}  for {duration(instance['since_seconds'])}, since {since}: {why}"
    for fault in instance["faults"]:
        yield _line("fault", fault)
    for tracker in instance["pending"]:
        yield _line("waits for", f"{tracker}: it has not reported yet")
    yield _line("priority", _priority(instance))
    yield _line("master", _master(instance))
    for address in instance["addresses"]:
        yield _line("address", _address(address, serving=instance["state"] == "MASTER" and phase == "serving"))
    yield from _trouble(instance)
    cast = "unicast" if instance["unicast"] else "multicast"
    yield _line("speaks", f"VRRPv{instance['version']}, {cast}, VRID {instance['vrid']} on {instance['interface']}, "
                          f"from {instance['source'] or 'no address'}; {_packets(instance)}")  # fmt: skip
    yield _line("timers", _timers(instance["timers"]))
    for outcome in instance["notify"]:
        yield _line("notify", _outcome(outcome))


def _line(key: str, text: str) -> str:
    return f"  {key:<12}{text}"


def _priority(instance: Document) -> str:
    effective, base = instance["effective_priority"], instance["base_priority"]
    text = str(effective) if effective == base else f"{effective}, configured {base}"
    lowers = (f"{each['weight']} by {each['tracker']} ({each['why']})" for each in instance["lowers"])
    text = "; ".join([text, *lowers])
    if instance["preempt"]:
        return f"{text}; preempts after {duration(instance['preempt_delay'])}" if instance["preempt_delay"] else text
    return f"{text}; nopreempt"


def _master(instance: Document) -> str:
    master = instance["master"]
    if master is None:
        return "nobody has been heard"
    return f"{'this node, ' if master['myself'] else ''}{master['address']}, priority {master['priority']}"


def _address(address: Document, *, serving: bool) -> str:
    if address["held"]:
        text = "held" if serving else "held, though not serving as MASTER"
        if address["lease_seconds"] is not None:
            text += f"; the kernel drops it in {duration(address['lease_seconds'])} unless renewed"
    else:
        text = "NOT HELD" if serving else "not held"
    return f"{address['address']} on {address['device']}: {text}{' (excluded)' if address['excluded'] else ''}"


def _trouble(instance: Document) -> Iterator[str]:
    if refused := _refused(instance["discarded"]):
        yield _line("discarded", refused)
    if last := instance["last_discard"]:
        yield _line("", f"last {duration(last['seconds_ago'])} ago from {last['source']}: {last['detail']}")
    for sender in instance["mismatch"]:
        yield _line("differs", f"{_sender(sender)}, {'refused' if sender['refused'] else 'accepted'}")
        yield from (_line("", _difference(field, text)) for field, text in sender["differs"].items())
    if errors := instance["counters"]["send_errors"]:
        yield _line("send errors", f"{errors} advertisements could not be sent")
    if restored := instance["counters"]["addresses_restored"]:
        yield _line("restored", f"{restored} times: somebody else had removed an address")


def _foreign(senders: list[Document]) -> Iterator[str]:
    """The last heard first: what is going on now."""
    for sender in senders[: -_MOST_FOREIGN - 1 : -1]:
        yield _line(f"VRID {sender['vrid']}", _sender(sender))
        if sender["version"] is not None:
            head = f"VRRPv{sender['version']}, priority {sender['priority']}, advert_int {sender['advert_int']:g} s"
            auth = f", auth_type {sender['auth_type']}" if sender["auth_type"] else ""
            yield _line("", f"{head}{auth}, {', '.join(sender['addresses']) or 'no address'}")
        yield from (_line("", _difference(field, text)) for field, text in sender["differs"].items())
    if len(senders) > _MOST_FOREIGN:
        yield _line("", f"and {len(senders) - _MOST_FOREIGN} more: pyvrrp status --json")


def _sender(sender: Document) -> str:
    mac = ", before from ".join(sender["macs"][:2]) or "MAC unknown"
    times = "once," if sender["count"] == 1 else f"{sender['count']} times, last"
    return f"{sender['source']} ({mac}), {times} {duration(sender['seconds_ago'])} ago"


def _difference(field: str, text: str) -> str:
    return text if field == "packet" else f"{field}: {text}"


def _refused(counters: Document) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counters.items() if count)


def _packets(instance: Document) -> str:
    counters = instance["counters"]
    return f"{counters['advertisements_sent']} sent, {counters['advertisements_received']} received"


def _timers(timers: Document) -> str:
    running = [f"{name} in {duration(max(0.0, left))}" for name, left in timers["running"].items()]
    interval = f"advert_int {timers['advert_int']:g} s"
    if timers["master_adver_int"] != timers["advert_int"]:
        interval += f" (the MASTER's: {timers['master_adver_int']:g} s)"
    return ", ".join([*running, interval, f"master_down_interval {timers['master_down_interval']:.3f} s"])


def _group(group: Document) -> Iterator[str]:
    yield f"{group['name']}  {group['state']}  for {duration(group['since_seconds'])}: {', '.join(group['members'])}"
    for outcome in group["notify"]:
        yield _line("notify", _outcome(outcome))


def _tracker(tracker: Document) -> str:
    state = {True: "ok", False: "FAILED", None: "not reported yet"}[tracker["healthy"]]
    since = f" for {duration(tracker['since_seconds'])}" if tracker["since_seconds"] is not None else ""
    said = f": {tracker['detail']}" if tracker["detail"] else ""
    last = tracker["last"]
    output = f"; it printed: {_shortened(last['output'])}" if last and last["output"] and not tracker["healthy"] else ""
    return f"{tracker['kind']} {tracker['name']}  {state}{since}{said}{output}"


def _outcome(outcome: Document) -> str:
    when = f"{duration(outcome['seconds_ago'])} ago, took {duration(outcome['duration'])}"
    if outcome["ok"]:
        return f"{outcome['name']} ok {when}"
    output = f"; it printed: {_shortened(outcome['output'])}" if outcome["output"] else ""
    return f"{outcome['name']} FAILED {when}: {outcome['result']}; {outcome['command']}{output}"


def _shortened(output: str) -> str:
    """The end of what a script printed, on one line."""
    text = " | ".join(line.strip() for line in output.splitlines() if line.strip())
    return text if len(text) <= _LONGEST_OUTPUT else f"...{text[-_LONGEST_OUTPUT:]}"


def _harmless(line: str) -> str:
    """The line without what would steer a terminal: scripts and other hosts have had a say in it."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)


def _compact(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
