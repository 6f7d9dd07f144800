"""Takes the snapshot of a running speaker that `pyvrrp status` shows."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace

import pyvrrp
from pyvrrp.core import senders
from pyvrrp.core.claim import auth_name
from pyvrrp.core.events import IPAddress, State
from pyvrrp.core.tracking import Tracked
from pyvrrp.daemon import status
from pyvrrp.daemon.group import Group
from pyvrrp.daemon.heartbeat import GuardChannel
from pyvrrp.daemon.instance import Instance
from pyvrrp.daemon.notify import NotifyQueue
from pyvrrp.daemon.slices import in_slices
from pyvrrp.daemon.speaker import Speaker
from pyvrrp.daemon.status import (
    Address,
    DaemonStatus,
    GroupStatus,
    InstanceStatus,
    LastDiscard,
    Lateness,
    Lower,
    Master,
    Outcome,
    Reload,
    Sender,
    Timers,
    TrackerStatus,
    iso,
)
from pyvrrp.daemon.trackers import Check
from pyvrrp.host import scripts


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Reads a speaker; `wall` and `monotonic` are one moment, the start, on both clocks."""

    speaker: Speaker
    config_file: str
    wall: float
    monotonic: float
    guard: GuardChannel | None = None

    async def take(self, last_reload: Reload | None = None, findings: Mapping[str, int] | None = None) -> DaemonStatus:
        """The whole daemon; `findings` are those of the configuration in force.

        Each virtual router is told as it is at one moment; with many of them these moments are some milliseconds apart.
        """
        speaker = self.speaker
        netlink = speaker.node.netlink
        here = {(name, each.address) for name in netlink.links for each in netlink.addresses(name)}
        loop = type(asyncio.get_running_loop()).__module__
        timers = speaker.node.timers
        instances = await in_slices(self._instance(each, here) for each in list(speaker.instances.values()))
        now = speaker.clock()
        if last_reload is not None:
            last_reload = replace(last_reload, seconds_ago=self._wall(now) - _seconds(last_reload.at))
        return DaemonStatus(
            version=pyvrrp.__version__,
            pid=os.getpid(),
            taken=iso(self._wall(now)),
            started=iso(self.wall),
            uptime_seconds=now - self.monotonic,
            router_id=speaker.config.globals.router_id,
            config_file=self.config_file,
            loop="uvloop" if loop.startswith("uvloop") else "asyncio",
            guard=None if self.guard is None else self.guard.pid,
            restarts=0 if self.guard is None else self.guard.restarts,
            lateness=Lateness(last=timers.lateness, max=timers.worst_lateness),
            last_reload=last_reload,
            findings=findings or {},
            instances=tuple(instances),
            groups=tuple(self._group(each, now) for each in speaker.groups.values()),
            trackers=tuple(self._tracker(check, now) for check in speaker.trackers),
            interfaces={name: status.discarded(wire.discarded) for name, wire in speaker.node.wires.items()},
            foreign={
                name: tuple(self._sender(each, now) for each in wire.strangers.register)
                for name, wire in speaker.node.wires.items()
            },
            foreign_full={name: wire.strangers.register.full for name, wire in speaker.node.wires.items()},
            plugins=speaker.services.status(),
        )

    def _wall(self, monotonic: float) -> float:
        return self.wall + monotonic - self.monotonic

    def _instance(self, instance: Instance, here: Set[tuple[str, IPAddress]]) -> InstanceStatus:
        now = self.speaker.clock()
        config, router = instance.config, instance.router
        group = next((group for group in self.speaker.config.sync_groups if config.name in group.members), None)
        refused = instance.hearing.last_discard
        return InstanceStatus(
            name=config.name,
            interface=config.interface,
            vrid=config.parameters.vrid,
            version=config.parameters.version,
            family=config.parameters.family,
            state=router.state,
            phase=router.phase if router.state is State.MASTER else None,
            since=iso(self._wall(router.since)),
            since_seconds=now - router.since,
            reason=router.reason.value,
            detail=router.detail,
            base_priority=config.parameters.priority,
            effective_priority=router.effective_priority,
            lowers=tuple(_lowers(self.speaker.tracked(instance))),
            faults=router.faults,
            pending=router.tracking.pending,
            preempt=not config.parameters.nopreempt,
            preempt_delay=config.parameters.preempt_delay,
            sync_group=None if group is None else group.name,
            unicast=config.unicast,
            master=_master(instance),
            source=None if router.source is None else str(router.source),
            addresses=tuple(_addresses(instance, here)),
            timers=Timers(
                running={timer.value: max(0.0, when - now) for timer, when in router.timers.items()},
                advert_int=config.parameters.advert_int,
                master_adver_int=router.master_adver_int,
                master_down_interval=router.master_down_interval,
                skew_time=router.skew_time,
            ),
            remarks=instance.hearing.remarks,
            mismatch=tuple(self._sender(each, now) for each in instance.hearing.register),
            counters=status.counters(instance.statistics),
            discarded=status.discarded(instance.statistics.discarded),
            last_discard=None
            if refused is None
            else LastDiscard(
                reason=refused[0].reason,
                detail=refused[0].detail,
                source=str(refused[1]),
                seconds_ago=now - refused[2],
            ),
            notify=self._notify(instance.notify, now),
            notify_waiting=instance.notify.backlog,
            transitions=status.transitions(instance.transitions),
        )

    def _sender(self, sender: senders.Sender, now: float) -> Sender:
        claim = sender.claim
        return Sender(
            vrid=sender.vrid,
            source=str(sender.source),
            macs=tuple(reversed(sender.macs)),
            version=None if claim is None else claim.version,
            priority=None if claim is None else claim.priority,
            advert_int=None if claim is None else claim.advert_int,
            auth_type=None if claim is None or claim.auth_type is None else auth_name(claim.auth_type),
            addresses=None if claim is None else tuple(map(str, claim.addresses)),
            differs=sender.differs,
            refused=sender.refused,
            first_heard=iso(self._wall(sender.first)),
            last_heard=iso(self._wall(sender.last)),
            seconds_ago=now - sender.last,
            count=sender.count,
        )

    def _group(self, group: Group, now: float) -> GroupStatus:
        return GroupStatus(
            name=group.config.name,
            state=group.machine.state,
            since=iso(self._wall(group.machine.since)),
            since_seconds=now - group.machine.since,
            members=tuple(group.machine.members),
            notify=self._notify(group.notify, now),
            notify_waiting=group.notify.backlog,
        )

    def _tracker(self, check: Check, now: float) -> TrackerStatus:
        tracker, spec = check.tracker, check.spec
        since = tracker.since
        return TrackerStatus(
            kind=tracker.kind,
            name=tracker.name,
            healthy=tracker.up,
            detail=tracker.detail,
            since=None if since is None else iso(self._wall(since)),
            since_seconds=None if since is None else now - since,
            weight=spec.weight,
            reverse=spec.reverse,
            rise=spec.rise,
            fall=spec.fall,
            result=tracker.result,
            running=check.run is not None,
            last=None
            if check.last is None
            else self._outcome(tracker.name, check.last, now, tracker.successes + tracker.failures, tracker.failures),
        )

    def _notify(self, queue: NotifyQueue, now: float) -> tuple[Outcome, ...]:
        return tuple(
            self._outcome(keyword, outcome, now, queue.runs[keyword], queue.failures[keyword])
            for keyword, outcome in dict(queue.outcomes).items()
        )

    def _outcome(self, name: str, outcome: scripts.Outcome, now: float, runs: int, failures: int) -> Outcome:
        ended = outcome.started + outcome.duration
        return Outcome(
            name=name,
            command=outcome.command,
            ok=outcome.ok,
            result=outcome.result,
            output=outcome.output,
            at=iso(self._wall(ended)),
            seconds_ago=now - ended,
            duration=outcome.duration,
            runs=runs,
            failures=failures,
        )


def _lowers(tracks: Iterable[Tracked]) -> Iterable[Lower]:
    for tracked in tracks:
        missing = min(tracked.contribution, 0) if tracked.weight < 0 else tracked.contribution - tracked.weight
        if missing < 0:
            tracker = tracked.tracker
            yield Lower(tracker=f"{tracker.kind} {tracker.name}", weight=missing, why=tracked.sentence)


def _master(instance: Instance) -> Master | None:
    router = instance.router
    if router.state is State.MASTER and router.source is not None:
        return Master(address=str(router.source), priority=router.effective_priority, myself=True)
    if router.master is None:
        return None
    return Master(address=str(router.master), priority=router.master_priority)


def _addresses(instance: Instance, here: Set[tuple[str, IPAddress]]) -> Iterable[Address]:
    """`here`: what is on the interfaces, by our doing or not."""
    addresses = instance.addresses
    for vip in addresses.vips:
        held = (vip.device, vip.address) in here
        yield Address(
            address=str(vip.interface),
            device=vip.device,
            held=held,
            lease_seconds=addresses.lease_left if held else None,
            excluded=vip.excluded,
        )


def _seconds(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp()
