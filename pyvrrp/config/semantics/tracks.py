"""Trackers by name: the lines of `track_*` blocks, and weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pyvrrp.config.model import Track
from pyvrrp.config.semantics.numbers import whole
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement, Word
from pyvrrp.config.suggest import did_you_mean

_REVERSE = {"reverse": True, "noreverse": False, "no_reverse": False}


@dataclass(frozen=True, slots=True)
class Weight:
    """`weight N [reverse|noreverse]`; None is what the tracker itself says."""

    amount: int | None = None
    reverse: bool | None = None


def weight(words: Sequence[Word], values: Values, name: str) -> Weight:
    """Read the words that follow `weight`, at least one; -253..253, and 254 counts as 253."""
    number, *rest = words
    amount = whole(number.text)
    if amount is None or abs(amount) > 254:
        values.error(
            number.position,
            "bad-number",
            f"{name}: 'weight {number}' is not a whole number in -253..253, it is ignored",
        )
        amount = None
    elif abs(amount) == 254:
        values.error(number.position, "bad-number", f"{name}: 'weight {number}' is not in -253..253, 253 is used")
        amount = 253 if amount > 0 else -253
    reverse = None
    for word in rest:
        if word.text in _REVERSE:
            reverse = _REVERSE[word.text]
        else:
            values.error(
                word.position, "bad-option", f"{name}: '{word}' is neither reverse nor noreverse, it is ignored"
            )
    return Weight(amount, reverse)


def read(values: Values, keyword: str, known: Collection[str] | None = None, default: int | None = None) -> list[Track]:
    """The names in the blocks of one `track_*` keyword.

    `default` is the weight of a line without one (None: the tracker's own). A name that is not in `known` is an error
    and stays: the daemon holds a tracker that does not exist for failed.
    """
    kind = keyword.removeprefix("track_")
    tracks: dict[str, Track] = {}
    for line in values.lines(keyword):
        if line.name in tracks:
            values.error(
                line.position, "duplicate-name", f"{keyword}: {line.name} is named twice, the first line counts"
            )
            continue
        if known is not None and line.name not in known:
            meant = did_you_mean(line.name, known)
            values.error(
                line.position,
                "undefined-name",
                f"{keyword}: there is no vrrp_{kind} {line.name} that could be run, so it counts as failed",
                f"did you mean '{meant}'?" if meant else f"write 'vrrp_{kind} {line.name} {{', or remove the line",
            )
        found = _options(line, keyword, values)
        amount = default if found.amount is None else found.amount
        tracks[line.name] = Track(kind, line.name, amount, found.reverse, line.position)
    return list(tracks.values())


def _options(line: Statement, keyword: str, values: Values) -> Weight:
    if not line.arguments:
        return Weight()
    first = line.arguments[0]
    if first.text == "weight" and line.arguments[1:]:
        return weight(line.arguments[1:], values, f"{keyword} {line.name}")
    if first.text == "weight":
        values.error(
            first.position, "missing-argument", f"{keyword} {line.name}: 'weight' needs a number, it is ignored"
        )
        return Weight()
    hint = f"write '{line.name} weight N {first}'" if first.text in _REVERSE else "write each name on its own line"
    values.error(first.position, "bad-option", f"{keyword} {line.name}: '{first}' is not 'weight', it is ignored", hint)
    return Weight()
