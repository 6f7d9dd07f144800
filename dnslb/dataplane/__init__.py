"""The engines that apply a Forwarding to the frames of one interface, behind one Protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from dnslb.forwarding import Counters, Forwarding
from pyvrrp.core.events import IPAddress


class DataPlaneError(Exception):
    """An engine can't be used here, or lost its hold; one line that says why and what to do."""


class DataPlane(Protocol):
    """One interface's engine; opened by the module's `open(interface)`, which raises DataPlaneError.

    The methods block for milliseconds at most (nft: tens of them), are called by one thread at a time, and raise
    DataPlaneError. Nothing of it outlives the process: the kernel takes back what it holds.
    """

    name: str
    "xdp, nft or packet"
    mode: str
    "how it is attached where there are several ways (native, generic), else empty"
    reason: str
    "why not in the fastest of these ways, in one line; else empty"

    def install(self, forwarding: Forwarding) -> None:
        """Replace all that is forwarded, at once: each packet sees the old or the new, and no server that is gone."""

    def hold(self, addresses: frozenset[IPAddress]) -> None:
        """Balance the services of these addresses, and no other: the frames of all others pass."""

    def counters(self) -> Counters:
        """What was counted since it was opened, over all `install`s."""

    def close(self) -> None:
        """Detach; idempotent."""


@runtime_checkable
class Sampler(Protocol):
    """An engine whose packets no packet socket sees; it shows some of them itself. Both raise DataPlaneError."""

    def sample(self, one_in: int) -> None:
        """Put one of so many UDP packets aside, by chance, from now on; 0: no more. As slow as `install`."""

    def samples(self) -> Iterator[tuple[IPAddress, bytes]]:
        """Client and UDP payload of what was put aside since the last call; of a long payload the beginning."""
