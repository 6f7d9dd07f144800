"""One of so many UDP packets for our addresses into a queue, as text for the assembler; pure.

Only a program that samples has this text, so that the others pay nothing for it.
"""

from __future__ import annotations

from dnslb.dataplane.xdp_layout import SAMPLE, SAMPLED
from dnslb.forwarding import Protocol

NAMES = f"""
    .stack context 8
    .stack peer 8
    .stack header 8
    .stack sample {SAMPLE.size}
"""
KEEP_CONTEXT = "*(u64 *)(context) = r1"
"at the very beginning"
_LENGTH, _PACKET = 16, 24


def sampled(family: int, one_in: int) -> str:
    """Ahead of the ports: r0 and r1 are kept, what is in r5 is known, the other registers are free or outlive calls."""
    done = f"unsampled{family}"
    return f"""
        if w5 != {Protocol.UDP:d} goto {done}
        *(u64 *)(peer) = r0
        *(u64 *)(header) = r1
        call bpf_get_prandom_u32
        r2 = {(1 << 32) // one_in - 1:#x} ll
        if r0 > r2 goto restored{family}
        {_client(family)}
        {_zeroed()}
        r2 = *(u64 *)(header)
        r4 = r_end
        r4 -= r2
        r2 -= r_packet
        if r4 s<= 0 goto restored{family}
        if r4 s<= {SAMPLED} goto sized{family}
        r4 = {SAMPLED}
    sized{family}:
        *(u32 *)(sample + {_LENGTH}) = r4
        r3 = &sample
        r3 += {_PACKET}
        r1 = *(u64 *)(context)
        call bpf_xdp_load_bytes
        if r0 != 0 goto restored{family}
        r1 = map[samples]
        r2 = &sample
        w3 = 0
        call bpf_map_push_elem  # one that finds no room is lost
    restored{family}:
        w5 = {Protocol.UDP:d}
        r0 = *(u64 *)(peer)
        r1 = *(u64 *)(header)
    {done}:
    """


def _client(family: int) -> str:
    words = {4: {12: 0}, 6: {0: 0, 4: 4, 8: 8, 12: 12}}[family]
    copied = [f"r2 = *(u32 *)(r_client + {source})\n*(u32 *)(sample + {at}) = r2" for at, source in words.items()]
    absent = [f"*(u32 *)(sample + {at}) = 0" for at in range(0, 16, 4) if at not in words]
    return "\n".join([*absent, *copied])


def _zeroed() -> str:
    """The verifier wants all of what is pushed written."""
    return "\n".join(f"*(u64 *)(sample + {at}) = 0" for at in range(_LENGTH, SAMPLE.size, 8))
