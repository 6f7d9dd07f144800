"""What one run of a check found; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

TIMEOUT = "timeout"
"the cause of a failure: nobody answers"
REFUSED = "refused"
"the cause of a failure: a reset or an ICMP error says that nothing listens"
_TOLD = 2
"sentences of one verdict"


class Transport(Enum):
    """What carries the question."""

    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the server is healthy, and the one sentence that says what was found."""

    ok: bool
    detail: str
    elapsed: float
    "seconds from the question to the verdict"
    truncated: bool = False
    "a good UDP answer with TC=1: the records have to be asked for over TCP"
    cause: str = ""
    "of a failure, in the same word for every server that fails for it: `timeout`, `SERVFAIL`; empty: it is good"
    remarks: tuple[str, ...] = ()
    "what is not right, but makes no server unhealthy; a sentence each"
    serial: int | None = None
    "of the SOA record in the answer"
    nsid: str = ""
    "what the server calls itself (RFC 5001)"
    weight: int | None = None
    "MISC_CHECK with misc_dynamic: what the script wants the server's weight to be"


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict out of those of several questions: healthy when all are, as late as the latest.

    A refusal says more than a silence beside it: a kernel tells of a closed port once in a second, not each time.
    """
    ok = all(verdict.ok for verdict in verdicts)
    causes = [verdict.cause for verdict in verdicts if verdict.cause]
    details = list(dict.fromkeys(verdict.detail for verdict in verdicts if verdict.ok is ok))
    if len(details) > _TOLD:
        details[_TOLD:] = [f"and {len(details) - _TOLD} more"]
    return Verdict(
        ok,
        "; ".join(details),
        max(verdict.elapsed for verdict in verdicts),
        cause=REFUSED if REFUSED in causes else next(iter(causes), ""),
        remarks=tuple(dict.fromkeys(remark for verdict in verdicts for remark in verdict.remarks)),
        serial=next((verdict.serial for verdict in verdicts if verdict.serial is not None), None),
        nsid=next((verdict.nsid for verdict in verdicts if verdict.nsid), ""),
    )
