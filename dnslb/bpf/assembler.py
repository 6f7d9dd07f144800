"""The assembler: a program's text, in the notation of LLVM, bpftool and the verifier's log, to instructions; pure.

    .register end r7            afterwards r_end and w_end are r7 and its lower half, w7
    .stack key 36               36 octets of the stack frame, 8-aligned, afterwards named key
        r_end = *(u32 *)(r1 + 4)
        *(u32 *)(key + 16) = w2
        r2 = &key
        r1 = map[flows]         the map itself, for a helper
        r3 = map[held][0]+24    the address of octet 24 of an array's first value
        call bpf_map_lookup_elem
        if r0 == 0 goto absent
        w3 = 0xdeadbeef
        r4 = 0x112233445566 ll  64 bits
        w3 = be16 w3
        lock *(u64 *)(r0 + 0) += r4
    absent:                     a label
        exit                    # a comment

An operation of w-registers works on 32 bits and clears the upper half. Immediates have 32 bits; those of r-registers
are signed and extended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dnslb.bpf.instructions import (
    ALU32,
    ALU64,
    ARITHMETIC,
    ATOMIC,
    BYTE_ORDER,
    CALL,
    COMPARISONS,
    EXIT,
    FRAME_POINTER,
    FROM_REGISTER,
    GOTO,
    HELPERS,
    JMP,
    JMP32,
    LDX,
    LOAD_64,
    MAP_FD,
    MAP_VALUE,
    MEM,
    NEGATE,
    SIZES,
    ST,
    STACK_SIZE,
    STX,
    Instruction,
)


class AssemblyError(Exception):
    """A line that is no instruction, or can't be one; names the line and quotes it."""


@dataclass(frozen=True, slots=True)
class Code:
    """An assembled program."""

    instructions: tuple[Instruction, ...]
    lines: tuple[int, ...]
    "by instruction: the line of the text that it comes from, counted from 1"
    text: str
    maps: Mapping[int, str]
    "instruction to the name of the map whose descriptor it needs"

    def encode(self, descriptors: Mapping[str, int]) -> bytes:
        """What the kernel loads; `descriptors` are those of the maps by name, KeyError when one is missing."""
        slots = list(self.instructions)
        for index, name in self.maps.items():
            slots[index] = slots[index]._replace(immediate=descriptors[name])
        return b"".join(slot.encode() for slot in slots)


def assemble(text: str) -> Code:
    """Assemble a program, or raise AssemblyError."""
    assembler = _Assembler()
    for number, line in enumerate(text.splitlines(), 1):
        if statement := line.partition("#")[0].strip():
            try:
                assembler.statement(statement, number)
            except AssemblyError as error:
                raise AssemblyError(f"line {number}: `{statement}`: {error}") from None
    return assembler.code(text)


