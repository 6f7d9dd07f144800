"""Two nodes, each a balancer and a DNS server at once, and what many clients feel of three incidents.

The daemons and their files are those of examples/dns-two-box; only the machines are network namespaces.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict

from pyvrrp.demo.client import NAMES
from pyvrrp.demo.incidents import Incidents
from pyvrrp.demo.lab import Lab, eventually
from pyvrrp.demo.node import Node, both, engine, files, kind_of_server, unbound
from pyvrrp.demo.stage import stage
from pyvrrp.demo.stream import Stream
from pyvrrp.demo.timeline import Timeline
from pyvrrp.demo.wire import Asked

SCENARIO = "dns-two-box"
VIPS = ("192.0.2.53", "2001:db8::53")
CLIENTS, PACE = 200, 0.005
"each client asks once in a second"
SETTLE = 0.1
"seconds that a query is on the wire at most"
INTRODUCTION = f"""\
Two nodes share the addresses {VIPS[0]} and {VIPS[1]}. The MASTER has them: it answers some of the clients
itself and passes the others' queries on to the BACKUP, which answers them directly. {CLIENTS} clients, each
with a port of its own, half of them over IPv6, ask once a second while things break. In the strips each
column is a tenth of a second; the digits say how many of ten queries each node answered, and how many
nobody did; a dot is none, a star all of them; the exclamation mark is the moment of the incident.
"""


class Demo:
    """The two nodes, the clients and the story."""

    def __init__(self, lab: Lab, timeline: Timeline) -> None:
        self._lab = lab
        self._timeline = timeline
        hosts = (lab.host("dns1", *both(11)), lab.host("dns2", *both(12)))
        self._nodes = [Node(host, files(SCENARIO)) for host in hosts]
        self._names = [node.name for node in self._nodes]
        for node in self._nodes:
            node.host.refuse_native_xdp()
        self._client = lab.host("client", *both(100))

    def begin(self) -> None:
        """Start the servers and the daemons, and wait until both are used by both."""
        first, second = self._nodes
        self._timeline.say(f"dns1, dns2 and the clients on one switch; {kind_of_server()} on dns1 and dns2")
        self._start(first)
        self._timeline.say("dns1: pyvrrp run -f dns1.conf")
        eventually(lambda: first.state() == "MASTER", "dns1 is MASTER", timeout=30, every=0.1)
        self._timeline.say(f"dns1 is MASTER: it has {VIPS[0]} and {VIPS[1]}")
        self._start(second)
        self._timeline.say("dns2: pyvrrp run -f dns2.conf")
        eventually(lambda: second.state() == "BACKUP", "dns2 is BACKUP", timeout=30, every=0.1)
        eventually(lambda: all(node.uses(*self._names) for node in self._nodes), "both up", timeout=30, every=0.1)
        self._timeline.say("dns2 is BACKUP; each sees both up")
        self._stream = Stream(self._client, VIPS, NAMES, PACE, CLIENTS)
        self._incidents = Incidents(self._timeline, self._stream, self._names)

    def both_answer(self) -> None:
        """Who answers, and how often a query is on the wire."""
        self._timeline.add()
        used = engine(self._nodes[0].balancing())
        self._timeline.say(f"==> both answer (engine {used}): {self._who()}")
        self._look_for_loops()

    def lose_the_backup(self) -> None:
        """dns2 goes without a word, and comes back."""
        first, second = self._nodes
        self._incidents.happens(
            "dns2 (BACKUP) loses power",
            "",
            second.power_off,
            lambda: first.real_server("dns2")["standing"] == "down",
            "dns2",
        )
        self._power_on(second)
        self._wait_for_both(first, "dns2 has power again, and answers")

    def lose_the_server_of_the_master(self) -> None:
        """The MASTER goes on as a balancer."""
        first, second = self._nodes
        self._incidents.happens(
            "the DNS server of dns1 (MASTER) is killed",
            "",
            first.server.kill,
            lambda: first.real_server("dns1")["standing"] == "down",
            "dns1",
        )
        self._timeline.say(f"dns1 is {first.state()}, dns2 is {second.state()}: the addresses stay, dns2 answers all")
        self._look_for_loops()
        first.start_server(unbound())
        self._wait_for_both(first, "the DNS server of dns1 is started again, and answers")

    def lose_the_master(self, *, and_back: bool) -> None:
        """dns1 goes without a word, and comes back."""
        first, second = self._nodes
        self._incidents.happens(
            "dns1 (MASTER) loses power",
            "",
            first.power_off,
            lambda: second.state() == "MASTER" and second.real_server("dns1")["standing"] == "down",
            "dns1",
        )
        if and_back:
            self._power_on(first)
            eventually(lambda: first.state() == "MASTER", "dns1 is MASTER", timeout=30, every=0.1)
            self._wait_for_both(first, "dns1 has power again, is MASTER, and answers")
            self._look_for_loops()

    def sum_up(self) -> None:
        """The table."""
        self._incidents.sum_up()

    def _look_for_loops(self) -> None:
        """Count how often each query of the clients is on the wire: once from the client, once to the other node."""
        clients = self._client.addresses()
        wire, began = self._lab.capture(), time.monotonic()
        self._stream.round()
        wire.close()
        seen: dict[Asked, list[float]] = defaultdict(list)
        for frame in wire:
            if (asked := frame.asked) and asked.source in clients:
                seen[asked].append(frame.time)
        end = time.monotonic() - SETTLE  # what was asked later may be on its way still
        times = Counter(len(at) for at in seen.values() if began + SETTLE < at[0] < end)
        once, twice = times[1], times[2]
        self._timeline.say(
            f"on the wire: {once} queries once (the MASTER answers), {twice} twice (the BACKUP), "
            f"{times.total() - once - twice} more often"
        )

    def _start(self, node: Node) -> None:
        node.start_server(unbound())
        eventually(node.answers, f"the DNS server of {node.name} answers", timeout=20)
        node.start_daemon()

    def _power_on(self, node: Node) -> None:
        node.host.mend()
        self._start(node)

    def _wait_for_both(self, node: Node, what: str) -> None:
        eventually(lambda: node.uses(*self._names), "both up", timeout=30, every=0.1)
        self._timeline.say(f"{what}: {self._who()}")

    def _who(self) -> str:
        clients = self._incidents.clients()
        return f"{', '.join(f'{name} {clients[name]}' for name in self._names)} of {CLIENTS} clients"


def run(*, quick: bool = False) -> int:
    """Show it on standard output; return the exit status. Raises LabError."""
    with stage(INTRODUCTION) as (lab, timeline):
        demo = Demo(lab, timeline)
        demo.begin()
        demo.both_answer()
        demo.lose_the_backup()
        demo.lose_the_server_of_the_master()
        demo.lose_the_master(and_back=not quick)
        demo.sum_up()
    return 0
