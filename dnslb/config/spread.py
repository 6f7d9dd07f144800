"""How packets are spread: lb_algo (or lvs_sched), its flags, and persistence_timeout."""

from __future__ import annotations

from dataclasses import dataclass

from dnslb.config.words import instead
from dnslb.forwarding import Spread
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement

_SPREADS = {
    "mh": Spread.SOURCE_PORT,
    "sh": Spread.SOURCE,
    "wrr": Spread.PACKET,
    "rr": Spread.PACKET,
    "qname": Spread.QNAME,
}
_OTHERS = ("lc", "wlc", "lblc", "lblcr", "dh", "sed", "nq", "fo", "ovf", "twos")
"keepalived's other schedulers"
_PERSISTENCE = 360
"seconds: keepalived's default where the keyword stands alone"


@dataclass(frozen=True, slots=True)
class Scheduler:
    """What these keywords come to."""

    spread: Spread
    weights_count: bool
    "False with rr: every weight but 0 is 1"
    persistence_timeout: float | None


def read(values: Values) -> Scheduler:
    """The scheduler of a virtual server; Maglev by source address and port where nothing is said."""
    name = _algorithm(values)
    spread = _SPREADS[name]
    # In IPVS the second flag of sh is sh-port.
    if name == "sh" and (values.has("sh-port") or values.has("flag-2")):
        spread = Spread.SOURCE_PORT
    timeout = _persistence(values)
    if timeout and spread is Spread.QNAME:
        message = "with 'lb_algo qname' the name decides, a client does not stay at its server"
        values.warning(values.at("persistence_timeout"), "no-effect", message, "remove persistence_timeout")
    elif timeout:
        spread = Spread.SOURCE
    return Scheduler(spread, name != "rr", timeout)


def _algorithm(values: Values) -> str:
    written = [line for name in ("lb_algo", "lvs_sched") for line in values.all(name) if line.arguments]
    if not written:
        return "mh"
    last = max(written, key=lambda line: line.position)
    word = last.arguments[0]
    if word.text in _SPREADS:
        return word.text
    if word.text in _OTHERS:
        values.warning(
            word.position, "scheduler-replaced", f"'{last.name} {word}' becomes wrr: {_why(word.text)}", _HINT
        )
        return "wrr"
    hint = instead(word, dict.fromkeys((*_SPREADS, *_OTHERS)))
    values.error(word.position, "unknown-scheduler", f"'{last.name} {word}' is no scheduler, mh is used", hint)
    return "mh"


_HINT = "write wrr, or mh to keep the packets of a client's port together"


def _why(name: str) -> str:
    match name:
        case "fo":
            return "the highest weight does not take all, standby servers have a 'tier'"
        case "dh" | "lblc" | "lblcr":
            return "all packets have the same destination"
        case _:
            return "answers go past the balancer, so that it can't count connections"


def _persistence(values: Values) -> float | None:
    statement: Statement | None = values.last("persistence_timeout")
    if statement is None:
        return None
    if not statement.arguments:
        return _PERSISTENCE
    return values.seconds("persistence_timeout", 0, 2**31, _PERSISTENCE) or None
