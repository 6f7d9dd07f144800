"""The assembler: what the kernel is given for a line, and what a wrong line is told."""

import pytest

from dnslb.bpf.assembler import AssemblyError, assemble
from dnslb.bpf.disassembler import disassemble, explain
from dnslb.bpf.instructions import Instruction

# By RFC 9669; tests/lab/test_dnslb_bpf.py has the kernel read them back.
ENCODINGS = [
    ("r1 = 5", "b7 01 00 00 05 00 00 00"),
    ("w1 = 5", "b4 01 00 00 05 00 00 00"),
    ("w1 = 0xdeadbeef", "b4 01 00 00 ef be ad de"),
    ("r1 = -1", "b7 01 00 00 ff ff ff ff"),
    ("r6 = r1", "bf 16 00 00 00 00 00 00"),
    ("w6 = w1", "bc 16 00 00 00 00 00 00"),
    ("r2 += -8", "07 02 00 00 f8 ff ff ff"),
    ("r2 += r3", "0f 32 00 00 00 00 00 00"),
    ("w2 += w3", "0c 32 00 00 00 00 00 00"),
    ("r2 -= r6", "1f 62 00 00 00 00 00 00"),
    ("w2 -= 1", "14 02 00 00 01 00 00 00"),
    ("r3 *= r2", "2f 23 00 00 00 00 00 00"),
    ("w2 /= 3", "34 02 00 00 03 00 00 00"),
    ("w2 %= w1", "9c 12 00 00 00 00 00 00"),
    ("w2 |= 0x20202020", "44 02 00 00 20 20 20 20"),
    ("w2 &= 0xff3f", "54 02 00 00 3f ff 00 00"),
    ("w2 ^= w3", "ac 32 00 00 00 00 00 00"),
    ("r3 <<= 4", "67 03 00 00 04 00 00 00"),
    ("w2 <<= w8", "6c 82 00 00 00 00 00 00"),
    ("r3 >>= 32", "77 03 00 00 20 00 00 00"),
    ("w3 s>>= 31", "c4 03 00 00 1f 00 00 00"),
    ("r8 = -r8", "87 08 00 00 00 00 00 00"),
    ("w8 = -w8", "84 08 00 00 00 00 00 00"),
    ("r3 = be16 r3", "dc 03 00 00 10 00 00 00"),
    ("r3 = le64 r3", "d4 03 00 00 40 00 00 00"),
    ("r0 = *(u8 *)(r1 + 9)", "71 10 09 00 00 00 00 00"),
    ("r0 = *(u16 *)(r1 - 2)", "69 10 fe ff 00 00 00 00"),
    ("r0 = *(u32 *)(r1 + 4)", "61 10 04 00 00 00 00 00"),
    ("r0 = *(u64 *)(r1)", "79 10 00 00 00 00 00 00"),
    ("*(u8 *)(r1 + 1) = 7", "72 01 01 00 07 00 00 00"),
    ("*(u32 *)(r10 - 4) = 0xc0000201", "62 0a fc ff 01 02 00 c0"),
    ("*(u16 *)(r6 + 0) = r9", "6b 96 00 00 00 00 00 00"),
    ("*(u64 *)(r10 - 8) = r6", "7b 6a f8 ff 00 00 00 00"),
    ("lock *(u64 *)(r0 + 8) += r1", "db 10 08 00 00 00 00 00"),
    ("r2 = 0x112233445566 ll", "18 02 00 00 66 55 44 33 00 00 00 00 22 11 00 00"),
    ("r1 = map[m]", "18 11 00 00 07 00 00 00 00 00 00 00 00 00 00 00"),
    ("r1 = map[m][0]+24", "18 21 00 00 07 00 00 00 00 00 00 00 18 00 00 00"),
    ("call bpf_map_lookup_elem", "85 00 00 00 01 00 00 00"),
    ("call bpf_tail_call", "85 00 00 00 0c 00 00 00"),
    ("exit", "95 00 00 00 00 00 00 00"),
]
JUMPS = [
    ("goto out", "05 00 01 00 00 00 00 00"),
    ("if r0 == 0 goto out", "15 00 01 00 00 00 00 00"),
    ("if w2 != 0xdd86 goto out", "56 02 01 00 86 dd 00 00"),
    ("if r2 > r7 goto out", "2d 72 01 00 00 00 00 00"),
    ("if w3 >= w2 goto out", "3e 23 01 00 00 00 00 00"),
    ("if w3 < 5 goto out", "a6 03 01 00 05 00 00 00"),
    ("if r3 <= 12 goto out", "b5 03 01 00 0c 00 00 00"),
    ("if r3 s> -1 goto out", "65 03 01 00 ff ff ff ff"),
    ("if r3 s< r2 goto out", "cd 23 01 00 00 00 00 00"),
    ("if w2 & 2 goto out", "46 02 01 00 02 00 00 00"),
]


