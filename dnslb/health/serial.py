"""How far a secondary's zone is behind (RFC 1982); pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from dnslb.health.check import SerialRule
from dnslb.health.verdict import Verdict

_SPACE = 1 << 32
_HALF = 1 << 31


def ahead(serial: int, own: int) -> int:
    """How many serials `serial` is ahead of `own`; negative when it is behind.

    At a distance of 2**31 RFC 1982 section 3.2 leaves the order open: then neither is ahead.
    """
    distance = (serial - own + _HALF) % _SPACE - _HALF
    return 0 if distance == -_HALF else distance


def behind(own: int, others: Collection[int]) -> int:
    """How far `own` is behind the newest serial that half of all servers, this one included, have reached.

    Not behind the newest of all: one server with a serial from a wrong file would condemn all the others.
    """
    distances = sorted((ahead(other, own) for other in (*others, own)), reverse=True)
    return max(distances[(len(distances) + 1) // 2 - 1], 0)


class SerialJudge:
    """The verdicts of one check with a `serial_lag`."""

    def __init__(self, rule: SerialRule) -> None:
        self._rule = rule
        self._since: float | None = None
        "monotonic seconds: since when it is too far behind"

    def judge(self, verdict: Verdict, others: Collection[int], primary: int | None, now: float) -> Verdict:
        """The verdict with the serial taken into account.

        `others`: the serials of the other servers; `primary`: that of the primary, None while it is not known, when the
        others are the measure.
        """
        own = verdict.serial
        if not verdict.ok or own is None:
            return verdict
        if primary is not None:
            lag, measure = max(ahead(primary, own), 0), "the primary"
        else:
            lag, measure = behind(own, others), "the other servers"
            if self._rule.primary is not None:
                verdict = _with_remark(verdict, f"the primary {self._rule.primary} gives no serial to compare with")
        if lag <= self._rule.lag:
            self._since = None
            return verdict
        if self._since is None:
            self._since = now
        told = f"serial {own} is {lag} behind {measure} (at most {self._rule.lag})"
        if now - self._since < self._rule.patience:
            return _with_remark(verdict, told)
        detail = f"{verdict.detail}: {told} for more than {self._rule.patience:g} s; look at its zone transfers"
        return replace(verdict, ok=False, detail=detail, cause="serial lag")


def _with_remark(verdict: Verdict, remark: str) -> Verdict:
    return replace(verdict, remarks=(*verdict.remarks, remark))
