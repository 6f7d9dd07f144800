"""What is to be done to promote or demote a storage group: steps with reason, deadline and undo; or why not.

A plan is made from what is seen, and has only the steps whose result is not there yet: made again after each step, it
shrinks until nothing is left, whatever was found half done. There is no step for `umount -l` nor for `--force`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drbdctl.failover.group import Mount
from drbdctl.failover.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Promote:
    """`drbdadm primary`, all volumes of the resource."""

    resource: str

    def __str__(self) -> str:
        return f"promote {self.resource}"


@dataclass(frozen=True, slots=True)
class MountVolume:
    """Mount a file system."""

    mount: Mount

    def __str__(self) -> str:
        return f"mount {self.mount.device} on {self.mount.point}"


@dataclass(frozen=True, slots=True)
class StartService:
    """Start a service, and wait until it has started."""

    service: str

    def __str__(self) -> str:
        return f"start {self.service}"


@dataclass(frozen=True, slots=True)
class Verify:
    """Check everything once: each mount takes a write, each service's check passes."""

    def __str__(self) -> str:
        return "verify that all of it works"


@dataclass(frozen=True, slots=True)
class StopService:
    """Stop a service, and wait until it has stopped."""

    service: str

    def __str__(self) -> str:
        return f"stop {self.service}"


@dataclass(frozen=True, slots=True)
class UnmountVolume:
    """Unmount the device wherever it is mounted, what is mounted below it first; `end_holders`: end who uses it."""

    mount: Mount
    end_holders: bool = True

    def __str__(self) -> str:
        return f"unmount {self.mount.point}"


@dataclass(frozen=True, slots=True)
class Demote:
    """`drbdadm secondary`, all volumes of the resource."""

    resource: str

    def __str__(self) -> str:
        return f"demote {self.resource}"


Step = Promote | MountVolume | StartService | Verify | StopService | UnmountVolume | Demote


@dataclass(frozen=True, slots=True)
class Planned:
    """A step of a plan."""

    step: Step
    because: str
    deadline: float
    "seconds"

    @property
    def undo(self) -> Step | None:
        """What takes it back."""
        match self.step:
            case Promote(resource):
                return Demote(resource)
            case MountVolume(mount):
                return UnmountVolume(mount)
            case StartService(service):
                return StopService(service)
            case _:
                return None

    def __str__(self) -> str:
        return f"{self.step}: {self.because}" if self.because else str(self.step)


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in their order; with refusals none of them is to be taken. Neither: it is done."""

    steps: tuple[Planned, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    because: tuple[str, ...] = ()
    "what allows it"

    @property
    def allowed(self) -> bool:
        """Nothing is in the way."""
        return not self.refusals

    @property
    def plain(self) -> dict[str, Any]:
        """JSON-ready: `steps` and `refusals`, sentences."""
        return {"steps": list(map(str, self.steps)), "refusals": list(map(str, self.refusals))}

    @property
    def done(self) -> bool:
        """Nothing is left to do, and nothing in the way."""
        return not self.steps and not self.refusals
