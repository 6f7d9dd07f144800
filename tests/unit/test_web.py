"""The HTTP listener on loopback, on both event loops: what is answered, and what a client can't do to it."""

import asyncio
import json
import logging
import socket
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address

import pytest
import uvloop

from pyvrrp.config.model import Config
from pyvrrp.core.events import State
from pyvrrp.core.metrics import Family, Kind, Metric
from pyvrrp.core.report import Entry, Mood
from pyvrrp.daemon import pages as pages_module
from pyvrrp.daemon import web
from pyvrrp.daemon.control import Refused
from pyvrrp.daemon.http_request import BadRequest, parse
from pyvrrp.daemon.pages import Pages
from pyvrrp.daemon.services import Services
from pyvrrp.daemon.web import Answer, WebListener
from tests.unit.snapshots import daemon, instance, taken

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
HOME = ip_address("127.0.0.1")


@pytest.fixture(params=LOOPS)
def run(request):
    """Runs a coroutine function on one of the loops."""

    def run(main):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(asyncio.wait_for(main(), 60))

    return run


def free_port(address="127.0.0.1"):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


async def until(condition):
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def connected(port, address="127.0.0.1"):
    """A connection; the listener begins a moment after `move`."""
    while True:
        try:
            return await asyncio.open_connection(address, port)
        except ConnectionRefusedError:
            await asyncio.sleep(0)


@asynccontextmanager
async def listening(pages, address=HOME):
    port = free_port(str(address))
    listener = WebListener(pages)
    await listener.move((address, port))
    _, writer = await connected(port, str(address))
    writer.close()
    await until(lambda: not listener._clients)
    try:
        yield listener, port
    finally:
        await listener.stop()


async def talk(port, sent, address="127.0.0.1"):
    """Status, headers and body of the answer to these bytes; the server closes."""
    reader, writer = await connected(port, address)
    writer.write(sent)
    answer = await reader.read()
    writer.close()
    return taken_apart(answer)


