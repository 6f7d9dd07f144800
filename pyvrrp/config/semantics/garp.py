"""Gratuitous ARP: `garp_*` of an instance, `vrrp_garp_*` of global_defs, and garp_group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement

_LONGEST_DELAY = 4294.0
"seconds; keepalived holds microseconds in 32 bits"
_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Garp:
    """How often gratuitous ARP and Neighbor Advertisements are sent; delays in seconds."""

    master_delay: float = 5.0
    master_repeat: int = 5
    master_refresh: float = 0.0
    master_refresh_repeat: int = 1
    lower_prio_delay: float = 5.0
    lower_prio_repeat: int = 5


MINIMAL = Garp(master_delay=0.0, master_repeat=1)
"`vrrp_min_garp`: it changes only what no other line sets"


def read_globals(values: Values) -> Garp:
    """The defaults of all instances; lower_prio_* follow the global master_* unless they are set."""
    garp = _read(values, "vrrp_garp", MINIMAL if values.switch("vrrp_min_garp", False) else Garp())
    return _read_lower_prio(
        values,
        "vrrp_garp",
        replace(garp, lower_prio_delay=garp.master_delay, lower_prio_repeat=garp.master_repeat),
    )


def read_instance(values: Values, defaults: Garp) -> Garp:
    """Those of one instance; lower_prio_* fall back to the global ones, not to the instance's master_*."""
    return _read_lower_prio(values, "garp", _read(values, "garp", defaults))


def _read(values: Values, prefix: str, defaults: Garp) -> Garp:
    return replace(
        defaults,
        master_delay=values.seconds(f"{prefix}_master_delay", 0, _LONGEST_DELAY, defaults.master_delay),
        master_repeat=_repeat(values, f"{prefix}_master_repeat", defaults.master_repeat),
        master_refresh=values.seconds(f"{prefix}_master_refresh", 0, _MOST, defaults.master_refresh),
        master_refresh_repeat=_repeat(values, f"{prefix}_master_refresh_repeat", defaults.master_refresh_repeat),
    )


def _read_lower_prio(values: Values, prefix: str, defaults: Garp) -> Garp:
    return replace(
        defaults,
        lower_prio_delay=values.seconds(f"{prefix}_lower_prio_delay", 0, _LONGEST_DELAY, defaults.lower_prio_delay),
        lower_prio_repeat=values.number(f"{prefix}_lower_prio_repeat", 0, _MOST, defaults.lower_prio_repeat),
    )


def _repeat(values: Values, name: str, default: int) -> int:
    repeat = values.number(name, 0, _MOST, default)
    if repeat == 0:
        values.error(values.at(name), "bad-number", f"'{name} 0' would announce nothing, 1 is used")
    return max(repeat, 1)


def read_groups(
    blocks: Sequence[Statement], garp_interval: float, gna_interval: float, diagnostics: Diagnostics
) -> dict[str, tuple[float, float]]:
    """Interface -> (garp_interval, gna_interval) in seconds; what a group leaves out is the global interval."""
    intervals: dict[str, tuple[float, float]] = {}
    for block in blocks:
        values = Values("garp_group", block.body or (), diagnostics, block.position)
        names = [word for line in values.lines("interfaces") for word in line.words]
        single = values.word("interface")
        if single:
            names.insert(0, single)
        if not values.has("garp_interval") and not values.has("gna_interval"):
            values.error(block.position, "empty-block", "neither garp_interval nor gna_interval is set")
            continue
        if not names:
            values.error(block.position, "empty-block", "it has no interface", "write 'interface NAME'")
        pace = (
            values.seconds("garp_interval", 0, _LONGEST_DELAY, garp_interval),
            values.seconds("gna_interval", 0, _LONGEST_DELAY, gna_interval),
        )
        for name in names:
            if name.text in intervals:
                values.error(name.position, "duplicate-name", f"{name} is in an earlier garp_group already")
            else:
                intervals[name.text] = pace
    return intervals
