"""bpf(2) by ctypes, on x86_64, aarch64 and riscv64; each failure is one sentence."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import sys
from enum import IntEnum
from pathlib import Path

NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280}
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_PERFMON": 38, "CAP_BPF": 39}
CAP_SYS_ADMIN = 21
"stands for CAP_BPF and CAP_PERFMON"
ATTRIBUTE_SIZE = 128
"of union bpf_attr here; all of it beyond the members that are set is zero, which every kernel accepts"


class BpfError(Exception):
    """What the kernel refuses, and why, in one line; `errno` is the kernel's number, 0 when it was not asked."""

    def __init__(self, sentence: str, number: int = 0) -> None:
        super().__init__(sentence)
        self.errno = number


class Command(IntEnum):
    """enum bpf_cmd."""

    MAP_CREATE = 0
    MAP_LOOKUP_ELEM = 1
    MAP_UPDATE_ELEM = 2
    PROG_LOAD = 5
    PROG_TEST_RUN = 10
    PROG_GET_FD_BY_ID = 13
    OBJ_GET_INFO_BY_FD = 15
    MAP_LOOKUP_AND_DELETE_ELEM = 21
    LINK_CREATE = 28
    LINK_UPDATE = 29
    LINK_DETACH = 34


def bpf(command: Command, attribute: bytes, subject: str = "") -> tuple[int, bytes]:
    """One call: its result and the attribute as the kernel left it.

    Buffers that the attribute points to must be kept referenced by the caller. Raises BpfError, which names `subject`.
    """
    number = _number()
    argument = ctypes.create_string_buffer(attribute, ATTRIBUTE_SIZE)
    while True:
        result = _libc.syscall(number, int(command), argument, max(len(attribute), 1))
        if result >= 0:
            return result, argument.raw
        failure = ctypes.get_errno()
        if failure == errno.EPERM and _raise_locked_memory():
            continue
        if failure not in (errno.EINTR, errno.EAGAIN):
            raise BpfError(_sentence(command, subject, failure), failure)


def address(buffer: ctypes.Array[ctypes.c_char] | None) -> int:
    """Of a buffer, for an attribute; 0 for None."""
    return ctypes.addressof(buffer) if buffer is not None else 0


def demand_capabilities() -> None:
    """Raise BpfError where this process lacks what loading and attaching a program takes.

    Without CAP_PERFMON the verifier lets no pointer be computed from the contents of a packet, which it says late.
    """
    if lacking := _lacking():
        raise BpfError(lacking, errno.EPERM)


_libc = ctypes.CDLL(None, use_errno=True)


def _number() -> int:
    machine = platform.machine()
    if machine not in NUMBERS or sys.byteorder != "little" or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise BpfError(f"eBPF is used on 64-bit {', '.join(NUMBERS)} only, this is {machine}: choose another engine")
    return NUMBERS[machine]


def _sentence(command: Command, subject: str, failure: int) -> str:
    what = f"bpf {command.name}{subject and f' of {subject}'}: {os.strerror(failure)}"
    match failure:
        case errno.EPERM | errno.EACCES if lacking := _lacking():
            return f"{what}: {lacking}"
        case errno.EPERM if Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]:
            return f"{what}: bpf(2) is refused in a user namespace: run it in the initial one"
        case errno.EPERM:
            return (
                f"{what}: the capabilities are there, so a seccomp profile or kernel lockdown forbids it: allow bpf(2)"
            )
        case errno.ENOSYS:
            return f"{what}: this kernel is built without CONFIG_BPF_SYSCALL"
    return what


def _lacking() -> str:
    """Which capabilities this process does not have, and what to do; "" when it has them."""
    status = Path("/proc/self/status").read_text()
    effective = int(status.split("CapEff:")[1].split()[0], 16)
    if effective >> CAP_SYS_ADMIN & 1:
        effective |= 1 << CAPABILITIES["CAP_BPF"] | 1 << CAPABILITIES["CAP_PERFMON"]
    missing = [name for name, bit in CAPABILITIES.items() if not effective >> bit & 1]
    return f"eBPF needs {', '.join(missing)}, which this process lacks: grant it, or run as root" if missing else ""


def _raise_locked_memory() -> bool:
    """Before Linux 5.11 maps and programs count as locked memory; whether the limit was raised now."""
    release = platform.release().split(".")
    if (int(release[0]), int(release[1])) >= (5, 11):
        return False
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    for higher in (resource.RLIM_INFINITY, hard):  # the first needs CAP_SYS_RESOURCE
        with contextlib.suppress(OSError, ValueError):
            if soft != higher:
                resource.setrlimit(resource.RLIMIT_MEMLOCK, (higher, higher))
                return True
    return False
