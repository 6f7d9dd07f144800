"""The eBPF layer against the kernel: what it reads, keeps, refuses and says."""

import errno
import os
import platform
import re
import resource
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from isolated import ip, isolated

from dnslb.bpf import rtnetlink, syscall
from dnslb.bpf.assembler import assemble
from dnslb.bpf.disassembler import disassemble
from dnslb.bpf.maps import Map, MapType, possible_cpus
from dnslb.bpf.program import Program, Verdict, VerifierError, describe, load
from dnslb.bpf.syscall import BpfError, Command, bpf
from dnslb.bpf.xdp import Link, Mode
from tests.dnslb_xdp import bpf_allowed

pytestmark = pytest.mark.skipif(not bpf_allowed(), reason="bpf(2) needs root outside of user namespaces")
ROOT = Path(__file__).parents[2]
FRAME = bytes(range(64))
PASS = f"w0 = {Verdict.PASS:d}\nexit"
EVERY_INSTRUCTION = """
    .stack slot 16
    r6 = *(u32 *)(r1 + 0)
    r7 = *(u32 *)(r1 + 4)
    r8 = *(u32 *)(r1 + 12)
    r3 = r6
    r3 += 20
    if r3 > r7 goto out
    r2 = *(u64 *)(r6 + 0)
    r4 = *(u32 *)(r6 + 8)
    r5 = *(u16 *)(r6 + 12)
    r9 = *(u8 *)(r6 + 14)
    *(u64 *)(slot) = 0
    *(u64 *)(slot + 8) = r2
    *(u32 *)(slot + 4) = r4
    *(u32 *)(slot + 4) = 5
    *(u16 *)(slot + 2) = r5
    *(u16 *)(slot + 2) = 6
    *(u8 *)(slot + 1) = r9
    *(u8 *)(slot + 1) = 7
    lock *(u64 *)(slot) += r2
    r2 += r4
    w2 += w4
    r2 -= 9
    w2 -= 9
    r2 *= r4
    w2 *= 3
    r2 /= 3
    w2 /= w4
    r2 %= 7
    w2 |= 0x20202020
    r2 |= r5
    w4 &= 0xff3f
    r4 &= r5
    w4 ^= w5
    r4 ^= 51
    r4 <<= 4
    w4 <<= 4
    r4 >>= 32
    w4 >>= w5
    r4 s>>= 2
    w4 s>>= 2
    r4 = -r4
    w4 = -w4
    r5 = be16 r5
    r5 = be32 r5
    r5 = be64 r5
    w5 = w4
    w5 = 0xdeadbeef
    r5 = r4
    r5 = 0x112233445566 ll
    r2 = *(u64 *)(r6 + 0)
    r4 = *(u32 *)(r6 + 8)
    if r2 == 5 goto out
    r2 = *(u64 *)(r6 + 0)
    r4 = *(u32 *)(r6 + 8)
    if w2 != 0xdd86 goto out
    r2 = *(u64 *)(r6 + 0)
    r4 = *(u32 *)(r6 + 8)
    if r2 >= r4 goto out
    r2 = *(u64 *)(r6 + 0)
    r4 = *(u32 *)(r6 + 8)
    if w2 < 5 goto out
    r2 = *(u64 *)(r6 + 0)
    r4 = *(u32 *)(r6 + 8)
    if r2 <= 12 goto out
    r2 = *(u64 *)(r6 + 0)
    r4 = *(u32 *)(r6 + 8)
    if r2 > r4 goto out
    r2 = *(u64 *)(r6 + 0)
    r4 = *(u32 *)(r6 + 8)
    if r2 s> -1 goto out
    r2 = *(u64 *)(r6 + 0)
    r4 = *(u32 *)(r6 + 8)
    if w2 s>= w4 goto out
    r2 = *(u64 *)(r6 + 0)
    r4 = *(u32 *)(r6 + 8)
    if r2 s< r4 goto out
    r2 = *(u64 *)(r6 + 0)
    r4 = *(u32 *)(r6 + 8)
    if w2 s<= 3 goto out
    r2 = *(u64 *)(r6 + 0)
    r4 = *(u32 *)(r6 + 8)
    if w2 & 2 goto out
    goto out
out:
    r1 = &slot
    r0 = *(u64 *)(r10 + 8)
    exit
"""


def program(text: str, name: str = "test", **maps: Map) -> Program:
    return load(assemble(text), maps, name)


def number(value: int) -> bytes:
    return struct.pack("=I", value)


