"""Where messages go: the journal with its fields, syslog, standard error, a file; one line each.

A logger that blocks would delay advertisements: journald hung, a terminal paused, a pipe that no one reads. So every
sink is asked without waiting; what it does not take is dropped and counted, and the next message that gets through is
preceded by the number of those lost. An unexpected exception becomes one line that asks for a report; its traceback is
one more, at DEBUG.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import stat
import struct
import sys
import threading
import time
import traceback
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType

from pyvrrp.daemon.run_directory import Unusable

IDENTIFIER = "pyvrrp"
FACILITIES: Mapping[str, int] = {"user": 1, "daemon": 3, **{f"local{n}": 16 + n for n in range(8)}}
JOURNAL = Path("/run/systemd/journal/socket")
SYSLOG = Path("/dev/log")
_LONGEST = 4096
"bytes of a line: a pipe that poll(2) says is ready takes so many at once (PIPE_BUF)"

_LOG = logging.getLogger("pyvrrp")


class Destination(Enum):
    """Where messages go, besides a file."""

    CONSOLE = "console"
    "standard error, or the journal itself when standard error leads there"
    SYSTEM = "system"
    "the journal, else /dev/log, else standard error"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """What is logged, and where to."""

    level: int = logging.INFO
    destination: Destination = Destination.CONSOLE
    file: Path | None = None
    "in addition"
    facility: str = "daemon"


def setup(options: LogOptions, environ: Mapping[str, str] = os.environ) -> None:
    """Send all messages of this process where the options say; called again, it replaces what was.

    Raises Unusable when the file can't be opened.
    """
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.setLevel(options.level)
    for sink in (*_sinks(options, environ), logging.NullHandler()):
        root.addHandler(sink)
    sys.excepthook = _unexpected
    threading.excepthook = lambda args: _unexpected(args.exc_type, args.exc_value, args.exc_traceback)


def _sinks(options: LogOptions, environ: Mapping[str, str]) -> Iterator[logging.Handler]:
    facility = FACILITIES[options.facility]
    to_journal = _leads_to_journal(2, environ.get("JOURNAL_STREAM", ""))
    match options.destination:
        case Destination.CONSOLE if to_journal and JOURNAL.exists():
            yield JournalSink(JOURNAL, facility)
        case Destination.SYSTEM if JOURNAL.exists():
            yield JournalSink(JOURNAL, facility)
        case Destination.SYSTEM if SYSLOG.exists():
            yield SyslogSink(SYSLOG, facility)
        case Destination.CONSOLE | Destination.SYSTEM:
            yield StreamSink(2, prefixed=to_journal)
        case Destination.NONE:
            pass
    if options.file:
        try:
            yield StreamSink(os.open(options.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640))
        except OSError as error:
            raise Unusable(f"log file {options.file}: {error.strerror}") from error


class Sink(logging.Handler):
    """Makes one-line messages and counts those that can't be delivered."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0

    @abstractmethod
    def deliver(self, record: logging.LogRecord, text: str) -> None:
        """Hand over without blocking; OSError: not delivered."""

    def emit(self, record: logging.LogRecord) -> None:
        """Deliver the record's line, after a line about those lost before, if any."""
        try:
            if self.lost:
                lost = f"{self.lost} log messages were lost here: they were not taken in time"
                self.deliver(_record(logging.WARNING, lost), lost)
                self.lost = 0
            for level, text in _lines(record):
                if level >= logging.getLogger().level:
                    self.deliver(record if level == record.levelno else _record(level, text), text)
        except OSError:
            self.lost += 1


class StreamSink(Sink):
    """A file descriptor: standard error or a log file."""

    def __init__(self, fd: int, *, prefixed: bool = False) -> None:
        super().__init__()
        self._fd = fd
        self._prefixed = prefixed
        self._ready = select.poll()
        self._ready.register(fd, select.POLLOUT)

    def deliver(self, record: logging.LogRecord, text: str) -> None:
        """Write the line with its time, or with `<N>` in front where the journal reads it (sd-daemon(3))."""
        if self._prefixed:
            line = f"<{_priority(record.levelno)}>{text}"
        else:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
            line = f"{when}.{int(record.msecs):03d} {record.levelname.lower():8}{text}"
        if not self._ready.poll(0):
            raise BlockingIOError
        os.write(self._fd, line.encode(errors="replace")[: _LONGEST - 1] + b"\n")

    def close(self) -> None:
        """Close the descriptor unless it is one of the standard ones."""
        if self._fd > 2:
            os.close(self._fd)
        super().close()


