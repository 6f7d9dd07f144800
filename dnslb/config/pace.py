"""When checks run, as a virtual_server or a real_server says it; a check may say otherwise."""

from __future__ import annotations

from dnslb.model import Pace
from pyvrrp.config.semantics.values import Values

_SHORTEST = 0.05
"seconds between two runs: a check is to watch a server, not to load it"
_LONGEST = 86400.0


def read(values: Values, inherited: Pace) -> Pace:
    """The pace of a block; what it does not say is inherited."""

    def seconds(name: str, low: float, inherited: float | None, if_wrong: float) -> float | None:
        if not values.has(name):
            return inherited
        return values.seconds(name, low, _LONGEST, if_wrong if inherited is None else inherited)

    retry = inherited.retry
    if values.has("retry"):
        retry = values.number("retry", 0, 1000, 1 if retry is None else retry)
    return Pace(
        delay_loop=values.seconds("delay_loop", _SHORTEST, _LONGEST, inherited.delay_loop),
        fast_interval=seconds("fast_interval", _SHORTEST, inherited.fast_interval, 0.25),
        back_off=seconds("back_off", _SHORTEST, inherited.back_off, 30.0),
        connect_timeout=seconds("connect_timeout", 0.01, inherited.connect_timeout, 0.5),
        retry=retry,
        delay_before_retry=seconds("delay_before_retry", 0.0, inherited.delay_before_retry, 0.25),
        warmup=seconds("warmup", 0.0, inherited.warmup, 1.0),
    )
