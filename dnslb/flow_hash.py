"""The flow hash: nftables' jhash, so that every data plane and both nodes send a client to the same bucket; pure.

jhash is Bob Jenkins's lookup3 as the kernel has it (include/linux/jhash.h), with its word order: the key is taken in
blocks of three 32-bit words, in the byte order of the host; the last block, 1 to 12 octets, is always little-endian and
filled up with zeros. So a key of at most 12 octets (IPv4, with or without the port) hashes alike on every machine;
IPv6 and names do so on all little-endian machines, and on all big-endian ones, but the two kinds differ, as nft does.

The work is done on lanes: integers that hold one 32-bit number in every 64 bits. One lane is one packet; several
hundred lanes cost little more than one, because Python's long integers are worked on in C.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from functools import lru_cache

from dnslb.forwarding import SEED

LONGEST_NAME = 254
"octets of a name without its final zero octet (RFC 1035 section 2.3.4)"

_FOLDED = bytes(octet | 0x20 for octet in range(256))
_INITVAL = 0xDEADBEEF
_BYTE_ORDER = "<" if sys.byteorder == "little" else ">"


def bucket_of_source_port(source: bytes, port: int, size: int) -> int:
    """The bucket of a source address (4 or 16 octets as on the wire) and port: nft's `ip saddr . th sport`."""
    return _bucket(source + port.to_bytes(2) + b"\0\0", size)


def bucket_of_source(source: bytes, size: int) -> int:
    """The bucket of a source address alone (4 or 16 octets as on the wire): nft's `ip saddr`."""
    return _bucket(source, size)


@lru_cache(maxsize=16384)  # the same names come again and again
def bucket_of_name(name: bytes, size: int) -> int:
    """The bucket of a DNS name in wire form: length octets and labels, without the final zero octet.

    Each octet, the lengths too, OR 0x20, so that upper and lower case are one; then zeros up to a multiple of four, so
    that the name can be read as whole words; the root is the empty key.
    """
    return _bucket(name.translate(_FOLDED) + bytes(-len(name) % 4), size)


def jhash(key: bytes, seed: int = SEED) -> int:
    """What the kernel's jhash gives for a key and its length."""
    return jhash_lanes(words_of(key), len(key), 1, seed)


def words_of(key: bytes) -> tuple[int, ...]:
    """The 32-bit words that jhash makes of a key; a multiple of three, or none."""
    last = max(len(key) - 1, 0) // 12 * 12
    tail = key[last:].ljust(12, b"\0") if key else b""
    return (
        *struct.unpack(f"{_BYTE_ORDER}{last // 4}I", key[:last]),
        *struct.unpack(f"<{len(tail) // 4}I", tail),
    )


def jhash_lanes(words: Sequence[int], length: int, lanes: int, seed: int = SEED) -> int:
    """The jhash of `lanes` keys of one length; each of `words` holds that word of every key, in 64-bit lanes."""
    ones, mask, borrow = _constants(lanes)
    a = b = c = ((_INITVAL + length + seed) & 0xFFFFFFFF) * ones
    for first in range(0, len(words), 3):
        a = a + words[first] & mask
        b = b + words[first + 1] & mask
        c = c + words[first + 2] & mask
        if first + 3 < len(words):
            a, b, c = _mix(a, b, c, mask, borrow)
    return _final(a, b, c, mask, borrow) if words else c


def every_lane(value: int, lanes: int) -> int:
    """The same number in every lane."""
    return value * _constants(lanes)[0]


def buckets_of_lanes(hashes: int, size: int, lanes: int) -> int:
    """reciprocal_scale of every lane: its 32-bit number mapped to 0 .. size - 1."""
    return hashes * size >> 32 & _constants(lanes)[1]


def _bucket(key: bytes, size: int) -> int:
    return jhash(key) * size >> 32


@lru_cache(maxsize=512)
def _constants(lanes: int) -> tuple[int, int, int]:
    """In every lane 1; 2^32 - 1; 2^32, which is lent to a subtraction so that it can't borrow from its neighbour."""
    ones = sum(1 << 64 * lane for lane in range(lanes))
    return ones, ones * 0xFFFFFFFF, ones << 32


def _mix(a: int, b: int, c: int, mask: int, borrow: int) -> tuple[int, int, int]:
    a = ((a | borrow) - c & mask) ^ _rotated(c, 4, mask)
    c = c + b & mask
    b = ((b | borrow) - a & mask) ^ _rotated(a, 6, mask)
    a = a + c & mask
    c = ((c | borrow) - b & mask) ^ _rotated(b, 8, mask)
    b = b + a & mask
    a = ((a | borrow) - c & mask) ^ _rotated(c, 16, mask)
    c = c + b & mask
    b = ((b | borrow) - a & mask) ^ _rotated(a, 19, mask)
    a = a + c & mask
    c = ((c | borrow) - b & mask) ^ _rotated(b, 4, mask)
    b = b + a & mask
    return a, b, c


def _final(a: int, b: int, c: int, mask: int, borrow: int) -> int:
    c = ((c ^ b) | borrow) - _rotated(b, 14, mask) & mask
    a = ((a ^ c) | borrow) - _rotated(c, 11, mask) & mask
    b = ((b ^ a) | borrow) - _rotated(a, 25, mask) & mask
    c = ((c ^ b) | borrow) - _rotated(b, 16, mask) & mask
    a = ((a ^ c) | borrow) - _rotated(c, 4, mask) & mask
    b = ((b ^ a) | borrow) - _rotated(a, 14, mask) & mask
    return ((c ^ b) | borrow) - _rotated(b, 24, mask) & mask


def _rotated(word: int, bits: int, mask: int) -> int:
    return (word << bits | word >> 32 - bits) & mask
