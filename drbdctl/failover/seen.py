"""Everything a decision about a storage group is made from, at one moment; immutable, monotonic seconds.

What is not known is None, is missing, or makes `gap` speak: it is never taken for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from drbdctl.failover.evidence import Network, Sight, Witness
from drbdctl.failover.group import Group, GroupResource
from drbdctl.failover.refusal import Refusal
from drbdctl.status.generation import Generation
from drbdctl.status.peers import connected, peer_is_primary
from drbdctl.status.state import Resource, Status
from drbdctl.status.words import Role
from pyvrrp.core.events import Hindrance

DRBD_MAJOR = 147


@dataclass(frozen=True, slots=True)
class Mounted:
    """One line of mountinfo that matters: on a mount point of the group, below it, or of one of its devices."""

    point: str
    major: int
    minor: int
    read_only: bool = False
    elsewhere: bool = False
    "in another mount namespace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look; `Failover` takes it as an event too.

    Everything in it was read after `at`. With 8.x the status is that of /proc/drbd, which alone tells the role of each
    volume. Sights and networks are of the past: see drbdctl.failover.evidence.
    """

    at: float
    "when the look began"
    status: Status = field(default_factory=Status)
    gap: str = ""
    "why the status is not to be trusted: the feed has a gap, two sources disagree, an output can't be read"
    generations: Mapping[str, tuple[Generation, ...]] = field(default_factory=dict)
    "of each resource's volumes in their order; missing: could not be read"
    sights: Mapping[str, Sight] = field(default_factory=dict)
    networks: tuple[Network, ...] = ()
    witness: Witness | None = None
    mounts: tuple[Mounted, ...] | None = None
    "None: the mount table could not be read"
    no_directory: frozenset[str] = frozenset()
    "mount points that are not there to mount on"
    services: Mapping[str, bool | None] = field(default_factory=dict)
    "running and working, stopped, or None: not known"
    holders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    "who keeps a mount point or a resource in use, a sentence each; looked for after a refusal, or for a plan"
    read_only: frozenset[int] = frozenset()
    "minors of Primary volumes that refuse writes all the same"
    stuck: tuple[str, ...] = ()
    "commands of ours that were killed and hang in the kernel"
    journal: str = ""
    "why the intent can't be written down"
    checks: tuple[Refusal, ...] = ()
    "what the checks of this machine and its drivers found (rules 24 and 25)"
    claimed: float | None = None
    "since when this node is to be Primary; Failover fills it in"
    ours: bool = False
    "what is Primary was promoted by us, or by the daemon before us; Failover fills it in"
    contacts: Mapping[str, float] = field(default_factory=dict)
    "when DRBD refused a promotion because the peer lives, by resource; Failover fills it in"

    # --- what is asked again and again -------------------------------------------------------------------------------

    @property
    def trusted(self) -> bool:
        """The status is whole."""
        return not self.gap and not self.status.unread

    def resource(self, name: str) -> Resource:
        """What the kernel says of a resource; nothing when it is not configured."""
        return self.status.resource(name) or Resource(name)

    def sight(self, name: str) -> Sight:
        """What was seen of the peer; nothing when it was never watched."""
        return self.sights.get(name, Sight())

    def generation(self, resource: GroupResource, volume: int) -> Generation | None:
        """The identifiers of a volume."""
        numbers = [each.number for each in resource.volumes]
        found = self.generations.get(resource.name, ())
        return found[numbers.index(volume)] if volume in numbers and len(found) == len(numbers) else None

    def mounted(self, point: str) -> Mounted | None:
        """What is mounted at a mount point in our namespace, the topmost."""
        return next((each for each in reversed(self.mounts or ()) if each.point == point and not each.elsewhere), None)

    def primary(self, resource: GroupResource) -> bool:
        """Every volume is Primary here."""
        return self._roles(resource) == {Role.PRIMARY}

    def secondary(self, resource: GroupResource) -> bool:
        """No volume is Primary here: all are Secondary, or the resource is not configured in the kernel."""
        gone = self.trusted and self.status.resource(resource.name) is None
        return gone or (self.trusted and self._roles(resource) == {Role.SECONDARY})

    def peer_may_serve(self, group: Group) -> Hindrance | None:
        """Nothing is Primary here, and the peer is, or can't be seen; None: it does not serve."""
        found = [self.resource(each.name) for each in group.managed]
        if any(self.primary(each) for each in group.managed):
            return None
        if not all(map(connected, found)):
            return Hindrance.UNSEEN
        return Hindrance.HOLDER if any(map(peer_is_primary, found)) else None

    def demoted(self, resource: GroupResource) -> bool:
        """A volume is known not to be Primary any more, or the resource is gone; an unknown word says nothing."""
        gone = self.trusted and self.status.resource(resource.name) is None
        return gone or (self.trusted and Role.SECONDARY in self._roles(resource))

    def _roles(self, resource: GroupResource) -> set[Role]:
        found = self.resource(resource.name)
        volumes = {each.number for each in resource.volumes}
        roles = {device.role or found.role for device in found.devices if device.volume in volumes}
        return roles or {found.role}
