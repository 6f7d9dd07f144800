"""Two DNS servers behind one address, four ways to fail, and what a mail client feels of each.

The daemon and its files are those of examples/dns-active-backup; only the machines are network namespaces.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from pyvrrp.demo.client import NAMES, Mailer, StubResolver
from pyvrrp.demo.lab import Lab, eventually
from pyvrrp.demo.node import Node, files, kind_of_server, unbound
from pyvrrp.demo.stage import stage
from pyvrrp.demo.stream import Stream
from pyvrrp.demo.timeline import Timeline

SCENARIO = "dns-active-backup"
VIP = "192.0.2.53"
PACE = 3.6
"seconds for each mail: 1000 an hour"
INTRODUCTION = f"""\
Two DNS servers share the address {VIP}; one has it, the other waits. A client asks it 50 times a second
while things break. In the strips each digit is a tenth of a second and says who answered, each dot one in which
nobody did; the exclamation mark is the moment of the failure.
"""


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to fail; `{}` in the texts is the MASTER's name."""

    what: str
    break_it: Callable[[Node], None]
    why: str
    "why it took as long as it did"
    mend_it: Callable[[Node], None]
    mended: str


FAILURES = (
    Failure(
        "the DNS server of {} hangs (SIGSTOP): it takes queries and answers none",
        lambda node: node.server.freeze(),
        "two checks failed, it said priority 0, and the other one waited for skew_time only",
        lambda node: node.server.thaw(),
        "the DNS server of {} goes on; nopreempt leaves the address where it is",
    ),
    Failure(
        "pyvrrp on {} is stopped (SIGTERM)",
        lambda node: node.daemon.signal(signal.SIGTERM),
        "it said priority 0 when it left, and the other one waited for skew_time only",
        Node.start_daemon,
        "pyvrrp on {} is started again",
    ),
    Failure(
        "pyvrrp on {} is killed (SIGKILL): nobody is left to take the address off",
        lambda node: node.daemon.kill(),
        "the address is a lease: nobody renewed it, and the kernel took it away as the other one came",
        Node.start_daemon,
        "pyvrrp on {} is started again",
    ),
    Failure(
        "the cable of {} is pulled",
        lambda node: node.host.cut(),
        "not a word for three advertisement intervals and skew_time: the other one took over",
        lambda node: node.host.mend(),
        "the cable of {} is back in",
    ),
)


class Demo:
    """The machines, the client and the story."""

    def __init__(self, lab: Lab, timeline: Timeline) -> None:
        self._timeline = timeline
        hosts = (lab.host("dns1", "192.0.2.11/24"), lab.host("dns2", "192.0.2.12/24"))
        self._nodes = [Node(host, files(SCENARIO)) for host in hosts]
        self._client = lab.host("client", "192.0.2.20/24")
        self._stream = Stream(self._client, (VIP,), NAMES)

    def begin(self) -> None:
        """Start the servers, then the daemons, and wait until the address answers."""
        where = "dns1 192.0.2.11, dns2 192.0.2.12 and a mail client on one switch"
        self._timeline.say(f"{where}; {kind_of_server()} on dns1 and dns2")
        for node in self._nodes:
            node.start_server(unbound())
            eventually(node.answers, f"the DNS server of {node.name} answers", timeout=20)
        first, second = self._nodes
        self._timeline.say("dns1: pyvrrp run -f dns1.conf")
        first.start_daemon()
        eventually(lambda: self._stream.answering() == first.name, f"{VIP} answers", timeout=30)
        self._timeline.say(f"dns1 is MASTER: {VIP} answers")
        self._timeline.say("dns2: pyvrrp run -f dns2.conf")
        second.start_daemon()
        self._wait_for_backup(second)
        self._timeline.say("dns2 is BACKUP")

    def fail(self, failure: Failure) -> None:
        """Break something of the MASTER, tell what the client felt, and mend it."""
        master, spare = self._master_and_spare()
        self._timeline.add()
        began = self._timeline.say(f"==> {failure.what.format(master.name)}")
        failure.break_it(master)
        eventually(lambda: self._stream.answering() == spare.name, f"{spare.name} answers", timeout=20)
        time.sleep(Stream.PATIENCE + 0.6)
        until = time.monotonic() - Stream.PATIENCE
        gap = self._stream.gap(began, until)
        felt = f"no answer for {gap.seconds:.2f} s" if gap.lost else "no gap"
        self._timeline.say(f"{gap.by} answers now: {felt}, {gap.lost} of {gap.asked} queries lost")
        self._timeline.strip(self._stream.questions(began - 1, until), began - 1, began, until)
        self._timeline.add(failure.why)
        failure.mend_it(master)
        self._wait_for_backup(master)
        self._timeline.say(f"{failure.mended.format(master.name)}: BACKUP")

    def compare(self, mails: int) -> None:
        """The same client with both servers in resolv.conf, and with the shared address, while one server hangs."""
        first, second = self._nodes
        self._timeline.add()
        self._timeline.say(f"==> what it was for: {first.name}'s DNS server hangs, and nobody repairs it")
        first.server.freeze()
        eventually(lambda: self._stream.answering() == second.name, f"{second.name} answers", timeout=20)
        two = self._client.directory / "resolv.conf"
        two.write_text("nameserver 192.0.2.11\nnameserver 192.0.2.12\n")
        self._timeline.say("one mail client has both servers in resolv.conf, another one the shared address;")
        self._timeline.add("each looks up two names for a mail and has 1000 mails an hour to send ...")
        one, meanwhile = files(SCENARIO) / "resolv.conf", round(mails * 10 / PACE)
        clients = {
            "two nameserver lines": Mailer(self._client, StubResolver.read(two), mails, PACE),
            f"nameserver {VIP}": Mailer(self._client, StubResolver.read(one), meanwhile, PACE),
        }
        for client in clients.values():
            client.wait()
        self._timeline.say(f"{'in resolv.conf':22} {'mails':>5} {'lookups for each mail':>22} {'mails in an hour':>17}")
        for name, client in clients.items():
            each = sum(client.lookups) / len(client.lookups)
            self._timeline.add(f"{name:22} {len(client.lookups):5} {each:20.3f} s {client.per_hour:17.0f}")
            if client.unresolved:
                self._timeline.add(f"{'':22} {client.unresolved} names had no answer at all")

    def _master_and_spare(self) -> tuple[Node, Node]:
        by = self._stream.answering(within=1.0)
        first, second = sorted(self._nodes, key=lambda node: node.name != by)
        return first, second

    def _wait_for_backup(self, node: Node) -> None:
        eventually(lambda: node.state() == "BACKUP", f"{node.name} is BACKUP", timeout=30, every=0.1)


def run(*, quick: bool = False) -> int:
    """Show it on standard output; return the exit status. Raises LabError."""
    with stage(INTRODUCTION) as (lab, timeline):
        demo = Demo(lab, timeline)
        demo.begin()
        for failure in FAILURES:
            demo.fail(failure)
        demo.compare(mails=1 if quick else 2)
    return 0