def taken_apart(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first.startswith("HTTP/1.1 ")
    return int(first.split()[1]), headers, body


def get(path, *headers, method="GET"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def pages(*instances, **changes):
    return Pages(taken(*(instances or [instance()]), **changes), services, "ns1").by_path


class Mine:
    """A plugin and its service: it counts things."""

    name = "mine"
    trackers = ()

    def configure(self, config, diagnostics):
        return self

    def metrics(self, status):
        yield Family(THINGS, [((), status["things"])])

    def report(self, status):
        yield Entry("<things>", str(status["things"]), Mood.GOOD)


class Broken(Mine):
    """One that can't."""

    name = "broken"

    def status(self):
        raise RuntimeError("no")

    def metrics(self, status):
        yield Family(THINGS, [])
        raise RuntimeError("no")

    report = metrics


THINGS = Metric("mine_things", Kind.GAUGE, "Things.")


def services(*plugins):
    return Services(plugins, Config())


# --- pages -----------------------------------------------------------------------------------------------------------


def test_metrics_in_both_formats(run):
    async def main():
        async with listening(pages()) as (_, port):
            plain = await talk(port, get("/metrics"))
            openmetrics = await talk(port, get("/metrics?x=1", "Accept: application/openmetrics-text"))
            head = await talk(port, get("/metrics", method="HEAD"))
        return plain, openmetrics, head

    plain, openmetrics, head = run(main)
    assert [each[0] for each in (plain, openmetrics, head)] == [200] * 3
    assert plain[1]["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert openmetrics[1]["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert b'keepalived_vrrp_state{iname="VI_1",intf="eth0",vrid="51",ip_address="192.0.2.1"} 2\n' in plain[2]
    assert openmetrics[2].endswith(b"\n# EOF\n")
    assert int(plain[1]["Content-Length"]) == len(plain[2])
    assert (head[1]["Content-Length"], head[2]) == (plain[1]["Content-Length"], b"")


def test_the_status_is_that_of_the_control_socket(run):
    async def main():
        async with listening(pages()) as (_, port):
            return await talk(port, get("/status.json"))

    status, headers, body = run(main)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["instances"][0]["name"] == "VI_1"


@pytest.mark.parametrize(
    ("states", "plugins", "status", "body"),
    [
        ((State.MASTER, State.BACKUP), {}, 200, "ok\n"),
        ((State.MASTER, State.FAULT), {}, 503, "VI_1 is FAULT: eth0 is down\n"),
        ((State.INIT,), {}, 503, "VI_0 is INIT: no advertisement for master_down_interval\n"),
        ((State.BACKUP,), {"dnslb": {"problems": ["ns: PANIC", "é"]}}, 503, "ns: PANIC\né\n"),
    ],
)
def test_healthz(run, states, plugins, status, body):
    made = [
        instance(name=f"VI_{n}", state=state, faults=("eth0 is down",) if state is State.FAULT else ())
        for n, state in enumerate(states)
    ]

    async def main():
        async with listening(pages(*made, plugins=plugins)) as (_, port):
            return await talk(port, get("/healthz"))

    found, _, text = run(main)
    assert (found, text.decode()) == (status, body)


def test_a_daemon_that_starts_is_not_well_and_has_nothing_to_give_out(run):
    async def starting():
        raise Refused("the daemon is starting; ask again")

    async def main():
        async with listening(Pages(starting, services).by_path) as (_, port):
            return [await talk(port, get(path)) for path in ("/", "/metrics", "/status.json", "/healthz")]

    assert [(status, body) for status, _, body in run(main)] == [(503, b"the daemon is starting; ask again\n")] * 4


def test_who_asks_again_and_again_makes_one_page_a_second(run, monkeypatch):
    snapshots = []

    async def snapshot():
        snapshots.append(1)
        return daemon(instance())

    async def main():
        monkeypatch.setattr(pages_module, "FRESH", 3600.0)
        async with listening(Pages(snapshot, services).by_path) as (_, port):
            await asyncio.gather(*(talk(port, get("/metrics")) for _ in range(12)))
            assert len(snapshots) == 1
            monkeypatch.setattr(pages_module, "FRESH", 0.0)
            await talk(port, get("/metrics"))
            assert len(snapshots) == 2

    run(main)


def test_what_plugins_say_is_made_from_their_part_of_the_snapshot(run):
    async def main():
        made = Pages(taken(plugins={"mine": {"things": 3}}), lambda: services(Mine()))
        async with listening(made.by_path) as (_, port):
            return await made.text(openmetrics=False), (await talk(port, get("/")))[2].decode()

    text, page = run(main)
    assert text.endswith("# TYPE mine_things gauge\nmine_things 3\n")
    assert "<h2>mine</h2>" in page
    assert "&lt;things&gt;" in page
    assert "<things>" not in page


def test_a_plugin_that_fails_costs_its_part_and_is_not_well(caplog):
    found = services(Broken(), Mine())
    status = {"broken": {}, "mine": {"things": 1}}
    assert [family.metric for family in found.families(status)] == [THINGS]
    assert list(found.report(status)) == ["mine"]
    told = [record.getMessage() for record in caplog.records]
    assert told == ["plugin broken: metrics failed", "plugin broken: report failed"]
    assert services(Broken()).status() == {
        "broken": {"problems": ["its status failed: RuntimeError: no; please report it"]}
    }


def test_the_page(run):
    async def main():
        async with listening(pages(instance(name="<b>&", state=State.FAULT, faults=('no "x"',)))) as (_, port):
            return await talk(port, get("/"))

    status, headers, body = run(main)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    page = body.decode()
    assert "<title>!! ns1: pyvrrp</title>" in page
    assert "&lt;b&gt;&amp; is FAULT: no &quot;x&quot;" in page
    assert "<b>" not in page


# --- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (get("/index.html"), 404),
        (get("/metrics/"), 404),
        (get("/../etc/passwd"), 404),
        (get("/metrics", method="POST"), 405),
        (get("/metrics", method="DELETE"), 405),
        (b"GET /metrics\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET http://x/metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/2.0\r\n\r\n", 400),
        (b"GET  /metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nA: 1\r\n folded\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nA\x00: 1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nA: \x00\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nA: " + b"x" * web.REQUEST_BYTES + b"\r\n\r\n", 431),
        (b"x" * (4 * web.REQUEST_BYTES), 431),
    ],
)
def test_what_is_no_request_for_a_page_is_told_so_and_closed(run, sent, status):
    async def main():
        async with listening(pages()) as (_, port):
            found = await talk(port, sent)
            assert (await talk(port, get("/healthz")))[0] == 200
            return found

    found, headers, body = run(main)
    assert found == status
    assert headers["Connection"] == "close"
    assert (headers.get("Allow") == "GET, HEAD") is (status == 405)
    assert body.count(b"\n") == 1


def test_a_head_is_read_as_it_is_meant():
    found = parse(b"GET /metrics?a=b HTTP/1.0\r\nAccept: a\r\nX-y:  z\t\r\nACCEPT:b\r\n\r\n")
    assert (found.method, found.path) == ("GET", "/metrics")
    assert found.headers == {"accept": "a, b", "x-y": "z"}
    with pytest.raises(BadRequest):
        parse(b"GET / HTTP/1.1\r\n")


def test_a_page_that_fails_is_500_and_logged(run, caplog):
    async def broken(_):
        raise KeyError("x")

    async def main():
        async with listening({"/x": broken}) as (_, port):
            return await talk(port, get("/x"))

    assert run(main)[0] == 500
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == ["page /x"]


# --- limits ----------------------------------------------------------------------------------------------------------


def test_who_asks_for_nothing_is_cut_off(run, monkeypatch):
    monkeypatch.setattr(web, "REQUEST_SECONDS", 0.05)

    async def main():
        async with listening(pages()) as (listener, port):
            reader, writer = await connected(port)
            writer.write(b"GET /metrics HT")
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            await until(lambda: not listener._clients)
            writer.close()

    run(main)


def test_who_does_not_fetch_the_answer_is_cut_off_and_keeps_nothing(run, monkeypatch):
    monkeypatch.setattr(web, "ANSWER_SECONDS", 0.2)

    async def large(_):
        return Answer(b"x" * 50_000_000)

    async def main():
        async with listening({"/large": large}) as (listener, port):
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(client, ("127.0.0.1", port))
                await loop.sock_sendall(client, get("/large"))
                await until(lambda: listener._clients)
                await until(lambda: not listener._clients)

    run(main)


def test_more_connections_than_the_limit_are_turned_away_and_the_others_served(run):
    async def main():
        async with listening(pages()) as (listener, port):
            waiting = [await connected(port) for _ in range(web.CONNECTIONS)]
            await until(lambda: len(listener._clients) == web.CONNECTIONS)
            reader, writer = await connected(port)  # and says nothing: what is unread would reset the answer
            assert taken_apart(await reader.read())[0] == 503
            writer.close()
            for _, each in waiting[1:]:
                each.close()
            reader, writer = waiting[0]
            writer.write(get("/healthz"))
            assert taken_apart(await reader.read())[0] == 200
            writer.close()
            await until(lambda: not listener._clients)

    run(main)


def test_stop_ends_every_connection(run):
    async def main():
        async with listening(pages()) as (listener, port):
            reader, writer = await connected(port)
            await until(lambda: listener._clients)
            await listener.stop()
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)

    run(main)


