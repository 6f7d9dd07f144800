"""Two balancers, three DNS servers that answer the clients themselves, and what many clients feel of four incidents.

The daemons and their files are those of examples/dns-dsr; only the machines are network namespaces.
"""

from __future__ import annotations

import signal
import time
from collections import Counter

from pyvrrp.demo.client import NAMES, NoAnswer, StubResolver
from pyvrrp.demo.connections import Connections
from pyvrrp.demo.incidents import Incidents
from pyvrrp.demo.lab import Lab, eventually
from pyvrrp.demo.node import Node, both, engine, files, kind_of_server, unbound
from pyvrrp.demo.stage import stage
from pyvrrp.demo.stream import Stream
from pyvrrp.demo.timeline import Timeline

SCENARIO = "dns-dsr"
VIP = "192.0.2.53"
VIPS = (VIP, "2001:db8::53")
CLIENTS, PACE = 200, 0.005
"each client asks once in a second"
CROWD = 700
"clients that show how they are spread"
CONNECTIONS = 24
INTRODUCTION = f"""\
Two balancers share the addresses {VIPS[0]} and {VIPS[1]}. The one that has them passes each query on to
one of three DNS servers, and that server answers the client itself. {CLIENTS} clients, each with a port of
its own, half of them over IPv6, ask once a second while things break. In the strips each column is a
tenth of a second; the digits say how many of ten queries each server answered, and how many nobody did;
a dot is none, a star all of them; the exclamation mark is the moment of the incident.
"""