class _Assembler:
    def __init__(self) -> None:
        self._instructions: list[Instruction] = []
        self._lines: list[int] = []
        self._maps: dict[int, str] = {}
        self._labels: dict[str, int] = {}
        self._jumps: list[tuple[int, str, int, str]] = []
        "instruction, label, line, statement"
        self._registers = {f"{number}": number for number in range(FRAME_POINTER + 1)}
        self._slots: dict[str, int] = {}
        "offset from the frame pointer"
        self._depth = 0
        self._line = 0
        self._statement = ""

    def statement(self, statement: str, line: int) -> None:
        self._line, self._statement = line, statement
        for pattern, method in _FORMS:
            if found := pattern.fullmatch(statement):
                method(self, **found.groupdict())
                return
        raise AssemblyError("not an instruction, a label or a directive")

    def code(self, text: str) -> Code:
        for index, label, line, statement in self._jumps:
            if label not in self._labels:
                raise AssemblyError(f"line {line}: `{statement}`: there is no label {label}")
            distance = self._labels[label] - index - 1
            if not -0x8000 <= distance < 0x8000:
                raise AssemblyError(f"line {line}: `{statement}`: {label} is {distance} instructions away, too far")
            self._instructions[index] = self._instructions[index]._replace(offset=distance)
        return Code(tuple(self._instructions), tuple(self._lines), text, self._maps)

    def label(self, name: str) -> None:
        if name in self._labels:
            raise AssemblyError("the label is defined already")
        self._labels[name] = len(self._instructions)

    def name_register(self, name: str, number: str) -> None:
        self._registers[f"_{name}"] = int(number)

    def name_stack(self, name: str, size: str) -> None:
        if name in self._slots:
            raise AssemblyError("the stack slot is defined already")
        self._depth += (_number(size) + 7) // 8 * 8
        if self._depth > STACK_SIZE:
            raise AssemblyError(f"the stack has {STACK_SIZE} octets, {self._depth} are wanted")
        self._slots[name] = -self._depth

    def exit(self) -> None:
        self._emit(EXIT)

    def goto(self, label: str) -> None:
        self._jump(label)
        self._emit(GOTO)

    def branch(self, left: str, comparison: str, value: str, label: str) -> None:
        register, wide = self._register(left)
        self._jump(label)
        self._emit_with_operand((JMP if wide else JMP32) | COMPARISONS[comparison], register, wide, value)

    def call(self, helper: str) -> None:
        if helper not in HELPERS:
            raise AssemblyError(f"no helper of this name is known; there are {', '.join(HELPERS)}")
        self._emit(CALL, immediate=HELPERS[helper])

    def load(self, target: str, size: str, address: str) -> None:
        base, offset = self._address(address)
        self._emit(LDX | MEM | SIZES[size], self._target(target), base, offset)

    def store(self, size: str, address: str, value: str) -> None:
        base, offset = self._address(address)
        if value[0] in "rw":
            self._emit(STX | MEM | SIZES[size], base, self._register(value)[0], offset)
        else:
            self._emit(ST | MEM | SIZES[size], base, 0, offset, _immediate(value, size == "u64"))

    def atomic_add(self, size: str, address: str, value: str) -> None:
        base, offset = self._address(address)
        self._emit(STX | ATOMIC | SIZES[size], base, self._register(value)[0], offset, ARITHMETIC["+="])

    def arithmetic(self, target: str, operator: str, value: str) -> None:
        wide = target[0] == "r"
        self._emit_with_operand((ALU64 if wide else ALU32) | ARITHMETIC[operator], self._target(target), wide, value)

    def negate(self, target: str) -> None:
        self._emit((ALU64 if target[0] == "r" else ALU32) | NEGATE, self._target(target))

    def byte_order(self, target: str, order: str, bits: str) -> None:
        self._emit(BYTE_ORDER[order], self._target(target), immediate=int(bits))

    def stack_address(self, target: str, name: str) -> None:
        base, offset = self._address(name)
        self._emit(ALU64 | ARITHMETIC["="] | FROM_REGISTER, self._target(target), base)
        self._emit(ALU64 | ARITHMETIC["+="], self._target(target), immediate=offset)

    def load_64(self, target: str, number: str) -> None:
        value = _number(number)
        if not -(1 << 63) <= value < 1 << 64:
            raise AssemblyError(f"{number} does not fit into 64 bits")
        self._emit(LOAD_64, self._target(target), immediate=value & 0xFFFFFFFF)
        self._emit(0, immediate=value >> 32 & 0xFFFFFFFF)

    def load_map(self, target: str, name: str, offset: str | None) -> None:
        self._maps[len(self._instructions)] = name
        self._emit(LOAD_64, self._target(target), MAP_FD if offset is None else MAP_VALUE)
        self._emit(0, immediate=_number(offset or "0"))

    def _emit(self, opcode: int, destination: int = 0, source: int = 0, offset: int = 0, immediate: int = 0) -> None:
        self._instructions.append(Instruction(opcode, destination, source, offset, immediate))
        self._lines.append(self._line)

    def _emit_with_operand(self, opcode: int, destination: int, wide: bool, value: str) -> None:
        if value[0] not in "rw":
            self._emit(opcode, destination, immediate=_immediate(value, wide))
            return
        source, source_wide = self._register(value)
        if source_wide != wide:
            raise AssemblyError("32 and 64 bits are mixed: both must be r-registers or both w-registers")
        self._emit(opcode | FROM_REGISTER, destination, source)

    def _jump(self, label: str) -> None:
        self._jumps.append((len(self._instructions), label, self._line, self._statement))

    def _register(self, name: str) -> tuple[int, bool]:
        """Its number, and whether all 64 bits are meant."""
        if name[1:] not in self._registers:
            raise AssemblyError(f"there is no register {name}")
        return self._registers[name[1:]], name[0] == "r"

    def _target(self, name: str) -> int:
        number, _ = self._register(name)
        if number == FRAME_POINTER:
            raise AssemblyError("the frame pointer can't be written")
        return number

    def _address(self, text: str) -> tuple[int, int]:
        """The base register and the offset of `NAME`, `NAME + N` or `NAME - N`."""
        name, sign, number = text.partition(" ")[0], -1 if " - " in text else 1, text.rpartition(" ")[2]
        offset = sign * _number(number) if " " in text else 0
        if name in self._slots:
            base, offset = FRAME_POINTER, self._slots[name] + offset
            if offset >= 0:
                raise AssemblyError("beyond the stack frame")
        else:
            base, wide = self._register(name) if name[0] == "r" else (0, False)
            if not wide:
                raise AssemblyError(f"{name} is neither an r-register nor a stack slot")
        if not -0x8000 <= offset < 0x8000:
            raise AssemblyError(f"the offset {offset} does not fit into 16 bits")
        return base, offset


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise AssemblyError(f"{text} is not a number") from None


