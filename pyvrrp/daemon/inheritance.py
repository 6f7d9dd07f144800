"""Puts into effect what pyvrrp.daemon.adoption decides about one start of a speaker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

from pyvrrp.config.model import Config, VrrpInstance
from pyvrrp.core.auth import AuthenticationHeader
from pyvrrp.core.events import Adopted, State
from pyvrrp.core.tracking import Tracker
from pyvrrp.daemon.adoption import Successor, residue, roles, tracker
from pyvrrp.daemon.instance import Instance
from pyvrrp.daemon.journal import Commands, Held, Journal
from pyvrrp.daemon.plugins import Gate
from pyvrrp.daemon.record import RESERVE, router_of
from pyvrrp.daemon.services import Services
from pyvrrp.daemon.take_down import take_down, undo
from pyvrrp.host.netlink import Netlink

_UNNOTED = 16
"advertisements that may have been sent after the last one that the journal knows"
_LOG = logging.getLogger("pyvrrp")


class Inheritance:
    """What the process before has left; with `adopt` (our guard says so) its roles too."""

    def __init__(self, journal: Journal, *, adopt: bool) -> None:
        self.roles: Mapping[str, State] = {}
        "by name: the instances that adopt"
        self.trackers: Mapping[tuple[str, str], Tracker] = {}
        "their results count until there are new ones"
        self._journal = journal
        self._adopt = adopt
        self._residue = residue((), {}, (), journal.left, 0.0)
        self._commands: Mapping[str, Commands] = {}
        "by plugin: what ends a service that there is no more"
        if adopt:
            self.trackers = {key: tracker(note) for key, note in journal.left.trackers.items()}

    def decide(self, config: Config, services: Services, netlink: Netlink, now: float) -> None:
        """Find out who adopts."""
        there = {name: {str(each) for each in netlink.addresses(name)} for name in netlink.links}

        def present(held: Held) -> bool:
            return held.address in there.get(held.device, ())

        left, successors = self._journal.left, list(_successors(config, services.gates))
        if self._adopt:
            self.roles = roles(successors, left, present, now)
        vips = [vip for each in config.instances for vip in each.virtual_addresses]
        wanted = [f"{vip.address}/{(vip.peer or vip.interface).network.prefixlen}" for vip in vips]
        self._residue = residue(successors, self.roles, wanted, left, now)
        for router in left.entries.keys() - {each.router for each in successors}:
            self._journal.gone(router)
        self._commands = {name: undo for name, undo in left.services.items() if undo and not services.undo.get(name)}
        for plugin in self._commands:
            self._journal.note_service(plugin, ())

    async def clear_away(self) -> None:
        """Take down what nobody has adopted; a line in the log for each thing."""
        if self._residue or self._commands:
            await asyncio.to_thread(self._clear_away)

    def _clear_away(self) -> None:
        commands = (undo(plugin, commands) for plugin, commands in self._commands.items())
        for line in chain(take_down(self._residue, goodbye=True), *commands):
            _LOG.warning("left by the process before: %s", line)

    def adopted(self, config: VrrpInstance) -> Adopted:
        """The first event of an instance that adopts."""
        return Adopted(self.roles[config.name], self._journal.left.entries[router_of(config)].yielded)

    def take_on(self, instance: Instance) -> None:
        """Let a new instance go on where its predecessor was."""
        adopts = instance.name in self.roles
        if self.roles.get(instance.name) is State.MASTER:
            instance.gates.adopt()
        sent = self._journal.left.sent.get(router_of(instance.config))
        if sent is not None and isinstance(instance.security, AuthenticationHeader):
            instance.security.sequence = sent.sequence + _UNNOTED + (0 if adopts else RESERVE)


def _successors(config: Config, gates: Callable[[str], Sequence[Gate]]) -> Iterator[Successor]:
    for each in config.instances:
        group = next((group.name for group in config.sync_groups if each.name in group.members), None)
        names = tuple(gate.name for gate in gates(each.name))
        yield Successor(name=each.name, router=router_of(each), gates=names, sync_group=group)
