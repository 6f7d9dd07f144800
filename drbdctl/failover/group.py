"""A storage group: the DRBD resources, mounts and services that follow one vrrp_instance, and how careful to be.

All times are seconds. `problems` says what in a group can't work or is not as safe as it looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from drbdctl.drbd_conf.model import Config, Resource, Settings


class Takeover(Enum):
    """What an unplanned takeover needs when the peer is gone."""

    PROVEN = "proven"
    "a proof that the peer is not Primary and can't become it: fencing, quorum, it left in order, we wrote alone"
    AVAILABILITY_FIRST = "availability_first"
    "its silence on every path is enough: safe while at most one network fails at a time, and not while both do"


class OnDemoteFailure(Enum):
    """What to do with a node that can't let go."""

    HOLD = "hold"
    "it stays Primary without the addresses: the data keep one writer, nobody serves"
    REBOOT = "reboot"
    "it takes itself down at once, where somebody then takes over: see drbdctl.failover.self_fence"


class Fencing(Enum):
    """DRBD's `fencing`: what its kernel module does when a Primary is without its peer."""

    DONT_CARE = "dont-care"
    RESOURCE_ONLY = "resource-only"
    RESOURCE_AND_STONITH = "resource-and-stonith"
    "I/O is frozen until the handler has answered"


@dataclass(frozen=True, slots=True)
class GroupVolume:
    """One volume on this host."""

    number: int = 0
    minor: int = 0
    device: str = "/dev/drbd0"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResource:
    """One resource of the group, as drbd.conf configures it."""

    name: str
    volumes: tuple[GroupVolume, ...] = (GroupVolume(),)
    protocol: str = "C"
    fencing: Fencing = Fencing.DONT_CARE
    fence_handler: str = ""
    "the `fence-peer` handler that is configured"
    quorum: bool = False
    two_primaries: bool = False
    "`allow-two-primaries`: a cluster file system; it is never promoted nor demoted by us"
    link_timeout: float = 10.5
    "the longest time until DRBD notices that an idle connection is dead: ping-int and ping-timeout, or timeout"

    @property
    def fenced(self) -> bool:
        """DRBD has the peer fenced before it promotes; `drbdctl fence-peer` only repeats our own judgement."""
        return (
            self.fencing is not Fencing.DONT_CARE and bool(self.fence_handler) and "drbdctl" not in self.fence_handler
        )

    @classmethod
    def read(cls, config: Config, resource: Resource, host: str) -> GroupResource:
        """What a drbd.conf says of a resource on this host; of several connections the most dangerous counts.

        Raises KeyError when the host is not one of the resource's.
        """
        side = resource.host(host)
        if side is None:
            raise KeyError(host)
        links = [config.effective(resource, link) for link in resource.connections] or [config.effective(resource)]
        return cls(
            name=resource.name,
            volumes=tuple(
                GroupVolume(each.number, each.minor, each.device or f"/dev/drbd{each.minor}")
                for each in side.volumes
                if each.minor is not None
            ),
            protocol=min(each.net.value("protocol", "C") for each in links),
            fencing=min((_fencing(each) for each in links), key=list(Fencing).index),
            fence_handler=next((text for each in links if (text := each.handlers.value("fence-peer"))), ""),
            quorum=links[0].options.value("quorum", "off") != "off",
            two_primaries=any(each.net.value("allow-two-primaries", "no") == "yes" for each in links),
            link_timeout=max(_link_timeout(each) for each in links),
        )


def _fencing(settings: Settings) -> Fencing:
    text = settings.net.value("fencing") or settings.disk.value("fencing", "dont-care")
    return next((each for each in Fencing if each.value == text), Fencing.DONT_CARE)


def _link_timeout(settings: Settings) -> float:
    ping_int = _number(settings.net.value("ping-int"), 10.0)
    ping_timeout = _number(settings.net.value("ping-timeout"), 5.0) / 10
    return max(ping_int + ping_timeout, _number(settings.net.value("timeout"), 60.0) / 10)


