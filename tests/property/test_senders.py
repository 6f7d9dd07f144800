"""Whatever is on the wire, the registers stay within their bounds and what is told is one harmless line."""

from functools import partial
from ipaddress import IPv4Address
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from pyvrrp.core.claim import message_of, read
from pyvrrp.core.datagram import Datagram
from pyvrrp.core.discard import Discard
from pyvrrp.core.mismatch import differences, sentence
from pyvrrp.core.reception import vrid_of
from pyvrrp.core.senders import BURST, REFILL, Register
from pyvrrp.daemon.strangers import Strangers
from tests.fuzz.mutate_packet import mutate_packet
from tests.fuzz.packets import OURS, SEEDS, VARIANTS, Variant

SIZE = 3
steps = st.tuples(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.3, 1.0, 30.0, 70.0]),
    st.none() | st.integers(0, 9).map(lambda n: f"52:54:00:00:00:0{n}"),
    st.none() | st.integers(1, 6),
)
"which packet, seconds since the one before, its MAC if a tap saw it, the last byte of a forged source"


class Ours:
    own_sources = {OURS[4]: 1.0, OURS[6]: 1.0}  # noqa: RUF012
    owners = {IPv4Address("192.0.2.105"): ("VI_1", 51)}  # noqa: RUF012

    def attend(self, teller: object) -> None:
        pass


def received(seed: int, forged: int | None) -> tuple[Variant, Datagram] | None:
    """A packet that is nearly right, or nearly so, and the virtual router that it is for."""
    data = mutate_packet(Random(seed), SEEDS)
    variant = VARIANTS[data[0] % len(VARIANTS)]
    try:
        datagram = variant.take_apart(data[2:])
        vrid_of(datagram)
    except Discard:
        return None
    if forged is not None:
        source = type(datagram.source)(int(datagram.source) & ~0xFF | forged)
        datagram = Datagram(
            source, datagram.destination, datagram.ttl, datagram.protocol, datagram.header, datagram.payload
        )
    return variant, datagram


def harmless(line: str) -> None:
    assert line.isprintable()
    assert len(line) < 2000
    assert "secret12" not in line


@given(st.lists(steps, min_size=1, max_size=60))
def test_strangers(packets):
    strangers = Strangers("eth0", lambda: "52:54:00:00:00:00", Ours(), Ours())
    strangers.register = register = Register(SIZE)
    now, lines = 100.0, 0
    for seed, later, mac, forged in packets:
        now += later
        if (found := received(seed, forged)) is None:
            continue
        _, datagram = found
        vrid = vrid_of(datagram)
        strangers.heard(vrid, datagram, now)
        if mac is not None:
            strangers.saw(vrid, datagram.source, mac, now)
        for sender in register.due(now):
            harmless(strangers._sentence(sender))
            lines += 1
        bounded(register, now)
    assert lines <= BURST + (now - 100.0) / REFILL


@given(st.lists(steps, min_size=1, max_size=60), st.booleans())
def test_routers_with_our_vrid(packets, master):
    register, now = Register(SIZE), 100.0
    for seed, later, mac, forged in packets:
        now += later
        if (found := received(seed, forged)) is None:
            continue
        variant, datagram = found
        reception, key = variant.reception, (51, datagram.source)

        def describe(refused=None, datagram=datagram, reception=reception):
            try:
                claim = read(datagram)
            except Discard:
                claim = None
            return claim, dict(reception.remarks) if refused is None else differences(claim, refused, reception)

        try:
            reception.check(datagram)
        except Discard as refused:
            register.heard(key, (message_of(datagram), refused.reason), now, partial(describe, refused), vrid=51)
            assert register.senders.get(key) is None or register.senders[key].differs
        else:
            if reception.remarks:
                register.heard(key, message_of(datagram), now, describe, vrid=51, refused=False)
            else:
                register.agreed(key, now)
                assert all(sender.source != datagram.source for sender in register)
        if mac is not None:
            register.saw(key, mac, now)
        for sender in register.due(now):
            followed = datagram.source if not master else None
            harmless(sentence(sender, variant.parameters, master=master, followed=followed))
        bounded(register, now)


def bounded(register: Register, now: float) -> None:
    assert len(register.senders) <= SIZE
    assert register.sought <= {source for _, source in register.senders}
    assert register.deadline is None or now < register.deadline <= now + 30.0
    assert all(len(sender.macs) <= 4 and sender.first <= sender.last <= now for sender in register)
