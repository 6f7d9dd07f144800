"""XDP on an interface: a bpf_link, which the kernel takes off when the last descriptor of it is closed."""

from __future__ import annotations

import ctypes
import struct
from enum import IntFlag
from typing import Self

from dnslb.bpf.descriptor import Descriptor
from dnslb.bpf.program import ATTACH_TYPE_XDP, Program
from dnslb.bpf.syscall import Command, address, bpf


class Mode(IntFlag):
    """XDP_FLAGS_*_MODE: in the driver, before there is a socket buffer, or behind it, for every device."""

    GENERIC = 2
    NATIVE = 4


class Link(Descriptor):
    """A program's attachment to an interface, which ends with the last descriptor (Linux 5.9); raises BpfError."""

    @classmethod
    def attach(cls, program: Program, interface: int, mode: Mode) -> Self:
        """Attach to the interface with this index; EBUSY when another program is there."""
        attribute = struct.pack("=4I", program.descriptor, interface, ATTACH_TYPE_XDP, mode)
        descriptor, _ = bpf(Command.LINK_CREATE, attribute, program.name)
        return cls(descriptor)

    def update(self, program: Program) -> None:
        """Put another program in place of the present one; each frame sees one of the two.

        The old one may be running still when this returns. ENOLINK when the interface is gone.
        """
        bpf(Command.LINK_UPDATE, struct.pack("=4I", self.descriptor, program.descriptor, 0, 0), program.name)

    @property
    def interface(self) -> int:
        """The index of the interface; 0 when that is gone."""
        info = ctypes.create_string_buffer(64)
        bpf(Command.OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", self.descriptor, len(info), address(info)), "an XDP link")
        (index,) = struct.unpack_from("=I", info, 16)
        return int(index)

    def detach(self) -> None:
        """Take the program off, although others may have duplicates of the descriptor."""
        bpf(Command.LINK_DETACH, struct.pack("=I", self.descriptor), "an XDP link")
