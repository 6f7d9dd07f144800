"""Numbers and addresses as keepalived reads them: decimal digits, no units; no zone (`%eth0`) behind an address."""

from __future__ import annotations

import re
from ipaddress import ip_address

from pyvrrp.core.events import IPAddress

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,18}(?:\.[0-9]*)?|\.[0-9]+)")


def whole(text: str) -> int | None:
    """A whole number (`010` is ten, `0x10` is none), or None."""
    return int(text) if _WHOLE.fullmatch(text) else None


def decimal(text: str) -> float | None:
    """A number with or without decimals, or None."""
    return float(text) if _DECIMAL.fullmatch(text) else None


def shown(number: float) -> str:
    """The shortest way to write it: `5`, `0.4`."""
    return f"{number:g}" if abs(number) < 1e6 else str(int(number))


def address(text: str) -> IPAddress | None:
    """An IPv4 or IPv6 address, or None."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None
