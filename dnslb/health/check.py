"""What is checked of a real server: frozen specifications, equal when they ask the same of the same server.

Two virtual servers whose servers have equal checks share one run of them. Needs dnspython.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dnslb.health.pace import Schedule
from dnslb.health.query import Binding, DnsCheck
from dnslb.health.verdict import Transport
from dnslb.model import Endpoint
from pyvrrp.config.model import Command
from pyvrrp.core.events import IPAddress


class Action(Enum):
    """What becomes of a server that fails."""

    DOWN = "down"
    DEGRADE = "degrade"
    "it gets less"
    WARN = "warn"
    "nothing, but it is told"


@dataclass(frozen=True, slots=True)
class Consequence:
    """`action down|degrade [PERCENT]|warn`."""

    action: Action = Action.DOWN
    share: float = 0.5
    "DEGRADE: the part of its weight that it keeps"


@dataclass(frozen=True, slots=True)
class SerialRule:
    """`serial_lag N [SECONDS]` and `primary ADDRESS [PORT]`: how far a secondary may be behind."""

    lag: int
    "serials"
    patience: float
    "seconds that it may be further behind"
    primary: Endpoint | None = None
    "None: the newest serial that half of the servers have is the measure"


@dataclass(frozen=True, slots=True)
class DnsProbe:
    """DNS_CHECK: questions that must all be answered well."""

    questions: tuple[DnsCheck, ...]
    "one; with `dnssec` also that a signed name is validated and a bogus one refused"
    serial: SerialRule | None = None


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """TCP_CHECK: a connection is accepted."""

    server: Endpoint
    timeout: float
    binding: Binding


@dataclass(frozen=True, slots=True)
class MiscProbe:
    """MISC_CHECK: a program says so by its exit status."""

    server: Endpoint
    "whose check it is; two servers' scripts are two scripts, however alike they look"
    command: Command
    timeout: float
    dynamic: bool
    "misc_dynamic: exit status 2-255 is healthy, and the weight is to be that less 2"


@dataclass(frozen=True, slots=True)
class VipProbe:
    """VIP_CHECK: a frame to the server's MAC address with each VIP as destination is answered from that VIP."""

    question: DnsCheck
    "its `server` is the real server; over TCP only the SYN is sent"
    source: IPAddress | None
    "None: the kernel's choice"


Probe = DnsProbe | TcpProbe | MiscProbe | VipProbe


@dataclass(frozen=True, slots=True)
class Band:
    """`latency LOW HIGH`: full weight up to LOW seconds, the least at HIGH and above, in proportion between."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of one server."""

    probe: Probe
    schedule: Schedule
    latency: Band | None = None

    @property
    def label(self) -> str:
        """What is checked, without the server: `DNS_CHECK www.example.com A over udp`."""
        match self.probe:
            case DnsProbe(questions=(question, *_)):
                return f"DNS_CHECK {question.question} over {_over(question.transports)}"
            case TcpProbe(server=server):
                return f"TCP_CHECK port {server.port}"
            case MiscProbe(command=command):
                return f"MISC_CHECK {' '.join(command.argv)}"
            case VipProbe(question=question):
                return f"VIP_CHECK {question.question} over {_over(question.transports)}"
            case _:
                raise AssertionError(self.probe)


def _over(transports: tuple[Transport, ...]) -> str:
    return " and ".join(transport.value for transport in transports)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckGroup:
    """check_group NAME { need K ... }: healthy while K of its checks are; a check outside a group is one of its own."""

    name: str = ""
    checks: tuple[Check, ...]
    need: int = 1
    consequence: Consequence = Consequence()
