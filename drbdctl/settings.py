"""What a `storage` block says beyond its group: the vrrp_instance, and how its services are started and stopped."""

from __future__ import annotations

from dataclasses import dataclass, field

from drbdctl.failover.group import Group
from pyvrrp.config.diagnostics import Position
from pyvrrp.config.model import NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """`export DIRECTORY { }` of NFS."""

    directory: str
    clients: tuple[str, ...]
    "as exports(5) has them: 192.0.2.0/24, a host name, *"
    options: tuple[str, ...]
    "without fsid and mountpoint, which are added"
    fsid: str
    "a number or a UUID; the same on both nodes, or clients get ESTALE"
    mount_point: str
    "of the file system that it is on: exported only while that is mounted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nfs:
    """`nfs { }`: an NFS server of its own on the replicated volume."""

    name: str = "nfs"
    state_dir: str
    "nfsdcld's database, and statd's where NFSv3 is served; on the replicated volume"
    exports: tuple[Export, ...]
    scope: str
    "the server's name for its clients, the same on both nodes"
    version3: bool = False
    lease: int = 30
    "seconds; also the grace period, 10-3600"
    threads: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """`systemd_unit NAME`."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """`command NAME { start ... stop ... check ... }`; check ends with 0 while the service works."""

    name: str
    start: tuple[str, ...]
    stop: tuple[str, ...]
    check: tuple[str, ...] = ()


Runnable = Nfs | Unit | Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """`storage NAME { }`."""

    group: Group
    instance: str
    "the vrrp_instance whose addresses follow it"
    services: tuple[Runnable, ...] = ()
    "those of the group, in its order"
    networks: tuple[str, ...] = ()
    "other vrrp_instances that the same peer is heard by"
    witness: tuple[str, ...] = ()
    """`ping ADDRESS`, or `command PATH ARGUMENT ...`: exit status 0, the peer is alive; 1, it is dead; 2, no opinion;
    anything else: not reached."""
    drbd_conf: str = "/etc/drbd.conf"
    "the file that configures its resources"
    position: Position = field(default=NOWHERE, compare=False)

    @property
    def name(self) -> str:
        """The group's."""
        return self.group.name

    def service(self, name: str) -> Runnable:
        """The service with this name; KeyError."""
        return {each.name: each for each in self.services}[name]
