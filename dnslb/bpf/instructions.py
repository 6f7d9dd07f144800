"""The instruction set: what both the assembler and the disassembler have to know (RFC 9669)."""

from __future__ import annotations

import struct
from typing import NamedTuple

LD, LDX, ST, STX, ALU32, JMP, JMP32, ALU64 = range(8)
"instruction classes"
IMM, MEM, ATOMIC = 0x00, 0x60, 0xC0
"modes of loads and stores"
FROM_REGISTER = 0x08
"the operand is a register, not the immediate"
SIZES = {"u32": 0x00, "u16": 0x08, "u8": 0x10, "u64": 0x18}
ARITHMETIC = {
    "+=": 0x00,
    "-=": 0x10,
    "*=": 0x20,
    "/=": 0x30,
    "|=": 0x40,
    "&=": 0x50,
    "<<=": 0x60,
    ">>=": 0x70,
    "%=": 0x90,
    "^=": 0xA0,
    "=": 0xB0,
    "s>>=": 0xC0,
}
NEGATE = 0x80
BYTE_ORDER = {"le": 0xD0 | ALU32, "be": 0xD8 | ALU32}
COMPARISONS = {
    "==": 0x10,
    ">": 0x20,
    ">=": 0x30,
    "&": 0x40,
    "!=": 0x50,
    "s>": 0x60,
    "s>=": 0x70,
    "<": 0xA0,
    "<=": 0xB0,
    "s<": 0xC0,
    "s<=": 0xD0,
}
GOTO, CALL, EXIT = JMP | 0x00, JMP | 0x80, JMP | 0x90
LOAD_64 = LD | IMM | SIZES["u64"]
"the one instruction of two slots; the second has the upper half of the immediate"
MAP_FD, MAP_VALUE = 1, 2
"in the source register of LOAD_64: the immediate is a map's descriptor; the address of its first value"
FRAME_POINTER = 10
STACK_SIZE = 512

HELPERS = {
    "bpf_map_lookup_elem": 1,
    "bpf_map_update_elem": 2,
    "bpf_get_prandom_u32": 7,
    "bpf_tail_call": 12,
    "bpf_map_push_elem": 87,
    "bpf_xdp_load_bytes": 189,
}


class Instruction(NamedTuple):
    """One slot of 8 bytes."""

    opcode: int
    destination: int = 0
    source: int = 0
    offset: int = 0
    immediate: int = 0
    "signed or unsigned 32 bits"

    def encode(self) -> bytes:
        """As a little-endian kernel reads it."""
        registers = self.destination | self.source << 4
        return struct.pack("<BBhI", self.opcode, registers, self.offset, self.immediate & 0xFFFFFFFF)
