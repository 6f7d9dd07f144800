"""Getting a program onto an interface: which mode, who is there already, and the kernel's refusals in sentences."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from platform import release

from dnslb.bpf import rtnetlink
from dnslb.bpf.program import Program, VerifierError, describe
from dnslb.bpf.syscall import BpfError
from dnslb.bpf.xdp import Link, Mode
from dnslb.dataplane import DataPlaneError

_VETH = "a veth loses what native XDP sends, unless its other end runs XDP too"


def attach(interface: str, program: Program, *, native_on_veth: bool) -> tuple[Link, str, str]:
    """Native if the driver can, else generic: the link, its mode, and why it is not native, else "".

    Raises DataPlaneError, or BpfError where the right is missing.
    """
    index = interface_index(interface)
    native = "" if native_on_veth or rtnetlink.kind(index) != "veth" else _VETH
    if not native:
        try:
            return Link.attach(program, index, Mode.NATIVE), "native", ""
        except BpfError as error:
            _refuse_beside_others(interface, index)
            if error.errno in (errno.EPERM, errno.EACCES, errno.ENODEV):
                raise
            native = rtnetlink.reason(program, index, Mode.NATIVE) or str(error)
    try:
        return Link.attach(program, index, Mode.GENERIC), "generic", native
    except BpfError as error:
        _refuse_beside_others(interface, index)
        if error.errno in (errno.EPERM, errno.EACCES, errno.ENODEV):
            raise
        generic = rtnetlink.reason(program, index, Mode.GENERIC) or str(error)
        raise DataPlaneError(
            f"{interface}: XDP can't be attached: native: {native}; generic: {generic}: choose another engine"
        ) from None


def interface_index(interface: str) -> int:
    """Raises DataPlaneError."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        raise DataPlaneError(f"{interface}: there is no such interface") from None


@contextmanager
def explained(interface: str) -> Iterator[None]:
    """What the kernel refuses, as a DataPlaneError that names the interface."""
    try:
        yield
    except VerifierError as error:
        raise DataPlaneError(
            f"{interface}: {error} (Linux {release()}): a fault of dnslb: report it, and choose another engine"
        ) from None
    except (BpfError, OSError) as error:
        gone = isinstance(error, BpfError) and error.errno == errno.ENOLINK
        reason = "the interface is gone, and the XDP program with it: attach it anew" if gone else str(error)
        raise DataPlaneError(f"{interface}: {reason}") from None


def _refuse_beside_others(interface: str, index: int) -> None:
    """There is place for one XDP program on an interface."""
    others = sorted(set(rtnetlink.attached(index).values()))
    if others:
        named = " and ".join(f"({describe(number)})" for number in others)
        raise DataPlaneError(
            f"{interface}: another XDP program {named} is attached: end what attached it, detach it"
            f" (ip link set dev {interface} xdp off), or choose another engine"
        )
