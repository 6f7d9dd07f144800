"""The DNS check against a real resolver: unbound, healthy, stopped, without its upstream, killed."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.name
import dns.rcode
import dns.rdatatype
import pytest
import uvloop

from dnslb.health.probe import probe
from dnslb.health.query import DnsCheck
from dnslb.health.tracker import DnsTracker
from dnslb.health.verdict import Transport, Verdict
from dnslb.health.vrrp_dns_check import CheckBlock
from pyvrrp.config.model import NOWHERE

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(shutil.which("unbound") is None, reason="needs unbound (apt install unbound)"),
]

UDP, TCP, BOTH = (Transport.UDP,), (Transport.TCP,), (Transport.UDP, Transport.TCP)

CONFIGURATION = """
server:
  directory: "{directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  interface: 127.0.0.1
  port: {port}
  {options}
  do-not-query-localhost: no
  module-config: "iterator"
  unknown-server-time-limit: 50
  outbound-msg-retry: 1
  local-zone: "example.com." static
  local-data: "www.example.com. 60 IN A 192.0.2.1"
  local-data: "alias.example.com. 60 IN CNAME www.example.com."
  {big}
  local-zone: "private.example." refuse
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{closed}
"""


@dataclass(frozen=True, slots=True)
class Unbound:
    process: subprocess.Popen[bytes]
    port: int

    def ask(self, name: str = "www.example.com", transports: tuple[Transport, ...] = BOTH, **fields: Any) -> Verdict:
        fields.setdefault("timeout", 0.5)
        check = DnsCheck(name=dns.name.from_text(name), port=self.port, transports=transports, **fields)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(probe(check))

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)


def free_port() -> int:
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        return tcp.getsockname()[1]


def run_unbound(directory: Path, options: str = "", ready: tuple[Transport, ...] = BOTH) -> Iterator[Unbound]:
    big = "\n".join(f"  local-data: 'big.example.com. TXT \"{number} {'x' * 200}\"'" for number in range(20))
    port = free_port()
    file = directory / "unbound.conf"
    file.write_text(
        CONFIGURATION.format(directory=directory, port=port, options=options, big=big.strip(), closed=free_port())
    )
    with (
        open(directory / "log", "wb") as log,
        subprocess.Popen(["unbound", "-d", "-c", str(file)], stdout=log, stderr=log) as process,
    ):
        unbound = Unbound(process, port)
        try:
            for _ in range(100):
                if unbound.ask(transports=ready).ok:
                    break
                time.sleep(0.05)
            else:
                pytest.fail((directory / "log").read_text())
            yield unbound
        finally:
            process.kill()


@pytest.fixture
def unbound(tmp_path: Path) -> Iterator[Unbound]:
    yield from run_unbound(tmp_path)


@pytest.mark.parametrize("name", ["www.example.com", "WWW.Example.COM"])
def test_a_healthy_resolver(unbound: Unbound, name: str) -> None:
    verdict = unbound.ask(name)
    assert verdict.ok
    assert verdict.detail == f"NOERROR for {name} A from 127.0.0.1:{unbound.port}: 192.0.2.1"


def test_without_recursion_and_edns(unbound: Unbound) -> None:
    assert unbound.ask(recursion=False, edns=False).ok


def test_names_that_are_not_there(unbound: Unbound) -> None:
    assert unbound.ask("nothing.example.com").detail.startswith("NXDOMAIN for nothing.example.com A ")
    assert unbound.ask("nothing.example.com", expect_rcode=(dns.rcode.NXDOMAIN,)).ok
    nodata = unbound.ask(rdtype=dns.rdatatype.AAAA)
    assert nodata.detail.startswith("NOERROR without a record for www.example.com AAAA ")
    assert unbound.ask(rdtype=dns.rdatatype.AAAA, expect_answer=()).ok
    alias = unbound.ask("alias.example.com", UDP)
    assert not alias.ok, "unbound does not follow an alias out of its local data: a client gets no address"
    assert alias.detail.endswith(" over udp, an alias of www.example.com")
    assert unbound.ask("host.private.example").detail.startswith("REFUSED for host.private.example A ")


def test_an_answer_too_big_for_udp(unbound: Unbound) -> None:
    verdict = unbound.ask("big.example.com", UDP, rdtype=dns.rdatatype.TXT)
    assert verdict.ok
    assert verdict.detail.startswith("truncated answer for big.example.com TXT ")
    assert verdict.detail.endswith(" and 16 more")


def test_a_resolver_that_lost_its_upstream(unbound: Unbound) -> None:
    """Unbound is silent while it still tries (for some 0.2 s as configured here), then it says SERVFAIL."""
    trying = unbound.ask("www.example.org", UDP, timeout=0.02)
    assert (trying.ok, trying.detail.partition(" from ")[0]) == (False, "no answer")
    verdict = unbound.ask("www.example.org", BOTH, timeout=5.0)
    assert not verdict.ok
    assert verdict.detail.startswith("SERVFAIL for www.example.org A from ")
    assert unbound.ask().ok, "what needs no upstream is still answered"


@pytest.mark.parametrize("transport", Transport)
def test_a_stopped_resolver_fails_within_the_timeout(unbound: Unbound, transport: Transport) -> None:
    unbound.signal(signal.SIGSTOP)
    began = time.monotonic()
    verdict = unbound.ask(transports=(transport,), timeout=0.3)
    took = time.monotonic() - began
    unbound.signal(signal.SIGCONT)
    assert (verdict.ok, verdict.detail) == (
        False,
        f"no answer from 127.0.0.1:{unbound.port} over {transport.value} within 0.3 s",
    )
    assert 0.29 < took < 0.5
    assert unbound.ask(timeout=2.0).ok, "it goes on where it was"


def test_a_killed_resolver_fails_at_once(unbound: Unbound) -> None:
    unbound.process.kill()
    unbound.process.wait()
    verdict = unbound.ask(timeout=5.0)
    assert not verdict.ok
    assert verdict.detail.count("connection refused by") == 2
    assert verdict.elapsed < 1


def test_a_resolver_without_udp(tmp_path: Path) -> None:
    for unbound in run_unbound(tmp_path, options="do-udp: no", ready=TCP):
        assert unbound.ask(transports=TCP).ok
        verdict = unbound.ask(transports=BOTH)
        assert (verdict.ok, verdict.detail) == (
            False,
            f"connection refused by 127.0.0.1:{unbound.port} over udp: nothing listens there",
        )


def test_the_tracker_sees_it_stop_and_come_back(unbound: Unbound) -> None:
    """With interval 0.2 and timeout 0.2 a stopped server is reported within 0.4 s, one that is back within 0.2 s."""
    check = DnsCheck(name=dns.name.from_text("www.example.com"), port=unbound.port, transports=BOTH, timeout=0.2)
    tracker = DnsTracker(
        CheckBlock(
            name="resolver", check=check, position=NOWHERE, interval=0.2, weight=0, reverse=False, rise=1, fall=1
        )
    )

    async def main() -> tuple[float, float]:
        reports: asyncio.Queue[bool] = asyncio.Queue()
        task = asyncio.create_task(tracker.run(lambda ok, detail: reports.put_nowait(ok)))

        async def until(ok: bool) -> float:
            began = time.monotonic()
            while await reports.get() is not ok:
                pass
            return time.monotonic() - began

        await until(True)
        unbound.signal(signal.SIGSTOP)
        gone = await until(False)
        unbound.signal(signal.SIGCONT)
        back = await until(True)
        task.cancel()
        return gone, back

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        gone, back = runner.run(main())
    assert gone < 0.4 + 0.2
    assert back < 0.2 + 0.2
    assert tracker.status()["healthy"] is True
