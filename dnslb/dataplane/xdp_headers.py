"""The headers as text for the assembler: the checks of dnslb.headers, no more and no fewer; pure.

ethernet   goes to `ipv4` or `ipv6` with r_ip set, and the fixed IP header inside the frame
ipv4, ipv6, from `parse4` or `parse6` on, go to
    ports          r1 UDP or TCP header, r5 protocol, r_client the source address
    fragment       r5 protocol, r_client the source address
icmp_errors goes to
    answer_ports   r1 UDP or TCP header inside the error, r5 its protocol, r_client its destination address
    later_answer   r5 the protocol of what is inside, which has no ports
all of them to `malformed` and to `pass`
"""

from __future__ import annotations

from dnslb.forwarding import MAX_EXTENSION_HEADERS, Protocol
from dnslb.headers import (
    AUTHENTICATION,
    EXTENSION_HEADERS,
    FRAGMENT,
    ICMP,
    ICMP_ERRORS,
    ICMPV6,
    IPV4,
    IPV6,
    VLAN_TAGS,
)

IPV4_HEADER, IPV6_HEADER = 20, 40
MORE_OR_OFFSET, OFFSET = 0xFF3F, 0xFF1F
"of the third 16 bits of an IPv4 header, as a little-endian machine loads them"
OFFSET_6 = 0xF8FF
"the same of an IPv6 fragment header"


def raw(octets: bytes) -> str:
    """Octets of a packet as a load of them gives them."""
    return f"{int.from_bytes(octets, 'little'):#x}"


def ethernet(mac: bytes) -> str:
    """From the context at r1; a frame that has no room for an IPv4 header has none for anything of ours."""
    return f"""
        r_packet = *(u32 *)(r1 + 0)
        r_end = *(u32 *)(r1 + 4)
        r_ip = r_packet
        r_ip += 14
        r2 = r_ip
        r2 += {IPV4_HEADER}
        if r2 > r_end goto pass
        r2 = *(u32 *)(r_packet + 2)
        if w2 != {raw(mac[2:])} goto pass
        r2 = *(u16 *)(r_packet + 0)
        if w2 != {raw(mac[:2])} goto pass
        r2 = *(u16 *)(r_packet + 12)
        {_ether_type(0)}
    """


def tags() -> str:
    """Go past one tag or two."""
    return "\n".join(
        f"""
    other{number - 1}:
        if w2 == {raw(VLAN_TAGS[0])} goto tag{number}
        if w2 != {raw(VLAN_TAGS[1])} goto pass
    tag{number}:
        r_ip += 4
        r2 = r_ip
        r2 += {IPV4_HEADER}
        if r2 > r_end goto pass
        r2 = *(u16 *)(r_ip - 2)
        {_ether_type(number)}
        """
        for number in (1, 2)
    )


def _ether_type(tags: int) -> str:
    """What is behind so many tags. The verifier follows first what is written first: with the fewest octets known."""
    return f"""
        if w2 != {raw(IPV4)} goto no_ipv4_{tags}
        goto ipv4
    no_ipv4_{tags}:
        if w2 != {raw(IPV6)} goto {"pass" if tags == 2 else f"other{tags}"}
        goto ipv6
    """


def ipv4() -> str:
    """The header's length is 20 octets or what it says; then the ports, a fragment, or an ICMP message."""
    return f"""
    parse4:
        r2 = *(u8 *)(r_ip + 0)
        r3 = *(u16 *)(r_ip + 2)
        {_big_endian("r3")}
        r4 = r_ip
        r4 += r3
        if r4 > r_end goto malformed
        r5 = *(u8 *)(r_ip + 9)
        r4 = *(u16 *)(r_ip + 6)
        w4 &= {MORE_OR_OFFSET:#x}
        r1 = r_ip
        if w2 != 0x45 goto options
        if w3 < {IPV4_HEADER} goto malformed
        r1 += {IPV4_HEADER}
    payload4:
        if w4 != 0 goto piece4
        if w5 == {Protocol.UDP:d} goto datagram4
        if w5 == {Protocol.TCP:d} goto datagram4
        if w5 != {ICMP} goto pass
        {_icmp_error_4()}
    options:
        w2 ^= 0x40
        if w2 > 0xf goto malformed
        if w2 < 5 goto malformed
        w2 <<= 2
        if w3 < w2 goto malformed
        r1 += r2
        goto payload4
    piece4:
        r_client += 12
        {_if_udp_or_tcp("fragment4")}
    datagram4:
        r_client += 12
        goto ports4
    """


def ipv6() -> str:
    """The plain packet has no extension headers; a fragment header ends the walk over them."""
    walk = "\n".join(_extension_header(number) for number in range(MAX_EXTENSION_HEADERS))
    return f"""
    parse6:
        r2 = *(u8 *)(r_ip + 0)
        w2 &= 0xf0
        if w2 != 0x60 goto malformed
        r2 = *(u16 *)(r_ip + 4)
        {_big_endian("r2")}
        r1 = r_ip
        r1 += {IPV6_HEADER}
        r3 = r1
        r3 += r2
        if r3 > r_end goto malformed
        r5 = *(u8 *)(r_ip + 6)
        if w5 == {Protocol.UDP:d} goto datagram6
        {walk}
    walked:
        {anew("r1")}
        if w5 == {Protocol.UDP:d} goto datagram6
        if w5 == {Protocol.TCP:d} goto datagram6
        if w5 != {ICMPV6} goto pass
        {_icmp_error_6()}
    piece6:
        r5 = *(u8 *)(r1 + 0)
        r_client += 8
        {_if_udp_or_tcp("fragment6")}
    datagram6:
        r_client += 8
        goto ports6
    """


