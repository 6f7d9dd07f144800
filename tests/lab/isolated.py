"""Runs a test in a child process with a network namespace of its own; both are gone afterwards, whatever happens."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import subprocess
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ParamSpec

import pytest

P = ParamSpec("P")
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
DEADLINE = 30.0
"seconds"


def isolated(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Make a pytest test of a coroutine function; a keyword argument `loop_factory` is the event loop's."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            try:
                _enter_new_namespace()
                with asyncio.Runner(loop_factory=kwargs.get("loop_factory")) as runner:  # type: ignore[arg-type]
                    runner.run(_limited(test(*args, **kwargs)))
            except BaseException:
                os.write(writer, traceback.format_exc().encode()[-60000:])
                os._exit(1)
            os._exit(0)
        os.close(writer)
        with open(reader, errors="replace") as pipe:
            report = pipe.read()
        _, status = os.waitpid(child, 0)
        if status != 0:
            pytest.fail(report or f"the test's process ended with status {status}", pytrace=False)

    return run


def ip(*arguments: str) -> None:
    """`ip ARGUMENTS`, one line of words."""
    subprocess.run(["ip", *" ".join(arguments).split()], check=True)


def sysctl(name: str, value: str) -> None:
    """Set one, named as its file below /proc/sys."""
    Path("/proc/sys", name).write_text(value)


def drop_capabilities() -> None:
    """From now on nothing may be changed in the network namespace; only while there is one thread."""
    _unshare(CLONE_NEWUSER)


async def _limited(test: Awaitable[None]) -> None:
    async with asyncio.timeout(DEADLINE):
        await test


def _enter_new_namespace() -> None:
    uid = os.geteuid()
    _unshare(CLONE_NEWNET if uid == 0 else CLONE_NEWNET | CLONE_NEWUSER)
    if uid != 0:
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    ip("link set lo up")


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")
