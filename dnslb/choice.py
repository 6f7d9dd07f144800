"""Which servers get new flows at this moment, and why those; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from dnslb.common_cause import CommonCause
from dnslb.member import Member
from dnslb.model import VirtualServer


class Panic(Enum):
    """Why servers are used although they are down."""

    MIN_UP = "min_up"
    COMMON_CAUSE = "common cause"


@dataclass(frozen=True, slots=True)
class Choice:
    """The members that get new flows."""

    members: Sequence[Member]
    panic: Panic | None = None
    why: str = ""
    "of a panic"


def choose(server: VirtualServer, members: Sequence[Member], common: CommonCause) -> Choice:
    """Panic first (health is ignored), then the common cause, then health by tiers, then those that are held back."""
    judged = [member for member in members if not member.taken_out]
    possible = sum(member.perhaps_up for member in judged)
    needed = server.min_up.servers(len(judged))
    if possible < needed:
        all_of_them = [member for member in judged if member.eligible and not member.unchecked]
        why = f"{possible} of {len(judged)} servers are up, fewer than min_up {server.min_up}: health is ignored"
        return Choice(all_of_them, Panic.MIN_UP if all_of_them else None, why)
    if common.why:
        chosen = [m for m in members if m.eligible and (m.up or m.server.address in common.servers)]
        why = f"every server fails the same check, so all are used: {common.why}"
        return Choice(chosen, Panic.COMMON_CAUSE if chosen else None, why)
    return Choice(_by_tier(server, members) or [m for m in members if m.eligible and m.sound])


def _by_tier(server: VirtualServer, members: Sequence[Member]) -> list[Member]:
    """The first tier, and further ones while there are fewer than tier_min servers."""
    up = [member for member in members if member.eligible and member.up]
    chosen: list[Member] = []
    for tier in sorted({member.server.tier for member in up}):
        if len(chosen) >= server.tier_min:
            break
        chosen += [member for member in up if member.server.tier == tier]
    return chosen
