"""Frames of a classic little-endian pcap file, as tests/vectors holds them."""

import struct
from pathlib import Path

VECTORS = Path(__file__).parent / "vectors"


def frames(name: str) -> list[bytes]:
    """The Ethernet frames of tests/vectors/NAME.pcap in order."""
    capture = (VECTORS / f"{name}.pcap").read_bytes()
    magic, *_, link_type = struct.unpack_from("<IHHiIII", capture)
    assert (magic, link_type) == (0xA1B2C3D4, 1)
    found = []
    offset = 24
    while offset < len(capture):
        _, _, captured, length = struct.unpack_from("<IIII", capture, offset)
        assert captured == length
        found.append(capture[offset + 16 : offset + 16 + captured])
        offset += 16 + captured
    return found


def packets(name: str) -> list[bytes]:
    """The IP packets of tests/vectors/NAME.pcap in order."""
    return [frame[14:] for frame in frames(name)]
