"""A pool under a test's own clock: events in, actions out."""

from collections.abc import Iterable
from ipaddress import ip_address

from dnslb.explanation import explain
from dnslb.forwarding import Protocol
from dnslb.health.report import CommonCause, CommonCausesChanged, Health, HealthChanged, State
from dnslb.model import Endpoint, RealServer, VirtualServer
from dnslb.pool import Pool
from dnslb.pool_events import Admin, AdminChanged, NeighbourChanged, Shutdown, Startup, TableWanted, TimerExpired
from pyvrrp.core.events import IPAddress

A, B, C, D = (ip_address(f"192.0.2.{host}") for host in (11, 12, 13, 14))
SORRY = ip_address("192.0.2.99")


def real(address=A, **options) -> RealServer:
    """A real server with a name that a test can read: `192.0.2.11` is `a`."""
    name = {A: "a", B: "b", C: "c", D: "d"}[address]
    return RealServer(address=address, port=53, name=name, **options)


def virtual(*servers: RealServer, **options) -> VirtualServer:
    """A virtual server for UDP and TCP."""
    options.setdefault("flap_damping", None)
    return VirtualServer(
        name="dns",
        endpoints=(Endpoint(ip_address("192.0.2.53"), 53),),
        protocols=frozenset(Protocol),
        real_servers=servers or (real(A), real(B), real(C)),
        **options,
    )


def health(address, state, *, detail: str = "", factor: float = 1.0, weights=()) -> HealthChanged:
    """What the monitor says of a server."""
    detail = detail or {State.UP: "all checks pass", State.DOWN: "SERVFAIL for . SOA"}.get(state, state.value)
    return HealthChanged("dns", address, Health(state=state, detail=detail, factor=factor, weights=weights))


def common(cause: str = "SERVFAIL", servers: Iterable[IPAddress] = (A, B, C)) -> CommonCausesChanged:
    """These servers fail the same check; an empty cause: none does any more."""
    label, detail = "DNS_CHECK . SOA over udp", f"{cause} for . SOA"
    found = CommonCause(check=label, cause=cause, detail=detail, servers=frozenset(servers))
    return CommonCausesChanged("dns", (found,) if cause else ())


class Driver:
    """A pool at work; `after` are the actions that an event leads to, tables apart."""

    def __init__(self, server: VirtualServer | None = None, *, up: bool = True, known: bool = True) -> None:
        """Started at 0 s; `up`: every check passes; `known`: every MAC address is known."""
        self.pool = Pool(server or virtual())
        self.now = 0.0
        self.tables: list[tuple[float, TableWanted]] = []
        self.told: list[str] = []
        for address in self.pool.members:
            if known:
                self.pool.handle(NeighbourChanged(address, True), 0.0)
            if up:
                self.pool.handle(health(address, State.UP), 0.0)
        self.take(self.pool.handle(Startup(), 0.0))
        self.told.clear()

    def take(self, actions) -> None:
        for action in actions:
            if isinstance(action, TableWanted):
                self.tables.append((self.now, action))
            else:
                server = getattr(action, "server", None)
                self.told.append(" ".join([type(action).__name__, *([server.name] if server else [])]))

    def hear(self, event) -> list[str]:
        """Give it an event now; what was told because of it."""
        self.told.clear()
        self.take(self.pool.handle(event, self.now))
        return list(self.told)

    def up(self, *addresses, **options) -> list[str]:
        return [told for address in addresses for told in self.hear(health(address, State.UP, **options))]

    def down(self, *addresses, **options) -> list[str]:
        return [told for address in addresses for told in self.hear(health(address, State.DOWN, **options))]

    def admin(self, address, word: Admin) -> list[str]:
        return self.hear(AdminChanged(address, word))

    def neighbour(self, address, known: bool, why: str = "no answer to ARP") -> list[str]:
        return self.hear(NeighbourChanged(address, known, why))

    def stop(self) -> list[str]:
        return self.hear(Shutdown())

    def configure(self, server: VirtualServer) -> list[str]:
        self.told.clear()
        self.take(self.pool.reconfigure(server, self.now))
        return list(self.told)

    def run(self, until: float) -> list[str]:
        """Let time pass; timers are delivered when they are due."""
        self.told.clear()
        while (deadline := self.pool.deadline) is not None and deadline <= until:
            assert deadline >= self.now, "a deadline in the past would be a busy loop"
            self.now = deadline
            self.take(self.pool.handle(TimerExpired(), self.now))
            assert self.pool.deadline != deadline, "the same deadline again would be a busy loop"
        self.now = until
        return list(self.told)

    @property
    def weights(self) -> dict[str, float]:
        """Of the last table, by name, as they are in the file."""
        return {self._name(address): parts / 100 for address, parts in self.pool.table.weights.items()}

    @property
    def keeping(self) -> set[str]:
        return {self._name(address) for address in self.pool.table.keeping}

    def why(self, address) -> str:
        return explain(self.pool, self.pool.members[address], self.now).sentence

    def standing(self, address) -> str:
        return explain(self.pool, self.pool.members[address], self.now).standing.value

    def _name(self, address) -> str:
        return {A: "a", B: "b", C: "c", D: "d", SORRY: "sorry"}[address]
