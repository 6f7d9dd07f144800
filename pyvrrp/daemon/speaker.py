"""The speaker: every virtual router of a configuration, run on the loop that calls it.

config -> Speaker.start() -> instances <-> node (sockets, netlink, timers)
                                 ^- trackers, plugins' services      -> notify queues, observers
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import assert_never

from pyvrrp.config.model import Config, Notify, SyncGroup, VrrpInstance
from pyvrrp.core.events import (
    Action,
    Event,
    IPAddress,
    Shutdown,
    SourceChanged,
    Startup,
    State,
    Switchover,
    TimerExpired,
    TrackingChanged,
    Transition,
)
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.sync_group import SyncGroup as PureGroup
from pyvrrp.core.tracking import Tracked, Tracker, tracking
from pyvrrp.daemon.adoption import note
from pyvrrp.daemon.continuity import Continuity
from pyvrrp.daemon.group import Group
from pyvrrp.daemon.inheritance import Inheritance
from pyvrrp.daemon.instance import Instance
from pyvrrp.daemon.journal import Journal
from pyvrrp.daemon.node import Node
from pyvrrp.daemon.notify import NotifyQueue
from pyvrrp.daemon.plugins import Plugin
from pyvrrp.daemon.reload import Plan, plan
from pyvrrp.daemon.services import Services
from pyvrrp.daemon.sources import Sources
from pyvrrp.daemon.timers import Deadline
from pyvrrp.daemon.trackers import Trackers, interfaces_of, tracks_of
from pyvrrp.host.leases import Lease, LeaseFailed, LeaseLost, LeaseTakenOver
from pyvrrp.host.links import AddressChanged, AddressGone, LinkChanged, LinkGone
from pyvrrp.host.netlink import Change, NetlinkEnded
from pyvrrp.host.scripts import Launcher

_ADDRESS_RETRY = 30.0
"seconds in FAULT after the kernel refused a VIP"
_LOG = logging.getLogger("pyvrrp")
Observer = Callable[[str, Transition], None]


class Speaker:
    """Runs a configuration; start it, and stop it, on one running loop.

    A program that imports the library makes one, adds an observer and awaits `start`; the daemon does the same.
    """

    def __init__(
        self, config: Config, *, plugins: Sequence[Plugin] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` is monotonic, in seconds, the same in every process; plugins are asked for the blocks they own."""
        self.config = config
        self.clock = clock
        self.instances: dict[str, Instance] = {}
        self.groups: dict[str, Group] = {}
        self.services = Services((), config)
        self.observers: list[Observer] = []
        "called with the instance's name at each of its transitions, before its scripts run"
        self.journal = Journal()
        "where it writes down what it holds; to be set before `start`"
        self.continuity = Continuity()
        "what its services go on with, from the process before and in the next one; to be set before `start`"
        self.adopt = False
        "whether `start` may take over the roles of the process before, as its journal tells of them"
        self.on_adopted: Callable[[], None] = lambda: None
        "called by `start` as soon as it advertises in the roles that it has adopted: what is left of it is in no hurry"
        self.node: Node
        self.trackers: Trackers
        self.launcher = Launcher(config.globals)
        self._plugins = tuple(plugins)
        self._sources = Sources()
        self.broken = asyncio.Event()
        "set when it can't go on: stop it"

    # --- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open everything and begin with the election.

        Raises NetlinkError and MissingCapability when the machine doesn't let us; an interface that is missing, or an
        address that can't be had, is a FAULT of its instance and no error.
        """
        self.node = await Node.open(self.config.globals, self._changed_by_kernel, self.clock)
        self.node.journal = self.journal
        inheritance = Inheritance(self.journal, adopt=self.adopt)
        try:
            await self.launcher.start()
            self.services = Services(self._plugins, self.config, self.continuity, self.journal)
            inheritance.decide(self.config, self.services, self.node.netlink, self.clock())
            await self.services.start([name for name, state in inheritance.roles.items() if state is State.MASTER])
            self.trackers = Trackers(
                self.launcher,
                self.config.scripts,
                self.services.trackers,
                self._tracker_changed,
                self.clock,
                inheritance.trackers,
            )
            self._tell_trackers_of_links()
            for config in self.config.instances:
                inheritance.take_on(self._add(config))
            self._form_groups(self.config.sync_groups)
            for instance in self.instances.values():
                self._prepare(instance)
            for name in inheritance.roles:
                self.deliver(self.instances[name], inheritance.adopted(self.instances[name].config))
            if inheritance.roles:
                self.on_adopted()
            await inheritance.clear_away()
            for instance in list(self.instances.values()):
                if instance.name not in inheritance.roles:
                    await self._begin(instance)
        except BaseException:
            await self.node.close()
            raise

    async def stop(self, *, keep_addresses: bool = False) -> None:
        """Leave: priority 0, addresses off, gates released, notify_stop; returns when all of it is done.

        With `keep_addresses` (keepalived's -V) nothing is said and nothing is taken off.
        """
        if not keep_addresses:
            instances = list(self.instances.values())
            for instance in instances:
                self.deliver(instance, Shutdown())
            await asyncio.gather(*(instance.finished() for instance in instances))
        await self.settle()
        await self.trackers.stop()
        await self.launcher.stop()
        await self.services.stop()
        self.continuity.end()
        await self.node.close()

    async def settle(self) -> None:
        """Wait until all that was begun is done: actions, and the scripts that tell of them."""
        await asyncio.gather(*(instance.idle() for instance in self.instances.values()))
        await asyncio.gather(*(group.finished() for group in self.groups.values()))
        queues = [each.notify for each in self.instances.values()] + [each.notify for each in self.groups.values()]
        await asyncio.gather(*(queue.drain(self.config.globals.notify_timeout) for queue in queues))

    async def __aenter__(self) -> Speaker:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def switchover(self, names: Sequence[str] = ()) -> list[str]:
        """Give the named instances (default: all) that are MASTER here to a peer, with their sync groups whole.

        Returns the names of those that are being handed over; KeyError for a name that does not exist.
        """
        wanted = [self.instances[name] for name in names or self.instances]
        for instance in list(wanted):
            if (group := self._group_of(instance.name)) is not None:
                wanted += [self.instances[member] for member in group.machine.members]
        chosen = {instance.name: instance for instance in wanted if instance.router.serving}
        for instance in chosen.values():
            self.deliver(instance, Switchover())
        return list(chosen)

    # --- events ------------------------------------------------------------------------------------------------------

    def deliver(self, instance: Instance, event: Event) -> None:
        """Hand an event to a virtual router, through its sync group where it has one, and do what comes of it."""
        now = self.clock()
        group = self._group_of(instance.name) if self.groups else None
        if group is None:
            if actions := instance.router.handle(event, now):
                self._perform(instance, actions)
            self._arm(instance)
            return
        for step in group.machine.handle(instance.name, event, now):
            if step.member is None:
                self._group_changed(group, step.action)
            else:
                self._perform(self.instances[step.member], [step.action])
        for member in group.machine.members:
            self._arm(self.instances[member])

    def faults_changed(self, instance: Instance) -> None:
        """The kernel refused, or now grants, something that the instance needs."""
        self.deliver(instance, self._tracking(instance))
        if instance.addresses.faults or instance.broken:
            retry = Deadline(lambda _: self._forget_address_faults(instance))
            self.node.timers.set(retry, self.clock() + _ADDRESS_RETRY)

    def _forget_address_faults(self, instance: Instance) -> None:
        instance.addresses.faults.clear()
        instance.broken = ""
        if self.instances.get(instance.name) is instance:
            self.deliver(instance, self._tracking(instance))

    def _perform(self, instance: Instance, actions: Iterable[Action]) -> None:
        performed = list(actions)
        instance.perform(performed)
        for action in performed:
            if isinstance(action, Transition):
                for observer in self.observers:
                    observer(instance.name, action)

    def _arm(self, instance: Instance) -> None:
        self.node.timers.set(instance.deadline, instance.router.deadline)

    def _group_changed(self, group: Group, action: Action) -> None:
        if isinstance(action, Transition):
            group.changed(action, [self.instances[name] for name in group.machine.members])

    def _tracker_changed(self, tracker: Tracker) -> None:
        if tracker.kind != "interface":
            self.journal.note_tracker(note(tracker))
        for instance in list(self.instances.values()):
            if any(tracked.tracker is tracker for tracked in self.tracked(instance)):
                self.deliver(instance, self._tracking(instance))

    def _changed_by_kernel(self, change: Change) -> None:
        match change:
            case LinkChanged():
                self._link_changed(change.new.name, up=change.new.running)
            case LinkGone():
                self._link_changed(change.link.name, up=False)
            case AddressChanged(_, address) | AddressGone(address):
                if address.address not in self.config.vips:
                    self._sources_changed()
            case LeaseLost():
                for instance in self._holders(change.lease):
                    instance.addresses.lost(change.lease.vip)
            case LeaseFailed():
                for instance in self._holders(change.lease):
                    instance.addresses.refused(change.lease.vip, change.error)
                    self.faults_changed(instance)
            case LeaseTakenOver():
                _LOG.warning(
                    "%s was there before us, with %s; what differs stays: remove it by hand where it is not wanted",
                    change.lease,
                    ", ".join(change.differences),
                )
            case NetlinkEnded():
                _LOG.critical("netlink is lost: %s; the addresses run out, leaving", change.error)
                self.broken.set()
            case _:
                assert_never(change)

    def _holders(self, lease: Lease) -> list[Instance]:
        return [each for each in self.instances.values() if each.addresses.has(lease)]

    def _link_changed(self, name: str, *, up: bool) -> None:
        for instance in self.instances.values():
            if instance.config.interface == name:
                instance.hearing.listen()
        self.trackers.interface_changed(name, up)
        self._sources_changed()

    def _sources_changed(self) -> None:
        self._sources.forget()
        for instance in list(self.instances.values()):
            source = self._source(instance.config)
            if source != instance.router.source:
                self.deliver(instance, SourceChanged(source))

    # --- configuration -----------------------------------------------------------------------------------------------

    async def reload(self, config: Config) -> Plan:
        """Take another configuration over; an instance that did not change notices nothing.

        What changed keeps its state where it is the same virtual router (see reload.plan).
        """
        todo = plan(self.config, config)
        old_config, self.config = self.config, config
        self._sources.forget()
        self.node.settings = config.globals
        if old_config != config:
            await self._restart_services()
        self.launcher.settings = config.globals
        self._tell_trackers_of_links()
        self.trackers.reconfigure(config.scripts, self.services.trackers)
        for removed in todo.removed:
            await self._remove(removed.name)
        changed = [(self.instances.pop(before.name), after) for before, after in todo.changed]
        self.instances |= {after.name: instance for instance, after in changed}
        for instance, after in changed:
            await self._change(instance, after)
        added = [self._add(each) for each in todo.added]
        self._form_groups(config.sync_groups)
        for instance in list(self.instances.values()):
            if instance in added:
                self._prepare(instance)
                await self._begin(instance)
            else:
                self.deliver(instance, self._tracking(instance))
        return todo

    async def _restart_services(self) -> None:
        old, self.services = self.services, Services(self._plugins, self.config, self.continuity, self.journal)
        await self.services.start([name for name, each in self.instances.items() if each.addresses.held])
        for instance in self.instances.values():
            instance.gates.replace(self.services.gates(instance.name))
            self.services.hold(instance.name, instance.addresses.held)
        await old.stop()

    def _add(self, config: VrrpInstance) -> Instance:
        notify = self._notify_queue(config.name, "INSTANCE", config.notify)
        gates = self.services.gates(config.name)
        instance = Instance(config, self._parameters(config), self.node, notify, gates, self)
        instance.deadline = Deadline(lambda _: self.deliver(instance, TimerExpired()))
        self.instances[config.name] = instance
        return instance

    def _prepare(self, instance: Instance) -> None:
        instance.hearing.listen()
        self.deliver(instance, SourceChanged(self._source(instance.config)))
        self.deliver(instance, self._tracking(instance))

    async def _begin(self, instance: Instance) -> None:
        await instance.addresses.remove_residue()
        self.deliver(instance, Startup())

    async def _remove(self, name: str) -> None:
        instance = self.instances[name]
        instance.deleted = True
        self.deliver(instance, Shutdown())
        await instance.finished()
        instance.hearing.stop_listening()
        await instance.notify.drain(self.config.globals.notify_timeout)
        del self.instances[name]

    async def _change(self, instance: Instance, after: VrrpInstance) -> None:
        actions = await instance.reconfigure(after, self._parameters(after))
        self.services.hold(after.name, instance.addresses.held)  # perhaps under another name, and other addresses
        self._reconfigure_notify(instance.notify, after.name, after.notify)
        self._perform(instance, actions)
        self._arm(instance)
        self.deliver(instance, SourceChanged(self._source(after)))

    def _form_groups(self, configs: Sequence[SyncGroup]) -> None:
        before, self.groups = self.groups, {}
        for config in configs:
            members = {name: self.instances[name].router for name in config.members if name in self.instances}
            old = before.get(config.name)
            if old is not None and old.config == config and old.machine.members == members:
                self.groups[config.name] = old
                continue
            notify = self._notify_queue(config.name, "GROUP", config.notify) if old is None else old.notify
            self._reconfigure_notify(notify, config.name, config.notify)
            self.groups[config.name] = Group(config, PureGroup(config.name, members), notify)

    def _group_of(self, instance: str) -> Group | None:
        for group in self.groups.values():
            if instance in group.machine.members:
                return group
        return None

    def _parameters(self, config: VrrpInstance) -> Parameters:
        grouped = any(config.name in group.members for group in self.config.sync_groups)
        return replace(config.parameters, in_sync_group=grouped, gated=bool(self.services.gates(config.name)))

    # --- trackers, sources -------------------------------------------------------------------------------------------

    def tracked(self, instance: Instance) -> list[Tracked]:
        """What the instance tracks: its own, its sync group's, its interface and those of its VIPs (keepalived)."""
        groups = (group for group in self.config.sync_groups if instance.name in group.members)
        return self.trackers.tracked(tracks_of(instance.config), next(groups, None))

    def _tracking(self, instance: Instance) -> TrackingChanged:
        found = tracking(self.tracked(instance))
        return replace(found, faults=(*found.faults, *instance.edge_faults))

    def _notify_queue(self, name: str, kind: str, notify: Notify) -> NotifyQueue:
        return NotifyQueue(name, kind, notify, self.launcher, self.config.globals.notify_timeout)

    def _reconfigure_notify(self, queue: NotifyQueue, name: str, notify: Notify) -> None:
        queue.name, queue.notify, queue.timeout = name, notify, self.config.globals.notify_timeout

    def _source(self, config: VrrpInstance) -> IPAddress | None:
        return self._sources.of(config, self.node.netlink, self.config.vips)

    def _tell_trackers_of_links(self) -> None:
        for name in sorted(interfaces_of(self.config)):
            link = self.node.netlink.links.get(name)
            self.trackers.interface_changed(name, link is not None and link.running, "" if link else "does not exist")
