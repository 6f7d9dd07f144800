"""Instructions back to the assembler's notation, and the verifier's objections beside the text they are about."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dnslb.bpf.assembler import Code
from dnslb.bpf.instructions import (
    ALU32,
    ALU64,
    ARITHMETIC,
    ATOMIC,
    BYTE_ORDER,
    CALL,
    COMPARISONS,
    EXIT,
    FROM_REGISTER,
    GOTO,
    HELPERS,
    JMP,
    JMP32,
    LDX,
    LOAD_64,
    MAP_FD,
    MEM,
    NEGATE,
    SIZES,
    ST,
    STX,
    Instruction,
)

_MODE, _SIZE, _OPERATION = 0xE0, 0x18, 0xF0
_SIZES = {code: name for name, code in SIZES.items()}
_OPERATORS = {code: name for name, code in ARITHMETIC.items()}
_COMPARISONS = {code: name for name, code in COMPARISONS.items()}
_BYTE_ORDERS = {code: name for name, code in BYTE_ORDER.items()}
_HELPERS = {number: name for name, number in HELPERS.items()}
_LOGGED = re.compile(r"(\d+): \([0-9a-f]{2}\) ")


def disassemble(instructions: Sequence[Instruction]) -> list[str]:
    """One statement for each slot, "" for the second one of a 64-bit load; targets of jumps are `+N` and `-N`."""
    return list(_statements(instructions))


def explain(code: Code, log: str) -> str:
    """The verifier's log, each instruction below the line of the text that it was assembled from."""
    source = code.text.splitlines()
    explained = []
    before = 0
    for line in log.splitlines():
        if (found := _LOGGED.match(line)) and int(found[1]) < len(code.lines):
            number = code.lines[int(found[1])]
            if number != before:
                explained.append(f"line {number}: {source[number - 1].strip()}")
            before = number
        explained.append(f"    {line}")
    return "\n".join(explained)


def _statements(instructions: Sequence[Instruction]) -> Iterator[str]:
    slots = iter(instructions)
    for slot in slots:
        if slot.opcode == LOAD_64:
            yield _load_64(slot, next(slots))
            yield ""
        else:
            yield _statement(slot)


def _load_64(low: Instruction, high: Instruction) -> str:
    lower, upper = low.immediate & 0xFFFFFFFF, high.immediate & 0xFFFFFFFF
    if low.source == 0:
        return f"r{low.destination} = {upper << 32 | lower:#x} ll"
    return f"r{low.destination} = map[{lower}]" + ("" if low.source == MAP_FD else f"[0]+{upper}")


def _statement(slot: Instruction) -> str:
    opcode = slot.opcode
    match opcode & 0x07:
        case _ if opcode == EXIT:
            return "exit"
        case _ if opcode == CALL:
            return f"call {_HELPERS.get(slot.immediate, slot.immediate)}"
        case _ if opcode == GOTO:
            return f"goto {slot.offset:+d}"
        case _ if opcode in _BYTE_ORDERS:
            return f"r{slot.destination} = {_BYTE_ORDERS[opcode]}{slot.immediate} r{slot.destination}"
        case kind if kind in (JMP, JMP32) and opcode & _OPERATION in _COMPARISONS:
            left = f"{'r' if kind == JMP else 'w'}{slot.destination}"
            right = _operand(slot, kind == JMP)
            return f"if {left} {_COMPARISONS[opcode & _OPERATION]} {right} goto {slot.offset:+d}"
        case kind if kind in (ALU32, ALU64):
            target = f"{'r' if kind == ALU64 else 'w'}{slot.destination}"
            if opcode & _OPERATION == NEGATE:
                return f"{target} = -{target}"
            if operator := _OPERATORS.get(opcode & _OPERATION):
                return f"{target} {operator} {_operand(slot, kind == ALU64)}"
        case kind if kind == LDX and opcode & _MODE == MEM:
            return f"r{slot.destination} = {_memory(slot, slot.source)}"
        case kind if kind == ST and opcode & _MODE == MEM:
            return f"{_memory(slot, slot.destination)} = {_signed(slot.immediate)}"
        case kind if kind == STX and opcode & _MODE == MEM:
            return f"{_memory(slot, slot.destination)} = r{slot.source}"
        case kind if kind == STX and opcode & _MODE == ATOMIC and slot.immediate == 0:
            return f"lock {_memory(slot, slot.destination)} += r{slot.source}"
    return f"unknown {slot.encode().hex(' ')}"


def _operand(slot: Instruction, wide: bool) -> str:
    if slot.opcode & FROM_REGISTER:
        return f"{'r' if wide else 'w'}{slot.source}"
    return str(_signed(slot.immediate)) if wide else f"{slot.immediate & 0xFFFFFFFF:#x}"


def _memory(slot: Instruction, base: int) -> str:
    sign = "-" if slot.offset < 0 else "+"
    return f"*({_SIZES[slot.opcode & _SIZE]} *)(r{base} {sign} {abs(slot.offset)})"


def _signed(number: int) -> int:
    return (number & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
