"""What decides the election: state, priority, preemption, intervals; with what strict mode changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyvrrp.config.semantics import garp
from pyvrrp.config.semantics.garp import Garp
from pyvrrp.config.semantics.global_defs import Defaults
from pyvrrp.config.semantics.numbers import shown
from pyvrrp.config.semantics.values import Values
from pyvrrp.core.events import IPAddress, State
from pyvrrp.core.parameters import OWNER, Parameters

_LONGEST_V3 = 40.95
"seconds: 4095 hundredths, 12 bits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """What is known of an instance before its election is read."""

    vrid: int
    version: int
    family: int
    addresses: tuple[IPAddress, ...]
    strict: bool
    header_authentication: bool
    "AH: a router must hear the others' sequence numbers before it may speak"


def version(values: Values, family: int, defaults: Defaults) -> int:
    """2 or 3; IPv6 is always 3."""
    given = values.number("version", 2, 3, defaults.version)
    if family == 6 and given == 2 and values.has("version"):
        values.error(
            values.at("version"), "bad-version", "IPv6 needs VRRPv3, 'version 2' is ignored", "write 'version 3'"
        )
    return 3 if family == 6 else given


def parameters(values: Values, protocol: Protocol, defaults: Defaults) -> Parameters:
    """Read the rest; whatever is written, the result can be run."""
    priority, state = _priority_and_state(values, protocol)
    nopreempt, preempt_delay = _preemption(values, priority, state, protocol.strict)
    timing = garp.read_instance(values, defaults.garp)
    down_timer_adverts = values.number("down_timer_adverts", 1, 100, defaults.down_timer_adverts)
    lower_prio_no_advert = values.switch("lower_prio_no_advert", defaults.lower_prio_no_advert)
    higher_prio_send_advert = values.switch("higher_prio_send_advert", defaults.higher_prio_send_advert)
    owner_ignore_adverts = values.switch("owner_ignore_adverts", defaults.owner_ignore_adverts)
    if protocol.strict:
        _report_strict(values, timing, down_timer_adverts, lower_prio_no_advert, higher_prio_send_advert)
    return Parameters(
        vrid=protocol.vrid,
        version=protocol.version,
        family=protocol.family,
        addresses=protocol.addresses,
        priority=priority,
        advert_int=_advert_int(values, protocol.version),
        initial_state=state,
        nopreempt=nopreempt,
        preempt_delay=preempt_delay,
        down_timer_adverts=3 if protocol.strict else down_timer_adverts,
        garp_master_delay=timing.master_delay,
        garp_master_repeat=timing.master_repeat,
        garp_master_refresh=timing.master_refresh,
        garp_master_refresh_repeat=timing.master_refresh_repeat,
        garp_lower_prio_delay=0.0 if protocol.strict else timing.lower_prio_delay,
        garp_lower_prio_repeat=0 if protocol.strict else timing.lower_prio_repeat,
        lower_prio_no_advert=protocol.strict or lower_prio_no_advert,
        higher_prio_send_advert=not protocol.strict and higher_prio_send_advert,
        owner_ignore_adverts=protocol.strict or owner_ignore_adverts,
        skip_check_adv_addr=values.switch("skip_check_adv_addr", defaults.skip_check_adv_addr),
        startup_delay=defaults.startup_delay,
    )


def _priority_and_state(values: Values, protocol: Protocol) -> tuple[int, State]:
    wish = _state(values)
    owner = not values.has("priority") and wish is State.MASTER
    priority = values.number("priority", 1, OWNER, OWNER if owner else 100)
    if owner:
        values.warning(
            values.at("state"),
            "implied-owner",
            "'state MASTER' without a priority is priority 255, the address owner",
            "write a priority, 1-254 unless the addresses are this router's own",
        )
    if wish is None:
        wish = State.MASTER if priority == OWNER else State.BACKUP
    elif protocol.strict and (wish is State.MASTER) != (priority == OWNER):
        forced = State.MASTER if priority == OWNER else State.BACKUP
        values.error(
            values.at("state"),
            "strict-state",
            f"strict mode: 'state MASTER' belongs to priority 255 and to no other, it starts as {forced.value}",
            f"write 'state {forced.value}'",
        )
        wish = forced
    if wish is State.MASTER and protocol.header_authentication and priority < OWNER:
        values.error(
            values.at("state"),
            "master-with-ah",
            "'state MASTER' with 'auth_type AH': it starts as BACKUP to learn the sequence number",
            "write 'state BACKUP'",
        )
        wish = State.BACKUP
    return priority, wish


def _state(values: Values) -> State | None:
    """MASTER or BACKUP; once MASTER was read a later BACKUP does not count. None: not given."""
    wish: State | None = None
    for statement in values.all("state"):
        word = statement.arguments[0]
        if word.text == "MASTER" or (word.text == "BACKUP" and wish is None):
            wish = State[word.text]
        elif word.text != "BACKUP":
            capitals = word.text.upper()
            values.error(
                word.position,
                "bad-state",
                f"'state {word}' is neither MASTER nor BACKUP, BACKUP is used",
                f"write 'state {capitals}'" if capitals in ("MASTER", "BACKUP") else "write 'state BACKUP'",
            )
            wish = wish or State.BACKUP
    return wish


def _preemption(values: Values, priority: int, state: State, strict: bool) -> tuple[bool, float]:
    """(nopreempt, preempt_delay in seconds) after keepalived's order of checks."""
    last = max((values.at(name), name) for name in ("preempt", "nopreempt"))[1]
    nopreempt = values.has("nopreempt") and (last == "nopreempt" or not values.has("preempt"))
    delay = values.seconds("preempt_delay", 0, 1000, 0.0)
    if nopreempt and priority == OWNER:
        values.error(
            values.at("nopreempt"),
            "owner-nopreempt",
            "nopreempt has no effect with priority 255: the address owner always preempts",
            "remove nopreempt, or write a lower priority",
        )
        nopreempt = False
    elif nopreempt and state is State.MASTER:
        values.error(
            values.at("nopreempt"),
            "master-nopreempt",
            "nopreempt has no effect with 'state MASTER' (keepalived drops it): "
            "the node takes the address back when it returns",
            "write 'state BACKUP' on both nodes and keep nopreempt on both",
        )
        nopreempt = False
    elif nopreempt:
        values.note(
            values.at("nopreempt"),
            "nopreempt",
            "only a BACKUP heeds nopreempt, a MASTER yields to a higher priority all the same",
            "write it, with 'state BACKUP', on both nodes",
        )
    why = ""
    if strict:
        why = "strict mode"
    elif state is State.MASTER:
        why = "'state MASTER'"
    elif nopreempt:
        why = "nopreempt"
    if delay and why:
        values.error(
            values.at("preempt_delay"),
            "no-preempt-delay",
            f"preempt_delay has no effect with {why}",
            "remove one of them",
        )
        delay = 0.0
    return nopreempt, delay


