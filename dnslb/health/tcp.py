"""TCP_CHECK: a connection is accepted."""

from __future__ import annotations

import asyncio
import os
import socket
import time

from dnslb.health.check import TcpProbe
from dnslb.health.sockets import connected, open_socket, socket_address
from dnslb.health.verdict import REFUSED, TIMEOUT, Verdict


async def connect(probe: TcpProbe) -> Verdict:
    """Connect and close; raises nothing but CancelledError."""
    started = time.monotonic()
    server = probe.server
    try:
        with open_socket(server.address, socket.SOCK_STREAM, probe.binding) as sock:
            async with asyncio.timeout(probe.timeout):
                await connected(sock, socket_address(server.address, server.port))
    except TimeoutError:
        cause, detail = TIMEOUT, f"no connection to {server} over tcp within {probe.timeout:g} s"
    except ConnectionRefusedError:
        cause, detail = REFUSED, f"connection refused by {server} over tcp: nothing listens there"
    except OSError as error:
        reason = error.strerror or os.strerror(error.errno or 0)
        cause, detail = "unreachable", f"can't connect to {server} over tcp: {reason}"
    else:
        elapsed = time.monotonic() - started
        return Verdict(True, f"{server} accepts a connection over tcp", elapsed)
    return Verdict(False, detail, time.monotonic() - started, cause=cause)
