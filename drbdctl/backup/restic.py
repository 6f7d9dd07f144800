"""restic as a driver: its commands, and what they answer with --json (0.14 to 0.18).

Exit status of backup: 0 done, 1 no snapshot was made, 3 a snapshot without some files; 10 no repository, 11 it is
locked, 12 wrong password (since 0.17). Source: restic's manual, and runs of 0.14.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from drbdctl.backup.driver import Archive, Argv, Created, DriverFailed, Origin, said
from drbdctl.backup.settings import Backup
from drbdctl.steps.command import Outcome

_NEWEST = "20"
"of each node; the last 64 KiB of an answer are kept"


class Restic:
    """A restic repository."""

    def __init__(self, settings: Backup, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self.environment: Mapping[str, str] = {
            **environment,
            "TZ": "UTC",  # --time is local time
            "RESTIC_REPOSITORY": settings.repository,
            "RESTIC_PASSWORD_FILE": settings.password_file,
        }

    def prepare(self) -> Sequence[Argv]:
        """`unlock` removes the locks of dead processes of this host, and those that nobody renewed for 30 minutes."""
        return (("restic", "unlock"),)

    def listing(self, resource: str) -> Argv:
        """By tag: the two nodes are two hosts to restic."""
        return ("restic", "--json", "snapshots", "--tag", _tag(resource), "--latest", _NEWEST)

    def archives(self, answer: Outcome) -> tuple[Archive, ...]:
        """The newest last; raises DriverFailed."""
        if not answer.ok:
            raise said("restic", "snapshots", answer)
        found = _json(answer, "snapshots", "[") or []
        try:
            return tuple(sorted((_archive(each) for each in found), key=lambda archive: archive.at))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DriverFailed(f"restic snapshots: its answer is not understood ({error!r:.100})") from None

    def create(self, origin: Origin, paths: Sequence[str], parent: Archive | None) -> Argv:
        """The parent may be the other node's: both have the same inodes, and what did not change is not read again."""
        time = datetime.fromtimestamp(origin.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        argv = ["restic", "--quiet", "--json", "backup", "--host", origin.node, "--time", time]
        argv += ["--tag", "drbdctl", "--tag", _tag(origin.resource), "--tag", f"generation:{origin.generation}"]
        argv += ["--parent", parent.name] if parent else []
        return (*argv, "--", *paths)

    def created(self, answer: Outcome) -> Created:
        """The summary; raises DriverFailed, also for exit status 3."""
        if answer.status == 3:
            raise said("restic", "backup: some files could not be read", answer)
        if not answer.ok:
            raise said("restic", "backup", answer)
        try:
            summary = _json(answer, "backup", '{"message_type":"summary"')
            return Created(
                str(summary["snapshot_id"]), int(summary["total_bytes_processed"]), int(summary["data_added"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DriverFailed(f"restic backup: its summary is not understood ({error!r:.100})") from None

    def forget(self, resource: str) -> Sequence[Argv]:
        """Both nodes' together, as one row of archives."""
        argv = ("restic", "--quiet", "forget", "--tag", _tag(resource), "--group-by", "", *self._settings.keep.argv)
        return ((*argv, "--prune"),)

    def check(self) -> Argv:
        """The structure, and that all packs are there."""
        return ("restic", "--quiet", "check")

    def restore(self, archive: Archive, paths: Sequence[str]) -> Argv:
        """Into the working directory."""
        including = [word for path in paths for word in ("--include", f"/{path}")]
        return ("restic", "--quiet", "restore", archive.name, "--target", ".", *including)


def _tag(resource: str) -> str:
    return f"resource:{resource}"


def _json(answer: Outcome, what: str, begin: str) -> Any:
    """The last line that begins so."""
    lines = [line for line in answer.output.splitlines() if line.startswith((begin, "null"))]
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError, RecursionError):
        raise DriverFailed(f"restic {what}: there is no such answer in what it said; see `restic {what}`") from None


def _archive(data: Mapping[str, Any]) -> Archive:
    text = str(data["time"])
    # Nanoseconds, and Z, are more than Python 3.11 always takes.
    whole, _, rest = text.partition(".")
    at = datetime.fromisoformat((whole + rest.lstrip("0123456789")).replace("Z", "+00:00"))
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return Archive(str(data["short_id"]), at.timestamp(), str(data["hostname"]))