@pytest.mark.parametrize(("line", "octets"), ENCODINGS)
def test_an_instruction(line, octets):
    assert assemble(line).encode({"m": 7}).hex(" ") == octets


@pytest.mark.parametrize(("line", "octets"), JUMPS)
def test_a_jump_counts_the_instructions_between(line, octets):
    assert assemble(f"{line}\nr0 = 1\nout:\nexit").encode({})[:8].hex(" ") == octets


def test_a_jump_backwards():
    assert assemble("again:\nr1 += 1\nif r1 < 9 goto again\nexit").instructions[1].offset == -2


def test_named_registers_and_stack_slots():
    code = assemble(
        """
        .register end r7
        .stack number 4
        .stack key 36           # 40, as slots are 8-aligned
        r_end = r10
        if w_end == 0 goto out
        *(u16 *)(key + 34) = r_end
        r2 = &key
        r3 = *(u32 *)(number)
    out:
        exit
        """
    )
    assert disassemble(code.instructions) == [
        "r7 = r10",
        "if w7 == 0x0 goto +4",
        "*(u16 *)(r10 - 14) = r7",
        "r2 = r10",
        "r2 += -48",
        "r3 = *(u32 *)(r10 - 8)",
        "exit",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("r1 = 1\n\nr1 =+ 2", "line 3: `r1 =+ 2`: not an instruction, a label or a directive"),
        ("goto nowhere", "line 1: `goto nowhere`: there is no label nowhere"),
        ("here:\nhere:", "line 2: `here:`: the label is defined already"),
        ("r_end = 1", "line 1: `r_end = 1`: there is no register r_end"),
        ("r11 = 1", "line 1: `r11 = 1`: there is no register r11"),
        ("r10 = 1", "line 1: `r10 = 1`: the frame pointer can't be written"),
        ("r1 += w2", "line 1: `r1 += w2`: 32 and 64 bits are mixed: both must be r-registers or both w-registers"),
        ("r1 = 0x80000000", "line 1: `r1 = 0x80000000`: 0x80000000 does not fit into signed 32 bits"),
        ("w1 = 0x100000000", "line 1: `w1 = 0x100000000`: 0x100000000 does not fit into 32 bits"),
        ("r1 = 0x10000000000000000 ll", "0x10000000000000000 does not fit into 64 bits"),
        ("r1 = 08", "line 1: `r1 = 08`: 08 is not a number"),
        ("r1 = *(u32 *)(nothing + 4)", "nothing is neither an r-register nor a stack slot"),
        ("r1 = *(u32 *)(r2 + 40000)", "the offset 40000 does not fit into 16 bits"),
        (".stack key 8\nr1 = *(u32 *)(key + 8)", "line 2: `r1 = *(u32 *)(key + 8)`: beyond the stack frame"),
        (".stack key 600", "the stack has 512 octets, 600 are wanted"),
        (".stack key 8\n.stack key 8", "line 2: `.stack key 8`: the stack slot is defined already"),
        (
            "call bpf_nothing",
            "line 1: `call bpf_nothing`: no helper of this name is known; there are bpf_map_lookup_elem",
        ),
        ("goto far\n" + "r1 = 1\n" * 32768 + "far:", "line 1: `goto far`: far is 32768 instructions away, too far"),
    ],
)
def test_a_wrong_line_is_quoted_with_its_number(text, said):
    with pytest.raises(AssemblyError) as error:
        assemble(text)
    assert str(error.value).startswith(said) or said in str(error.value)


def test_what_is_assembled_is_disassembled_to_the_same():
    lines = [line for line, _ in ENCODINGS if "map[m]" not in line and line != "w1 = 5"]
    shown = disassemble(assemble("\n".join(lines)).instructions)
    again = assemble("\n".join(line for line in shown if line))
    assert again.encode({}) == assemble("\n".join(lines)).encode({})


def test_an_unknown_instruction_is_shown_as_its_octets():
    assert disassemble([Instruction(0xFF, 1, 2, 3, 4)]) == ["unknown ff 21 03 00 04 00 00 00"]


def test_the_verifiers_log_has_the_lines_of_the_text_beside_it():
    code = assemble(".stack key 8\n\n    r2 = &key   # two instructions\n    exit")
    log = "0: (bf) r2 = r10\n1: (07) r2 += -8\n2: (95) exit\nR0 !read_ok\n"
    assert explain(code, log).splitlines() == [
        "line 3: r2 = &key   # two instructions",
        "    0: (bf) r2 = r10",
        "    1: (07) r2 += -8",
        "line 4: exit",
        "    2: (95) exit",
        "    R0 !read_ok",
    ]
