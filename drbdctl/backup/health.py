"""How the backups of a resource are: from the record, the settings and the time; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drbdctl.backup.decision import hours
from drbdctl.backup.record import Event, Record

_ENDS = (Event.MADE, Event.FAILED, Event.REFUSED, Event.LEFT)
_VERIFY_WITHIN = 35 * 86400.0
"seconds; an archive that nobody ever read back is a hope"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The numbers for status and metrics, and what is wrong in words; ages are seconds."""

    age: float | None
    "of the newest archive that is known here, by the time of its snapshot; None: none is known"
    last_ok: bool | None
    "the last run of this node made an archive, or left it to the peer for a good reason; None: it never ran"
    last_run: Record | None
    newest: Record | None
    verify_age: float | None
    "since a sample was last restored and compared"
    verify_ok: bool | None
    "the last one found what was backed up; None: there was none"
    running: bool
    alarms: tuple[str, ...]

    def metrics(self) -> dict[str, float]:
        """Numbers by the names that Prometheus shows; what is not known is not there."""
        found = {
            "drbdctl_backup_age_seconds": self.age,
            "drbdctl_backup_last_ok": None if self.last_ok is None else float(self.last_ok),
            "drbdctl_backup_verify_age_seconds": self.verify_age,
            "drbdctl_backup_verify_ok": None if self.verify_ok is None else float(self.verify_ok),
            "drbdctl_backup_running": float(self.running),
            "drbdctl_backup_alarms": float(len(self.alarms)),
        }
        if self.newest is not None and self.newest.event is Event.MADE:
            found["drbdctl_backup_duration_seconds"] = self.newest.seconds
            found["drbdctl_backup_size_bytes"] = float(self.newest.size)
        return {name: value for name, value in found.items() if value is not None}


def health(records: Sequence[Record], unread: int, max_age: float, now: float, *, running: bool) -> Health:
    """How they are at `now`, seconds since 1970; `unread` lines of the record could not be read."""
    runs = [each for each in records if each.event in (*_ENDS, Event.BEGUN)]
    if running and runs and runs[-1].event is Event.BEGUN:
        runs.pop()
    last = runs[-1] if runs else None
    known = [each for each in records if each.event in (Event.MADE, Event.LEFT) and each.archive_at is not None]
    newest = max(known, key=lambda each: each.archive_at or 0.0, default=None)
    age = None if newest is None or newest.archive_at is None else max(now - newest.archive_at, 0.0)
    checks = [each for each in records if each.event in (Event.VERIFIED, Event.VERIFY_FAILED)]
    verified = next((each for each in reversed(checks) if each.event is Event.VERIFIED), None)
    alarms = []
    if age is None:
        alarms.append("no backup is known here; `drbdctl backup run`")
    elif age > max_age:
        alarms.append(f"the newest backup is {hours(age)} old, it may be {hours(max_age)}; `drbdctl backup run`")
    if last is not None and last.event is Event.BEGUN:
        alarms.append("the last run was killed before its end; the next one removes what it left")
    elif last is not None and last.event in (Event.FAILED, Event.REFUSED):
        alarms.append(f"the last run {'failed' if last.event is Event.FAILED else 'was refused'}: {last.why}")
    if checks and checks[-1].event is Event.VERIFY_FAILED:
        alarms.append(f"the last verify failed: {checks[-1].why}")
    elif newest is not None and (verified is None or now - verified.at > _VERIFY_WITHIN):
        alarms.append("no sample was restored for a month; `drbdctl backup verify`")
    if unread:
        alarms.append(f"{unread} lines of the record can't be read")
    return Health(
        age=age,
        last_ok=None if last is None else last.event in (Event.MADE, Event.LEFT),
        last_run=last,
        newest=newest,
        verify_age=None if verified is None else max(now - verified.at, 0.0),
        verify_ok=checks[-1].event is Event.VERIFIED if checks else None,
        running=running,
        alarms=tuple(alarms),
    )
