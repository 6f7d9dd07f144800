"""What is wrong, or not as safe as it looks, with storage blocks on the machine that they are to run on."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from drbdctl.drbd_conf import load
from drbdctl.drbd_conf.lint import lint
from drbdctl.host import enabled_units
from drbdctl.settings import Nfs, Program, Storage, Unit
from drbdctl.storage_block.scripts import driving
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.model import Config, VrrpInstance

_FSTAB = "/etc/fstab"
_MULTIPATHD = Path("/run/multipathd.pid")
_MULTIPATH = Path("/etc/multipath.conf")
_AGAINST = ("wild-split-brain-policy", "become-primary-on")
"of `drbdctl check`: what throws data away, or promotes, without being asked"


def check(storages: Sequence[Storage], config: Config, diagnostics: Diagnostics) -> None:
    """Report it."""
    fsids: dict[str, str] = {}
    for storage in storages:
        instance = next(each for each in config.instances if each.name == storage.instance)
        networks = [each for each in config.instances if each.name in storage.networks]
        found = (*_follows(storage, instance), *_heard(storage, networks), *_machine(storage), *_shared(storage, fsids))
        for code, message, hint in found:
            diagnostics.warning(storage.position, code, f"storage {storage.name}: {message}", hint)
        for message in storage.group.problems(1 + len(storage.networks)):
            diagnostics.warning(storage.position, "unsafe-storage", f"storage {storage.name}: {message}")
    for path in dict.fromkeys(each.drbd_conf for each in storages):
        _drbd_conf(path, diagnostics)


def _drbd_conf(path: str, diagnostics: Diagnostics) -> None:
    """Rule 25: what in drbd.conf works against the block, whatever else `drbdctl check` has to say."""
    try:
        loaded = load(path)
    except OSError:
        return  # the reader has said so
    lint(loaded.config, loaded.diagnostics)
    for each in loaded.diagnostics:
        if each.code in _AGAINST:
            diagnostics.warning(each.position, each.code, each.message, each.hint)


Finding = tuple[str, str, str]
"code, message, hint"


def _follows(storage: Storage, instance: VrrpInstance) -> Iterator[Finding]:
    if not any(track.kind == "storage" and track.name == storage.name for track in instance.tracks):
        message = f"vrrp_instance {instance.name} does not track it: the loss of its disk would not move the address"
        yield "untracked-storage", message, f"write 'track_storage {{ {storage.name} }}' in it"
    if not instance.parameters.nopreempt:
        message = f"vrrp_instance {instance.name} preempts: a node that comes back moves the storage once more"
        yield "preempts", message, "write 'nopreempt' with 'state BACKUP' on both nodes"
    for script in driving(instance):
        message = f"the notify script {script} drives DRBD as well"
        yield "script-beside-storage", message, "remove it: the storage block does this, in order"


def _heard(storage: Storage, networks: Sequence[VrrpInstance]) -> Iterator[Finding]:
    """Only a MASTER advertises: who serves has to be MASTER on each network."""
    for each in networks:
        tracks = (track for track in each.tracks if track.kind == "storage_role" and track.name == storage.name)
        if not any(track.weight != 0 for track in tracks):
            message = (
                f"vrrp_instance {each.name} does not follow it: after a move the node that serves is not heard there"
            )
            yield "network-does-not-follow", message, f"write 'track_storage_role {{ {storage.name} }}' in it"
        elif each.parameters.nopreempt:
            message = f"vrrp_instance {each.name} is to follow it, and does not preempt: it stays where it was"
            yield "network-does-not-follow", message, "remove its nopreempt"


def _machine(storage: Storage) -> Iterator[Finding]:
    for mount in storage.group.mounts:
        if not os.path.isdir(mount.point):
            yield "no-mount-point", f"there is no directory {mount.point}", f"mkdir -p {mount.point}"
        if line := _automatic(mount.device, mount.point):
            message = f"{_FSTAB} mounts {mount.device} at boot: {line}"
            yield "mounted-at-boot", message, "add the option noauto"
    if _MULTIPATHD.exists() and "drbd" not in _text(_MULTIPATH):
        message = "multipathd may take /dev/drbd* for paths and hold them open: nothing can be demoted then"
        yield "multipath-takes-drbd", message, f'write blacklist {{ devnode "^drbd" }} into {_MULTIPATH}'
    units = {each.name for each in storage.services if isinstance(each, Unit)}
    serves = any(isinstance(each, Nfs) for each in storage.services)
    for unit in enabled_units():
        if unit.startswith("drbd") or serves:
            message = f"{unit} is enabled at boot and does the same on its own"
            yield "unit-enabled", message, f"systemctl disable {unit}"
    for unit in enabled_units(units=tuple(units)):
        yield "unit-enabled", f"{unit} is enabled at boot, before its storage is there", f"systemctl disable {unit}"
    for service in storage.services:
        if isinstance(service, Program):
            for argv in (service.start, service.stop, service.check):
                if argv and not os.access(argv[0], os.X_OK):
                    message = f"command {service.name}: {argv[0]} is no program that can be run"
                    yield "not-executable", message, "correct the path, or its mode"


def _automatic(device: str, point: str) -> str:
    """The line of fstab that mounts it at boot; empty: there is none."""
    for line in _text(Path(_FSTAB)).splitlines():
        fields = line.split()
        if len(fields) >= 4 and fields[0] == device and fields[1] == point and "noauto" not in fields[3].split(","):
            return shlex.join(fields)
    return ""


def _text(path: Path) -> str:
    """What is in a file; nothing where it can't be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _shared(storage: Storage, fsids: dict[str, str]) -> Iterator[Finding]:
    """Fsids are the node's, not the block's."""
    for service in storage.services:
        for export in service.exports if isinstance(service, Nfs) else ():
            if export.fsid in fsids:
                message = f"fsid {export.fsid} of {export.directory} is that of {fsids[export.fsid]} already"
                yield "duplicate-fsid", message, "give each export one of its own"
            fsids.setdefault(export.fsid, export.directory)