class Demo:
    """The machines, the clients and the story."""

    def __init__(self, lab: Lab, timeline: Timeline) -> None:
        self._timeline = timeline

        def nodes(**numbers: int) -> list[Node]:
            return [Node(lab.host(name, *both(number)), files(SCENARIO)) for name, number in numbers.items()]

        self._balancers = nodes(lb1=2, lb2=3)
        self._servers = nodes(ns1=11, ns2=12, ns3=13)
        self._names = [server.name for server in self._servers]
        self._client = lab.host("client", *both(100))
        for balancer in self._balancers:
            balancer.host.refuse_native_xdp()

    def begin(self) -> None:
        """Start the servers and the daemons, and wait until every server is used."""
        where = "lb1, lb2, ns1, ns2, ns3 and the clients on one switch"
        self._timeline.say(f"{where}; {kind_of_server()} on ns1, ns2 and ns3")
        for server in self._servers:
            self._start(server)
        self._timeline.say("ns1, ns2, ns3: pyvrrp run -f ns.conf")
        first, second = self._balancers
        first.start_daemon()
        self._timeline.say("lb1: pyvrrp run -f lb1.conf")
        eventually(lambda: first.state() == "MASTER", "lb1 is MASTER", timeout=30, every=0.1)
        second.start_daemon()
        self._timeline.say(f"lb1 is MASTER: it has {VIPS[0]} and {VIPS[1]}; lb2: pyvrrp run -f lb2.conf")
        eventually(lambda: second.state() == "BACKUP", "lb2 is BACKUP", timeout=30, every=0.1)
        eventually(lambda: all(each.uses(*self._names) for each in self._balancers), "all up", timeout=30, every=0.1)
        self._timeline.say("lb2 is BACKUP; both see ns1, ns2 and ns3 up")

    def spread(self) -> None:
        """Who answers, against the weights."""
        document = self._balancers[0].balancing()
        self._timeline.add()
        self._timeline.say(f"==> {CROWD} clients are spread (engine {engine(document)})")
        crowd = Stream(self._client, VIPS, NAMES, 1 / CROWD, CROWD)
        clients = Counter(crowd.round().values())
        crowd.close()
        rows = [("", "weight", "its part", "clients", "their part")]
        for server in document["virtual_servers"]["dns"]["servers"]:
            count = clients[server["name"]]
            part = f"{count / clients.total():.1%}" if clients else ""
            rows.append((server["name"], f"{server['weight']}", f"{server['share']:.1%}", f"{count}", part))
        self._timeline.table(rows)
        self._stream = Stream(self._client, VIPS, NAMES, PACE, CLIENTS)
        self._incidents = Incidents(self._timeline, self._stream, self._names)

    def lose_a_server(self) -> None:
        """ns1 goes without a word, and comes back."""
        balancer, server = self._balancers[0], self._servers[0]
        before = self._stream.round()
        self._incidents.happens(
            f"{server.name} loses power",
            "",
            server.power_off,
            lambda: balancer.real_server(server.name)["standing"] == "down",
            server.name,
        )
        server.host.mend()
        self._start(server)
        began = self._timeline.say(f"{server.name} has power again, and starts ...")
        eventually(lambda: balancer.uses(server.name), f"{server.name} is up", timeout=30, every=0.1)
        took = time.monotonic() - began
        after = self._stream.round()
        mine = [client for client, by in before.items() if by == server.name]
        back = sum(after.get(client) == server.name for client in mine)
        self._timeline.say(f"after {took:.1f} s it is up: {back} of the {len(mine)} clients that it had are back")

    def drain(self, tcp: Connections) -> None:
        """ns2 is taken out by hand, under TCP."""
        server = self._servers[1]
        mine = [number for number, by in enumerate(tcp.servers) if by == server.name]
        answered = sum(tcp.answers[number] for number in mine)

        def say(word: str) -> None:
            for balancer in self._balancers:
                balancer.dnslb(word, server.name)

        self._incidents.happens(
            f"{server.name} is drained",
            f" (dnslb drain {server.name}, on both balancers); it has {len(mine)} of {CONNECTIONS} TCP connections",
            lambda: say("drain"),
            lambda: not self._incidents.clients()[server.name],
            server.name,
        )
        more = sum(tcp.answers[number] for number in mine) - answered
        self._timeline.say(f"its TCP connections had {more} more answers; {self._broken(tcp)}")
        say("auto")
        eventually(lambda: bool(self._incidents.clients()[server.name]), f"{server.name} is used", timeout=20)
        self._timeline.say(f"dnslb auto {server.name}: it is used again")

    def fail_over(self, tcp: Connections, *, and_back: bool) -> None:
        """lb1 goes without a word, and comes back."""
        first, second = self._balancers
        outcome = self._incidents.happens(
            "lb1 loses power",
            ": lb2 takes the addresses",
            first.power_off,
            lambda: second.state() == "MASTER" and bool(self._stream.answering()),
        )
        tcp.go_on()
        self._timeline.say(f"{outcome.moved} of {CLIENTS} clients have another server now; {self._broken(tcp)}")
        if not and_back:
            return

        def power_on() -> None:
            first.host.mend()
            first.start_daemon()

        self._incidents.happens(
            "lb1 has power again", " and takes the addresses back", power_on, lambda: first.state() == "MASTER"
        )

    def lose_the_address(self) -> None:
        """ns3 no longer has the virtual addresses; its own address answers as before."""
        server = self._servers[2]
        balancer = next(each for each in self._balancers if each.host.holds(VIP))
        self._incidents.happens(
            f"{server.name} loses the virtual addresses",
            " from its loopback interface (pyvrrp is stopped there); its DNS server goes on",
            lambda: server.daemon.signal(signal.SIGTERM),
            lambda: balancer.real_server(server.name)["standing"] == "down",
            server.name,
        )
        own = "192.0.2.13"
        try:
            self._client.call(lambda: StubResolver((own,), timeout=0.5, attempts=1).lookup(NAMES[0]))
            self._timeline.say(f"{own} answers as before, but {balancer.name} asks through {VIP} too:")
        except NoAnswer:
            self._timeline.say(f"{own} does not answer either:")
        failed = [check["detail"] for check in balancer.real_server(server.name)["checks"] if not check["healthy"]]
        self._timeline.add(failed[0].partition("; ")[0] if failed else "nothing fails")

    def sum_up(self) -> None:
        """The table."""
        self._incidents.sum_up()

    def connections(self) -> Connections:
        """TCP connections of the client, all of them in use."""
        return Connections(self._client, VIPS, NAMES[0], CONNECTIONS)

    def _start(self, server: Node) -> None:
        server.start_server(unbound())
        eventually(server.answers, f"the DNS server of {server.name} answers", timeout=20)
        server.start_daemon("ns.conf")

    def _broken(self, tcp: Connections) -> str:
        why = f": {tcp.broken[0]}" if tcp.broken else ""
        return f"{len(tcp.broken)} of {CONNECTIONS} TCP connections broken{why}"


def run(*, quick: bool = False) -> int:
    """Show it on standard output; return the exit status. Raises LabError."""
    with stage(INTRODUCTION) as (lab, timeline):
        demo = Demo(lab, timeline)
        demo.begin()
        demo.spread()
        demo.lose_a_server()
        tcp = demo.connections()
        demo.drain(tcp)
        demo.fail_over(tcp, and_back=not quick)
        tcp.close()
        demo.lose_the_address()
        demo.sum_up()
    return 0
