"""Whatever is sent to the HTTP listener: it answers or closes, raises nothing, and goes on serving."""

import asyncio
import logging

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pyvrrp.daemon.http_request import BadRequest, parse
from pyvrrp.daemon.pages import Pages
from tests.unit.snapshots import instance, taken
from tests.unit.test_web import get, listening, services, talk, until

tokens = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
values = st.text(st.characters(codec="latin-1"), max_size=40)
heads = st.builds(
    lambda method, target, version, headers: "\r\n".join(
        [f"{method} {target} {version}", *(f"{name}:{value}" for name, value in headers), "", ""]
    ).encode("latin-1"),
    st.sampled_from(["GET", "HEAD", "POST", ""]) | tokens,
    st.sampled_from(["/metrics", "/status.json", "/healthz", "/", "/x", "*", "//x?y#z"]) | tokens,
    st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/3", ""]) | tokens,
    st.lists(st.tuples(st.sampled_from(["Accept", "Host", "Content-Length", "Transfer-Encoding"]) | tokens, values)),
)
requests = heads | st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: data + b"\r\n\r\n")


@settings(max_examples=1000, deadline=None)
@given(head=requests)
@example(head=b"\r\n\r\n")
def test_a_head_is_a_request_or_refused(head):
    try:
        request = parse(head)
    except BadRequest:
        return
    assert head.endswith(b"\r\n\r\n")
    assert request.method.isascii()
    assert request.path.startswith("/")
    assert "?" not in request.path
    assert all(name == name.lower() and "\n" not in f"{name}{value}" for name, value in request.headers.items())


@pytest.fixture(scope="module")
def loop():
    """A loop that goes on from one example to the next."""
    with asyncio.Runner() as runner:
        yield runner


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(requests, min_size=1, max_size=4))
def test_it_goes_on_serving(loop, caplog, sent):
    async def main():
        async with listening(Pages(taken(instance()), services).by_path) as (listener, port):
            for each in sent:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(each)
                writer.write_eof()
                try:
                    answer = await asyncio.wait_for(reader.read(), 30)
                except ConnectionResetError:
                    answer = b""
                assert not answer or answer.startswith(b"HTTP/1.1 ")
                writer.close()
            assert (await talk(port, get("/healthz")))[0] == 200
            await until(lambda: not listener._clients)

    with caplog.at_level(logging.WARNING):
        loop.run(main())
    assert not caplog.records
