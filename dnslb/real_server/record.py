"""What `add` and the daemon did on this machine, written down before it is done, so that it can be undone exactly.

One file in the run directory for all network namespaces; it counts for one boot. Addresses with a lifetime are not in
it: the kernel knows them, and takes them back by itself.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pyvrrp.core.events import IPAddress

RUN_DIRECTORY = "PYVRRP_RUN_DIR"
FILE = "real-server"
_PATIENCE = 3.0
"seconds to wait for a process that has it open: each needs milliseconds"


@dataclass(slots=True)
class Record:
    """Of one network namespace."""

    added: set[IPAddress] = field(default_factory=set)
    "on lo by `dnslb realserver add`"
    redirected: dict[IPAddress, list[int]] = field(default_factory=dict)
    "redirected by `dnslb realserver add --redirect`: the ports of each"
    daemon: set[IPAddress] = field(default_factory=set)
    "that a daemon has on lo, or may put there at any moment"
    settings: dict[str, tuple[int, int]] = field(default_factory=dict)
    "by name: what it was, and what we made of it"
    save: Callable[[], None] = lambda: None
    "writes it down as it is now; to be called before each thing that it tells of is done"

    @property
    def idle(self) -> bool:
        """Nothing needs the settings any more."""
        return not self.added and not self.daemon

    def remember(self, name: str, before: int, ours: int) -> None:
        """A setting is about to be changed; what it was at the first time counts."""
        first = self.settings[name][0] if name in self.settings else before
        self.settings[name] = (first, ours)


def path() -> Path:
    """The file: in PYVRRP_RUN_DIR, or /run/pyvrrp."""
    return Path(os.environ.get(RUN_DIRECTORY) or "/run/pyvrrp", FILE)


def read(file: Path, net_namespace: str) -> Record:
    """The record as it is; empty when there is none. Raises OSError."""
    try:
        return _record(_parse(file.read_bytes()).get(net_namespace))
    except FileNotFoundError:
        return Record()


@contextlib.contextmanager
def opened(file: Path, net_namespace: str) -> Iterator[Record]:
    """The record, locked against other processes, to be changed; it is saved at the end.

    Raises OSError, also when another process does not let go of it.
    """
    if not file.parent.is_dir():
        file.parent.mkdir(parents=True)
        file.parent.chmod(0o750)
    with open(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b", buffering=0) as handle:
        _lock(handle.fileno(), file)
        before = handle.read() or b""
        every = _parse(before)
        record = _record(every.get(net_namespace))

        def save() -> None:
            nonlocal before
            every[net_namespace] = _as_json(record)
            found = {"boot": _boot(), "namespaces": {name: each for name, each in every.items() if each}}
            after = json.dumps(found).encode()
            if after != before:
                handle.seek(0)
                handle.write(after)
                handle.truncate()
                before = after

        record.save = save
        try:
            yield record
        finally:
            save()


def _lock(descriptor: int, file: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                why = "another process holds it, a `dnslb realserver` that hangs"
                raise OSError(errno.EAGAIN, why, str(file)) from None
            time.sleep(0.02)


def _as_json(record: Record) -> dict[str, object]:
    found: dict[str, Collection[object]] = {
        "added": sorted(map(str, record.added)),
        "redirected": {str(vip): ports for vip, ports in record.redirected.items()},
        "daemon": sorted(map(str, record.daemon)),
        "settings": record.settings,
    }
    return {key: value for key, value in found.items() if value}


def _parse(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
        return dict(found["namespaces"]) if found["boot"] == _boot() else {}
    except (ValueError, KeyError, TypeError):  # empty, of another version, or cut off by a crash
        return {}


def _record(found: Any) -> Record:
    try:
        return Record(
            added=set(map(ip_address, found.get("added", ()))),
            redirected={ip_address(vip): list(map(int, ports)) for vip, ports in found.get("redirected", {}).items()},
            daemon=set(map(ip_address, found.get("daemon", ()))),
            settings={str(name): (int(was), int(ours)) for name, (was, ours) in found.get("settings", {}).items()},
        )
    except (ValueError, TypeError, AttributeError):
        return Record()


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
