"""Maps: what a program and user space share."""

from __future__ import annotations

import ctypes
import errno
import struct
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Self

from dnslb.bpf.descriptor import Descriptor
from dnslb.bpf.syscall import BpfError, Command, address, bpf

NAME_LENGTH = 15


class MapType(IntEnum):
    """enum bpf_map_type."""

    ARRAY = 2
    PROG_ARRAY = 3
    PERCPU_ARRAY = 6
    LRU_HASH = 9
    ARRAY_OF_MAPS = 12
    QUEUE = 22


class Map(Descriptor):
    """A map; loaded programs that use it keep it too.

    Every method raises BpfError. Keys and values are of exactly the map's sizes.
    """

    def __init__(self, descriptor: int, kind: MapType, key_size: int, value_size: int, name: str) -> None:
        super().__init__(descriptor)
        self.kind = kind
        self.key_size = key_size
        self.value_size = value_size
        self.name = name

    @classmethod
    def create(
        cls, kind: MapType, name: str, *, key_size: int = 4, value_size: int, entries: int = 1, inner: Map | None = None
    ) -> Self:
        """A new map; `inner` is a pattern of those that an ARRAY_OF_MAPS will hold, with sizes and entries alike."""
        attribute = struct.pack(
            "=7I16s",
            kind,
            key_size,
            value_size,
            entries,
            0,
            inner.descriptor if inner else 0,
            0,
            name[:NAME_LENGTH].encode(),
        )
        descriptor, _ = bpf(Command.MAP_CREATE, attribute, f"{name} ({kind.name})")
        return cls(descriptor, kind, key_size, value_size, name)

    @classmethod
    def adopt(cls, descriptor: int) -> Self:
        """The map behind a descriptor that another process kept; the descriptor is ours from now on."""
        info = ctypes.create_string_buffer(80)
        bpf(Command.OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", descriptor, len(info), address(info)), "a map taken over")
        kind, _, key_size, value_size, _, _, name = struct.unpack_from("=6I16s", info)
        return cls(descriptor, MapType(kind), key_size, value_size, name.rstrip(b"\0").decode())

    def update(self, key: bytes, value: bytes) -> None:
        """Set one entry.

        Of an ARRAY_OF_MAPS the value is an inner map's descriptor, native-endian; the call returns when no program runs
        any more that saw the entry as it was (Linux 4.20).
        """
        self._element(Command.MAP_UPDATE_ELEM, key, ctypes.create_string_buffer(value, len(value)))

    def lookup(self, key: bytes) -> bytes | None:
        """One entry's value, None when there is none; of a per-CPU map the values of all possible CPUs, 8-aligned."""
        size = self.value_size
        if self.kind is MapType.PERCPU_ARRAY:
            size = (size + 7) // 8 * 8 * possible_cpus()
        return self._read(Command.MAP_LOOKUP_ELEM, key, size)

    def pop(self) -> bytes | None:
        """Take the oldest value out of a QUEUE; None when it is empty."""
        return self._read(Command.MAP_LOOKUP_AND_DELETE_ELEM, b"", self.value_size)

    def _read(self, command: Command, key: bytes, size: int) -> bytes | None:
        value = ctypes.create_string_buffer(size)
        try:
            self._element(command, key, value)
        except BpfError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return value.raw

    def _element(self, command: Command, key: bytes, value: ctypes.Array[ctypes.c_char]) -> None:
        key_buffer = ctypes.create_string_buffer(key, self.key_size) if self.key_size else None  # a QUEUE has no keys
        bpf(command, struct.pack("=I4xQQQ", self.descriptor, address(key_buffer), address(value), 0), self.name)


@cache
def possible_cpus() -> int:
    """How many values an entry of a per-CPU map has."""
    last = Path("/sys/devices/system/cpu/possible").read_text().strip().replace(",", "-").rpartition("-")[2]
    return int(last) + 1
