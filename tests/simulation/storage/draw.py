"""A history out of a seed: how the pair is configured, what is promised for that, and faults within the promise."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from drbdctl.failover.group import (
    Deadlines,
    Fencing,
    Group,
    GroupResource,
    GroupVolume,
    Limits,
    Mount,
    OnDemoteFailure,
    Policy,
    Service,
    Takeover,
)
from tests.simulation.storage.cluster import Setting
from tests.simulation.storage.faults import (
    Blind,
    DaemonKilled,
    DiskFailure,
    Fault,
    Isolation,
    LeavesInOrder,
    Move,
    NetworkCut,
    PowerCut,
    PowerSwitchDown,
    PromotedByHand,
    ServiceDies,
    Sick,
    Standstill,
    WitnessDown,
)
from tests.simulation.storage.history import History

APART = 15.0
"seconds between the beginnings of a network's fault and of any other, where one at a time is what is promised"
_FIRST = 12.0
_SPAN = 60.0
PROVEN, STONITH, AVAILABILITY, WITNESS = "proven", "stonith", "availability first", "witness"
_STEPS = ("Promote", "MountVolume", "StartService", "Verify", "StopService", "UnmountVolume", "Demote")
_BLIND = ("no answer", "unknown words", "no identifiers", "no feed")


def draw(seed: int) -> History:
    """The same seed is the same history, as long as this module stays as it is."""
    random = Random(seed)
    promise = random.choice((PROVEN, PROVEN, STONITH, AVAILABILITY, WITNESS))
    setting = _setting(random, promise)
    faults = _faults(random, promise, setting)
    return History(seed=seed, setting=replace(setting, nopreempt=random.random() < 0.5), faults=faults)


def _setting(random: Random, promise: str) -> Setting:
    own_handler = {"fencing": Fencing.RESOURCE_ONLY, "fence_handler": "drbdctl fence-peer"}
    fencing = {
        PROVEN: own_handler if random.random() < 0.5 else {},
        STONITH: {"fencing": Fencing.RESOURCE_AND_STONITH, "fence_handler": "/usr/sbin/power-switch"},
    }.get(promise, {})
    resources, minor = [], 0
    for name in ("r0", "r1")[: random.choice((1, 1, 2))]:
        volumes = []
        for number in range(random.choice((1, 1, 2))):
            volumes.append(GroupVolume(number, minor, f"/dev/drbd{minor}"))
            minor += 1
        protocol = "A" if random.random() < 0.2 else "C"
        resources.append(
            GroupResource(name=name, volumes=tuple(volumes), protocol=protocol, link_timeout=1.5, **fencing)
        )
    group = Group(
        name="storage",
        resources=tuple(resources),
        mounts=tuple(Mount(f"/dev/drbd{each}", f"/mnt/{each}") for each in range(minor)),
        services=tuple(Service(each) for each in ("nfs", "database")[: random.choice((1, 1, 2))]),
        policy=_policy(random, promise),
        deadlines=Deadlines(demotion=4.0, unmount=3.0, stop=3.0, demote=2.0, kill=1.0)
        if promise == WITNESS
        else Deadlines(),
        limits=random.choice((Limits(takeovers=0, failures=0), Limits(takeovers=3, period=40.0, failures=2))),
    )
    return Setting(
        group=group,
        priorities=random.choice(((150, 100), (100, 150))),
        networks=random.choice((1, 2, 2)) if promise != AVAILABILITY else 2,
        guarantee=promise,
        boot_takes=(random.uniform(2.0, 12.0), random.uniform(2.0, 12.0)),
    )


def _policy(random: Random, promise: str) -> Policy:
    hold_or_reboot = random.choice((OnDemoteFailure.HOLD, OnDemoteFailure.HOLD, OnDemoteFailure.REBOOT))
    match promise:
        case "availability first":
            return Policy(takeover=Takeover.AVAILABILITY_FIRST, on_demote_failure=hold_or_reboot, fail_back_delay=5.0)
        case "witness":
            return Policy(
                takeover=Takeover.AVAILABILITY_FIRST,
                on_demote_failure=OnDemoteFailure.REBOOT,
                witness=True,
                isolation_interval=1.0,
                dead_interval=8.0,
                fail_back_delay=5.0,
            )
        case _:
            return Policy(on_demote_failure=hold_or_reboot, fail_back_delay=5.0)


# --- faults ----------------------------------------------------------------------------------------------------------


def _faults(random: Random, promise: str, setting: Setting) -> tuple[Fault, ...]:
    found: list[Fault] = []
    for _ in range(random.randint(1, 7)):
        at = round(random.uniform(_FIRST, _FIRST + _SPAN), 3)
        if found and random.random() < 0.25:
            at = round(random.choice(found).at + random.uniform(0.0, 6.0), 3)  # trouble seldom comes alone
        fault = _fault(random, promise, setting, at)
        if promise in (PROVEN, STONITH) or all(_apart(fault, other) for other in found):
            found.append(fault)
    return tuple(sorted(found, key=lambda each: each.at))


def _apart(one: Fault, other: Fault) -> bool:
    """What silence can prove needs one network fault at a time, and nothing else until both sides have noticed it."""
    network = [isinstance(each, NetworkCut | Isolation) for each in (one, other)]
    if not any(network):
        return True
    first, second = sorted((one, other), key=lambda each: each.at)
    overlap = second.at < first.at + first.seconds + APART
    return second.at - first.at >= APART and not (all(network) and overlap)


def _fault(random: Random, promise: str, setting: Setting, at: float) -> Fault:
    seconds = round(random.choice((random.uniform(0.1, 3.0), random.uniform(2.0, 15.0), random.uniform(10.0, 40.0))), 3)
    host, network = random.randrange(2), random.randrange(setting.networks)
    there = {"at": at, "seconds": seconds, "host": host}
    resource = random.randrange(len(setting.group.resources))
    volume = random.randrange(len(setting.group.resources[resource].volumes))
    everything = promise in (PROVEN, STONITH)
    cuttable = everything or setting.networks == 2
    weighted: list[tuple[int, Callable[[], Fault]]] = [
        (16, lambda: PowerCut(**there)),
        (14 if cuttable else 0, lambda: _cut(random, at, seconds, host, network)),
        (30 if promise == WITNESS else 6 if everything else 0, lambda: Isolation(**there)),
        (5 if everything else 0, lambda: Standstill(**there)),
        (6, lambda: DiskFailure(**there, resource=resource, volume=volume)),
        (8, lambda: DaemonKilled(at=at, seconds=min(seconds, 8.0), host=host, adopt=random.random() < 0.5)),
        (14, lambda: _sick(random, there)),
        (4, lambda: ServiceDies(at=at, host=host)),
        (12, lambda: Move(at=at, host=host)),
        (8, lambda: LeavesInOrder(at=at, seconds=max(seconds, 20.0), host=host)),
        (6, lambda: Blind(**there, how=random.choice(_BLIND))),
        (4, lambda: PromotedByHand(**there, resource=resource)),
        (4 if promise == WITNESS else 0, lambda: WitnessDown(at=at, seconds=seconds)),
        (6 if promise == STONITH else 0, lambda: PowerSwitchDown(at=at, seconds=seconds)),
    ]
    weights, makers = zip(*weighted, strict=True)
    return random.choices(makers, weights)[0]()


def _cut(random: Random, at: float, seconds: float, host: int, network: int) -> Fault:
    return NetworkCut(at=at, seconds=seconds, network=network, source=host, both_ways=random.random() < 0.6)


def _sick(random: Random, there: dict[str, float]) -> Fault:
    how = random.choice(("fail", "fail", "slow", "hang", "stuck"))
    return Sick(**there, step=random.choice(_STEPS), how=how)
