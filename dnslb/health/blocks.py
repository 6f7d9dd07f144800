"""The check blocks that may stand in a real_server block: their keywords, and the way from block to check.

The keywords are known without dnspython; `read_checks` imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.keywords import Keyword, Use
from pyvrrp.config.statements import Statement

if TYPE_CHECKING:
    from dnslb.health.check import CheckGroup
    from dnslb.model import CheckDefaults


def _line(name: str, least: int = 1, most: int | None = 1) -> Keyword:
    return Keyword(name=name, words=(least, most))


def _ignored(name: str, hint: str) -> Keyword:
    return Keyword(name=name, use=Use.IGNORED, words=(0, None), hint=hint)


def _check(name: str, *lines: Keyword) -> Keyword:
    return Keyword(name=name, words=(0, 0), body=lines, inline=True, repeatable=True)


_PACE = (
    _line("delay_loop"),
    _line("fast_interval"),
    _line("back_off"),
    _line("retry"),
    _line("rise"),
    _line("delay_before_retry"),
    _line("warmup"),
    _ignored("alpha", "write it in the real_server: it is about the time before a server's first result"),
    _ignored("log_all_failures", "every failure is counted, `dnslb status` shows the last one"),
)
_SOCKET = (
    _line("connect_ip"),
    _line("connect_port"),
    _line("connect_timeout"),
    _line("bindto"),
    _line("bind_if"),
    _line("bind_port"),
    _line("fwmark"),
)
_QUESTION = (
    _line("type"),
    _line("name"),
    _line("transport"),
    _line("recursion", 0, 1),
    _line("query_flags", 1, None),
    _line("edns", 0, 1),
    _line("edns_size"),
    _line("expect_rcode", 1, None),
    _line("expect_answer", 1, None),
    _line("expect_flags", 1, None),
)
_ACTION = _line("action", 1, 2)
_LATENCY = _line("latency", 2, 2)

_CHECKS = (
    _check(
        "DNS_CHECK",
        *_QUESTION,
        _line("nsid", 0, 1),
        _line("serial_lag", 1, 2),
        _line("primary", 1, 2),
        _line("rrsig_expiry"),
        _line("dnssec", 1, 2),
        *_SOCKET,
        *_PACE,
        _ACTION,
        _LATENCY,
    ),
    _check("TCP_CHECK", *_SOCKET, *_PACE, _ACTION, _LATENCY),
    _check(
        "MISC_CHECK",
        _line("misc_path", 1, None),
        _line("misc_timeout"),
        _line("misc_dynamic", 0, 0),
        _line("user", 1, 2),
        *_PACE,
        _ACTION,
    ),
    _check("VIP_CHECK", *_QUESTION, _line("connect_timeout"), _line("bindto"), *_PACE, _ACTION),
)

CHECK_KEYWORDS: tuple[Keyword, ...] = (
    *_CHECKS,
    Keyword(name="check_group", words=(1, 1), body=(_line("need"), _ACTION, *_CHECKS), repeatable=True),
    Keyword(name="vip_check", words=(0, 1)),
)
"""In real_server; the pace that its checks inherit (delay_loop, retry ...) is read there and in virtual_server.

`vip_check on|off` is for virtual_server too; it goes to `read_checks`.
"""


def read_checks(
    real_server: Statement, defaults: CheckDefaults, diagnostics: Diagnostics, *, vip_check: bool = True
) -> tuple[CheckGroup, ...]:
    """The checks of a real_server block, all of which the server must pass; a check of no group is one of its own.

    What is wrong goes to `diagnostics`: fatal where the keyword is our own; a bad value of one that keepalived knows is
    an error and its default is used, for keepalived starts too. `vip_check` is what virtual_server says of it: unless
    it is off here or there, a server with a DNS_CHECK or a TCP_CHECK but no VIP_CHECK gets one.
    """
    from dnslb.health.check_reader import read

    return read(real_server, defaults, diagnostics, vip_check=vip_check)