class DatagramSink(Sink):
    """A logger behind a unix datagram socket; found anew for each message, so that its restart does not matter."""

    def __init__(self, path: Path, facility: int) -> None:
        super().__init__()
        self._path = str(path)
        self._facility = facility
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    @abstractmethod
    def message(self, record: logging.LogRecord, text: str) -> bytes:
        """The datagram."""

    def deliver(self, record: logging.LogRecord, text: str) -> None:
        """Send the datagram."""
        self._socket.sendto(self.message(record, text), self._path)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


class SyslogSink(DatagramSink):
    """The local syslog daemon (RFC 3164 as syslog(3) writes it)."""

    def message(self, record: logging.LogRecord, text: str) -> bytes:
        """`<PRI>Mmm dd hh:mm:ss pyvrrp[PID]: text`."""
        when = time.strftime("%b %e %H:%M:%S", time.localtime(record.created))
        priority = self._facility * 8 + _priority(record.levelno)
        return f"<{priority}>{when} {IDENTIFIER}[{os.getpid()}]: {text}".encode(errors="replace")


class JournalSink(DatagramSink):
    """journald's own protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/).

    What a message carries in `extra` under an upper-case name becomes a field: `extra={"VRRP_INSTANCE": name}`.
    """

    def message(self, record: logging.LogRecord, text: str) -> bytes:
        """The fields of one entry."""
        fields: dict[str, object] = {
            "MESSAGE": text,
            "PRIORITY": _priority(record.levelno),
            "SYSLOG_IDENTIFIER": IDENTIFIER,
            "SYSLOG_FACILITY": self._facility,
            "CODE_FILE": record.pathname,
            "CODE_LINE": record.lineno,
            "CODE_FUNC": record.funcName,
        }
        fields |= {name: value for name, value in record.__dict__.items() if name.isupper() and name.isidentifier()}
        return b"".join(_field(name, str(value)) for name, value in fields.items())


def _field(name: str, text: str) -> bytes:
    value = text.encode(errors="replace")
    if b"\n" in value:
        return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name.encode() + b"=" + value + b"\n"


def _lines(record: logging.LogRecord) -> Iterator[tuple[int, str]]:
    """The message and, for an exception, its traceback: level and text of each line."""
    try:
        text = record.getMessage()
    except Exception as mismatch:  # arguments that do not fit: a message must not hurt who wanted to tell something
        text = f"{record.msg} {record.args} ({mismatch})"
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        yield record.levelno, _one_line(text)
        return
    what = f"{type(error).__name__}: {error}"
    yield record.levelno, _one_line(f"{text}: unexpected {what}; please report it with what DEBUG logs")
    yield logging.DEBUG, _one_line(" | ".join(traceback.format_exception(error, limit=-8)))


def _one_line(text: str) -> str:
    """The text on one line, with nothing that could forge another one or steer a terminal."""
    text = " | ".join(line.rstrip() for line in text.splitlines() if line.strip())
    if not text.isprintable():
        text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return text[:_LONGEST]


def _record(level: int, text: str) -> logging.LogRecord:
    return logging.LogRecord("pyvrrp", level, __file__, 0, text, None, None)


def _priority(level: int) -> int:
    """The priority of syslog(3) for a level of logging."""
    for least, priority in ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6)):
        if level >= least:
            return priority
    return 7


def _leads_to_journal(fd: int, journal_stream: str) -> bool:
    """Whether `JOURNAL_STREAM` (systemd.exec(5)) names this descriptor's device and inode."""
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return stat.S_ISSOCK(found.st_mode) and journal_stream == f"{found.st_dev}:{found.st_ino}"


def _unexpected(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is not None and not isinstance(error, (KeyboardInterrupt, SystemExit)):
        _LOG.critical("it ends here", exc_info=(kind, error, trace))
