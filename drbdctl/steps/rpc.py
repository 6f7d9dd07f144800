"""The smallest question that an RPC service answers: procedure 0 of NFS over TCP (RFC 5531, RFC 8881 section 17.1)."""

from __future__ import annotations

import asyncio
import os
import struct
from contextlib import suppress

_NFS = 100003
_CALL, _REPLY = 0, 1
_LAST_FRAGMENT = 0x80000000
_ANSWER = struct.Struct(">IIIII")
"xid, message type, reply state, then of an accepted one: verifier flavor and length"


async def ping(host: str, port: int, version: int, deadline: float) -> str:
    """Call the NULL procedure; why there is no answer, empty when there is one."""
    xid = os.urandom(4)
    try:
        async with asyncio.timeout(deadline):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(call(xid, version))
                (length,) = struct.unpack(">I", await reader.readexactly(4))
                return verdict(xid, await reader.readexactly(length & ~_LAST_FRAGMENT & 0xFFFF))
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        return f"no answer within {deadline:g} s"
    except asyncio.IncompleteReadError:
        return "it closed the connection"
    except OSError as error:
        return error.strerror or str(error)


def call(xid: bytes, version: int) -> bytes:
    """The call with its record mark: RPC version 2, no credentials."""
    body = xid + struct.pack(">9I", _CALL, 2, _NFS, version, 0, 0, 0, 0, 0)
    return struct.pack(">I", _LAST_FRAGMENT | len(body)) + body


def verdict(xid: bytes, answer: bytes) -> str:
    """What is wrong with an answer; empty when the procedure was carried out."""
    if len(answer) < _ANSWER.size or answer[:4] != xid:
        return "its answer is no answer to the question"
    _, kind, denied, _, length = _ANSWER.unpack_from(answer)
    if kind != _REPLY or denied:
        return "it denies the call"
    status = answer[_ANSWER.size + length : _ANSWER.size + length + 4]
    if len(status) < 4:
        return "its answer is cut"
    (accepted,) = struct.unpack(">I", status)
    return "" if accepted == 0 else f"it does not carry out the call (accept_stat {accepted})"
