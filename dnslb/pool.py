"""The real servers of one virtual server: a function of (event, now) that says who gets which part of new flows.

The machine never reads a clock: `deadline` says when it wants TimerExpired, `handle` returns what is to be done, in
order. Early or late delivery of a timer is harmless. Two pools that hear the same events wish for the same tables.

    verdict, neighbour entry, operator's word -> up or not -> choice (panic, common cause, tiers) -> weights -> table
                                                          -> quorum -> sorry server
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import assert_never

from dnslb.choice import Choice, Panic, choose
from dnslb.common_cause import CommonCause
from dnslb.health.report import CommonCausesChanged, HealthChanged
from dnslb.member import Member
from dnslb.model import OnEmpty, VirtualServer
from dnslb.pool_events import (
    Action,
    Admin,
    AdminChanged,
    Drained,
    Event,
    NeighbourChanged,
    PanicEnded,
    PanicStarted,
    QuorumGained,
    QuorumLost,
    Removed,
    ServerDown,
    ServerUp,
    Shutdown,
    SorryEnded,
    SorryStarted,
    Startup,
    TableWanted,
    TimerExpired,
)
from dnslb.weights import PARTS
from pyvrrp.core.events import IPAddress

Actions = list[Action]

_PAUSE = 1.0
"seconds between two tables where only weights differ; a server that comes or goes never waits"


class Pool:
    """One virtual server's pool; feed it events in the order of their monotonic times (seconds)."""

    def __init__(self, server: VirtualServer) -> None:
        self.server = server
        self.members = {real.address: Member(real, warm=True) for real in server.real_servers}
        "in the order of the file; those that are removed, and still have connections, come last"
        self.quorum = False
        self.panic: Panic | None = None
        self.panic_why = ""
        self.sorry = False
        "the sorry server gets the new flows"
        self.common = CommonCause()
        self.table = TableWanted(weights={}, usual={}, keeping=frozenset())
        "the last one that was asked for"
        self.deadline: float | None = None
        "when to deliver TimerExpired; None: no timer runs"
        self._table_at = -math.inf
        self._sorry_known = False
        self._started = False

    def handle(self, event: Event, now: float) -> Sequence[Action]:
        """Take one event in; return what is to be done, in this order. Events about unknown servers are no error."""
        match event:
            case Startup():
                self._started = True
                self.quorum = self._live() >= self.server.quorum * PARTS
                told: Actions = [QuorumGained(self._live_sentence())] if self.quorum else []
                return [*self._settle(now, at_once=True), *told]
            case Shutdown():
                return self._shutdown()
            case TimerExpired():
                pass
            case HealthChanged():
                self._judge(event, now)
            case CommonCausesChanged():
                self.common.heard(event)
            case NeighbourChanged():
                self._neighbour(event)
            case AdminChanged():
                if event.server in self.members:
                    self.members[event.server].admin = event.admin
            case _:
                assert_never(event)
        return self._settle(now)

    def reconfigure(self, server: VirtualServer, now: float) -> Sequence[Action]:
        """Take a changed configuration over: what stays keeps its state, what goes drains, what comes starts slowly."""
        self.server = server
        old, self.members = self.members, {}
        for real in server.real_servers:
            member = old.pop(real.address, None) or Member(real)
            member.configure(real)
            self.members[real.address] = member
        for address, member in old.items():
            member.removed = True
            self.members[address] = member
        return self._settle(now, at_once=True)

    # --- what is heard -----------------------------------------------------------------------------------------------

    def _judge(self, event: HealthChanged, now: float) -> None:
        member = self.members.get(event.address)
        if member is None or member.knows_better(event.health):
            return
        if event.health.state is not member.health.state:
            member.since = now
        member.health = event.health

    def _neighbour(self, event: NeighbourChanged) -> None:
        sorry = self.server.sorry_server
        if sorry is not None and event.server == sorry.address:
            self._sorry_known = event.known
        member = self.members.get(event.server)
        if member is not None and member.server.mac is None:
            member.neighbour, member.neighbour_why = event.known, event.why

    # --- what follows ------------------------------------------------------------------------------------------------

    def _settle(self, now: float, *, at_once: bool = False) -> Actions:
        """Everything that follows from what is known now."""
        if not self._started:
            return []
        members = list(self.members.values())
        for member in members:
            member.update(self.server.flap_damping, now)
        self.common.update(members, self._patience, now)
        choice = choose(self.server, members, self.common)
        quorum = self._update_quorum()
        sorry = self._need_of_sorry(choice)
        self._use([] if sorry else choice.members, now, panic=choice.panic is not None)
        drained = self._drain(now)
        actions = [
            *self._spread(now, sorry, at_once=at_once),
            *self._tell_sorry(sorry),
            *self._tell_panic(choice),
            *self._tell_servers(),
            *quorum,
            *drained,
        ]
        self.deadline = self._next(now)
        return actions

    @property
    def _patience(self) -> float:
        """Seconds in which every server has been checked once more."""
        return 2 * self.server.pace.delay_loop + 1

    def _use(self, chosen: Sequence[Member], now: float, *, panic: bool) -> None:
        for member in self.members.values():
            if member not in chosen:
                member.rest()
        alone = panic or not any(member.in_use for member in chosen)
        for member in chosen:
            member.use(alone=alone, now=now)

    def _need_of_sorry(self, choice: Choice) -> bool:
        """As in keepalived it takes over while the quorum is lost; with `on_empty sorry`, when nobody is left."""
        if choice.panic is not None or not self._sorry_reachable:
            return False
        lost = not self.quorum and self.server.on_empty is not OnEmpty.SORRY
        return lost or not choice.members

    @property
    def _sorry_reachable(self) -> bool:
        sorry = self.server.sorry_server
        return sorry is not None and (sorry.address.is_loopback or self._sorry_known)

    def _live(self) -> int:
        """The weights of the servers that are up, in PARTS."""
        return sum(member.live_weight() for member in self.members.values())

    def _live_sentence(self) -> str:
        return f"live servers have weight {self._live() / PARTS:g}, quorum is {self.server.quorum}"

    def _update_quorum(self) -> Actions:
        server, live = self.server, self._live()
        if self.quorum and live < (server.quorum - server.hysteresis) * PARTS:
            self.quorum = False
            return [QuorumLost(self._live_sentence())]
        if not self.quorum and live >= (server.quorum + server.hysteresis) * PARTS:
            self.quorum = True
            return [QuorumGained(self._live_sentence())]
        return []

    def _drain(self, now: float) -> Actions:
        """Start, end and forget what drains."""
        actions: Actions = []
        has_connections = self.server.balances_tcp and self.server.keep_flows
        for address, member in list(self.members.items()):
            if not member.removed and member.admin is not Admin.DRAIN:
                member.drain_until, member.drained = None, False
                continue
            if member.drain_until is None:
                member.drain_until = now + (member.server.drain if has_connections else 0.0)
            if now < member.drain_until and member.may_have_flows:
                continue
            if member.removed:
                del self.members[address]
                actions.append(Removed(member.server))
            elif not member.drained:
                member.drained = True
                actions.append(Drained(member.server))
        return actions

    # --- the table ---------------------------------------------------------------------------------------------------

    def _spread(self, now: float, sorry: bool, *, at_once: bool) -> Actions:
        """Ask for a new table where it differs from the last one, and its time has come."""
        wanted = self._wanted(now, sorry)
        if wanted == self.table and not at_once:
            return []
        only_weights = wanted.weights.keys() == self.table.weights.keys() and wanted.keeping == self.table.keeping
        if only_weights and not at_once and now < self._table_at + _PAUSE:
            return []
        self.table, self._table_at = wanted, now
        return [wanted]

    def _wanted(self, now: float, sorry: bool) -> TableWanted:
        members = self.members.values()
        weights = {member.server.address: member.weight(now) for member in members if member.in_use}
        keeping = {member.server.address for member in members if member.keeps_flows}
        sorry_server = self.server.sorry_server
        if sorry_server is not None and sorry:
            weights[sorry_server.address] = PARTS
        if sorry_server is not None and (sorry or (sorry_server.inhibit and self._sorry_reachable)):
            keeping.add(sorry_server.address)
        return TableWanted(weights=weights, usual=self._usual(), keeping=frozenset(keeping))

    def _usual(self) -> Mapping[IPAddress, int]:
        """The first tier, all of it up."""
        there = [real for real in self.server.real_servers if real.weight]
        first = min((real.tier for real in there), default=0)
        return {real.address: real.weight * PARTS for real in there if real.tier == first}

    def _next(self, now: float) -> float | None:
        times: list[float | None] = []
        for member in self.members.values():
            step = member.slow_start.next_step(now) if member.slow_start else None
            times.append(None if step is None else max(step, self._table_at + _PAUSE))
            times.append(member.flaps.until(self.server.flap_damping))
            times.append(None if member.drained else member.drain_until)
            if member.in_use and member.weight(now) != self.table.weights.get(member.server.address):
                times.append(self._table_at + _PAUSE)
        return min((time for time in (*times, self.common.until) if time is not None), default=None)

    # --- what is told ------------------------------------------------------------------------------------------------

    def _tell_servers(self) -> Actions:
        actions: Actions = []
        for member in self.members.values():
            if member.removed or member.up == member.told_up:
                continue
            member.told_up = member.up
            actions.append((ServerUp if member.up else ServerDown)(member.server, member.reason))
        return actions

    def _tell_panic(self, choice: Choice) -> Actions:
        told, self.panic, self.panic_why = self.panic, choice.panic, choice.why
        if choice.panic is told:
            return []
        return [PanicStarted(choice.why)] if choice.panic else [PanicEnded()]

    def _tell_sorry(self, sorry: bool) -> Actions:
        if sorry == self.sorry:
            return []
        self.sorry = sorry
        return [SorryStarted(self._live_sentence())] if sorry else [SorryEnded()]

    def _shutdown(self) -> Actions:
        """With omega, what is up goes down for the scripts; the data plane itself is closed by its owner."""
        self._started = False
        self.deadline = None
        if not self.server.omega:
            return []
        why = "the daemon ends"
        actions: Actions = [ServerDown(each.server, why) for each in self.members.values() if each.told_up]
        return [*actions, QuorumLost(why)] if self.quorum else actions
