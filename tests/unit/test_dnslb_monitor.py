"""The monitor over real sockets on loopback: DNS servers that answer, fail, die and come back."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from dnslb.forwarding import Protocol
from dnslb.health import monitor as module
from dnslb.health.check import Check, CheckGroup, DnsProbe, SerialRule, TcpProbe
from dnslb.health.monitor import Monitor
from dnslb.health.pace import Schedule
from dnslb.health.query import Binding, DnsCheck
from dnslb.health.report import CommonCausesChanged, HealthChanged, Report, State
from dnslb.health.verdict import Transport
from dnslb.model import Endpoint, RealServer, VirtualServer
from pyvrrp.config.model import Globals
from tests.unit.dns_responder import LOOPS, Responder, Run, datagram, good_datagram, on_loop, silent, with_rcode

WWW = dns.name.from_text("www.example.com")
FAST = Schedule(interval=0.05, fast_interval=0.01, longest=0.05, rise=2, fall=2, warmup=0.0)
SERVFAIL = datagram(with_rcode(dns.rcode.SERVFAIL))
VIP = Endpoint(ip_address("192.0.2.53"), 53)


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return on_loop(request.param)


def dns_check(host: str, port: int, schedule: Schedule = FAST, **fields: Any) -> Check:
    fields.setdefault("timeout", 5.0)
    question = DnsCheck(name=WWW, server=ip_address(host), port=port, **fields)
    return Check(probe=DnsProbe((question,)), schedule=schedule)


def virtual(*servers: tuple[str, Iterable[Check]], name: str = "dns") -> VirtualServer:
    return VirtualServer(
        name=name,
        endpoints=(VIP,),
        protocols=frozenset((Protocol.UDP,)),
        real_servers=tuple(
            RealServer(
                address=ip_address(host),
                port=53,
                name=host,
                checks=tuple(CheckGroup(checks=(check,)) for check in checks),
            )
            for host, checks in servers
        ),
    )


class Heard:
    """What the monitor has reported."""

    def __init__(self) -> None:
        self.all: list[Report] = []
        self.health: dict[tuple[str, str], HealthChanged] = {}
        "the last, by virtual server and address"
        self.causes: CommonCausesChanged | None = None
        self._more = asyncio.Event()

    def __call__(self, report: Report) -> None:
        self.all.append(report)
        if isinstance(report, HealthChanged):
            self.health[report.virtual_server, str(report.address)] = report
        else:
            self.causes = report
        self._more.set()

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not wanted():
                self._more.clear()
                await self._more.wait()

    async def state(self, state: State, host: str = "127.0.0.1", name: str = "dns") -> HealthChanged:
        """That a server is in this state, or comes to be."""
        await self.until(lambda: (name, host) in self.health and self.health[name, host].health.state is state)
        return self.health[name, host]


@asynccontextmanager
async def monitored(*virtuals: VirtualServer) -> AsyncIterator[tuple[Monitor, Heard]]:
    heard = Heard()
    watch = Monitor(heard, lambda address: None)
    watch.configure(virtuals, Globals())
    try:
        yield watch, heard
    finally:
        await watch.close()


def test_a_server_goes_down_and_comes_back(run: Run) -> None:
    async def main() -> None:
        async with (
            Responder() as responder,
            monitored(virtual(("127.0.0.1", [dns_check("127.0.0.1", responder.port)]))) as (_, heard),
        ):
            first = heard.all[0]
            assert isinstance(first, HealthChanged)
            assert (first.health.state, first.health.detail) == (
                State.UNKNOWN,
                "no result yet of DNS_CHECK www.example.com A over udp",
            )
            assert (await heard.state(State.UP)).health.detail == "all checks pass"
            responder.udp = SERVFAIL
            down = await heard.state(State.DOWN)
            assert down.health.detail.startswith("SERVFAIL for www.example.com A from 127.0.0.1:")
            responder.udp = good_datagram
            await heard.state(State.UP)

    run(main())


def test_a_check_that_several_virtual_servers_have_is_run_once(run: Run) -> None:
    async def main() -> None:
        async with Responder() as responder:
            slow = replace(FAST, interval=60.0, longest=60.0)
            server = ("127.0.0.1", [dns_check("127.0.0.1", responder.port, slow)])
            async with monitored(virtual(server), virtual(server, name="dns over tcp")) as (watch, heard):
                await heard.state(State.UP)
                await heard.state(State.UP, name="dns over tcp")
                assert responder.asked == ["udp"]
                await watch.check_now()
                assert responder.asked == ["udp", "udp"]

    run(main())


def test_check_now_does_not_wait_for_the_interval_and_waits_for_the_verdict(run: Run) -> None:
    async def main() -> None:
        async with Responder() as responder:
            slow = replace(FAST, interval=60.0, longest=60.0, fall=1)
            async with monitored(virtual(("127.0.0.1", [dns_check("127.0.0.1", responder.port, slow)]))) as (
                watch,
                heard,
            ):
                await heard.state(State.UP)
                responder.udp = SERVFAIL
                assert await watch.check_now(ip_address("192.0.2.99")) == 0
                assert responder.asked == ["udp"], "another server's"
                assert await watch.check_now(ip_address("127.0.0.1")) == 1
                last = heard.all[-1]
                assert isinstance(last, HealthChanged)
                assert last.health.state is State.DOWN

    run(main())


def test_common_cause_is_told_before_the_servers_are_down_for_it(run: Run) -> None:
    async def main() -> None:
        async with Responder() as one, Responder(host="127.0.0.2") as two:
            servers = [(each.host, [dns_check(each.host, each.port)]) for each in (one, two)]
            async with monitored(virtual(*servers)) as (watch, heard):
                for host, _ in servers:
                    await heard.state(State.UP, host)
                one.udp = two.udp = SERVFAIL
                await heard.until(lambda: heard.causes is not None and len(heard.causes.causes) == 1)
                assert heard.causes is not None
                (cause,) = heard.causes.causes
                assert (cause.check, cause.cause, cause.servers) == (
                    "DNS_CHECK www.example.com A over udp",
                    "SERVFAIL",
                    {ip_address("127.0.0.1"), ip_address("127.0.0.2")},
                )
                down = [each for each in heard.health.values() if each.health.state is State.DOWN]
                assert len(down) < 2, "before both were down"
                assert watch.status()["dns"]["common_causes"][0]["cause"] == "SERVFAIL"  # type: ignore[index]
                two.udp = good_datagram
                await heard.until(lambda: heard.causes == CommonCausesChanged("dns", ()))
                await heard.state(State.UP, two.host)

    run(main())


def test_a_reload_keeps_what_is_known(run: Run) -> None:
    async def main() -> None:
        async with Responder() as one, Responder(host="127.0.0.2") as two:
            slow = replace(FAST, interval=60.0, longest=60.0, fall=1)
            first = ("127.0.0.1", [dns_check("127.0.0.1", one.port, slow)])
            async with monitored(virtual(first)) as (watch, heard):
                await heard.state(State.UP)
                reports = len(heard.all)
                second = ("127.0.0.2", [dns_check("127.0.0.2", two.port, slow)])
                watch.configure([virtual(first, second)], Globals())
                await heard.state(State.UP, "127.0.0.2")
                assert one.asked == ["udp"], "its check goes on as if nothing had been"
                assert all(
                    isinstance(report, HealthChanged) and str(report.address) == "127.0.0.2"
                    for report in heard.all[reports:]
                )
                faster = ("127.0.0.1", [dns_check("127.0.0.1", one.port, replace(slow, interval=30.0))])
                reports = len(heard.all)
                watch.configure([virtual(faster)], Globals())
                async with asyncio.timeout(60):
                    while len(one.asked) < 2:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                assert len(two.asked) == 1, "who is not in the file any more is not checked"
                assert heard.all[reports:] == [], "another pace is no other health"

    run(main())


def test_a_new_question_has_no_result_yet(run: Run) -> None:
    async def main() -> None:
        async with (
            Responder() as responder,
            monitored(virtual(("127.0.0.1", [dns_check("127.0.0.1", responder.port)]))) as (watch, heard),
        ):
            await heard.state(State.UP)
            aaaa = dns_check("127.0.0.1", responder.port, rdtype=dns.rdatatype.AAAA)
            watch.configure([virtual(("127.0.0.1", [aaaa]))], Globals())
            last = heard.all[-1]
            assert isinstance(last, HealthChanged)
            assert last.health.state is State.UNKNOWN

    run(main())


def test_a_check_that_is_broken_ends_neither_itself_nor_the_watch(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(probe: TcpProbe) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(module, "connect", broken)

    async def main() -> None:
        async with Responder() as responder:
            tcp = Check(probe=TcpProbe(Endpoint(ip_address("127.0.0.2"), 53), 0.1, Binding()), schedule=FAST)
            good = dns_check("127.0.0.1", responder.port)
            async with monitored(virtual(("127.0.0.1", [good]), ("127.0.0.2", [tcp]))) as (watch, heard):
                await heard.state(State.UP)
                down = await heard.state(State.DOWN, "127.0.0.2")
                assert down.health.detail == "TCP_CHECK port 53 could not be made: RuntimeError: a mistake of ours"
                await watch.check_now()
                servers: Any = watch.status()["dns"]
                assert servers["servers"]["127.0.0.2"]["checks"][0]["broken"] >= 2, "it is tried again"

    run(main())
    told = [record for record in caplog.records if "a mistake of ours" in record.getMessage()]
    assert len(told) == 1
    assert told[0].exc_info is None or not told[0].exc_info, "no traceback reaches an operator"


def test_a_listener_that_fails_does_not_end_the_watch(run: Run) -> None:
    async def main() -> None:
        calls: list[Report] = []
        enough = asyncio.Event()

        def listen(report: Report) -> None:
            calls.append(report)
            if len(calls) == 1:
                return
            if len(calls) > 2:
                enough.set()
            raise RuntimeError("a mistake of the listener's")

        async with Responder() as responder:
            watch = Monitor(listen, lambda address: None)
            watch.configure([virtual(("127.0.0.1", [dns_check("127.0.0.1", responder.port)]))], Globals())
            async with asyncio.timeout(60):
                while len(calls) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                responder.udp = SERVFAIL
                await enough.wait()
            await watch.close()

    run(main())


def soa(serial: int) -> Callable[[dns.message.Message], dns.message.Message]:
    def answer(query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query)
        text = f"ns.example.com. admin.example.com. {serial} 1 1 1 1"
        response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "SOA", text))
        return response

    return answer


def serial_check(host: str, port: int, rule: SerialRule) -> Check:
    question = DnsCheck(name=WWW, rdtype=dns.rdatatype.SOA, server=ip_address(host), port=port, timeout=5.0)
    return Check(probe=DnsProbe((question,), rule), schedule=FAST)


def test_a_secondary_that_lags_behind_the_others(run: Run) -> None:
    async def main() -> None:
        async with (
            Responder(udp=datagram(soa(7))) as one,
            Responder(host="127.0.0.2", udp=datagram(soa(7))) as two,
            Responder(host="127.0.0.3", udp=datagram(soa(4))) as three,
        ):
            rule = SerialRule(lag=2, patience=0.0)
            servers = [(each.host, [serial_check(each.host, each.port, rule)]) for each in (one, two, three)]
            async with monitored(virtual(*servers)) as (_, heard):
                down = await heard.state(State.DOWN, "127.0.0.3")
                assert "serial 4 is 3 behind the other servers (at most 2)" in down.health.detail
                await heard.state(State.UP, "127.0.0.1")
                three.udp = datagram(soa(6))
                await heard.state(State.UP, "127.0.0.3")

    run(main())


def test_a_primary_is_asked_once_for_all(run: Run) -> None:
    async def main() -> None:
        async with (
            Responder(udp=datagram(soa(7))) as one,
            Responder(host="127.0.0.2", udp=datagram(soa(7))) as two,
            Responder(host="127.0.0.3", udp=datagram(soa(9))) as primary,
        ):
            rule = SerialRule(0, 0.0, Endpoint(ip_address(primary.host), primary.port))
            servers = [(each.host, [serial_check(each.host, each.port, rule)]) for each in (one, two)]
            async with monitored(virtual(*servers)) as (_, heard):
                down = await heard.state(State.DOWN, "127.0.0.1")
                assert "2 behind the primary" in down.health.detail
                await heard.state(State.DOWN, "127.0.0.2")
                assert len(primary.asked) <= len(one.asked) + 2

    run(main())


def test_status_is_json(run: Run) -> None:
    async def main() -> None:
        async with Responder() as responder:
            checks = [dns_check("127.0.0.1", responder.port)]
            async with monitored(virtual(("127.0.0.1", checks), ("127.0.0.2", []))) as (watch, heard):
                before: Any = json.loads(json.dumps(watch.status()))["dns"]["servers"]["127.0.0.1"]
                assert (before["state"], before["checks"][0]["detail"]) == ("unknown", "no result yet")
                await heard.state(State.UP)
                servers: Any = json.loads(json.dumps(watch.status()))["dns"]["servers"]
                assert servers["127.0.0.2"] == {
                    "state": "up",
                    "detail": "nothing checks it",
                    "factor": 1.0,
                    "warnings": [],
                    "checks": [],
                }
                (check,) = servers["127.0.0.1"]["checks"]
                assert check["check"] == "DNS_CHECK www.example.com A over udp"
                assert (check["healthy"], check["failed"], check["failing"]) == (True, 0, 0)
                assert check["passed"] >= 1
                assert 0 < check["latency"] < 5
                assert 0 <= check["age"] < 60

    run(main())


def test_both_transports_are_asked_of_one_that_serves_both(run: Run) -> None:
    async def main() -> None:
        async with Responder() as responder:
            both = dns_check("127.0.0.1", responder.port, transports=(Transport.UDP, Transport.TCP), timeout=1.0)
            async with monitored(virtual(("127.0.0.1", [both]))) as (_, heard):
                await heard.state(State.UP)
                responder.tcp = silent
                down = await heard.state(State.DOWN)
                assert "over tcp within 1 s" in down.health.detail

    run(main())


def test_who_asks_for_a_check_that_is_taken_away_does_not_wait_for_ever(run: Run) -> None:
    async def main() -> None:
        async with (
            Responder(udp=silent) as responder,
            monitored(virtual(("127.0.0.1", [dns_check("127.0.0.1", responder.port, timeout=60.0)]))) as (watch, _),
        ):
            waiting = [asyncio.create_task(watch.check_now())]
            while not responder.asked:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            waiting.append(asyncio.create_task(watch.check_now()))
            await asyncio.sleep(0)
            watch.configure([], Globals())
            async with asyncio.timeout(60):
                assert await asyncio.gather(*waiting) == [1, 1]

    run(main())


def test_closing_leaves_nothing_behind(run: Run) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
            mute.bind(("127.0.0.1", 0))
            check = dns_check("127.0.0.1", mute.getsockname()[1], timeout=60.0)
            async with monitored(virtual(("127.0.0.1", [check]))):
                await asyncio.sleep(0)
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    run(main())
