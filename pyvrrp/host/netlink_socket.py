"""The two rtnetlink sockets: one asks and gets answers, one listens. Neither waits.

The kernel does what a request says while it is being sent, so the answers are there when `send` returns.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from itertools import count

from pyvrrp.host import netlink_codec as codec
from pyvrrp.host.leases import PROTO
from pyvrrp.host.links import Address, Fact, Link
from pyvrrp.host.netlink_codec import Message, NetlinkError
from pyvrrp.host.netlink_filter import attach, renewal_filter
from pyvrrp.host.rtnetlink import NLMSG_ERROR, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_LINK

log = logging.getLogger(__name__)

RECEIVE_BUFFER = 8 << 20
"bytes of kernel memory for what happens while we are busy: some 8000 messages"
_DATAGRAM = 1 << 18
"longer than any message: a link with 256 virtual functions takes about 100 KiB"
_BATCH = 100
"requests per sendmsg; their answers fit a receive buffer of the default size"

_SO_RCVBUFFORCE = 33
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11


class Overrun(Exception):
    """The kernel had to drop messages for us: only a new dump tells what is."""


class _Socket:
    def __init__(self, groups: int = 0) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setblocking(False)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket.bind((0, groups))
        self._buffer = bytearray(_DATAGRAM)

    @property
    def port(self) -> int:
        """The address of this socket; the kernel's is 0."""
        port: int = self._socket.getsockname()[0]
        return port

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> list[Message] | None:
        """The messages of the next datagram, None when there is none."""
        try:
            length, (sender, _) = self._socket.recvfrom_into(self._buffer, 0, socket.MSG_TRUNC)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            raise Overrun from None
        if length > len(self._buffer):
            raise Overrun
        return list(codec.messages(bytes(memoryview(self._buffer)[:length]))) if sender == 0 else []


class RequestSocket(_Socket):
    """Asks the kernel."""

    def __init__(self) -> None:
        super().__init__()
        self._dumps = count(1 << 16)
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK):
            try:
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            except OSError:  # Linux before 4.3 and 4.12: errors come without the kernel's sentence
                continue

    def exchange(self, requests: Sequence[bytes], *, acknowledged: bool) -> dict[int, NetlinkError]:
        """Send them in order and return what was refused, by sequence number.

        `acknowledged`: every request asks for an answer; one without is an error too.
        """
        refused: dict[int, NetlinkError] = {}
        for start in range(0, len(requests), _BATCH):
            batch = requests[start : start + _BATCH]
            numbers = [codec.sequence_number(request) for request in batch] if acknowledged else []
            try:
                self._socket.send(b"".join(batch))
                answers = self._answers()
            except OSError as error:
                numbers = [codec.sequence_number(request) for request in batch]
                answers = dict.fromkeys(numbers, NetlinkError(error.errno or 0, os.strerror(error.errno or 0)))
            for number in numbers:
                answers.setdefault(number, NetlinkError(errno.ENOBUFS, "the kernel's answer was lost"))
            refused |= {number: error for number, error in answers.items() if error is not None}
        return refused

    def dump(self) -> list[Link | Address] | None:
        """All links and addresses; None when they changed meanwhile or the answer was lost: ask again.

        Raises NetlinkError when the kernel refuses.
        """
        facts: list[Link | Address] = []
        consistent = True
        for what in codec.DUMPS:
            number = next(self._dumps)
            try:
                self._socket.send(codec.dump_request(what, number))
            except OSError as error:
                if error.errno in (errno.ENOBUFS, errno.ENOMEM):
                    return None
                raise
            ended = False
            while not ended:
                try:
                    messages = self._receive()
                except Overrun:
                    consistent = False
                    continue
                if messages is None:
                    return None
                for message in messages:
                    if message[2] != number:
                        continue  # the rest of one that was given up
                    ended = codec.is_end(message)
                    consistent = consistent and not codec.is_interrupted(message)
                    fact = _understood(message)
                    if isinstance(fact, Link | Address):
                        facts.append(fact)
        return facts if consistent else None

    def _answers(self) -> dict[int, NetlinkError | None]:
        answers: dict[int, NetlinkError | None] = {}
        while True:
            try:
                messages = self._receive()
            except Overrun:
                continue
            if messages is None:
                return answers
            answers |= {message[2]: codec.answer(message) for message in messages if message[0] == NLMSG_ERROR}


class MonitorSocket(_Socket):
    """Hears what changes, except the renewals of the leases that `port` asks for."""

    def __init__(self, port: int) -> None:
        super().__init__(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR)
        attach(self._socket, renewal_filter(port, PROTO))

    def read(self, limit: int) -> Iterator[Fact]:
        """What has been said since, at most `limit` datagrams; raises Overrun when something was lost."""
        for _ in range(limit):
            messages = self._receive()
            if messages is None:
                return
            for message in messages:
                fact = _understood(message)
                if fact is not None:
                    yield fact

    def discard(self) -> None:
        """Forget what has been said until now."""
        while True:
            try:
                if self._receive() is None:
                    return
            except Overrun:
                continue


def _understood(message: Message) -> Fact | None:
    try:
        return codec.fact(message)
    except (ValueError, KeyError, IndexError, struct.error) as error:
        log.warning("netlink message of type %d not understood, ignored: %r", message[0], error)
        return None
