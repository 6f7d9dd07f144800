"""Short virtual_server blocks, and what is found in them."""

from dnslb import config
from dnslb.model import RealServer, VirtualServer
from pyvrrp.config import load_text

INSTANCE = """vrrp_instance VI {
    interface eth0
    virtual_router_id 7
    virtual_ipaddress { 192.0.2.53/24 }
    virtual_ipaddress_excluded { 2001:db8::53/64 }
}
"""
SERVERS = """    real_server 192.0.2.11 53 { TCP_CHECK { } }
    real_server 192.0.2.12 53 { TCP_CHECK { } }
"""


class Extension:
    """The blocks alone, without the rest of the plugin."""

    keywords = config.KEYWORDS
    instance_keywords = ()


def read(text: str, *, around: str = INSTANCE):
    """The virtual servers of a file, and everything found in it."""
    loaded = load_text(around + text, plugins=[Extension])
    return config.read(loaded.config, loaded.diagnostics), loaded.diagnostics


def read_one(extra: str = "", *, head: str = "192.0.2.53 53", servers: str = SERVERS, protocol: str = "DNS"):
    """A virtual server with `extra` lines, and the codes of everything found: `error bad-port`, fatal ones with `!`."""
    line = f"    protocol {protocol}\n" if protocol else ""
    found, diagnostics = read(f"virtual_server {head} {{\n{line}{extra}\n{servers}}}\n")
    return (found[0] if found else None), codes(diagnostics)


def server(extra: str = "", **options) -> VirtualServer:
    """The same, without anything to complain about."""
    found, complaints = read_one(extra, **options)
    assert complaints == []
    assert found is not None
    return found


def real(inside: str, extra: str = "", **options) -> RealServer:
    """The first of two real servers, with these lines; nothing is wrong with it."""
    lines = f"real_server 192.0.2.11 53 {{\nTCP_CHECK {{ }}\n{inside}\n}}\n" + SERVERS.splitlines()[1] + "\n"
    return server(extra, servers=lines, **options).real_servers[0]


def codes(diagnostics) -> list[str]:
    return [f"{found.severity.value} {found.code}{'!' if found.fatal else ''}" for found in diagnostics]


def messages(diagnostics) -> str:
    return "\n".join(map(str, diagnostics))