def _advert_int(values: Values, version: int) -> float:
    """Seconds that the version can carry: v2 whole seconds from 1, v3 hundredths up to 40.95."""
    given = values.seconds("advert_int", 0.01, 255, 1.0)
    position = values.at("advert_int")
    if version == 2:
        used = max(1.0, float(int(given + 0.5)))
        if used != given:
            values.warning(
                position,
                "rounded-interval",
                f"VRRPv2 carries whole seconds: advert_int {shown(given)} is {shown(used)} s",
                f"write 'advert_int {shown(used)}', or 'version 3' on all routers",
            )
        return used
    if given > _LONGEST_V3:
        values.error(position, "bad-number", f"VRRPv3 carries at most 40.95 s: advert_int {shown(given)} is 40.95 s")
        return _LONGEST_V3
    used = round(given * 100 + 1e-6) / 100
    if abs(used - given) > 1e-9:
        values.warning(
            position,
            "rounded-interval",
            f"VRRPv3 carries hundredths of a second: advert_int {shown(given)} is {shown(used)} s",
            f"write 'advert_int {shown(used)}'",
        )
    return used


def _report_strict(
    values: Values, timing: Garp, down_timer_adverts: int, lower_prio_no_advert: bool, higher_prio_send_advert: bool
) -> None:
    """What is written but does not count in strict mode (the defaults it changes need no word)."""
    changed: Sequence[tuple[str, bool, str]] = (
        ("down_timer_adverts", down_timer_adverts != 3, "3 is used"),
        ("garp_lower_prio_repeat", timing.lower_prio_repeat != 0, "0 is used"),
        ("garp_lower_prio_delay", timing.lower_prio_delay != 0, "0 is used"),
        ("lower_prio_no_advert", not lower_prio_no_advert, "it is on"),
        ("higher_prio_send_advert", higher_prio_send_advert, "it is off"),
    )
    for name, differs, instead in changed:
        if differs and values.has(name):
            values.error(
                values.at(name),
                "strict-mode",
                f"strict mode does not allow '{name}' as written, {instead}",
                "remove the line, or write 'strict_mode off'",
            )