def _number(text: str, default: float) -> float:
    return float(text) if text.isdecimal() else default


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system on a volume of the group."""

    device: str
    point: str
    fstype: str = ""
    options: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """Something that needs the mounts, in the order of its starting: a systemd unit, commands, a part of NFS."""

    name: str
    checked: bool = True
    "it has a check that tells whether it works"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How careful to be; the defaults never guess."""

    takeover: Takeover = Takeover.PROVEN
    asynchronous_takeover: bool = False
    "with protocol A or B, take over from a Primary that is gone although its last writes may not have arrived"
    on_demote_failure: OnDemoteFailure = OnDemoteFailure.HOLD
    end_holders: bool = True
    "end the processes that use a mount which has to go: SIGTERM, then SIGKILL"
    minimum_up_to_date: int = 1
    "so many replicas must be UpToDate before a promotion"
    promote_while_syncing: bool = False
    "promote a SyncTarget, which reads from its peer what it does not have yet"
    witness: bool = False
    "a takeover needs the witness, and a Primary that reaches neither peer nor witness gives up"
    dead_interval: float = 3.0
    "of silence on every network before the peer counts as dead"
    isolation_interval: float = 2.0
    "without peer and witness before a Primary gives up"
    fail_back_delay: float = 30.0
    "connected and UpToDate before this node may take the role back from a healthy peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a step may take, and the whole."""

    promote: float = 10.0
    mount: float = 10.0
    start: float = 15.0
    verify: float = 5.0
    stop: float = 10.0
    unmount: float = 15.0
    "with the ending of processes that use it"
    demote: float = 5.0
    kill: float = 3.0
    "a killed command that has not ended by then hangs in the kernel"
    promotion: float = 30.0
    "all steps, and the waiting before them"
    demotion: float = 30.0
    "after it, on_demote_failure"
    look: float = 2.0
    "for one look at everything; older ones are not acted upon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How often automation may act before it asks for a human."""

    takeovers: int = 10
    "in `period`; 0: no limit"
    period: float = 3600.0
    failures: int = 3
    "failed promotions in a row before this node holds until it is told otherwise; 0: no limit"
    back_off: float = 5.0
    "after a failed promotion; doubled by each further one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What follows one vrrp_instance; mounts and services are in the order of mounting and starting."""

    name: str
    resources: tuple[GroupResource, ...]
    mounts: tuple[Mount, ...] = ()
    services: tuple[Service, ...] = ()
    policy: Policy = Policy()
    deadlines: Deadlines = Deadlines()
    limits: Limits = Limits()

    @property
    def managed(self) -> tuple[GroupResource, ...]:
        """The resources that are promoted and demoted; those with two Primaries are left alone."""
        return tuple(each for each in self.resources if not each.two_primaries)

    def bitmap_proves(self, resource: GroupResource) -> bool:
        """Whether a bitmap UUID tells that the peer has written nothing since: it can't have taken over meanwhile.

        DRBD sets one as soon as a Primary loses its peer, also when it is the Primary that was cut off. With
        resource-and-stonith it does so only after the peer was fenced.
        """
        if resource.fenced:
            return resource.fencing is Fencing.RESOURCE_AND_STONITH
        return not self.policy.witness

    @property
    def minors(self) -> dict[int, str]:
        """The names of the group's volumes, `r0/0`, by their minors."""
        return {volume.minor: f"{each.name}/{volume.number}" for each in self.resources for volume in each.volumes}

    @property
    def link_timeout(self) -> float:
        """The longest of the resources'."""
        return max((each.link_timeout for each in self.resources), default=0.0)

    def minor(self, mount: Mount) -> int | None:
        """Of the volume that a mount is on; None: it is on none of the group's."""
        devices = {volume.device: volume.minor for each in self.resources for volume in each.volumes}
        return devices.get(mount.device, {f"/dev/drbd{minor}": minor for minor in self.minors}.get(mount.device))

    def problems(self, networks: int = 1) -> Iterator[str]:
        """What can't work, or is not as safe as it looks, with so many VRRP networks; a sentence each."""
        for mount in self.mounts:
            if self.minor(mount) is None:
                yield f"{mount.point}: {mount.device} is no volume of this group; mount the DRBD device, never its disk"
        for resource in self.resources:
            if not resource.volumes:
                yield f"{resource.name}: it has no volume on this host"
            if resource.fencing is not Fencing.DONT_CARE and not resource.fence_handler:
                yield f"{resource.name}: fencing without a fence-peer handler: no takeover succeeds; configure one"
        if self.policy.takeover is Takeover.PROVEN:
            return
        if networks < 2 and not self.policy.witness:
            yield (
                "availability_first with one VRRP network and no witness: a cut of that network makes two Primaries; "
                "add a network that both nodes hear each other on, a witness, or fencing"
            )
        if self.policy.witness:
            yield from self._isolation_problems()

    def _isolation_problems(self) -> Iterator[str]:
        policy = self.policy
        if policy.on_demote_failure is OnDemoteFailure.HOLD:
            yield (
                "a witness and on_demote_failure hold: an isolated Primary that can't let go stays Primary while the "
                "peer takes over; say reboot"
            )
        least = self.link_timeout + policy.isolation_interval + self.deadlines.demotion
        if policy.dead_interval < least:
            yield (
                f"dead_interval {policy.dead_interval:g} s: an isolated Primary may need {least:g} s to let go "
                "(ping-int and ping-timeout, isolation_interval, the deadline of a demotion); make it longer or those "
                "shorter"
            )
