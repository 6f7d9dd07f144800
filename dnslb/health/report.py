"""What the monitor tells the pool; known without dnspython."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pyvrrp.core.events import IPAddress


class State(Enum):
    """Of a server, by its checks alone."""

    UNKNOWN = "unknown"
    "no check has failed, but one that matters has no result yet"
    UP = "up"
    DEGRADED = "degraded"
    "up, with less than its weight"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A server by its checks, with the sentence that says why."""

    state: State
    detail: str
    factor: float = 1.0
    "what is left of its weight: 0-1, by `action degrade` and `latency`"
    weights: tuple[int, ...] = ()
    "of scripts with misc_dynamic: what each wants the weight to be"
    warnings: tuple[str, ...] = ()
    "a sentence each"

    def weight(self, configured: int) -> float:
        """The weight to use for a configured one; several scripts add up as in keepalived."""
        wanted = configured + sum(weight - configured for weight in self.weights)
        return max(wanted, 0) * self.factor


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonCause:
    """No server of a virtual server passes a check, two at least for the same reason: it is not the servers."""

    check: str
    "its label at the first server"
    cause: str
    "one word: `timeout`, `SERVFAIL`"
    detail: str
    "the sentence of the first server"
    servers: frozenset[IPAddress]
    "that fail for this reason; others may be down for one of their own"


@dataclass(frozen=True, slots=True)
class HealthChanged:
    """A server's health; also told when only its sentence or its warnings are new."""

    virtual_server: str
    address: IPAddress
    health: Health


@dataclass(frozen=True, slots=True)
class CommonCausesChanged:
    """What all servers have in common now, by their last verdicts; told before the servers are down for it."""

    virtual_server: str
    causes: tuple[CommonCause, ...]
    "empty: nothing any more"


Report = HealthChanged | CommonCausesChanged
