"""What a safety rule says: allowed, and why; or refused, why, and what an operator can do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Until(Enum):
    """What it takes for a refusal to go away."""

    TIME = "it will be looked at again"
    PEER = "the peer has to do something"
    SYNC = "a resync has to end"
    MACHINE = "something on this machine has to be mended"
    OPERATOR = "an operator has to decide"

    @property
    def soon(self) -> bool:
        """It may go away while we wait for it."""
        return self in (Until.TIME, Until.PEER)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that forbids what was asked for."""

    rule: int
    "its number, as docs/storage-rules.md has it"
    about: str
    "the resource, the volume `r0/0`, the mount, the service; empty: the whole group"
    why: str
    "what was found, without a full stop"
    hint: str
    "what an operator can do"
    until: Until

    def __str__(self) -> str:
        about = f"{self.about}: " if self.about else ""
        return " ".join(f"{about}{self.why}; {self.hint} (rule {self.rule})".split())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule says of a group; without refusals it is allowed."""

    rule: int
    refusals: tuple[Refusal, ...] = ()
    because: tuple[str, ...] = ()
    "what allows it, where that is worth a word"

    @property
    def allowed(self) -> bool:
        """Nothing is refused."""
        return not self.refusals

    @property
    def plain(self) -> dict[str, Any]:
        """JSON-ready: `rule`, `refusals` and `because`, sentences."""
        return {"rule": self.rule, "refusals": list(map(str, self.refusals)), "because": list(self.because)}


OVERRIDABLE = frozenset({1, 5, 6, 17, 20, 26})
"the rules that an operator may set aside; the others are the kernel's, or keep two nodes from writing"


def verdict(rule: int, found: Iterable[Refusal | str]) -> Verdict:
    """The verdict of a rule that yields refusals, and sentences for what it allows."""
    every = tuple(found)
    return Verdict(
        rule,
        tuple(each for each in every if isinstance(each, Refusal)),
        tuple(each for each in every if isinstance(each, str)),
    )
