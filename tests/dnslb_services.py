"""Services of every kind, the servers behind them, and the Forwarding that dnslb's data planes are tested with."""

from ipaddress import ip_address

from dnslb.forwarding import Destination, Forwarding, OnEmpty, Protocol, Service, Spread
from dnslb.maglev import maglev_table
from tests.dnslb_packets import OWN_MAC

PEER_MAC = bytes.fromhex("02000000b002")

SERVERS = {slot: Destination(name=f"dns{slot}", mac=bytes.fromhex(f"0200000000d{slot}")) for slot in range(1, 6)}
LOCAL = Destination(name="dns6", mac=OWN_MAC, local=True)
NO_DESTINATION = 7
"a slot that tables name and that has no destination"


def spread_over(*slots: int) -> tuple[int, ...]:
    """A table of 4093 buckets over slots of equal weight."""
    return tuple(int(name) for name in maglev_table({str(slot): 1 for slot in slots}))


def services(addresses: str, port: int = 53, protocols: str = "udp tcp", **options) -> list[Service]:
    """One service for each of the addresses."""
    options.setdefault("table", spread_over(1, 2, 3, 4, 5, 6))
    return [
        Service(
            address=ip_address(address),
            port=port,
            protocols=frozenset(Protocol[name.upper()] for name in protocols.split()),
            **options,
        )
        for address in addresses.split()
    ]


BY_PORT = services("192.0.2.53 2001:db8::53")
BY_SOURCE = services("192.0.2.54 2001:db8::54", spread=Spread.SOURCE)
SECOND_PORT = services("192.0.2.53 2001:db8::53", 853, "tcp", table=spread_over(2, 3))
ONE_SERVER_MISSING = services("192.0.2.55 2001:db8::55", table=spread_over(1, NO_DESTINATION))
EMPTY = services("192.0.2.56 2001:db8::56", table=())
DROPS = services("192.0.2.57 2001:db8::57", table=(), on_empty=OnEmpty.DROP)
UDP_ONLY = services("192.0.2.58 2001:db8::58", protocols="udp")
BY_NAME = services("192.0.2.59 2001:db8::59", spread=Spread.QNAME)
BY_PACKET = services("192.0.2.60 2001:db8::60", spread=Spread.PACKET)
KEEPS_FLOWS = services("192.0.2.61 2001:db8::61", keep_flows=True)
NOT_HELD = services("192.0.2.62 2001:db8::62")
STATELESS = [*BY_PORT, *BY_SOURCE, *SECOND_PORT, *ONE_SERVER_MISSING, *EMPTY, *DROPS, *UDP_ONLY, *NOT_HELD]
"what every engine does alike, packet by packet"

FORWARDING = Forwarding(
    mac=OWN_MAC,
    services=(*STATELESS, *BY_NAME, *BY_PACKET, *KEEPS_FLOWS),
    destinations={**SERVERS, 6: LOCAL},
    peers=frozenset({PEER_MAC, *(server.mac for server in SERVERS.values())}),
)
HELD = frozenset(service.address for service in FORWARDING.services) - {service.address for service in NOT_HELD}
