"""borg as a driver: its commands, and what they answer with --json (1.2, 1.4).

Exit status: 0 done, 1 or 100 to 127 done with warnings, which here is a file that could not be read; the others are
errors. borg itself breaks the locks of dead processes of this host. Source: borg's manual, and runs of 1.2.4.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from drbdctl.backup.driver import Archive, Argv, Created, DriverFailed, Origin, said
from drbdctl.backup.settings import Backup
from drbdctl.steps.command import Outcome

_NEWEST = "40"
"the last 64 KiB of an answer are kept"
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class Borg:
    """A borg repository; an archive is called RESOURCE@NODE@TIME, in UTC."""

    def __init__(self, settings: Backup, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self.environment: Mapping[str, str] = {
            **environment,
            "BORG_REPO": settings.repository,
            "BORG_PASSCOMMAND": f"cat {shlex.quote(settings.password_file)}",
        }

    def prepare(self) -> Sequence[Argv]:
        """Nothing."""
        return ()

    def listing(self, resource: str) -> Argv:
        """By name."""
        return ("borg", "list", "--json", "--glob-archives", f"{resource}@*", "--last", _NEWEST)

    def archives(self, answer: Outcome) -> tuple[Archive, ...]:
        """The newest last; raises DriverFailed."""
        if not answer.ok:
            raise said("borg", "list", answer)
        try:
            found = [_archive(str(each["name"])) for each in _json(answer, "list")["archives"]]
        except (KeyError, TypeError, ValueError) as error:
            raise DriverFailed(f"borg list: its answer is not understood ({error!r:.100})") from None
        return tuple(sorted(found, key=lambda archive: archive.at))

    def create(self, origin: Origin, paths: Sequence[str], parent: Archive | None) -> Argv:
        """It compares with what its own cache remembers, and knows no parent; its --timestamp is UTC without a zone."""
        time = datetime.fromtimestamp(origin.at, UTC)
        name = f"::{origin.resource}@{origin.node}@{time.strftime(_TIME)}"
        argv = ("borg", "create", "--json", "--timestamp", time.strftime("%Y-%m-%dT%H:%M:%S"))
        return (*argv, "--comment", f"generation:{origin.generation}", name, *paths)

    def created(self, answer: Outcome) -> Created:
        """The statistics; raises DriverFailed, also for a warning."""
        if answer.status == 1 or 100 <= (answer.status or 0) < 128:
            raise said("borg", "create: some files could not be read", answer)
        if not answer.ok:
            raise said("borg", "create", answer)
        try:
            archive = _json(answer, "create")["archive"]
            stats = archive["stats"]
            return Created(str(archive["name"]), int(stats["original_size"]), int(stats["deduplicated_size"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DriverFailed(f"borg create: its answer is not understood ({error!r:.100})") from None

    def forget(self, resource: str) -> Sequence[Argv]:
        """Remove archives, then give the room back."""
        prune = ("borg", "prune", "--glob-archives", f"{resource}@*", *self._settings.keep.argv)
        return (prune, ("borg", "compact"))

    def check(self) -> Argv:
        """The segments and the archives' meta data."""
        return ("borg", "check")

    def restore(self, archive: Archive, paths: Sequence[str]) -> Argv:
        """Into the working directory."""
        return ("borg", "extract", f"::{archive.name}", *paths)


def _json(answer: Outcome, what: str) -> Any:
    """The object that begins on a line of its own; warnings stand before it or after it."""
    start = 0 if answer.output.startswith("{\n") else answer.output.find("\n{\n") + 1
    try:
        found, _ = json.JSONDecoder().raw_decode(answer.output, start)
    except (ValueError, RecursionError):
        raise DriverFailed(f"borg {what}: there is no JSON in what it said; see `borg {what}`") from None
    return found


def _archive(name: str) -> Archive:
    _, node, time = name.rsplit("@", 2)
    at = datetime.strptime(time, _TIME).replace(tzinfo=UTC)
    return Archive(name, at.timestamp(), node)
