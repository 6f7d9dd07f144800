"""The flow hash as text for the assembler: what dnslb.flow_hash says, in the registers of dnslb.dataplane.xdp_program.

Each text takes r_client (the address it is to hash, in the packet) and r4 (the port, as in the packet), leaves the hash
in r3, and uses r0, r1 and r2; r5 and the registers from r6 on stay.
"""

from __future__ import annotations

from dnslb.dataplane.xdp_headers import anew
from dnslb.flow_hash import LONGEST_NAME
from dnslb.forwarding import SEED

INITVAL = 0xDEADBEEF
DNS = 8 + 12
"octets of the UDP and the DNS header"
FOLD = 0x20202020
"lower case, and whatever it makes of other octets"


def source_4() -> str:
    """Of an IPv4 address."""
    return f"""
        r0 = *(u32 *)(r_client + 0)
        w0 += {_start(4)}
        w1 = {_start(4)}
        w3 = w1
        {_final("w0", "w1", "w3")}
    """


def source_port_4() -> str:
    """Of an IPv4 address and port."""
    return f"""
        r0 = *(u32 *)(r_client + 0)
        w0 += {_start(8)}
        w4 += {_start(8)}
        w3 = {_start(8)}
        {_final("w0", "w4", "w3")}
    """


def source_6() -> str:
    """Of an IPv6 address."""
    return _source_6(16, "")


def source_port_6() -> str:
    """Of an IPv6 address and port."""
    return _source_6(20, "w1 += w4")


def name(family: int, none: str) -> str:
    """Of the first question's name behind the UDP header at r1; goes to `none`, with r4 and r_client, if there is none.

    Beyond the name there are at least 5 octets more, so that its last word can be read whole.
    """
    return f"""
        r1 += {DNS}
        {anew("r1")}
        {anew("r_client")}
        r2 = r_client
        r2 += {4 if family == 4 else 16}
        if r2 > r_end goto pass
        w3 = 0
    label{family}:
        r2 = r1
        r2 += r3
        r0 = r2
        r0 += 5
        if r0 > r_end goto {none}
        r2 = *(u8 *)(r2 + 0)
        if w2 == 0 goto named
        if w2 > 63 goto {none}
        r3 += r2
        r3 += 1
        if r3 > {LONGEST_NAME} goto {none}
        goto label{family}
    """


def named(hashed: str) -> str:
    """The end of `name`, for both families: the name is hashed from r1 to 5 octets before r0.

    r_client becomes what is left of it. The length is in r3 too, but in a way that makes the verifier look at the rest
    once for each number of labels.
    """
    return f"""
    named:
        r0 -= r1
        r0 -= 5
        if r0 > {LONGEST_NAME} goto pass
        {anew("r1")}
        r_left = r0
        r3 = r0
        w3 += 3
        w3 &= 0x1fc
        w3 += {_start(0)}
        if r_left == 0 goto {hashed}
        w0 = w3
        w4 = w3
    words:
        if r_left <= 12 goto last_words
        {_word(0, "w0")}
        {_word(4, "w4")}
        {_word(8, "w3")}
        {_mix("w0", "w4", "w3")}
        r1 += 12
        r_left -= 12
        goto words
    last_words:
        {_last_word(0, "w0")}
        {_last_word(4, "w4")}
        {_last_word(8, "w3")}
    last_mix:
        {_final("w0", "w4", "w3")}
        goto {hashed}
    """


def _start(length: int) -> str:
    return f"{INITVAL + length + SEED & 0xFFFFFFFF:#x}"


def _source_6(length: int, port: str) -> str:
    return f"""
        r0 = *(u32 *)(r_client + 0)
        w0 += {_start(length)}
        r1 = *(u32 *)(r_client + 4)
        w1 += {_start(length)}
        r3 = *(u32 *)(r_client + 8)
        w3 += {_start(length)}
        {_mix("w0", "w1", "w3")}
        r2 = *(u32 *)(r_client + 12)
        w0 += w2
        {port}
        {_final("w0", "w1", "w3")}
    """


def _word(offset: int, register: str) -> str:
    return f"""
        r2 = r1
        r2 += {offset + 4}
        if r2 > r_end goto pass
        r2 = *(u32 *)(r1 + {offset})
        w2 |= {FOLD:#x}
        {register} += w2
    """


def _last_word(offset: int, register: str) -> str:
    """A word of which r_left - offset octets belong to the name, when that is more than none."""
    return f"""
        if r_left <= {offset} goto last_mix
        r2 = r1
        r2 += {offset + 4}
        if r2 > r_end goto pass
        r2 = *(u32 *)(r1 + {offset})
        w2 |= {FOLD:#x}
        if r_left >= {offset + 4} goto whole{offset}
        r_left -= {offset + 4}
        r_left = -r_left
        r_left <<= 3
        w2 <<= w_left
        w2 >>= w_left
        r_left = {offset}
    whole{offset}:
        {register} += w2
    """


def _mix(a: str, b: str, c: str) -> str:
    """__jhash_mix of include/linux/jhash.h."""
    steps = ((a, c, b, 4), (b, a, c, 6), (c, b, a, 8), (a, c, b, 16), (b, a, c, 19), (c, b, a, 4))
    return "\n".join(
        f"{target} -= {other}\n{_rotated(other, bits, '^=', target)}\n{other} += {third}"
        for target, other, third, bits in steps
    )


def _final(a: str, b: str, c: str) -> str:
    """__jhash_final of include/linux/jhash.h."""
    steps = ((c, b, 14), (a, c, 11), (b, a, 25), (c, b, 16), (a, c, 4), (b, a, 14), (c, b, 24))
    return "\n".join(f"{target} ^= {other}\n{_rotated(other, bits, '-=', target)}" for target, other, bits in steps)


def _rotated(word: str, bits: int, operator: str, target: str) -> str:
    """`target operator (word rotated left)`: the two halves of a rotated word can be subtracted one after the other."""
    return f"""
        w2 = {word}
        w2 <<= {bits}
        {target} {operator} w2
        w2 = {word}
        w2 >>= {32 - bits}
        {target} {operator} w2
    """
