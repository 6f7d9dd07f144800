"""Network namespaces by name: the privilege they need, and how a thread or a program gets into one."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Protocol, TypeVar

from pyvrrp.demo.processes import Process

Result = TypeVar("Result")

MOUNTS = Path("/run/netns")
"where `ip netns` keeps the names"
CLONE_NEWNET = 0x40000000
CAPABILITIES = 1 << 12 | 1 << 13 | 1 << 21
"CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN"
IN_USER_NAMESPACE = "PYVRRP_LAB_IN_USER_NAMESPACE"
WHAT_TO_DO = (
    "network namespaces are not allowed here: run it as root, or allow user namespaces"
    " (sysctl kernel.unprivileged_userns_clone=1, on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0,"
    " in a container --privileged)"
)


class LabError(Exception):
    """The lab can't be built or used; the text says why and what to do, in one line."""


def available() -> bool:
    """Whether this process may make network namespaces (root's capabilities, perhaps of a user namespace)."""
    status = Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0]
    return int(status, 16) & CAPABILITIES == CAPABILITIES


def obtain() -> None:
    """Go on with the privilege to make namespaces: without it, this program starts again in a user namespace.

    Raises LabError where user namespaces are forbidden.
    """
    if available():
        return
    unshare = ["unshare", "-Urnm", "--"]
    if IN_USER_NAMESPACE in os.environ or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        raise LabError(WHAT_TO_DO)
    os.environ[IN_USER_NAMESPACE] = "1"
    os.execvp(unshare[0], [*unshare, sys.executable, *sys.orig_argv[1:]])


def prepare() -> None:
    """Make `ip netns` work here, or raise LabError; in a user namespace that takes a /run of one's own."""
    if not available():
        raise LabError(WHAT_TO_DO)
    for program, package in (("ip", "iproute2"), ("setpriv", "util-linux")):
        if shutil.which(program) is None:
            raise LabError(f"`{program}` is not installed: apt install {package}, or what your distribution calls it")
    if not os.access("/run", os.W_OK):
        mount = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], capture_output=True, text=True)
        if mount.returncode:
            raise LabError(f"/run can't be written ({mount.stderr.strip()}): run it as root, or under `unshare -Urnm`")


def ip(*commands: str, namespace: str | None = None) -> None:
    """Run lines of `ip -batch`, in the named namespace; raise LabError at the first that fails."""
    argv = ["ip", *(("-n", namespace) if namespace else ()), "-batch", "-"]
    done = subprocess.run(argv, input="\n".join(commands) + "\n", capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: {' '.join(done.stderr.split())} ({'; '.join(commands)})")


def names(prefix: str) -> list[str]:
    """The namespaces whose names begin with `prefix`."""
    return sorted(path.name for path in MOUNTS.glob(f"{prefix}*")) if MOUNTS.is_dir() else []


def pids(name: str) -> list[int]:
    """The processes in a namespace."""
    done = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
    return [int(pid) for pid in done.stdout.split()]


def enter(name: str) -> None:
    """Move the calling thread, and it alone, into a namespace; sockets made from then on stay there for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    mount = os.open(MOUNTS / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(mount, CLONE_NEWNET):
            raise LabError(f"namespace {name}: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(mount)


class Listener(Protocol):
    """Something of this process that holds a socket in a namespace, and with it the namespace."""

    def close(self) -> None:
        """End it; harmless when it is closed already."""


class Namespace:
    """A named network namespace and what runs in it."""

    def __init__(self, name: str, directory: Path) -> None:
        self.namespace = name
        self.directory = directory
        "for logs and whatever else its programs write; goes with the lab"
        self.environment: dict[str, str] = {}
        "added to the environment of its programs"
        self.processes: list[Process] = []
        self.listeners: list[Listener] = []
        "closed with the lab"

    def run(
        self, argv: Sequence[str | Path], *, check: bool = True, timeout: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end and return what it wrote; with `check`, its failure is a LabError."""
        done = subprocess.run(
            self._inside(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **self.environment},
        )
        if check and done.returncode:
            command = " ".join(map(str, argv))
            raise LabError(f"{self.namespace}: `{command}` failed with {done.returncode}: {done.stderr.strip()}")
        return done

    def start(self, argv: Sequence[str | Path], *, stdout: Path | None = None) -> Process:
        """Start a program that goes on until it is stopped or the lab is closed; its output is appended to `stdout`."""
        process = Process(self._inside(argv), stdout, {**os.environ, **self.environment})
        self.processes.append(process)
        return process

    def call(self, function: Callable[[], Result]) -> Result:
        """What `function` returns when it is called inside: a socket that it opens can be used from any thread."""

        def inside() -> Result:
            enter(self.namespace)
            return function()

        with ThreadPoolExecutor(1) as executor:
            return executor.submit(inside).result()

    def thread(self, body: Callable[[], None]) -> Thread:
        """Start `body` in a thread that lives in the namespace."""

        def inside() -> None:
            enter(self.namespace)
            body()

        thread = Thread(target=inside, name=f"{self.namespace} {getattr(body, '__qualname__', body)}", daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Close what listens, and end every program."""
        for listener in self.listeners:
            listener.close()
        self.kill()

    def kill(self) -> None:
        """End every program in it at once (SIGKILL)."""
        for process in self.processes:
            process.kill()
        self.processes.clear()
        kill_all(self.namespace)

    def _inside(self, argv: Sequence[str | Path]) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *map(str, argv)]


def kill_all(name: str) -> None:
    """SIGKILL whatever is left in a namespace, also what has left its process group."""
    for _ in range(3):  # a process may fork while we read the list
        found = pids(name)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            break
