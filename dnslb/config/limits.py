"""The limits of a virtual server: quorum, min_up, flap_damping, table_size, and what it does when nothing is left."""

from __future__ import annotations

import re

from dnslb.config.words import choice
from dnslb.forwarding import TABLE_SIZE
from dnslb.model import FlapDamping, MinUp, OnEmpty, RealServer, SorryServer
from pyvrrp.config.semantics import numbers
from pyvrrp.config.semantics.values import Values

_ON_EMPTY = {each.value: each for each in OnEmpty}
_AMOUNT = re.compile(r"([0-9]{1,6}(?:\.[0-9]+)?)(%?)")
_LARGEST_TABLE = 65537


def quorum(values: Values, servers: tuple[RealServer, ...]) -> tuple[int, int]:
    """Read `quorum` and `hysteresis`, reduced to what can be reached, as in keepalived."""
    quorum = values.number("quorum", 1, 2**32 - 1, 1)
    total = sum(server.weight for server in servers)
    if quorum > max(total, 1):
        message = f"quorum {quorum} is more than all weights together, {total} is used"
        values.warning(values.at("quorum"), "quorum-too-high", message, "lower it, or add servers")
        quorum = max(total, 1)
    hysteresis = values.number("hysteresis", 0, 2**32 - 1, 0)
    if hysteresis >= quorum:
        message = f"hysteresis {hysteresis} is not less than quorum {quorum}, {quorum - 1} is used"
        values.warning(values.at("hysteresis"), "hysteresis-too-high", message, "lower it")
        hysteresis = quorum - 1
    if quorum + hysteresis > max(total, 1):
        message = (
            f"quorum {quorum} + hysteresis {hysteresis} is more than all weights together ({total}): it is never gained"
        )
        values.warning(
            values.at("hysteresis"), "quorum-too-high", message, f"write hysteresis {max(total - quorum, 0)}"
        )
    return quorum, hysteresis


def on_empty(values: Values, sorry: SorryServer | None) -> OnEmpty:
    """`on_empty servfail|drop|sorry`."""
    chosen = choice(values, "on_empty", _ON_EMPTY, OnEmpty.SERVFAIL)
    if chosen is OnEmpty.SORRY and sorry is None:
        message = "'on_empty sorry' without a sorry_server, servfail is used"
        values.error(values.at("on_empty"), "no-sorry-server", message, "add the line: sorry_server ADDRESS PORT")
        return OnEmpty.SERVFAIL
    return chosen


def min_up(values: Values) -> MinUp:
    """`min_up N` or `min_up N%`."""
    word = values.word("min_up")
    if word is None:
        return MinUp()
    match = _AMOUNT.fullmatch(word.text)
    amount, percent = (float(match[1]), bool(match[2])) if match else (0.0, False)
    if match and (amount <= 100 if percent else amount.is_integer()):
        return MinUp(amount, percent)
    message = f"'min_up {word}' is neither a number of servers nor a percentage, health is never ignored"
    values.error(word.position, "bad-number", message, "write 'min_up 2' or 'min_up 50%'")
    return MinUp()


def flap_damping(values: Values) -> FlapDamping | None:
    """`flap_damping off`, or `flap_damping DOWNS [HALF_LIFE]`."""
    default = FlapDamping()
    statement = values.last("flap_damping")
    if statement is None or [word.text for word in statement.arguments] == ["on"]:
        return default
    if [word.text for word in statement.arguments] == ["off"]:
        return None
    match [numbers.decimal(word.text) for word in statement.arguments]:
        case [float(downs), *rest] if downs >= 1 and all(half_life and half_life >= 1 for half_life in rest):
            return FlapDamping(downs=downs, half_life=rest[0] if rest and rest[0] else default.half_life)
    message = f"its words are no number of downs and of seconds, {default.downs:g} {default.half_life:g} is used"
    values.error(statement.position, "bad-number", message, "write 'flap_damping 5 60' or 'flap_damping off'")
    return default


def table_size(values: Values) -> int:
    """`table_size N`, or the next prime number."""
    size = values.number("table_size", 101, _LARGEST_TABLE, TABLE_SIZE)
    prime = next(each for each in range(size, _LARGEST_TABLE + 1) if _is_prime(each))
    if prime != size:
        message = f"table_size {size} is no prime number, {prime} is used"
        values.error(values.at("table_size"), "bad-number", message, f"write {prime}")
    return prime


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))
