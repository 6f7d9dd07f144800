"""The parsers of what others say: each a function of bytes, which ends in the names of what became of them.

Whatever it raises is a bug, and so is an answer that breaks the parser's promises. The first bytes of an input choose
the circumstances where there is a choice (see `packets` and `dns_answers`); the rest is what was said.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from pyvrrp.core.metrics import accepts_openmetrics
from pyvrrp.daemon.control import ControlServer, Refused
from pyvrrp.daemon.http_request import BadRequest, parse
from pyvrrp.host import netlink_codec as codec
from pyvrrp.host.links import Address, Link
from pyvrrp.host.netlink_socket import _understood
from tests.fuzz import configurations, dns_answers, drbd_states, journals, packets
from tests.fuzz.mutate import mutate_bytes
from tests.fuzz.mutate_packet import mutate_packet

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True, slots=True)
class Target:
    """A parser under test."""

    name: str
    run: Callable[[bytes], Iterable[str]]
    mutate: Callable[[Random, list[bytes]], bytes]
    made: Callable[[], list[bytes]] = list
    "seeds that come from elsewhere than the corpus"
    seconds: float = 0.5
    "of processor time that an input may take"

    def corpus(self) -> Mapping[str, bytes]:
        """The inputs that are kept: seeds, and whatever found a bug once."""
        return {path.name: path.read_bytes() for path in sorted((CORPUS / self.name).glob("*"))}

    def seeds(self) -> list[bytes]:
        """What mutations start from."""
        return [*self.made(), *self.corpus().values()]

    def checked(self, data: bytes) -> Iterable[str]:
        """The outcome of one input, which must come in time."""
        started = time.thread_time()
        outcome = self.run(data)
        taken = time.thread_time() - started
        assert taken < self.seconds, f"{taken:.1f} s for {len(data)} bytes"
        return outcome


# --- netlink ---------------------------------------------------------------------------------------------------------


def _netlink(data: bytes) -> Iterable[str]:
    outcome = []
    for message in codec.messages(data):
        try:
            outcome.append("end of a dump" if codec.is_end(message) else "message")
            codec.is_interrupted(message)
        except codec.NetlinkError:
            outcome.append("refused by the kernel")
        found = _understood(message)
        assert not isinstance(found, Address) or found.address.version in (4, 6)
        assert not isinstance(found, Link) or isinstance(found.name, str)
        outcome.append(type(found).__name__)
    return outcome or ["no message"]


# --- control socket --------------------------------------------------------------------------------------------------


def _control(data: bytes) -> Iterable[str]:
    def switchover(parameters: Mapping[str, object]) -> object:
        named = parameters.get("instances", [])
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise Refused("`instances` is a list of names")
        raise Refused("nothing to hand over: this node is not MASTER of " + (", ".join(named) or "anything"))

    server = ControlServer(Path("control"), {"status": lambda _: {"instances": []}, "switchover": switchover})
    answering = server._answer(data.partition(b"\n")[0])
    try:
        answering.send(None)
    except StopIteration as done:
        text: str = done.value
    else:
        raise AssertionError("it waits for something")
    assert "\n" not in text
    answer = json.loads(text)
    if answer["ok"]:
        return ["ok"]
    assert isinstance(answer["error"], str)
    assert "internal error" not in answer["error"]
    return [" ".join(answer["error"].split()[:2])]


# --- requests over HTTP ----------------------------------------------------------------------------------------------


def _http(data: bytes) -> Iterable[str]:
    try:
        request = parse(data)
    except BadRequest as error:
        return [str(error)]
    assert request.path.startswith("/")
    accepts_openmetrics(request.headers.get("accept", ""))
    return ["request"]


# --- all of them -----------------------------------------------------------------------------------------------------

_JSON_WORDS = [*(b'"method"', b'"parameters"', b'"status"', b'"switchover"', b'"instances"', b"{}", b"[]", b"null")]
_JSON_WORDS += [*(b"true", b"1e999", b"NaN", b"-1", b'""', b'"\\ud800"', b"[" * 2000, b'{"":' * 2000, b"9" * 5000)]
_DNS_WORDS = [*(b"\xc0\x0c", b"\0\1\0\1", b"\0\0\x29\4\xd0\0\0\0\0\0\0", b"\0\x10\0\1", b"\0\5\0\1", b"\xff" * 4)]


_HTTP_WORDS = [*(b"\r\n", b"\r\n\r\n", b": ", b"HTTP/1.1", b"GET", b"/", b"?", b",", b";q=0.5", b"Accept", b"\0")]


def _bytes(words: list[bytes], keep: int = 0) -> Callable[[Random, list[bytes]], bytes]:
    return lambda random, seeds: mutate_bytes(random, seeds, words, keep)


TARGETS = {
    target.name: target
    for target in (
        Target("packet", packets.run, mutate_packet, lambda: packets.SEEDS),
        Target("configuration", configurations.run, configurations.mutate, configurations.seeds, seconds=5.0),
        Target("netlink", _netlink, _bytes([b"\x08\0\1\0", b"\x14\0\1\0", b"\x08\0\x04\0", b"\4\0"])),
        Target("control", _control, _bytes(_JSON_WORDS)),
        Target("dns", dns_answers.run, _bytes(_DNS_WORDS, keep=2), dns_answers.seeds),
        Target("drbd", drbd_states.run, _bytes(drbd_states.WORDS, keep=1), drbd_states.seeds),
        Target("http", _http, _bytes(_HTTP_WORDS)),
        Target("journal", journals.run, _bytes([*_JSON_WORDS, *journals.WORDS]), journals.seeds),
    )
}
