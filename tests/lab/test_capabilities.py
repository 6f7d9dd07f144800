"""What a process without capabilities is told. (Root, or the root of a user namespace, is needed to drop them.)"""

import ctypes
import os
import struct

import pytest

from pyvrrp.host.capabilities import MissingCapability, missing
from pyvrrp.host.packet_socket import PacketSocket
from pyvrrp.host.vrrp_socket import VrrpSocket


def unprivileged(body):
    """What `body` returns, as text, in a child process that has dropped every capability."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            capset_v3 = struct.pack("@Ii", 0x20080522, 0)
            ctypes.CDLL(None).capset(capset_v3, bytes(24))
            answer = body()
        except BaseException as error:
            answer = repr(error)
        os.write(writing, str(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


def refusal(body):
    try:
        body()
    except MissingCapability as error:
        return f"{error.names} {error}"


@pytest.mark.parametrize(
    "open_socket", [lambda: VrrpSocket(4, "lo", 1), lambda: VrrpSocket(6, "lo", 1), lambda: PacketSocket("lo")]
)
def test_without_the_capability_the_error_says_which(open_socket):
    answer = unprivileged(lambda: refusal(open_socket))
    assert answer.startswith("('CAP_NET_RAW',) missing CAP_NET_RAW (VRRP and ARP sockets): run as root")
    assert "\n" not in answer


def test_missing_capabilities_are_listed():
    assert missing() == []
    assert unprivileged(missing) == "['CAP_NET_RAW', 'CAP_NET_ADMIN']"
    assert unprivileged(lambda: missing("CAP_NET_ADMIN")) == "['CAP_NET_ADMIN']"
