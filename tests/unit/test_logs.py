"""Messages through real pipes, files and sockets: one line each, the right fields, and a logger that never waits."""

import logging
import os
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from pyvrrp.daemon import logs
from pyvrrp.daemon.logs import Destination, JournalSink, LogOptions, StreamSink, SyslogSink
from pyvrrp.daemon.run_directory import Unusable

LOG = logging.getLogger("pyvrrp")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def root_logger():
    """The root logger as it was, afterwards."""
    root = logging.getLogger()
    before, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    hooks = sys.excepthook, threading.excepthook
    root.handlers.clear()
    yield root
    for sink in root.handlers:
        sink.close()
    root.handlers[:] = before
    root.setLevel(level)
    logging.raiseExceptions = raising
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook = hooks


@pytest.fixture
def pipe(root_logger):
    """Both ends of a pipe, the writing one as a sink at DEBUG."""
    reading, writing = os.pipe()
    sink = StreamSink(writing, prefixed=True)
    root_logger.addHandler(sink)
    root_logger.setLevel(logging.DEBUG)
    yield reading, sink
    os.close(reading)


def read(fd):
    return os.read(fd, 1 << 20).decode()


@pytest.fixture
def datagrams(tmp_path):
    """A socket as journald's or syslog's, and its path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "log"))
        receiver.settimeout(5)
        yield receiver, tmp_path / "log"


def fail():
    raise ValueError("bad\nvalue")


# --- lines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "prefix"), [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("critical", 2)]
)
def test_lines_for_the_journal_have_its_priorities(pipe, level, prefix):
    getattr(LOG, level)("%s: BACKUP -> MASTER", "VI_1")
    assert read(pipe[0]) == f"<{prefix}>VI_1: BACKUP -> MASTER\n"


def test_lines_for_a_person_have_the_time_and_the_level(root_logger, tmp_path):
    root_logger.addHandler(StreamSink(os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)))
    record = logging.LogRecord("pyvrrp", logging.WARNING, "x.py", 1, "no answer", None, None)
    record.created, record.msecs = 0.25, 250.0
    LOG.handle(record)
    line = (tmp_path / "log").read_text()
    assert line.endswith(".250 warning no answer\n")
    assert line.startswith(("1970-01-01 ", "1969-12-31 "))


def test_one_message_is_one_line_that_steers_nothing(pipe):
    LOG.error("script said: %s", "first\n<0>forged\r\n\n\x1b[2Jthird\u2028fourth")
    assert read(pipe[0]) == "<3>script said: first | <0>forged | \\x1b[2Jthird | fourth\n"


def test_an_unexpected_exception_is_one_line_and_its_traceback_another_at_debug(pipe):
    try:
        fail()
    except ValueError:
        LOG.exception("reload")
    first, second = read(pipe[0]).splitlines()
    assert first == "<3>reload: unexpected ValueError: bad | value; please report it with what DEBUG logs"
    assert second.startswith("<7>Traceback (most recent call last): | ")
    assert second.endswith("ValueError: bad | value")
    assert ", in fail" in second


def test_no_traceback_above_debug(pipe, root_logger):
    root_logger.setLevel(logging.INFO)
    LOG.error("reload", exc_info=ValueError("bad"))
    assert read(pipe[0]) == "<3>reload: unexpected ValueError: bad; please report it with what DEBUG logs\n"


def test_a_message_whose_arguments_do_not_fit_hurts_nobody(pipe):
    pipe[1].handle(logging.LogRecord("pyvrrp", logging.ERROR, "x.py", 1, "%s and %s", ("one",), None))
    assert read(pipe[0]) == "<3>%s and %s ('one',) (not enough arguments for format string)\n"


def test_a_line_is_no_longer_than_a_pipe_takes_at_once(pipe):
    LOG.error("ü" * 10_000)
    assert len(os.read(pipe[0], 1 << 20)) == 4096


# --- never waiting ---------------------------------------------------------------------------------------------------


def test_a_pipe_that_nobody_reads_loses_messages_and_says_how_many(pipe):
    reading, sink = pipe
    for number in range(100):  # a pipe holds 64 KiB
        LOG.info("%03d %s", number, "x" * 4000)
    lost = sink.lost
    assert 80 < lost < 100
    assert len(read(reading)) == (100 - lost) * 4008
    LOG.info("again")
    LOG.info("and again")
    assert (
        read(reading) == f"<4>{lost} log messages were lost here: they were not taken in time\n<6>again\n<6>and again\n"
    )


def test_a_reader_that_has_gone_is_no_error(pipe):
    reading, sink = pipe
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, reading)
    os.close(null)
    LOG.info("to nobody")
    assert sink.lost == 1


def test_a_hung_journal_loses_messages_and_its_restart_is_noticed(root_logger, datagrams):
    receiver, path = datagrams
    sink = JournalSink(path, 3)
    root_logger.addHandler(sink)
    root_logger.setLevel(logging.INFO)
    while not sink.lost:
        LOG.info("x" * 3000)
    receiver.setblocking(False)
    with suppress(BlockingIOError):
        while receiver.recv(1 << 16):
            pass
    LOG.info("again")
    assert b"MESSAGE=1 log messages were lost here" in receiver.recv(1 << 16)
    assert b"MESSAGE=again\n" in receiver.recv(1 << 16)
    receiver.close()
    path.unlink()
    LOG.info("nobody there")
    assert sink.lost == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as restarted:
        restarted.bind(str(path))
        LOG.info("after the restart")
        assert b"MESSAGE=1 log messages were lost here" in restarted.recv(1 << 16)
        assert b"MESSAGE=after the restart\n" in restarted.recv(1 << 16)


# --- the journal and syslog ------------------------------------------------------------------------------------------


def test_the_journal_gets_fields(root_logger, datagrams):
    receiver, path = datagrams
    root_logger.addHandler(JournalSink(path, 3))
    LOG.warning("VI_1: BACKUP -> MASTER", extra={"VRRP_INSTANCE": "VI_1", "VRRP_VRID": 51, "quiet": "no field"})
    fields = dict(line.split("=", 1) for line in receiver.recv(1 << 16).decode().splitlines())
    assert fields["MESSAGE"] == "VI_1: BACKUP -> MASTER"
    assert fields["PRIORITY"] == "4"
    assert fields["SYSLOG_IDENTIFIER"] == "pyvrrp"
    assert fields["SYSLOG_FACILITY"] == "3"
    assert (fields["VRRP_INSTANCE"], fields["VRRP_VRID"]) == ("VI_1", "51")
    assert fields["CODE_FUNC"] == "test_the_journal_gets_fields"
    assert "quiet" not in fields


def test_a_field_with_several_lines_has_its_length_in_front(root_logger, datagrams):
    receiver, path = datagrams
    root_logger.addHandler(JournalSink(path, 3))
    LOG.error("the script failed", extra={"OUTPUT": "one\ntwo"})
    assert b"\nOUTPUT\n" + struct.pack("<Q", 7) + b"one\ntwo\n" in receiver.recv(1 << 16)


def test_syslog_gets_facility_time_and_pid(root_logger, datagrams):
    receiver, path = datagrams
    root_logger.addHandler(SyslogSink(path, logs.FACILITIES["local3"]))
    LOG.error("no answer")
    assert receiver.recv(1 << 16).decode().startswith(f"<{19 * 8 + 3}>")
    record = logging.LogRecord("pyvrrp", logging.INFO, "x.py", 1, "text", None, None)
    record.created = 1795359187.2
    message = SyslogSink(path, 3).message(record, "text").decode()
    assert message.endswith(f" pyvrrp[{os.getpid()}]: text")
    assert message.startswith("<30>Nov 2")


# --- where to --------------------------------------------------------------------------------------------------------


@pytest.fixture
def places(monkeypatch, tmp_path):
    """No journal and no syslog of this machine."""
    monkeypatch.setattr(logs, "JOURNAL", tmp_path / "journal")
    monkeypatch.setattr(logs, "SYSLOG", tmp_path / "syslog")
    return tmp_path


def kinds(root_logger):
    return [type(sink).__name__ for sink in root_logger.handlers]


@pytest.mark.parametrize(
    ("existing", "destination", "expected"),
    [
        ((), Destination.CONSOLE, "StreamSink"),
        (("journal", "syslog"), Destination.CONSOLE, "StreamSink"),
        (("journal", "syslog"), Destination.SYSTEM, "JournalSink"),
        (("syslog",), Destination.SYSTEM, "SyslogSink"),
        ((), Destination.SYSTEM, "StreamSink"),
        (("journal", "syslog"), Destination.NONE, None),
    ],
)
def test_destinations(root_logger, places, existing, destination, expected):
    for name in existing:
        (places / name).touch()
    logs.setup(LogOptions(destination=destination), {})
    assert kinds(root_logger) == [*([expected] if expected else []), "NullHandler"]


def test_standard_error_that_leads_to_the_journal_is_replaced_by_the_journal(root_logger, places):
    ours, theirs = socket.socketpair()
    saved = os.dup(2)
    found = os.fstat(theirs.fileno())
    environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
    try:
        os.dup2(theirs.fileno(), 2)
        logs.setup(LogOptions(), environ)
        LOG.warning("without the journal's own socket")
        (places / "journal").touch()
        logs.setup(LogOptions(), environ)
        with_socket = kinds(root_logger)
        logs.setup(LogOptions(), {"JOURNAL_STREAM": "1:2"})
        LOG.warning("of another stream")
    finally:
        os.dup2(saved, 2)
        os.close(saved)
    with ours, theirs:
        lines = ours.recv(1000).decode().splitlines()
    assert lines[0] == "<4>without the journal's own socket"
    assert lines[1].endswith(" warning of another stream")
    assert with_socket == ["JournalSink", "NullHandler"]


def test_a_log_file_is_appended_to_in_addition(root_logger, places):
    (places / "log").write_text("before\n")
    logs.setup(LogOptions(destination=Destination.NONE, file=places / "log"), {})
    LOG.info("after")
    LOG.debug("not at this level")
    first, second = (places / "log").read_text().splitlines()
    assert first == "before"
    assert second.endswith("info    after")


def test_a_log_file_that_can_not_be_opened(root_logger, places):
    with pytest.raises(Unusable, match=r"log file .*/none/log: No such file or directory"):
        logs.setup(LogOptions(file=places / "none" / "log"), {})


def test_setup_again_replaces_and_closes(root_logger, places):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        logs.setup(LogOptions(destination=Destination.NONE, file=places / "log"), {})
    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert kinds(root_logger) == ["StreamSink", "NullHandler"]


PROGRAM = """
import asyncio, logging, threading, warnings
from pyvrrp.daemon import logs
logs.setup(logs.LogOptions(), {})
def fail(): raise ValueError("in a thread")
async def task(): raise ValueError("in a task")
async def main():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    asyncio.create_task(task())
    await asyncio.sleep(0.01)
thread = threading.Thread(target=fail); thread.start(); thread.join()
asyncio.run(main())
warnings.warn("old")
raise ValueError("at the end")
"""


def test_no_traceback_leaves_the_process_wherever_an_exception_was_raised():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for what in (
        "ValueError: in a thread",
        "ZeroDivisionError: division by zero",
        "ValueError: in a task",
        "UserWarning: old",
        "ValueError: at the end",
    ):
        assert len([line for line in lines if what in line]) == 1, what
    assert all(line[:2] == "20" for line in lines)
