"""The thread that talks to the kernel, so that a slow kernel call never delays an advertisement."""

from __future__ import annotations

import asyncio
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from pyvrrp.host.links import Address, Fact, Link
from pyvrrp.host.netlink_codec import NetlinkError
from pyvrrp.host.netlink_socket import MonitorSocket, Overrun, RequestSocket

_DATAGRAMS_PER_TURN = 256
"then requests get their turn again: a storm of foreign changes must not hold up a renewal"
_RESYNC_RETRY = 0.1
"seconds"

Refused = Mapping[int, NetlinkError]
"by sequence number"


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Requests that the kernel answers one by one."""

    messages: Sequence[bytes]
    begun: Callable[[], None]
    "called on the loop between what was heard before the request and what was heard after it"
    done: Callable[[Refused], None]
    "called on the loop after all that was heard until the kernel had answered"


@dataclass(frozen=True, slots=True, eq=False)
class Renewal:
    """Requests that the kernel answers only when it refuses them."""

    messages: Sequence[bytes]
    not_after: float
    "monotonic seconds; sent later, a renewal could bring back an address that the peers have taken over by now"
    refused: Callable[[Refused], None]


class NetlinkThread:
    """Runs until `stop`; whatever it calls, it calls on the loop, in the order in which it came about."""

    def __init__(
        self,
        *,
        heard: Callable[[Sequence[Fact]], None],
        dumped: Callable[[Sequence[Link | Address]], None],
        ended: Callable[[Exception | None], None],
    ) -> None:
        """Open the sockets (OSError) in the network namespace of the calling thread."""
        self._heard, self._dumped, self._ended = heard, dumped, ended
        self._loop = asyncio.get_running_loop()
        self._requests = RequestSocket()
        self._monitor = MonitorSocket(self._requests.port)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._jobs: deque[Request | Renewal] = deque()
        self._stopping = False
        self._stale = True
        "what we know of links and addresses is not (or no longer) what is"
        self._thread = threading.Thread(target=self._run, name="netlink", daemon=True)
        self._thread.start()

    def submit(self, job: Request | Renewal) -> None:
        """Do it, after all that was submitted before."""
        self._jobs.append(job)
        os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """Finish what was submitted, then end; `ended` is called."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Give the descriptors back; only after `ended`."""
        self._thread.join()
        self._requests.close()
        self._monitor.close()
        os.close(self._wake)

    def _run(self) -> None:
        failure: Exception | None = None
        try:
            self._work()
        except Exception as error:  # whatever it is, `ended` reports it
            failure = error
        self._post(self._ended, failure)

    def _work(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._monitor, select.POLLIN)
        while True:
            if self._stale:
                self._resync()
            stopping = self._stopping  # before the jobs: what was submitted before it is done
            while self._jobs:
                self._perform(self._jobs.popleft())
            if stopping:
                return
            ready = {descriptor for descriptor, _ in poll.poll(_RESYNC_RETRY * 1000 if self._stale else None)}
            if self._wake in ready:
                os.eventfd_read(self._wake)
            if self._monitor.fileno() in ready:
                self._listen()

    def _perform(self, job: Request | Renewal) -> None:
        match job:
            case Request():
                self._listen()
                self._post(job.begun)
                refused = self._requests.exchange(job.messages, acknowledged=True)
                self._listen()
                self._post(job.done, refused)
            case Renewal():
                if time.monotonic() > job.not_after:
                    # We slept. What is left of the lease is renewed with the next advertisement; what is gone is told.
                    return
                refused = self._requests.exchange(job.messages, acknowledged=False)
                if refused:
                    self._post(job.refused, refused)
            case _:
                assert_never(job)

    def _listen(self) -> None:
        try:
            facts = list(self._monitor.read(_DATAGRAMS_PER_TURN))
        except Overrun:
            self._stale = True
        else:
            if facts:
                self._post(self._heard, facts)

    def _resync(self) -> None:
        # What was heard before the dump is in it; what comes while it is made is heard after it, and most of it again.
        self._monitor.discard()
        facts = self._requests.dump()
        if facts is not None:
            self._stale = False
            self._post(self._dumped, facts)

    def _post(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop was closed without `stop`: nobody is left to be told
            self._stopping = True
