"""Programs: loading, which is where the verifier judges them, and test runs."""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from dnslb.bpf.assembler import Code
from dnslb.bpf.descriptor import Descriptor
from dnslb.bpf.disassembler import explain
from dnslb.bpf.maps import NAME_LENGTH, Map
from dnslb.bpf.syscall import BpfError, Command, address, bpf

LICENCE = b"Dual MIT/GPL"
PROG_TYPE_XDP = 6
ATTACH_TYPE_XDP = 37
ANY_ALIGNMENT = 2
"BPF_F_ANY_ALIGNMENT: a header behind VLAN tags or options is where it is (matters to riscv64 only)"
SLOT = 8
"octets of an instruction"
FIRST_LOG, LARGEST_LOG = 1 << 16, 1 << 26
"octets"
CONTEXT_SIZE = 24
"of struct xdp_md"
LIVE_FRAMES = 2
"BPF_F_TEST_XDP_LIVE_FRAMES"
HEADROOM = 1024
"octets by which a program may make a frame of a test longer"
LARGEST_BATCH = 256
"live frames that are made at once"


_TEST_RUN = struct.Struct("=4IQQ4IQQ3I")


class Verdict(IntEnum):
    """enum xdp_action."""

    ABORTED = 0
    DROP = 1
    PASS = 2
    TX = 3
    REDIRECT = 4


class VerifierError(BpfError):
    """The verifier refused the program: one sentence, and its `log` beside the program's text."""

    def __init__(self, sentence: str, number: int, log: str) -> None:
        super().__init__(sentence, number)
        self.log = log


@dataclass(frozen=True, slots=True)
class Ran:
    """The outcome of a test run."""

    verdict: int
    frame: bytes
    nanoseconds: int
    "the mean of one run"


class Program(Descriptor):
    """A loaded XDP program; it keeps the maps that it uses, and stays itself while it is attached."""

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor)
        self.name = name

    @property
    def id(self) -> int:
        """The kernel's number of it."""
        return program_info(self.descriptor)[0]

    def run(self, frame: bytes, repeat: int = 1) -> Ran:
        """Run it on a frame of at least 14 octets, which it may change between repetitions too."""
        given = ctypes.create_string_buffer(frame, len(frame))
        left = ctypes.create_string_buffer(len(frame) + HEADROOM)
        attribute = _TEST_RUN.pack(
            self.descriptor, 0, len(given), len(left), address(given), address(left), repeat, 0, 0, 0, 0, 0, 0, 0, 0
        )
        _, result = bpf(Command.PROG_TEST_RUN, attribute, self.name)
        _, verdict, _, size, _, _, _, nanoseconds, *_ = _TEST_RUN.unpack_from(result)
        return Ran(verdict, left.raw[:size], nanoseconds)

    def run_live(self, frame: bytes, interface: int, count: int) -> None:
        """Let `count` frames come in by an interface (its index), beginning as `frame`, and do what the program says.

        XDP_TX sends them out there, XDP_PASS gives them to the stack (Linux 5.18). They are made in batches and used
        again: each begins as the program left it the last time.
        """
        given = ctypes.create_string_buffer(frame, len(frame))
        context = ctypes.create_string_buffer(struct.pack("=6I", 0, len(frame), 0, interface, 0, 0))
        attribute = _TEST_RUN.pack(
            self.descriptor,
            0,
            len(given),
            0,
            address(given),
            0,
            count,
            0,
            CONTEXT_SIZE,
            0,
            address(context),
            0,
            LIVE_FRAMES,
            0,
            min(count, LARGEST_BATCH),
        )
        bpf(Command.PROG_TEST_RUN, attribute, self.name)


def load(code: Code, maps: Mapping[str, Map], name: str) -> Program:
    """Load an XDP program; `maps` are those that its text names. Raises VerifierError, or BpfError.

    The verifier writes its log only in a second attempt, after a failure: it makes loading several times slower.
    """
    try:
        return _load(code, maps, name, None)
    except BpfError as error:
        if error.errno not in (errno.EINVAL, errno.EACCES, errno.E2BIG, errno.ENOSPC):
            raise
    size = FIRST_LOG
    while True:
        log = ctypes.create_string_buffer(size)
        try:
            return _load(code, maps, name, log)
        except BpfError as error:
            if error.errno == errno.ENOSPC and size < LARGEST_LOG:
                size *= 4
                continue
            text = log.value.decode(errors="replace")
            if not text:
                raise
            raise _objection(code, name, error, text) from None


def describe(number: int) -> str:
    """A program of this kernel by its id, for a sentence; its name is left out where we may not ask for it."""
    try:
        descriptor, _ = bpf(Command.PROG_GET_FD_BY_ID, struct.pack("=I", number))
    except BpfError:
        return f"id {number}"
    with Descriptor(descriptor):
        return f"id {number}, name {program_info(descriptor)[1]}"


def program_info(descriptor: int) -> tuple[int, str]:
    """The id and the name of the program behind a descriptor; raises BpfError."""
    info = ctypes.create_string_buffer(80)
    bpf(Command.OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", descriptor, len(info), address(info)), "a program")
    return struct.unpack_from("=I", info, 4)[0], info.raw[64:80].rstrip(b"\0").decode(errors="replace")


def _load(code: Code, maps: Mapping[str, Map], name: str, log: ctypes.Array[ctypes.c_char] | None) -> Program:
    encoded = code.encode({name: used.descriptor for name, used in maps.items()})
    instructions = ctypes.create_string_buffer(encoded, len(encoded))
    licence = ctypes.create_string_buffer(LICENCE)
    attribute = struct.pack(
        "=IIQQIIQII16sII",
        PROG_TYPE_XDP,
        len(encoded) // SLOT,
        address(instructions),
        address(licence),
        0 if log is None else 1,
        0 if log is None else len(log),
        address(log),
        0,
        ANY_ALIGNMENT,
        name[:NAME_LENGTH].encode(),
        0,
        ATTACH_TYPE_XDP,
    )
    descriptor, _ = bpf(Command.PROG_LOAD, attribute, name)
    return Program(descriptor, name)


def _objection(code: Code, name: str, error: BpfError, log: str) -> VerifierError:
    """Its sentence is the log's last one that is neither an instruction's nor statistics."""
    explained = explain(code, log)
    said = [line for line in log.splitlines() if line and not line[0].isdigit() and not line.startswith("processed ")]
    reason = said[-1] if said else str(error)
    line = next((line for line in reversed(explained.splitlines()) if line.startswith("line ")), "no line")
    return VerifierError(f"the kernel's verifier refuses {name} at {line}: {reason}", error.errno, explained)
