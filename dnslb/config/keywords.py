"""The keywords of virtual_server, real_server and virtual_server_group: keepalived's and our own."""

from __future__ import annotations

from dataclasses import replace

from dnslb.health.blocks import CHECK_KEYWORDS
from pyvrrp.config.keywords import Body, Keyword
from pyvrrp.config.tables.shorthand import flag, ignored, known, switch, used

VIRTUAL_SERVER = "virtual_server"
VIRTUAL_SERVER_GROUP = "virtual_server_group"
REAL_SERVER = "real_server"

_MAIL = "run a notify_up or notify_down script that sends the mail"
_NO_HTTP = "there is no HTTP check"
_RETRY = "obsolete in keepalived: write 'retry'"
_NEVER_CHOSEN = "a server that is down is never chosen"
_COUNTS = "answers go past the balancer, so that it can't count connections"
_OTHER_CHECK = "check the server with DNS_CHECK, TCP_CHECK or MISC_CHECK"
CHECKS_NOT_SUPPORTED = ("HTTP_GET", "SSL_GET", "SMTP_CHECK", "BFD_CHECK", "UDP_CHECK", "PING_CHECK", "FILE_CHECK")

_PACE = (
    used("delay_loop"),
    used("fast_interval"),
    used("back_off"),
    used("connect_timeout"),
    used("retry"),
    used("delay_before_retry"),
    used("warmup"),
)

_OF_BOTH = (
    *_PACE,
    used("name"),
    used("weight"),
    switch("alpha"),
    switch("inhibit_on_failure"),
    used("lvs_method", 1, None),
    used("slow_start"),
    used("drain"),
    known("smtp_alert", _MAIL),
    known("snmp_name", "write 'name': it is what status and metrics show"),
    known("virtualhost", _NO_HTTP),
    ignored("nb_get_retry", _RETRY),
)
"In virtual_server they are the default of its real servers, the name apart."

_REAL_SERVER = used(
    REAL_SERVER,
    1,
    2,
    (
        *_OF_BOTH,
        used("tier"),
        used("mac"),
        used("notify_up", 1, None),
        used("notify_down", 1, None),
        *CHECK_KEYWORDS,
        known("uthreshold", _COUNTS),
        known("lthreshold", _COUNTS),
        *(known(name, _OTHER_CHECK, body=Body.SKIP) for name in CHECKS_NOT_SUPPORTED),
    ),
    repeatable=True,
)

_VIRTUAL_SERVER = replace(
    used(
        VIRTUAL_SERVER,
        1,
        2,
        (
            *_OF_BOTH,
            _REAL_SERVER,
            used("protocol"),
            used("lb_algo"),
            used("lvs_sched"),
            flag("mh-port"),
            flag("sh-port"),
            flag("flag-2"),
            used("lb_kind", 1, None),
            used("persistence_timeout", 0, 1),
            used("sorry_server", 1, 2),
            flag("sorry_server_inhibit"),
            used("sorry_server_lvs_method", 1, None),
            used("quorum"),
            used("hysteresis"),
            used("quorum_up", 1, None),
            used("quorum_down", 1, None),
            switch("omega"),
            used("min_up"),
            used("tier_min"),
            used("on_empty"),
            used("flap_damping", 1, 2),
            switch("keep_flows"),
            switch("vip_check"),
            used("table_size"),
            used("engine"),
            ignored("ops", "no packet of UDP depends on an earlier one"),
            ignored("mh-fallback", _NEVER_CHOSEN),
            ignored("sh-fallback", _NEVER_CHOSEN),
            ignored("flag-1", _NEVER_CHOSEN),
            ignored("flag-3", "no scheduler has a third flag"),
            ignored("ha_suspend", "the servers are checked on every node, so that it can take over at once"),
            ignored("ip_family", "the addresses say it"),
            ignored("nat_mask", "obsolete in keepalived"),
            ignored("persistence_engine", "with 'lb_algo sh' a client, by its address, stays at its server"),
            known("persistence_granularity", "with 'lb_algo sh' each client's address counts for itself"),
        ),
        repeatable=True,
    ),
    alone=True,
)

KEYWORDS: tuple[Keyword, ...] = (
    _VIRTUAL_SERVER,
    used(VIRTUAL_SERVER_GROUP, 1, 1, Body.LINES, repeatable=True),
)
"The top-level blocks."
