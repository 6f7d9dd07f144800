"""Words that stand in check blocks alone -> values."""

from __future__ import annotations

from dnslb.health import values
from dnslb.health.check import Action, Band, Consequence, SerialRule
from dnslb.health.query import DO, FLAGS
from dnslb.health.values import BadValue, one_of
from dnslb.model import Endpoint
from pyvrrp.config.statements import Statement, Word
from pyvrrp.core.events import IPAddress

_ACTIONS = {each.value: each for each in Action}
_ASKED = {name: name for name in ("AD", "CD", DO)}
_ANSWERED = {name: name for name in (*FLAGS, DO)}
_PATIENCE = 30.0
"seconds: a change of a zone is with its secondaries in less (RFC 1996)"


def text(line: Statement) -> str:
    """One word as it is; empty for the keyword alone."""
    return values.only(line).text if line.arguments else ""


def interface(line: Statement) -> str:
    """The name of an interface."""
    word = values.only(line)
    if not 0 < len(word.text.encode()) < 16 or "/" in word.text:
        raise BadValue(word.position, "bad-interface", f"'{word}' is no interface's name", "write one of `ip link`")
    return word.text


def action(line: Statement) -> Consequence:
    """`down`, `degrade [PERCENT]` or `warn`."""
    word, *rest = values.several(line)
    found = one_of(word, word.text, _ACTIONS, "action")
    if not rest:
        return Consequence(found)
    if found is not Action.DEGRADE:
        raise BadValue(rest[0].position, "extra-argument", f"'action {word}' takes no number", f"write action {word}")
    percent = _number(line, rest[0], 0.0, 100.0)
    return Consequence(found, percent / 100)


def band(line: Statement) -> Band:
    """`latency LOW HIGH`, in seconds."""
    low, high = (_number(line, word, 0.0, 60.0) for word in line.arguments)
    if low >= high:
        raise BadValue(line.position, "bad-number", f"'latency {low:g} {high:g}' ends before it begins", "swap the two")
    return Band(low, high)


def query_flags(line: Statement) -> frozenset[str]:
    """AD, CD, DO."""
    return frozenset(one_of(word, word.text.upper(), _ASKED, "flag") for word in values.several(line))


def expect_flags(line: Statement) -> tuple[frozenset[str], frozenset[str]]:
    """`AA -AD`: the flags that must be there, and those that must not."""
    required: set[str] = set()
    forbidden: set[str] = set()
    for word in values.several(line):
        name = word.text.removeprefix("-").upper()
        (forbidden if word.text.startswith("-") else required).add(one_of(word, name, _ANSWERED, "flag"))
    if both := sorted(required & forbidden):
        raise BadValue(line.position, "bad-flag", f"{both[0]} can't be there and not be there", "write one of the two")
    return frozenset(required), frozenset(forbidden)


def serial_lag(line: Statement) -> SerialRule:
    """`N [SECONDS]`."""
    lag, *rest = values.several(line)
    return SerialRule(
        lag=int(_number(line, lag, 0, 2**31 - 1, whole=True)),
        patience=_number(line, rest[0], 0.0, 86400.0) if rest else _PATIENCE,
    )


def endpoint(line: Statement) -> Endpoint:
    """`ADDRESS [PORT]`."""
    word, *rest = values.several(line)
    found: IPAddress = values.address(Statement(line.keyword, (word,)))
    return Endpoint(found, int(_number(line, rest[0], 1, 65535, whole=True)) if rest else 53)


def _number(line: Statement, word: Word, low: float, high: float, *, whole: bool = False) -> float:
    read = values.whole(int(low), int(high)) if whole else values.seconds(low, high)
    return read(Statement(line.keyword, (word,)))
