"""Everything that `track_*` may name, at work: vrrp_scripts on schedule, interfaces, the checks of plugins."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from pyvrrp.config.model import Config, SyncGroup, Track, VrrpInstance, VrrpScript
from pyvrrp.core.events import TrackingChanged
from pyvrrp.core.tracking import Tracked, Tracker, in_sync_group, tracking
from pyvrrp.daemon.plugins import TrackerSpec
from pyvrrp.host.scripts import Ending, Launcher, Outcome, Run

_LOG = logging.getLogger("pyvrrp")
_BACK_OFF = (1.0, 30.0)
"seconds until a plugin's check that ended is started again: at first, at most"

Key = tuple[str, str]
"kind and name"


@dataclass(eq=False, slots=True)
class Check:
    """A vrrp_script or a plugin's check that is run here."""

    spec: VrrpScript | TrackerSpec
    tracker: Tracker
    run: Run | None = None
    "the script that runs now"
    last: Outcome | None = None
    "the last outcome of a script"
    told: str = ""
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def key(self) -> Key:
        """How a Track names it."""
        return (self.tracker.kind, self.tracker.name)


class Trackers:
    """The trackers of the daemon; each is run once, however many instances name it."""

    def __init__(
        self,
        launcher: Launcher,
        scripts: Iterable[VrrpScript],
        specs: Iterable[TrackerSpec],
        changed: Callable[[Tracker], None],
        clock: Callable[[], float] = time.monotonic,
        before: Mapping[Key, Tracker] | None = None,
    ) -> None:
        """`before`: trackers of the process before us, whose results count until there are new ones."""
        self._launcher = launcher
        self._changed = changed
        "called from the loop, never from inside a call of ours"
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._interfaces: dict[str, Tracker] = {}
        self._checks: dict[Key, Check] = {}
        self._before = before or {}
        self.reconfigure(scripts, specs)

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks.values())

    async def stop(self) -> None:
        """End all checks; scripts that run are killed."""
        tasks = [check.task for check in self._checks.values() if check.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def reconfigure(self, scripts: Iterable[VrrpScript], specs: Iterable[TrackerSpec]) -> None:
        """Run these from now on; what has not changed goes on undisturbed, what has changed keeps its state."""
        wanted: dict[Key, VrrpScript | TrackerSpec] = {("script", script.name): script for script in scripts}
        wanted |= {(spec.kind, spec.name): spec for spec in specs}
        for key, check in list(self._checks.items()):
            if wanted.get(key) != check.spec:
                del self._checks[key]
                if check.task is not None:
                    check.task.cancel()
                if key in wanted:
                    self._begin(key, wanted[key], check.tracker)
        for key in wanted.keys() - self._checks.keys():
            self._begin(key, wanted[key], self._before.get(key))
        self._before = {}

    # --- questions ---------------------------------------------------------------------------------------------------

    def tracked(self, tracks: Iterable[Track], group: SyncGroup | None = None) -> list[Tracked]:
        """The trackers that count for an instance with these tracks, as a member of `group`."""
        own = [self._tracked(track) for track in tracks]
        if group is None:
            return own
        of_group = [self._tracked(track) for track in group.tracks]
        return in_sync_group(own, of_group, tracking_weight=group.sync_group_tracking_weight)

    def tracking(self, tracks: Iterable[Track], group: SyncGroup | None = None) -> TrackingChanged:
        """What those trackers say now."""
        return tracking(self.tracked(tracks, group))

    def _tracked(self, track: Track) -> Tracked:
        if track.kind == "interface":
            return Tracked(self._interface(track.name), track.weight or 0, track.reverse or False)
        check = self._checks.get((track.kind, track.name))
        if check is None:
            missing = Tracker(track.kind, track.name)
            missing.report(False, f"there is no such {track.kind}; define it or do not track it", 0.0, broken=True)
            return Tracked(missing)
        weight = check.spec.weight if track.weight is None else track.weight
        reverse = check.spec.reverse if track.reverse is None else track.reverse
        return Tracked(check.tracker, weight, reverse)

    # --- interfaces --------------------------------------------------------------------------------------------------

    def interface_changed(self, name: str, up_and_running: bool, detail: str = "") -> None:
        """Take the state of a link; `detail` says why it is not up and running."""
        tracker = self._interface(name)
        self._report(tracker, up_and_running, detail or ("up and running" if up_and_running else "down"))

    def _interface(self, name: str) -> Tracker:
        return self._interfaces.setdefault(name, Tracker("interface", name))

    # --- checks ------------------------------------------------------------------------------------------------------

    def _begin(self, key: Key, spec: VrrpScript | TrackerSpec, before: Tracker | None) -> None:
        init_fail = isinstance(spec, VrrpScript) and spec.init_fail
        tracker = Tracker(*key, rise=spec.rise, fall=spec.fall, init_fail=init_fail, before=before)
        check = self._checks[key] = Check(spec, tracker)
        match spec:
            case VrrpScript():
                work = self._run_script(check, spec)
            case TrackerSpec():
                work = self._run_spec(check, spec)
            case _:
                assert_never(spec)
        check.task = self._loop.create_task(work, name=f"{key[0]} {key[1]}")
        check.task.add_done_callback(lambda task: self._ended(check, task))

    def _ended(self, check: Check, task: asyncio.Task[None]) -> None:
        # A check that runs no more must not look healthy; only a mistake of ours leads here.
        if not task.cancelled() and (error := task.exception()) is not None:
            self._report(check.tracker, False, f"it is not run any more: {error!r}; reload", broken=True)

    def _report(self, tracker: Tracker, ok: bool, detail: str, *, broken: bool = False) -> None:
        if not tracker.report(ok, detail, self._clock(), broken=broken):
            return
        level = logging.INFO if tracker.up else logging.ERROR if broken else logging.WARNING
        _LOG.log(level, "%s %s is %s: %s", tracker.kind, tracker.name, "up" if tracker.up else "down", detail)
        self._loop.call_soon(self._changed, tracker)

    async def _run_script(self, check: Check, script: VrrpScript) -> None:
        while True:
            started = self._clock()
            run = check.run = self._launcher.run(script.command, script.timeout, open_test=script.path_test)
            try:
                # At the deadline the result is known, though the process may take its time to die.
                outcome = check.last = await run.outcome
                not_run = outcome.ending is Ending.NOT_RUN
                self._report(check.tracker, outcome.ok, outcome.sentence, broken=not_run)
                await run.gone
            finally:
                run.kill()
                check.run = None
            # The ticks that came while it was running are skipped.
            ticks = max(1, math.ceil((self._clock() - started) / script.interval))
            await asyncio.sleep(started + ticks * script.interval - self._clock())

    async def _run_spec(self, check: Check, spec: TrackerSpec) -> None:
        first, longest = _BACK_OFF
        pause = first

        def report(ok: bool, detail: str) -> None:
            nonlocal pause
            if self._checks.get(check.key) is check:
                pause, check.told = first, ""
                self._report(check.tracker, ok, detail)

        while True:
            why = "the check ended by itself"
            try:
                await spec.run(report)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                why = "the check was cancelled from within"
            except Exception as error:
                why = f"the check failed: {type(error).__name__}: {error}"
                _LOG.debug("%s %s", *check.key, exc_info=True)
            if why != check.told:
                _LOG.error("%s %s: %s; starting it again", *check.key, why)
                check.told = why
            self._report(check.tracker, False, why, broken=True)
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)


def tracks_of(config: VrrpInstance) -> list[Track]:
    """What an instance tracks by itself: what it names, its interface and those of its VIPs (keepalived)."""
    implicit = {vip.device for vip in config.virtual_addresses if not vip.no_track}
    if config.dont_track_primary:
        implicit.discard(config.interface)
    else:
        implicit.add(config.interface)
    named = {track.name for track in config.tracks if track.kind == "interface"}
    return [*config.tracks, *(Track("interface", name, weight=0) for name in sorted(implicit - named))]


def interfaces_of(config: Config) -> set[str]:
    """Every interface whose state may count."""
    tracks = [track for each in config.instances for track in each.tracks]
    tracks += [track for each in config.sync_groups for track in each.tracks]
    names = {track.name for track in tracks if track.kind == "interface"}
    for instance in config.instances:
        names |= {instance.interface, *(vip.device for vip in instance.virtual_addresses)}
    return names
