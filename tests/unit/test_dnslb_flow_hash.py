"""jhash against the published values of lookup3; against nftables it stands in tests/lab/test_dnslb_flow_hash.py."""

import pytest

from dnslb.flow_hash import (
    bucket_of_name,
    bucket_of_source,
    bucket_of_source_port,
    buckets_of_lanes,
    jhash,
    jhash_lanes,
    words_of,
)
from dnslb.forwarding import SEED

V4, V6 = bytes([192, 0, 2, 1]), bytes.fromhex("20010db8000000000000000000000001")


@pytest.mark.parametrize(
    ("key", "seed", "value"),
    [
        (b"", 0, 0xDEADBEEF),
        (b"", 0xDEADBEEF, 0xBD5B7DDE),
        (b"Four score and seven years ago", 0, 0x17770551),
        (b"Four score and seven years ago", 1, 0xCD628161),
    ],
)
def test_published_values_of_lookup3(key, seed, value):
    assert jhash(key, seed) == value


def test_a_bucket_is_one_of_the_table():
    for size in (1, 2, 4093, 65537):
        assert {bucket_of_source_port(V4, port, size) for port in range(2000)} <= set(range(size))
    assert len({bucket_of_source_port(V6, port, 4093) for port in range(4093)}) > 2500
    assert len({bucket_of_source(port.to_bytes(4), 4093) for port in range(4093)}) > 2500


def test_the_same_name_in_upper_and_lower_case_has_one_bucket():
    assert bucket_of_name(b"\x03WwW\x07eXAmple\x03NET", 65537) == bucket_of_name(b"\x03www\x07example\x03net", 65537)
    assert bucket_of_name(b"\x03www\x07example\x03org", 65537) != bucket_of_name(b"\x03www\x07example\x03net", 65537)


def test_a_name_is_read_as_whole_words_of_zero_padded_lower_case():
    folded = b"\x23www\x27example\x23net"  # each octet OR 0x20, the lengths too
    assert bucket_of_name(b"\x03www\x07example\x03net", 65537) == jhash(folded, SEED) * 65537 >> 32
    assert bucket_of_name(b"\x01a", 65537) == jhash(b"\x21a\0\0", SEED) * 65537 >> 32
    assert bucket_of_name(b"", 65537) == jhash(b"", SEED) * 65537 >> 32


@pytest.mark.parametrize("length", [4, 8, 12, 16, 20])
def test_many_keys_at_once_hash_as_each_alone(length):
    keys = [jhash(bytes([at]), 0).to_bytes(4) * (length // 4) for at in range(100)] + [b"\xff" * length, bytes(length)]
    lanes = [
        sum(word << 64 * lane for lane, word in enumerate(words)) for words in zip(*map(words_of, keys), strict=True)
    ]
    hashes = jhash_lanes(lanes, length, len(keys))
    buckets = buckets_of_lanes(hashes, 4093, len(keys)).to_bytes(8 * len(keys), "little")
    assert hashes.to_bytes(8 * len(keys), "little") == b"".join(jhash(key).to_bytes(8, "little") for key in keys)
    assert buckets == b"".join((jhash(key) * 4093 >> 32).to_bytes(8, "little") for key in keys)