# --- addresses -------------------------------------------------------------------------------------------------------


def test_it_moves_and_ends_at_a_reload(run):
    async def main():
        async with listening(pages()) as (listener, port):
            other = free_port()
            await listener.move((HOME, other))
            assert (await talk(other, get("/healthz")))[0] == 200
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            await listener.move((HOME, other))
            assert (await talk(other, get("/healthz")))[0] == 200
            await listener.move(None)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", other)

    run(main)


def test_ipv6(run):
    try:
        free_port("::1")
    except OSError:
        pytest.skip("no IPv6 on this machine")

    async def main():
        async with listening(pages(), ip_address("::1")) as (_, port):
            return await talk(port, get("/healthz"), "::1")

    assert run(main)[0] == 200


def test_a_port_in_use_is_one_line_and_is_had_when_it_is_free(run, caplog, monkeypatch):
    tried, bind = [], web._bind
    monkeypatch.setattr(web, "RETRY", 0.0)
    monkeypatch.setattr(web, "_bind", lambda *where: tried.append(where) or bind(*where))

    async def main():
        holder = socket.socket()
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        listener = WebListener(pages())
        await listener.move((HOME, port))
        await until(lambda: len(tried) > 3)
        told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
        holder.close()
        found = await talk(port, get("/healthz"))
        await listener.stop()
        return told, port, found

    with caplog.at_level(logging.INFO):
        told, port, found = run(main)
    hint = "name another address or port; it is tried again"
    assert told == [f"metrics_listen 127.0.0.1 {port}: Address already in use; {hint}"]
    assert found[0] == 200
