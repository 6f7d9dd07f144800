"""Nothing that keepalived knows in these blocks is unknown here, and the page names every keyword."""

import subprocess
import sys
from pathlib import Path

import pytest

from dnslb.config import KEYWORDS
from pyvrrp.config.keywords import Keyword, Use

PAGE = Path(__file__).parents[2] / "docs" / "virtual-server.md"

# keepalived.conf(5) of 2.2 to 2.4, and what was measured of 2.2.7: `weight` in virtual_server, lb_algo and lb_kind.
VIRTUAL_SERVER = """
    lvs_sched lb_algo flag-1 flag-2 flag-3 sh-port sh-fallback mh-port mh-fallback ops lvs_method lb_kind
    persistence_engine persistence_timeout persistence_granularity protocol ha_suspend smtp_alert virtualhost snmp_name
    alpha omega quorum hysteresis quorum_up quorum_down ip_family sorry_server sorry_server_inhibit
    sorry_server_lvs_method connect_timeout retry delay_before_retry warmup delay_loop inhibit_on_failure weight
    real_server
"""
REAL_SERVER = """
    weight lvs_method notify_up notify_down uthreshold lthreshold smtp_alert virtualhost snmp_name alpha connect_timeout
    retry delay_before_retry warmup delay_loop inhibit_on_failure HTTP_GET SSL_GET TCP_CHECK SMTP_CHECK DNS_CHECK
    MISC_CHECK BFD_CHECK UDP_CHECK PING_CHECK FILE_CHECK
"""


def body(name: str) -> tuple[Keyword, ...]:
    inside = next(keyword.body for keyword in KEYWORDS if keyword.name == "virtual_server")
    assert isinstance(inside, tuple)
    if name == "real_server":
        inside = next(keyword.body for keyword in inside if keyword.name == "real_server")
        assert isinstance(inside, tuple)
    return inside


@pytest.mark.parametrize(("block", "expected"), [("virtual_server", VIRTUAL_SERVER), ("real_server", REAL_SERVER)])
def test_every_keyword_of_keepalived_is_known(block, expected):
    assert set(expected.split()) - {keyword.name for keyword in body(block)} == set()


@pytest.mark.parametrize("block", ["virtual_server", "real_server"])
def test_no_keyword_stands_twice(block):
    names = [keyword.name for keyword in body(block)]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("block", ["virtual_server", "real_server"])
def test_what_is_not_used_says_what_to_do_instead(block):
    assert [keyword.name for keyword in body(block) if keyword.use is not Use.USED and not keyword.hint] == []


@pytest.mark.parametrize("block", ["virtual_server", "real_server"])
def test_the_page_names_every_keyword(block):
    page = PAGE.read_text()
    assert [keyword.name for keyword in body(block) if f"`{keyword.name}" not in page] == []


def test_the_keywords_are_there_without_dnspython():
    code = "import sys, dnslb.config; sys.exit('dns' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
