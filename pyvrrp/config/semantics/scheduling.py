"""How the kernel is to schedule the daemon: vrrp_priority, vrrp_rt_priority and their kin."""

from __future__ import annotations

from pyvrrp.config.model import Scheduling
from pyvrrp.config.semantics import numbers
from pyvrrp.config.semantics.values import Values


def read(values: Values) -> Scheduling:
    """The lines of global_defs; a value that is missing or wrong is as if it were not there."""
    limit = "vrrp_rlimit_rttime" if values.has("vrrp_rlimit_rttime") else "vrrp_rlimit_rtime"
    return Scheduling(
        nice=values.number("vrrp_priority", -20, 19, 0),
        rt_priority=values.number("vrrp_rt_priority", 1, 99, 0),
        rlimit_rttime=values.number(limit, 1, 0x7FFFFFFF, 0),
        cpu_affinity=_processors(values, "vrrp_cpu_affinity"),
        no_swap=values.has("vrrp_no_swap"),
    )


def _processors(values: Values, name: str) -> frozenset[int]:
    statement = values.last(name)
    if statement is None or values.word(name) is None:
        return frozenset()
    found = set()
    for word in statement.arguments:
        number = numbers.whole(word.text)
        if number is None or not 0 <= number < 8192:
            values.error(word.position, "bad-number", f"'{name} {word}' is no number of a processor, it is ignored")
        else:
            found.add(number)
    return frozenset(found)