def test_the_kernel_reads_every_instruction_as_it_was_written() -> None:
    """The verifier's log is the kernel's own disassembly; it writes one as the program ends with a forbidden load."""
    code = assemble(EVERY_INSTRUCTION)
    with pytest.raises(VerifierError) as refused:
        load(code, {}, "notation")
    read = re.findall(r"^    (\d+): \([0-9a-f]{2}\) (.*?) *(?:;.*)?$", refused.value.log, re.MULTILINE)
    shown = disassemble(code.instructions)
    assert {int(index) for index, _ in read} == {*range(len(shown) - 1)} - {shown.index("")}
    for index, line in read:
        assert unified(line) == unified(shown[int(index)]), index


def unified(line: str) -> str:
    """Without the liberties that the two notations take: spaces, how immediates are written, `pc`, `ll`."""
    line = re.sub(r"(?<=[=<>&] )(-?(?:0x[0-9a-f]+|\d+))(?= |$)", lambda found: f"{int(found[1], 0) & 0xFFFFFFFF}", line)
    return re.sub(r"\s|ll|pc", "", line)


def test_a_map_of_each_kind() -> None:
    with (
        Map.create(MapType.ARRAY, "array", value_size=8, entries=3) as array,
        Map.create(MapType.LRU_HASH, "lru", key_size=36, value_size=4, entries=64) as lru,
        Map.create(MapType.PERCPU_ARRAY, "percpu", value_size=12) as percpu,
        Map.create(MapType.ARRAY_OF_MAPS, "outer", value_size=4, inner=array) as outer,
    ):
        array.update(number(2), b"8 octets")
        assert [array.lookup(number(index)) for index in (1, 2, 3)] == [bytes(8), b"8 octets", None]
        assert lru.lookup(b"k" * 36) is None
        lru.update(b"k" * 36, number(5))
        assert lru.lookup(b"k" * 36) == number(5)
        assert percpu.lookup(number(0)) == bytes(16 * possible_cpus())
        outer.update(number(0), number(array.descriptor))
        with Map.adopt(os.dup(lru.descriptor)) as again:
            assert (again.kind, again.key_size, again.value_size, again.name) == (MapType.LRU_HASH, 36, 4, "lru")
        with pytest.raises(BpfError, match="bpf MAP_UPDATE_ELEM of array: Argument list too long"):
            array.update(number(3), bytes(8))


def test_an_inner_map_takes_the_place_of_another() -> None:
    text = """
        .stack first 4
        *(u32 *)(first) = 0
        r2 = &first
        r1 = map[outer]
        call bpf_map_lookup_elem
        if r0 == 0 goto out
        r1 = r0
        r2 = &first
        call bpf_map_lookup_elem
        if r0 == 0 goto out
        r0 = *(u64 *)(r0 + 0)
    out:
        exit
    """
    with (
        Map.create(MapType.ARRAY, "inner", value_size=8) as two,
        Map.create(MapType.ARRAY, "inner", value_size=8) as three,
        Map.create(MapType.ARRAY_OF_MAPS, "outer", value_size=4, inner=two) as outer,
        program(text, outer=outer) as reader,
    ):
        assert reader.run(FRAME).verdict == 0
        for inner, value in ((two, 2), (three, 3)):
            inner.update(number(0), value.to_bytes(8, "little"))
            outer.update(number(0), number(inner.descriptor))
            assert reader.run(FRAME).verdict == value


def test_an_atomic_addition_and_a_value_by_its_address() -> None:
    with Map.create(MapType.ARRAY, "sums", value_size=32) as sums:
        text = "r1 = map[sums][0]+24\nr2 = 5\nlock *(u64 *)(r1 + 0) += r2\nw0 = 3\nexit"
        with program(text, sums=sums) as adder:
            assert adder.run(FRAME, repeat=1000).verdict == Verdict.TX
        assert sums.lookup(number(0)) == bytes(24) + (5000).to_bytes(8, "little")


def test_a_program_may_change_the_frame() -> None:
    text = """
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r1 = r2
        r1 += 4
        if r1 > r3 goto out
        *(u32 *)(r2 + 0) = 0x04030201
    out:
        w0 = 3
        exit
    """
    with program(text) as writer:
        ran = writer.run(FRAME)
    assert (ran.verdict, ran.frame) == (Verdict.TX, b"\1\2\3\4" + FRAME[4:])


def test_the_verifiers_reason_is_one_sentence_and_its_log_has_our_lines() -> None:
    with pytest.raises(VerifierError) as refused:
        program("r2 = *(u32 *)(r1 + 0)\n\n# the end is not looked at\nr0 = *(u8 *)(r2 + 9)\nexit", "careless")
    assert str(refused.value) == (
        "the kernel's verifier refuses careless at line 4: r0 = *(u8 *)(r2 + 9): R2 offset is outside of the packet"
    )
    assert "line 4: r0 = *(u8 *)(r2 + 9)\n    1: (71) r0 = *(u8 *)(r2 +9)\n" in refused.value.log


