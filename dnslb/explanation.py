"""Why a real server has the weight that it has: one sentence for status, logs and `dnslb explain`; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dnslb.health.report import State
from dnslb.member import Member
from dnslb.pool import Pool
from dnslb.pool_events import Admin
from dnslb.weights import PARTS


class Standing(Enum):
    """A server's place in its pool, in one word."""

    UP = "up"
    DEGRADED = "degraded"
    STARTING = "starting"
    "in its slow start"
    PANIC = "panic"
    "down, and used all the same"
    UNCHECKED = "unchecked"
    "used, though no check has a result yet"
    STANDBY = "standby"
    "up, and not needed"
    HELD = "held"
    "up, and held back for its flaps, as long as there is another one"
    WAITING = "waiting"
    "it can't be used before its first check, or before its MAC address is known"
    DOWN = "down"
    DRAINING = "draining"
    DRAINED = "drained"
    OUT = "out"
    "taken out by the operator, or of weight 0"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A server's standing, its part of new flows, and why."""

    standing: Standing
    share: float
    "0-1, as weights say"
    sentence: str


def explain(pool: Pool, member: Member, now: float) -> Explanation:
    """Why it has this weight now."""
    weight = pool.table.weights.get(member.server.address, 0)
    share = weight / sum(pool.table.weights.values()) if weight else 0.0
    standing, why = _used(pool, member, now) if member.in_use else _unused(pool, member, now)
    part = (
        f"{share:.1%} of new flows (weight {weight / PARTS:g} of {member.server.weight})" if weight else "no new flows"
    )
    return Explanation(standing, share, f"{member.server.name}: {part}: {why}")


def _used(pool: Pool, member: Member, now: float) -> tuple[Standing, str]:
    detail = member.health.detail
    if pool.panic is not None and not member.up:
        return Standing.PANIC, f"{pool.panic_why}; {member.reason}"
    if member.slow_start is not None:
        left = member.slow_start.began + member.slow_start.seconds - now
        return Standing.STARTING, f"in its slow start, at full weight in {max(left, 0):.0f} s; {detail}"
    if not member.up:
        return Standing.HELD, f"no other server is left; {member.reason}"
    if member.admin is Admin.UP:
        return Standing.UP, member.reason
    match member.health.state:
        case State.DEGRADED:
            return Standing.DEGRADED, detail
        case State.UNKNOWN:
            return Standing.UNCHECKED, f"without alpha it counts as up until a check fails: {detail}"
        case _:
            return Standing.UP, detail


def _unused(pool: Pool, member: Member, now: float) -> tuple[Standing, str]:
    if member.taken_out:
        return _taken_out(member, now)
    if member.neighbour is None:
        return Standing.WAITING, f"its MAC address is not known yet; {member.health.detail}"
    if not member.sound:
        standing = Standing.WAITING if member.unchecked and member.reachable else Standing.DOWN
        since = f" for {now - member.since:.0f} s" if member.down and member.since is not None else ""
        kept = ", it keeps its connections (inhibit_on_failure)" if member.keeps_flows else ""
        return standing, f"{standing.value}{since}{kept}: {member.reason}"
    if member.weight(now) == 0:
        return Standing.OUT, "its weight is 0, it keeps its connections"
    if pool.sorry:
        return Standing.STANDBY, "up, but the quorum is lost: the sorry server has taken over"
    until = member.flaps.until(pool.server.flap_damping)
    if member.held and until is not None:
        return Standing.HELD, f"{member.reason}; for {max(until - now, 0):.0f} s more, or until nobody else is left"
    return Standing.STANDBY, f"up, but tier {member.server.tier} is not needed: the tiers before it have servers enough"


def _taken_out(member: Member, now: float) -> tuple[Standing, str]:
    who = "removed from the configuration" if member.removed else "by the operator's word"
    if not member.removed and member.admin is Admin.DOWN:
        return Standing.OUT, f"out {who}"
    if member.drained:
        return Standing.DRAINED, f"drained {who}: it may be stopped"
    left = 0.0 if member.drain_until is None else max(member.drain_until - now, 0)
    return Standing.DRAINING, f"it drains, {who}: its connections have {left:.0f} s more"
