"""The image of the virtual machines: Debian's kernel and packages, built once and kept in the user's cache.

usage: python -m tests.vm.image    build it if it is missing, and print where it is

Needs root (for mmdebstrap's chroot), Debian's package mirror as this host's apt sources name it, and the packages of
HOST_PACKAGES. The key of the cache is the list of packages, the kernel's version, this file and those of guest/.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

GUEST = Path(__file__).parent / "guest"
HOST_PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "busybox": "busybox-static",
    "cpio": "cpio",
}
"by the program that is needed of each"
PACKAGES = (
    *("drbd-utils", "nfs-kernel-server", "nfs-common", "python3", "iproute2", "kmod", "procps", "psmisc", "e2fsprogs"),
    *("util-linux", "netbase", "xfsprogs", "lvm2", "iputils-ping", "iputils-arping", "tcpdump", "keepalived", "fio"),
    *("systemd", "systemd-sysv", "restic", "thin-provisioning-tools", "openssh-client", "openssh-server"),
)
SUITE = "bookworm"
MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk")
MODULES += ("overlay",)
"what the initramfs loads, in this order"
_KERNEL = "linux-image-cloud-amd64"


class Unavailable(Exception):
    """Machines can't be had here; the text says why."""


@dataclass(frozen=True, slots=True)
class Image:
    """What a machine boots from."""

    kernel: Path
    initramfs: Path
    root: Path


def image() -> Image:
    """The image, built if it is not there yet (half a minute); raises Unavailable."""
    _check_host()
    kernel = _kernel_package()
    place = _cache() / _key(kernel)
    with _locked(place):
        if not (place / "complete").exists():
            _build(place, kernel)
    return Image(place / "vmlinuz", place / "initramfs", place / "root.ext4")


def _check_host() -> None:
    if platform.machine() != "x86_64":
        raise Unavailable(f"the machines are x86_64, this host is {platform.machine()}")
    missing = [package for program, package in HOST_PACKAGES.items() if shutil.which(program) is None]
    if missing:
        raise Unavailable(f"not installed: {' '.join(missing)}")


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "pyvrrp-vm"


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _kernel_package() -> str:
    """The package that Debian's kernel of the day is in; the newest that is in the cache where apt has no lists."""
    found = subprocess.run(["apt-cache", "depends", _KERNEL], capture_output=True, text=True, check=False)
    if match := re.search(r"Depends: (linux-image-\S+)", found.stdout):
        return match[1]
    raise Unavailable(f"apt knows no {_KERNEL}: 'apt-get update' brings the lists of packages")


def _key(kernel: str) -> str:
    digest = hashlib.sha256(" ".join((kernel, SUITE, *PACKAGES)).encode())
    for path in (Path(__file__), *sorted(GUEST.iterdir())):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _build(place: Path, kernel: str) -> None:
    if os.geteuid() != 0:
        raise Unavailable("the image is not built yet, which needs root")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    with tempfile.TemporaryDirectory(dir=place) as work:
        os.chmod(work, 0o755)
        _build_root(Path(work), kernel)
        root = Path(work) / "root"
        (version,) = os.listdir(root / "lib/modules")
        shutil.copy(root / f"boot/vmlinuz-{version}", place / "vmlinuz")
        _make_initramfs(root / "lib/modules" / version, place / "initramfs")
        shutil.rmtree(root / "boot")
        with open(place / "root.ext4", "wb") as file:
            file.truncate(700 << 20)
        options = ["-t", "ext4", "-F", "-O", "^has_journal", "-m", "0", "-b", "4096"]
        _run("mke2fs", "-q", *options, "-d", str(root), str(place / "root.ext4"))
    (place / "complete").touch()


def _build_root(work: Path, kernel: str) -> None:
    """Debian, the kernel's modules, and the files of guest/ in /opt/vm."""
    _run("apt-get", "download", kernel, cwd=work)
    (deb,) = work.glob("*.deb")
    root = work / "root"
    without = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("man", "doc", "locale")]
    sources = [str(path) for path in (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").iterdir())]
    sources = [path for path in sources if os.path.exists(path)]
    _run(
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        *without,
        f"--include={','.join(PACKAGES)}",
        SUITE,
        str(root),
        *sources,
    )
    _run("dpkg-deb", "-x", str(deb), str(work / "kernel"))
    (modules,) = (work / "kernel/lib/modules").iterdir()
    shutil.copytree(modules, root / "lib/modules" / modules.name, symlinks=True)
    shutil.copytree(work / "kernel/boot", root / "boot", dirs_exist_ok=True)
    _run("chroot", str(root), "depmod", modules.name)
    shutil.copytree(GUEST, root / "opt/vm")
    (root / "opt/vm/start").chmod(0o755)
    for each in ("opt/project", "mnt/data", "mnt/nfs"):
        (root / each).mkdir(parents=True, exist_ok=True)
    units = root / "etc/systemd/system"
    (units / "sysinit.target.wants").mkdir(parents=True, exist_ok=True)
    for link in (units / "agent.service", units / "sysinit.target.wants/agent.service"):
        link.symlink_to("/opt/vm/agent.service")
    _run("chroot", str(root), "systemctl", "--quiet", "disable", "drbd", "nfs-server", "keepalived", check=False)
    _run("chroot", str(root), "systemctl", "--quiet", "mask", "serial-getty@ttyS0.service", "systemd-firstboot.service")


def _make_initramfs(modules: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        directory = Path(work)
        (directory / "bin").mkdir()
        shutil.copy(shutil.which("busybox") or "", directory / "bin/busybox")
        shutil.copy(GUEST / "init", directory / "init")
        (directory / "init").chmod(0o755)
        for name in MODULES:
            (found,) = modules.rglob(f"{name}.ko")
            shutil.copy(found, directory / f"{name}.ko")
        names = "\n".join(str(path.relative_to(directory)) for path in sorted(directory.rglob("*")))
        with open(target, "wb") as out:
            command = ["cpio", "--quiet", "-o", "-H", "newc"]
            subprocess.run(command, input=names.encode(), stdout=out, cwd=directory, check=True)


def _run(*argv: str, cwd: Path | None = None, check: bool = True) -> None:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        said: Sequence[str] = (done.stderr or done.stdout).strip().splitlines() or ["nothing said"]
        raise Unavailable(f"{argv[0]} failed: {said[-1]}")


if __name__ == "__main__":
    try:
        print(image().root.parent)
    except Unavailable as error:
        sys.exit(f"no virtual machines: {error}")
