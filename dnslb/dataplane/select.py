"""Which engine serves an interface, and why that one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module

from dnslb.dataplane import DataPlane, DataPlaneError
from dnslb.dataplane.nft import unable
from dnslb.forwarding import Service

AUTO = "auto"
ENGINES = ("xdp", "nft", "packet")
"the fastest first"

Open = Callable[[str], DataPlane]


def choose(
    engine: str, interface: str, services: Iterable[Service], engines: Mapping[str, Open] | None = None
) -> tuple[DataPlane, str]:
    """Open `engine`, or with `auto` the first of ENGINES that can be used there for these services.

    Also what to tell: the engine, and for each that was passed over the sentence that says why. Raises DataPlaneError
    when none is left; one that is named is never replaced by another. `engines` open them in another way.
    """
    if engine not in (AUTO, *ENGINES):
        raise DataPlaneError(f"there is no engine {engine!r}: say auto, {', '.join(ENGINES)}")
    wanted = ENGINES if engine == AUTO else (engine,)
    needed = list(services)
    refusals = []
    for each in wanted:
        try:
            if each == "nft" and (sentence := unable(needed)):
                raise DataPlaneError(sentence)
            plane = engines[each](interface) if engines else _open(each, interface)
        except DataPlaneError as refusal:
            sentence = str(refusal).removeprefix(f"{each}: ").removeprefix(f"{interface}: ")
            refusals.append(f"{each} can't be used on {interface}: {sentence}")
        else:
            return plane, _told(plane, interface, refusals)
    if engine == AUTO:
        raise DataPlaneError(f"no engine is left: {'; '.join(refusals)}")
    raise DataPlaneError(f"{refusals[0]}; `engine auto` takes the fastest that can be used")


def _open(engine: str, interface: str) -> DataPlane:
    """Only the engines that are tried are imported."""
    plane: DataPlane = import_module(f"dnslb.dataplane.{engine}").open(interface)
    return plane


def _told(plane: DataPlane, interface: str, refusals: list[str]) -> str:
    reasons = [*refusals, *([f"not the fastest way: {plane.reason}"] if plane.reason else [])]
    name = f"{plane.name} {plane.mode}".rstrip()
    return f"{name}: {'; '.join(reasons)}" if reasons else f"{name} on {interface}"
