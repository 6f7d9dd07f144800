"""Whatever is sent to the control socket: every line has one answer, none succeeds by accident, it goes on serving."""

import asyncio
import json
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyvrrp.daemon.control import ControlServer, status_method
from tests.unit.snapshots import instance, taken
from tests.unit.test_control import ask, line

METHODS = {"status": status_method(taken(instance())), "echo": lambda parameters: parameters}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
requests = st.fixed_dictionaries(
    {"method": st.sampled_from(["status", "echo", "stop"]) | json_values}, optional={"parameters": json_values}
)
lines = (
    st.binary(max_size=300).map(lambda data: data.replace(b"\n", b"") + b"\n")
    | json_values.map(lambda value: json.dumps(value).encode() + b"\n")
    | requests.map(lambda value: json.dumps(value).encode() + b"\n")
    | st.integers(1, 60000).map(lambda depth: b"[" * depth + b"\n")
    | st.integers(1, 60000).map(lambda digits: b"1" * digits + b"\n")
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A loop, and a server on it."""
    with asyncio.Runner() as runner:
        control = ControlServer(tmp_path_factory.mktemp("run") / "control", METHODS)
        runner.run(control.start())
        yield runner, control
        runner.run(control.stop())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(lines, max_size=6))
def test_every_line_has_one_answer(server, caplog, sent):
    runner, control = server
    with caplog.at_level(logging.WARNING):
        answers = runner.run(ask(control.path, *sent, line("echo", still="here")))
    assert answers[-1] == {"ok": True, "result": {"still": "here"}}
    assert len(answers) == len(sent) + 1
    for request_line, answer in zip(sent, answers[:-1], strict=True):
        if answer["ok"]:
            assert json.loads(request_line)["method"] in METHODS
        else:
            assert isinstance(answer["error"], str)
            assert len(answer["error"]) <= 1000
    assert not caplog.records


@settings(max_examples=100, deadline=None)
@given(garbage=st.binary(max_size=100_000), eof=st.booleans())
def test_garbage_without_lines_leaves_no_connection_behind(server, garbage, eof):
    runner, control = server

    async def send():
        _, writer = await asyncio.open_unix_connection(str(control.path))
        writer.write(garbage)
        if eof:
            writer.write_eof()
        writer.close()

    runner.run(send())
    assert runner.run(ask(control.path, line("echo"))) == [{"ok": True, "result": {}}]
    assert len(control._clients) <= 2