def _immediate(text: str, wide: bool) -> int:
    number = _number(text)
    if not -0x80000000 <= number < (0x80000000 if wide else 0x100000000):
        raise AssemblyError(f"{text} does not fit into {'signed ' * wide}32 bits")
    return number


def _alternatives(words: Mapping[str, int]) -> str:
    return "|".join(re.escape(word) for word in words)


_PARTS = {
    "REGISTER": r"[rw](?:_\w+|\d+)",
    "VALUE": r"(?P<value>[rw](?:_\w+|\d+)|-?\d\w*)",
    "MEMORY": rf"\*\((?P<size>{_alternatives(SIZES)}) \*\)\((?P<address>\w+(?: [+-] \w+)?)\)",
    "TARGET": r"(?P<target>[rw](?:_\w+|\d+))",
    "COMPARISON": rf"(?P<comparison>{_alternatives(COMPARISONS)})",
    "OPERATOR": rf"(?P<operator>{_alternatives(ARITHMETIC)})",
    "LABEL": r"(?P<label>\w+)",
    "NAME": r"(?P<name>\w+)",
}
_FORMS: list[tuple[re.Pattern[str], Callable[..., None]]] = [
    (re.compile(re.sub("[A-Z]{4,}", lambda part: _PARTS[part[0]], form)), method)
    for form, method in (
        (r"TARGET OPERATOR VALUE", _Assembler.arithmetic),
        (r"TARGET = MEMORY", _Assembler.load),
        (r"MEMORY = VALUE", _Assembler.store),
        (r"if (?P<left>REGISTER) COMPARISON VALUE goto LABEL", _Assembler.branch),
        (r"goto LABEL", _Assembler.goto),
        (r"NAME:", _Assembler.label),
        (r"TARGET = map\[NAME\](?:\[0\]\+(?P<offset>\w+))?", _Assembler.load_map),
        (r"TARGET = (?P<number>-?\w+) ll", _Assembler.load_64),
        (r"TARGET = (?P<order>be|le)(?P<bits>16|32|64) (?P=target)", _Assembler.byte_order),
        (r"TARGET = &(?P<name>\w+(?: [+-] \w+)?)", _Assembler.stack_address),
        (r"TARGET = -(?P=target)", _Assembler.negate),
        (r"lock MEMORY \+= VALUE", _Assembler.atomic_add),
        (r"call (?P<helper>\w+)", _Assembler.call),
        (r"exit", _Assembler.exit),
        (r"\.register NAME r(?P<number>[0-9])", _Assembler.name_register),
        (r"\.stack NAME (?P<size>\w+)", _Assembler.name_stack),
    )
]
