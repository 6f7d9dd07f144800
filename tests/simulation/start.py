"""How a speaker begins and what is done for one that can't end: the journal's part (pyvrrp.daemon, inheritance)."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pyvrrp.core.events import Adopted
from pyvrrp.daemon.adoption import Successor, residue, roles
from pyvrrp.daemon.journal import Entry, Left
from tests.simulation.member import ADDRESS
from tests.simulation.speaker import Speaker

if TYPE_CHECKING:
    from tests.simulation.node import Node


def begin(node: "Node", *, adopt: bool, ready: Callable[[], None]) -> None:
    """Adopt what can be adopted, clear away the rest, start the election; `ready` is called then (Speaker.start)."""
    left, now = _left(node), node.local(node.cluster.now)
    successors = [
        Successor(
            name=name,
            router=name,
            gates=("storage",) if each.gated else (),
            sync_group="G" if node.grouped else None,
        )
        for name, each in node.parameters.items()
    ]
    adopted = {}
    if adopt:
        adopted = roles(successors, left, lambda held: node.kernel.has(node.parameters[held.device].vrid), now)
    if node.speaker.begun or node.speaker.dead:
        node.speaker = Speaker(node)
    speaker = node.speaker

    def elect() -> None:
        others = [name for name in speaker.members if name not in adopted]
        for name in others:
            node.kernel.remove(node.parameters[name].vrid, "is cleared away")
        ready()
        speaker.elect(others)

    speaker.prepare(left.entries)
    for name, state in adopted.items():
        node.tell(f"{name} is adopted as {state.value}")
        speaker.adopt(name, Adopted(state, left.entries[name].yielded))
    _take_down(node, residue(successors, adopted, [ADDRESS], left, now), speaker.later, elect)


def give_up(node: "Node", then: Callable[[], None]) -> None:
    """What the guard has done for a speaker that it gives up; the journal is forgotten."""
    left = _left(node)
    node.forget_journal()
    _take_down(node, left.entries.values(), node.later, then)


def _left(node: "Node") -> Left:
    entries = {name: member.entry for name, member in node.members.items() if member.entry is not None}
    return Left(entries=entries, sent=dict(node.sent))


def _take_down(
    node: "Node", entries: Iterable[Entry], later: Callable[[float, Callable[[], None]], None], then: Callable[[], None]
) -> None:
    """Priority 0 and addresses off; behind gates the other way round (pyvrrp.daemon.take_down)."""
    every = list(entries)
    gated = [entry for entry in every if entry.undo]
    _say_goodbye(node, [entry for entry in every if not entry.undo])
    for entry in every:
        if entry.addresses:
            node.kernel.remove(node.parameters[entry.name].vrid, "is taken down")
    if not gated:
        then()
        return

    def undone() -> None:
        for entry in gated:
            node.cluster.storage(node.parameters[entry.name].vrid).demote(node.name)
        _say_goodbye(node, gated)
        then()

    later(node.gate_takes, undone)


def _say_goodbye(node: "Node", entries: Iterable[Entry]) -> None:
    for entry in entries:
        if entry.goodbyes:
            node.advertise(node.members[entry.name], 0)
