"""sd_notify through real datagram sockets."""

import os
import socket
import time

import pytest

from pyvrrp.daemon.systemd import Systemd


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        yield receiver


def said(receiver):
    return receiver.recv(4096).decode().splitlines()


def test_the_messages(manager):
    systemd = Systemd({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "10000000"})
    systemd.ready("2 instances")
    assert said(manager) == ["READY=1", "STATUS=2 instances"]
    systemd.ready()
    assert said(manager) == ["READY=1"]
    systemd.status("1 MASTER,\n1 BACKUP")
    assert said(manager) == ["STATUS=1 MASTER, 1 BACKUP"]
    systemd.stopping("waiting for the successor")
    assert said(manager) == ["STOPPING=1", "STATUS=waiting for the successor"]
    systemd.watchdog()
    assert said(manager) == ["WATCHDOG=1"]
    systemd.main_pid(4711)
    assert said(manager) == ["MAINPID=4711"]


def test_reloading_carries_the_monotonic_time_in_microseconds(manager):
    before = time.monotonic_ns() // 1000
    Systemd({"NOTIFY_SOCKET": manager.getsockname()}).reloading()
    first, second = said(manager)
    assert first == "RELOADING=1"
    name, _, value = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= time.monotonic_ns() // 1000


def test_abstract_sockets():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0pyvrrp-notify-{os.getpid()}")
        Systemd({"NOTIFY_SOCKET": f"@pyvrrp-notify-{os.getpid()}"}).ready()
        assert receiver.recv(100) == b"READY=1"


def test_without_systemd_nothing_happens(caplog):
    systemd = Systemd({})
    systemd.ready("x")
    systemd.reloading()
    systemd.watchdog()
    assert systemd.watchdog_interval is None
    assert not caplog.records


@pytest.mark.parametrize("path", ["/nowhere/notify", "@nobody-listens", "/" + "x" * 200, "x\0y"])
def test_a_socket_that_is_gone_is_told_once(caplog, path):
    systemd = Systemd({"NOTIFY_SOCKET": path})
    systemd.ready()
    systemd.status("again")
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith("systemd does not hear us: NOTIFY_SOCKET ")


def test_a_manager_that_does_not_read_does_not_hold_us_up(manager, caplog):
    systemd = Systemd({"NOTIFY_SOCKET": manager.getsockname()})
    for number in range(2000):
        systemd.status(f"{number} {'x' * 1000}")
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "10000000"}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_per_interval_if_it_is_ours(manager, environ, interval):
    systemd = Systemd({"NOTIFY_SOCKET": manager.getsockname(), **environ})
    assert systemd.watchdog_interval == interval
    systemd.watchdog()
    if interval is None:
        with pytest.raises(BlockingIOError):
            manager.recv(100)
    else:
        assert said(manager) == ["WATCHDOG=1"]