def test_a_log_of_any_length_is_read() -> None:
    """A long way that ends badly: the log is longer than the first buffer."""
    text = "\n".join([*("r2 = *(u32 *)(r1 + 0)" for _ in range(3000)), "r0 = r9", "exit"])
    with pytest.raises(VerifierError, match="at line 3001: r0 = r9: R9 !read_ok") as refused:
        program(text)
    assert len(refused.value.log) > 1 << 16


def test_what_is_on_an_interface() -> None:
    @isolated
    async def scene() -> None:
        ip("link add v0 type veth peer name v1")
        index = socket.if_nametoindex("v0")
        assert rtnetlink.attached(index) == {}
        with program(PASS, "keeper") as first, program("w0 = 1\nexit", "second") as second:
            for mode in Mode:
                with Link.attach(first, index, mode) as link:
                    assert rtnetlink.attached(index) == {mode: first.id}
                    assert link.interface == index
                    assert describe(first.id) == f"id {first.id}, name keeper"
                    link.update(second)
                    assert rtnetlink.attached(index) == {mode: second.id}
                    with pytest.raises(BpfError) as refused:
                        Link.attach(first, index, mode)
                    assert refused.value.errno == errno.EBUSY
                    assert rtnetlink.reason(first, index, mode) == "Can't replace active BPF XDP link"
                assert rtnetlink.attached(index) == {}
            with Link.attach(first, index, Mode.NATIVE) as link, Link(os.dup(link.descriptor)) as other:
                other.detach()
                assert rtnetlink.attached(index) == {}
                ip("link del v0")
                assert link.interface == 0
        with pytest.raises(OSError, match="No such device"):
            rtnetlink.attached(index)

    scene()


def test_a_refusal_that_has_become_an_acceptance_is_undone() -> None:
    @isolated
    async def scene() -> None:
        ip("link add v0 type veth peer name v1")
        index = socket.if_nametoindex("v0")
        with program(PASS) as accepted:
            assert rtnetlink.reason(accepted, index, Mode.NATIVE) == ""
        assert rtnetlink.attached(index) == {}

    scene()


def test_the_drivers_reason() -> None:
    @isolated
    async def scene() -> None:
        ip("link add v0 mtu 9000 type veth peer name v1 mtu 9000")
        index = socket.if_nametoindex("v0")
        with program(PASS) as refused:
            assert "MTU is too large" in rtnetlink.reason(refused, index, Mode.NATIVE)
            assert "native mode" in rtnetlink.reason(refused, socket.if_nametoindex("lo"), Mode.NATIVE)

    scene()


@pytest.mark.parametrize(
    ("granted", "said"),
    [
        ("+net_admin", "eBPF needs CAP_PERFMON, CAP_BPF, which this process lacks: grant it, or run as root"),
        ("+net_admin,+bpf", "eBPF needs CAP_PERFMON, which this process lacks: grant it, or run as root"),
        ("+bpf,+perfmon", "eBPF needs CAP_NET_ADMIN, which this process lacks: grant it, or run as root"),
        ("+net_admin,+bpf,+perfmon", "allowed"),
        ("+net_admin,+sys_admin", "allowed"),
    ],
)
def test_a_right_that_is_missing_is_named(granted: str, said: str) -> None:
    script = (
        "from dnslb.bpf.syscall import *\ntry: demand_capabilities(); print('allowed')\nexcept BpfError as e: print(e)"
    )
    argv = ["setpriv", f"--bounding-set=-all,{granted}", "--inh-caps=-all", sys.executable, "-c", script]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == said


def test_in_a_user_namespace_bpf_is_refused_with_a_sentence() -> None:
    script = (
        "from dnslb.bpf.maps import *\ntry: Map.create(MapType(2), 'm', value_size=4)\nexcept BpfError as e: print(e)"
    )
    done = subprocess.run(
        ["unshare", "-Urn", sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == (
        "bpf MAP_CREATE of m (ARRAY): Operation not permitted: bpf(2) is refused in a user namespace: run it in the"
        " initial one"
    )


def test_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    with pytest.raises(BpfError, match=r"64-bit x86_64, aarch64, riscv64 only, this is s390x: choose another engine"):
        bpf(Command.MAP_CREATE, b"")


def test_before_linux_5_11_the_limit_of_locked_memory_is_raised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that counts maps as locked memory refuses with EPERM."""
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    monkeypatch.setattr(platform, "release", lambda: "5.10.0-28-amd64")
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 16, limit[1]))
    try:
        assert syscall._raise_locked_memory()
        assert resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] > 1 << 16
        assert not syscall._raise_locked_memory()
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 16, limit[1]))
        monkeypatch.setattr(platform, "release", lambda: "6.1.0")
        assert not syscall._raise_locked_memory()
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, limit)