def _icmp_error_4() -> str:
    """Its inner packet must be from the address that the error is for."""
    return f"""
        {_is_error(ICMP)}
        r2 = r1
        r2 += {8 + IPV4_HEADER}
        if r2 > r_end goto malformed
        r2 = *(u8 *)(r1 + 8)
        w2 ^= 0x40
        if w2 > 0xf goto malformed
        if w2 < 5 goto malformed
        r3 = *(u32 *)(r1 + {8 + 12})
        r4 = *(u32 *)(r_ip + 16)
        if w3 != w4 goto pass
        r_client = r1
        r_client += {8 + 16}
        r5 = *(u8 *)(r1 + {8 + 9})
        r3 = *(u16 *)(r1 + {8 + 6})
        w3 &= {OFFSET:#x}
        w2 <<= 2
        r1 += 8
        r1 += r2
        if w3 != 0 goto inner_piece4
        {_if_udp_or_tcp("answer4")}
    inner_piece4:
        {_if_udp_or_tcp("later4")}
    """


def _icmp_error_6() -> str:
    """Of the inner packet's extension headers only a fragment header, and only as the first, is walked."""
    return f"""
        {_is_error(ICMPV6)}
        r2 = r1
        r2 += {8 + IPV6_HEADER}
        if r2 > r_end goto malformed
        r3 = *(u8 *)(r1 + 8)
        w3 &= 0xf0
        if w3 != 0x60 goto malformed
        r5 = *(u8 *)(r1 + {8 + 6})
        w3 = 0
        if w5 != {FRAGMENT} goto whole6
        r4 = r2
        r4 += 4
        if r4 > r_end goto malformed
        r5 = *(u8 *)(r2 + 0)
        r3 = *(u16 *)(r2 + 2)
        w3 &= {OFFSET_6:#x}
        r2 += 8
    whole6:
        *(u32 *)(later) = r3
        r3 = *(u64 *)(r1 + {8 + 8})
        r4 = *(u64 *)(r_ip + 24)
        if r3 != r4 goto pass
        r3 = *(u64 *)(r1 + {8 + 16})
        r4 = *(u64 *)(r_ip + 32)
        if r3 != r4 goto pass
        r3 = *(u32 *)(later)
        r_client = r1
        r_client += {8 + 24}
        r1 = r2
        if w3 != 0 goto inner_piece6
        {_if_udp_or_tcp("answer6")}
    inner_piece6:
        {_if_udp_or_tcp("later6")}
    """


def _big_endian(register: str) -> str:
    """The number of 16 bits that was loaded; the verifier of Linux 6.1 forgets that it has no more."""
    return f"{register} = be16 {register}\n{register} &= 0xffff"


def anew(pointer: str) -> str:
    """Nothing happens to the pointer into the packet, but the verifier forgets by which of many ways it was made.

    It would look at all that follows once for each of them. No header begins behind the first 16 KiB.
    """
    return f"""
        {pointer} -= r_packet
        {pointer} &= 0x3fff
        {pointer} += r_packet
    """


def _if_udp_or_tcp(label: str) -> str:
    return f"""
        if w5 == {Protocol.UDP:d} goto {label}
        if w5 == {Protocol.TCP:d} goto {label}
        goto pass
    """


def _is_error(protocol: int) -> str:
    """Goes on with an ICMP error; what is none passes."""
    family = 4 if protocol == ICMP else 6
    compare = "\n".join(f"if w2 == {kind} goto error{family}" for kind in ICMP_ERRORS[protocol])
    return f"""
        r2 = r1
        r2 += 1
        if r2 > r_end goto malformed
        r2 = *(u8 *)(r1 + 0)
        {compare}
        goto pass
    error{family}:
    """


def _extension_header(number: int) -> str:
    """Go past the header at r1, if the protocol in r5 is an extension header's.

    The length is (words + 1) * 8 octets, of an authentication header (words + 2) * 4. It is computed without a branch,
    for the verifier looks at all that follows once for each way to get there.
    """
    kinds = sum(1 << kind for kind in EXTENSION_HEADERS)
    return f"""
        if w5 > {max(EXTENSION_HEADERS)} goto walked
        r2 = {kinds:#x} ll
        r2 >>= r5
        w2 &= 1
        if w2 == 0 goto walked
        r2 = r1
        r2 += 8
        if r2 > r_end goto malformed
        if w5 == {FRAGMENT} goto piece6
        w5 ^= {AUTHENTICATION}
        w5 -= 1
        w5 >>= 31
        r2 = *(u8 *)(r1 + 1)
        w2 += w5
        w2 += 1
        w2 <<= 2
        w3 = 2
        w3 -= w5
        w2 *= w3
        r2 &= 0xfff  # as it is anyway, which the verifier of Linux 6.1 does not see
        r5 = *(u8 *)(r1 + 0)
        r1 += r2
    """
