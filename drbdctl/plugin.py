"""What drbdctl adds to the daemon: the `storage` block, whose addresses come up only where the data are.

Whatever acts on storage is imported only once a configuration has such a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from drbdctl.storage_block.keywords import KEYWORDS, STORAGE
from drbdctl.storage_block.scripts import recommend
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.keywords import Body, Keyword
from pyvrrp.config.model import Config, VrrpInstance
from pyvrrp.config.suggest import did_you_mean
from pyvrrp.daemon.plugins import CommandRefused, Gate, Report, TrackerSpec

if TYPE_CHECKING:
    from drbdctl.daemon.backup_watch import BackupWatch
    from drbdctl.daemon.runner import StorageRunner
    from drbdctl.settings import Storage
    from pyvrrp.core.metrics import Family
    from pyvrrp.core.report import Entry

TRACKER = "storage"
"the kind of `track_storage`: whether this node is fit for the role that it has or may get"
ROLE = "storage_role"
"the kind of `track_storage_role`: whether this node serves, or still holds what it served"
ROLE_WEIGHT = 50
"unless the line has another one"


class DrbdPlugin:
    """The entry point `drbdctl`; it lives as long as the daemon, and with it what a reload must not interrupt."""

    name = "drbdctl"
    keywords: Sequence[Keyword] = KEYWORDS
    instance_keywords: Sequence[Keyword] = tuple(
        Keyword(name=f"track_{kind}", body=Body.LINES, repeatable=True) for kind in (TRACKER, ROLE)
    )

    def __init__(self) -> None:
        self._runners = Runners()

    def configure(self, config: Config, diagnostics: Diagnostics) -> StorageService:
        """Read the storage blocks, and see that each is tracked by its vrrp_instance."""
        storages = self.storages(config, diagnostics)
        _judge_tracks(config, diagnostics)
        recommend(config, {each.instance for each in storages}, diagnostics)
        backups: BackupWatch | None = None
        if storages:
            from drbdctl.backup.configured import configured
            from drbdctl.daemon.backup_watch import BackupWatch
            from drbdctl.storage_block.checks import check

            check(storages, config, diagnostics)
            backups = BackupWatch(configured(config, diagnostics).values())
        return StorageService(storages, config, self._runners, backups)

    def storages(self, config: Config, diagnostics: Diagnostics) -> list[Storage]:
        """The storage blocks of a configuration."""
        if not any(each.name == STORAGE for each in config.plugin_blocks):
            return []
        from drbdctl.storage_block.reader import read

        return read(config, diagnostics)


class StorageService:
    """What one configuration wants of the storages of this node."""

    def __init__(
        self, storages: Sequence[Storage], config: Config, runners: Runners, backups: BackupWatch | None = None
    ) -> None:
        self._backups = backups
        self._storages = {each.name: each for each in storages}
        self._instances = {each.name: each for each in config.instances}
        self._runners = runners
        self.trackers: Sequence[TrackerSpec] = [
            *(TrackerSpec(kind=TRACKER, name=each.name, run=partial(self._track, each.name)) for each in storages),
            *(
                TrackerSpec(kind=ROLE, name=each.name, run=partial(self._track_role, each.name), weight=ROLE_WEIGHT)
                for each in storages
            ),
        ]

    def gates(self, instance: str) -> Sequence[Gate]:
        """The storages that follow an instance."""
        return self._of(instance)

    async def start(self) -> None:
        """Begin to watch, or go on where the service of the configuration before is."""
        self._runners.owner = self
        for name, storage in self._storages.items():
            self._runner(name).take(storage, self._heard_by(storage))
            self._runner(name).start()
        if self._backups is not None:
            self._backups.start()

    async def stop(self) -> None:
        """End what no other service has taken over, or does not want any more."""
        if self._backups is not None:
            await self._backups.stop()
        for name in list(self._runners.by_name):
            if self._runners.owner is self or (not self._runners.wants(name) and self._runners.by_name[name].idle):
                await self._runners.by_name.pop(name).stop()

    def wants(self, name: str) -> bool:
        """Whether the configuration has a storage of this name."""
        return name in self._storages

    def hold(self, instance: str, held: bool) -> None:
        """See pyvrrp.daemon.plugins.Follower."""
        for runner in self._of(instance) if held else ():
            runner.hold()

    def heard(self, instance: str, priority: int) -> None:
        """See pyvrrp.daemon.plugins.Listener."""
        for runner in self._runners.by_name.values():
            runner.heard(instance)

    def said(self, instance: str, priority: int) -> None:
        """See pyvrrp.daemon.plugins.Listener."""
        for runner in self._runners.by_name.values():
            runner.said(instance, priority)

    def status(self) -> Mapping[str, object]:
        """`storages`, by name; `backups`, by resource; `summary` and `problems`, sentences."""
        from drbdctl.report import summary

        found: dict[str, object] = {
            "storages": {name: runner.status() for name, runner in self._runners.by_name.items()},
            "backups": {} if self._backups is None else self._backups.status(),
            "problems": [each for runner in self._runners.by_name.values() for each in runner.problems],
        }
        return found | {"summary": summary(found)}

    def report(self, status: Mapping[str, object]) -> Iterable[Entry]:
        """See pyvrrp.daemon.plugins.Reported."""
        from drbdctl.report import entries

        return entries(status)

    def metrics(self, status: Mapping[str, object]) -> Iterable[Family]:
        """See pyvrrp.daemon.plugins.Measured."""
        from drbdctl.metrics import families

        return families(status)

    async def command(self, words: Sequence[str]) -> object:
        """`NAME why`, `after-move`, `acknowledge USER`, `accept USER REASON RULE ...`, `fence-peer RESOURCE`."""
        name, *rest = words or ("",)
        runner = self._runners.by_name.get(name)
        if runner is None:
            known = ", ".join(self._runners.by_name) or "none"
            raise CommandRefused(f"there is no storage {name!r}; there are: {known}")
        return runner.command(rest)

    def _of(self, instance: str) -> list[StorageRunner]:
        return [self._runner(name) for name, each in self._storages.items() if each.instance == instance]

    def _runner(self, name: str) -> StorageRunner:
        if name not in self._runners.by_name:
            from drbdctl.daemon.runner import StorageRunner

            storage = self._storages[name]
            self._runners.by_name[name] = StorageRunner(storage, self._heard_by(storage))
        return self._runners.by_name[name]

    def _heard_by(self, storage: Storage) -> Sequence[VrrpInstance]:
        return [self._instances[name] for name in dict.fromkeys((storage.instance, *storage.networks))]

    async def _track(self, name: str, report: Report) -> None:
        await self._runner(name).report(report)

    async def _track_role(self, name: str, report: Report) -> None:
        await self._runner(name).report_role(report)


@dataclass(slots=True)
class Runners:
    """The storages at work, and whose they are now."""

    by_name: dict[str, StorageRunner] = field(default_factory=dict)
    owner: StorageService | None = None

    def wants(self, name: str) -> bool:
        """Whether the service that they belong to has a storage of this name."""
        return self.owner is not None and self.owner.wants(name)


def _judge_tracks(config: Config, diagnostics: Diagnostics) -> None:
    """What is tracked and is not there; a block that is refused is, and has its own errors."""
    names = {block.arguments[0].text for block in config.plugin_blocks if block.name == STORAGE}
    every = [*(each.tracks for each in config.instances), *(each.tracks for each in config.sync_groups)]
    for tracks in every:
        for track in tracks:
            if track.kind in (TRACKER, ROLE) and track.name not in names:
                near = did_you_mean(track.name, names)
                hint = f"did you mean '{near}'?" if near else f"define '{STORAGE} {track.name} {{ ... }}'"
                message = f"track_{track.kind}: there is no {STORAGE} {track.name}"
                diagnostics.error(track.position, "undefined-name", message, hint, fatal=True)
