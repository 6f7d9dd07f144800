"""A scenario out of a seed."""

from collections.abc import Callable, Sequence
from random import Random

from tests.simulation.faults import (
    Delay,
    Duplication,
    FailingGates,
    Fault,
    Kill,
    Loss,
    Mute,
    Partition,
    PowerFailure,
    Reload,
    Shutdown,
    SlowGates,
    Standstill,
    Switchover,
    Tracking,
    Unplugged,
)
from tests.simulation.kernel import LATENESS, WORST_LATENESS
from tests.simulation.node import Pause, Traits
from tests.simulation.scenario import Machine, Scenario

_MOST_FAULTS = 8


def draw(seed: int) -> Scenario:
    """The same seed is the same scenario, as long as this module stays as it is."""
    random = Random(seed)
    version = random.choice((2, 3))
    interval = random.choice((1.0, 1.0, 1.0, 2.0) if version == 2 else (1.0, 1.0, 0.5, 0.25, 0.1, 2.5))
    kind = random.choices(("plain", "sync group", "gated", "keepalived"), (50, 15, 20, 15))[0]
    nopreempt = random.random() < 0.15
    machines = _machines(random, version, interval, kind)
    return Scenario(
        seed=seed,
        vrids=(51, 52) if kind == "sync group" else (51,),
        version=version,
        family=random.choice((4, 4, 4, 6)),
        nopreempt=nopreempt,
        preempt_delay=0.0 if nopreempt or random.random() < 0.85 else _round(random.uniform(0.5, 4.0)),
        gated=kind == "gated" or (kind == "sync group" and random.random() < 0.3),
        machines=machines,
        faults=_faults(random, kind, [each.name for each in machines], max(each.advert_int for each in machines)),
    )


def _machines(random: Random, version: int, interval: float, kind: str) -> tuple[Machine, ...]:
    number = random.choice((2, 2, 2, 3, 3, 4))
    numbers = random.sample(range(1, 255), number)
    mixed = version == 3 and random.random() < 0.2
    lateness = random.choice((LATENESS, WORST_LATENESS))
    guarded = random.random() < 0.5
    priorities = [random.choice((1, 50, 100, 100, 101, 150, 200, 254)) for _ in range(number)]
    if kind == "plain" and random.random() < 0.1:
        priorities[0] = 255
    peers = random.randint(1, number - 1) if kind == "keepalived" else 0
    return tuple(
        Machine(
            name="abcd"[index],
            number=numbers[index],
            priority=priorities[index],
            advert_int=random.choice((interval, interval, 1.0, 0.3)) if mixed else interval,
            starts=_round(random.uniform(0.0, 3 * interval)),
            traits=Traits(
                clock=_round(random.uniform(10.0, 1e6)),
                rate=_rate(random),
                gate_takes=_round(random.uniform(0.02, 1.0)),
                kernel_takes=_round(random.uniform(0.0002, 0.002)),
                lateness=lateness,
                start_takes=_round(random.uniform(0.2, 0.6)),
                restart_takes=random.choice((0.1, 1.0, 1.0, 3.0)),
                guarded=guarded and index >= peers,
                keepalived=index < peers,
            ),
        )
        for index in range(number)
    )


def _rate(random: Random) -> float:
    """Mostly within 200 ppm, sometimes off by up to 2 %."""
    worst = random.choices((0.0, 0.0002, 0.02), (20, 65, 15))[0]
    return round(1.0 + random.uniform(-worst, worst), 6)


def _coin(random: Random) -> bool:
    return random.random() < 0.5


def _round(value: float) -> float:
    return round(value, 4)


# --- faults ----------------------------------------------------------------------------------------------------------


def _faults(random: Random, kind: str, names: Sequence[str], interval: float) -> tuple[Fault, ...]:
    found: list[Fault] = []
    first = 4.0 * interval
    for _ in range(random.randint(1, _MOST_FAULTS)):
        at = _round(random.uniform(first, first + 8.0 * interval + 4.0))
        seconds = _round(
            random.choice(
                (
                    random.uniform(0.01, 1.0) * interval,
                    random.uniform(1.0, 4.0) * interval,
                    random.uniform(2.0, 7.0) * interval,
                    random.uniform(0.2, 5.0),
                )
            )
        )
        fault = _fault(random, kind, names, interval, at, seconds)
        if all(not _meet(fault, other) for other in found):
            found.append(fault)
    return tuple(sorted(found, key=lambda fault: fault.at))


def _meet(one: Fault, other: Fault) -> bool:
    apart = one.at + one.seconds < other.at or other.at + other.seconds < one.at
    return one.place == other.place and not apart


def _fault(random: Random, kind: str, names: Sequence[str], interval: float, at: float, seconds: float) -> Fault:
    node = random.choice(names)
    one, *rest = random.sample(list(names), len(names))
    vrid = random.choice((51, 52, None)) if kind == "sync group" else None
    side, other = (one,), tuple(sorted(rest[: random.randint(1, len(rest))]))
    times = {"at": at, "seconds": seconds}
    there = {**times, "node": node}
    weighted: list[tuple[int, Callable[[], Fault]]] = [
        (6, lambda: Loss(**times, share=_round(random.uniform(0.05, 0.9)))),
        (2, lambda: Duplication(**times, share=_round(random.uniform(0.1, 1.0)))),
        (4, lambda: Delay(**times, longest=_round(random.uniform(0.01, 1.5) * interval), reordering=_coin(random))),
        (12, lambda: Partition(**times, side=side, other=other, one_way=_coin(random), vrid=vrid)),
        (8, lambda: PowerFailure(**there, for_good=len(names) > 2 and random.random() < 0.1)),
        (14, lambda: Kill(at=at, node=node, what=random.choice(("speaker", "speaker", "guard", "both")))),
        (18, lambda: Standstill(**there, what=random.choice(list(Pause)), timers_first=_coin(random))),
        (4, lambda: Mute(**there)),
        (8, lambda: Tracking(**there, weight=random.choice((0, 0, -60, -100, 60)))),
        (4, lambda: Unplugged(**there)),
        (8, lambda: Switchover(at=at, node=node)),
        (8, lambda: Shutdown(**there)),
        (4, lambda: Reload(at=at, node=node, priority=random.choice((40, 100, 120, 180, 250)))),
    ]
    if kind == "gated":
        weighted += [
            (8, lambda: SlowGates(**there, takes=_round(random.uniform(1.0, 8.0)))),
            (8, lambda: FailingGates(**there, what=random.choice(("opening", "closing")))),
        ]
    weights, makers = zip(*weighted, strict=True)
    return random.choices(makers, weights)[0]()
