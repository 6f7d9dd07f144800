"""Short configurations, and what is found in them."""

from pyvrrp.config import Loaded, load_text
from pyvrrp.config.model import VrrpInstance

_LINES = {
    "interface": "interface eth0",
    "virtual_router_id": "virtual_router_id 7",
    "virtual_ipaddress": "virtual_ipaddress { 192.0.2.10 }",
}


def instance(extra: str = "", *, without: tuple[str, ...] = (), name: str = "VI") -> str:
    """A vrrp_instance with the least that it needs, and `extra` lines."""
    lines = [line for keyword, line in _LINES.items() if keyword not in without]
    return "\n".join([f"vrrp_instance {name} {{", *lines, *extra.splitlines(), "}\n"])


def load_one(extra: str = "", *, without: tuple[str, ...] = (), around: str = "") -> tuple[VrrpInstance, list[str]]:
    """The model of such an instance, and the codes of everything found."""
    loaded = load_text(around + instance(extra, without=without))
    (made,) = loaded.config.instances
    return made, codes(loaded)


def codes(loaded: Loaded) -> list[str]:
    """`error master-nopreempt`, in the order of the file."""
    return [f"{found.severity.value} {found.code}" for found in loaded.diagnostics]


def messages(loaded: Loaded) -> str:
    """Everything found, as it is printed."""
    return "\n".join(map(str, loaded.diagnostics))
