"""Nodes as a decision sees them: a good one, and what makes it another one."""

from dataclasses import replace

from drbdctl.failover.evidence import Link, Network, Sight
from drbdctl.failover.group import Group, GroupResource, GroupVolume, Limits, Mount, Service
from drbdctl.failover.seen import DRBD_MAJOR, Mounted, Seen
from drbdctl.status.generation import Generation
from drbdctl.status.state import Connection, Device, PeerDevice, Resource, Status
from drbdctl.status.words import ConnectionState, DiskState, ReplicationState, Role

NOW = 1000.0
CURRENT, OLD = 0xA5A5_0000_0000_0010, 0x1111_0000_0000_0020
R0 = GroupResource(name="r0", link_timeout=10.5)
TWO_VOLUMES = GroupResource(name="r0", volumes=(GroupVolume(), GroupVolume(1, 1, "/dev/drbd1")), link_timeout=10.5)
GROUP = Group(
    name="S",
    resources=(R0,),
    mounts=(Mount("/dev/drbd0", "/mnt/data"),),
    services=(Service("nfs"),),
    limits=Limits(failures=0),
)


def generation(bitmap: int = 0, current: int = CURRENT, **flags: bool) -> Generation:
    """Identifiers of a disk that is what it says."""
    names = ("consistent", "was_up_to_date", "primary", "connected", "full_sync", "peer_outdated", "crashed_primary")
    usual = {"consistent": True, "was_up_to_date": True, **flags}
    return Generation(current, bitmap, (OLD, 0), *(usual.get(each, False) for each in names))


def resource(
    name: str = "r0",
    *,
    role: Role = Role.SECONDARY,
    peer: Role | None = Role.SECONDARY,
    disk: DiskState = DiskState.UP_TO_DATE,
    peer_disk: DiskState = DiskState.UP_TO_DATE,
    replication: ReplicationState = ReplicationState.ESTABLISHED,
    link: ConnectionState | None = None,
    suspended: str = "no",
    minors: tuple[int, ...] = (0,),
    **device: object,
) -> Resource:
    """A resource; `peer` None: it is not connected."""
    connected = peer is not None
    link = link or (ConnectionState.CONNECTED if connected else ConnectionState.CONNECTING)
    peers = tuple(
        PeerDevice(
            n,
            replication if connected else ReplicationState.OFF,
            peer_disk if connected else DiskState.D_UNKNOWN,
        )
        for n, _ in enumerate(minors)
    )
    return Resource(
        name,
        role=role,
        suspended=suspended,
        devices=tuple(Device(n, minor, disk, role, **device) for n, minor in enumerate(minors)),
        connections=(Connection("peer", None, link, peer or Role.UNKNOWN, peer_devices=peers),),
    )


def network(heard: float | None = None, *, up: bool = True, since: float = 0.0, name: str = "eth0") -> Network:
    """Where the peer was heard so many seconds ago."""
    return Network(name, up, since, None if heard is None else NOW - heard)


def sight(
    ago: float = 20.0, *, peer: Role = Role.PRIMARY, link: Link = Link.LOST, complete: tuple[int, ...] = (0,), **more
) -> Sight:
    """The peer, lost so many seconds ago while all was well."""
    return Sight(link, NOW - ago, peer, frozenset(complete), current=(CURRENT,), **more)


def seen(*resources: Resource, **members: object) -> Seen:
    """A look that finds nothing wrong, except what is said; the peer's VRRP was heard until the link was lost."""
    found = resources or (resource(),)
    usual: dict[str, object] = {
        "status": Status(tuple(found)),
        "generations": {each.name: tuple(generation() for _ in each.devices) for each in found},
        "mounts": (),
        "services": {"nfs": False},
        "networks": (network(20.0),),
    }
    return Seen(at=NOW, **{**usual, **members})


def alone(**members: object) -> Seen:
    """The peer was Primary, connected, and is silent everywhere since."""
    lost = {"sights": {"r0": sight()}, **members}
    return seen(members.pop("found", resource(peer=None)), **{k: v for k, v in lost.items() if k != "found"})


def serving(**members: object) -> Seen:
    """All is up here."""
    usual = {
        "mounts": (Mounted("/mnt/data", DRBD_MAJOR, 0),),
        "services": {"nfs": True},
        "ours": True,
    }
    found = members.pop("found", resource(role=Role.PRIMARY))
    return seen(found, **{**usual, **members})


def with_policy(group: Group = GROUP, **policy: object) -> Group:
    return replace(group, policy=replace(group.policy, **policy))


def with_resource(**members: object) -> Group:
    return replace(GROUP, resources=(replace(R0, **members),))
