"""What the guard does in a child that it forks: become the speaker, log lines, end a role. The child may load a lot."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from pyvrrp.host.hurry import begin


def become_speaker(
    argv: list[str], directory: str, channel: int, environment: dict[str, str], *, hurry: bool
) -> NoReturn:
    """Execute the speaker in this directory; it inherits the descriptor of its channel.

    `hurry`: see pyvrrp.host.hurry.
    """
    try:
        if hurry:
            begin()
        _forget_signals(signal.SIG_DFL)
        os.set_inheritable(channel, True)
        with contextlib.suppress(OSError):  # gone meanwhile: its paths may be absolute
            os.chdir(directory)
        os.execve(argv[0], argv, environment)
    except OSError as error:
        os.write(2, f"pyvrrp: {argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def leave_after(work: Callable[[], None]) -> NoReturn:
    """Do something, and end; a service manager that signals everybody does not interrupt it."""
    try:
        _forget_signals(signal.SIG_IGN)
        work()
    finally:
        os._exit(0)


def say(lines: Iterable[str], log: dict[str, Any]) -> None:
    """Log lines; `log` holds the members of LogOptions, as JSON has them."""
    logger = _logger(log)
    for line in lines:
        logger.warning("guard: %s", line)


def take_down(journal: str, log: dict[str, Any]) -> None:
    """End the role that the journal tells of."""
    _logger(log)
    from pathlib import Path

    from pyvrrp.daemon.take_down import give_up

    give_up(Path(journal))


def _forget_signals(action: signal.Handlers) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, action)


def _logger(log: dict[str, Any]) -> Any:
    import logging
    from pathlib import Path

    from pyvrrp.daemon.logs import Destination, LogOptions, setup

    file = log["file"]
    options = LogOptions(
        level=log["level"],
        destination=Destination(log["destination"]),
        file=Path(file) if file else None,
        facility=log["facility"],
    )
    setup(options)
    return logging.getLogger("pyvrrp")
