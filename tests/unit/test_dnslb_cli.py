"""The command line of dnslb: what it prints, and how it ends; the daemon is in another process, or not there."""

import json
import subprocess
import sys

import pytest

from dnslb.cli import VERBS, main
from dnslb.cli import status as status_verb
from dnslb.cli import word as word_verb
from dnslb.cli.table import render
from dnslb.cli.top import rates

SERVER = {
    "name": "ns1",
    "address": "192.0.2.11",
    "standing": "up",
    "admin": "auto",
    "share": 1.0,
    "weight": 1,
    "qps": 12.4,
    "packets": 500,
    "checks": [{"check": "DNS_CHECK", "healthy": True, "detail": "NOERROR"}],
    "why": "ns1: all checks pass",
    "warnings": [],
}
SERVED = {
    "endpoints": ["192.0.2.53:53"],
    "held": ["192.0.2.53:53"],
    "protocols": ["TCP", "UDP"],
    "spread": "mh",
    "interface": "eth0",
    "problem": "",
    "quorum": True,
    "panic": "",
    "sorry": False,
    "common_causes": [],
    "findings": [],
    "scripts": [],
    "servers": [SERVER],
}
INTERFACE = {"engine": "nft", "chosen": "nft on eth0", "problem": "", "held": [], "passed": {"peer": 3}, "arp": {}}
STATUS = {"interfaces": {"eth0": INTERFACE}, "virtual_servers": {"dns": SERVED}}


def test_the_table():
    assert render(STATUS).splitlines() == [
        "dns  192.0.2.53:53  TCP+UDP, mh, here",
        "  engine nft on eth0",
        "  server  standing   share  weight  qps  packets  checks  why",
        "  ns1     up        100.0%       1   12      500     1/1  all checks pass",
        "  left to this node: 3 peer",
    ]


def test_what_is_wrong_is_said():
    served = SERVED | {
        "panic": "1 of 3 servers are up",
        "quorum": False,
        "findings": ["ns1 and ns2 have different cookie secrets"],
        "scripts": [{"script": "quorum_down", "ok": False, "detail": "exit status 1", "age": 3.0}],
    }
    interface = INTERFACE | {"arp": {"leaks": ["real server ns2 answers ARP"], "failed": ""}}
    text = render({"interfaces": {"eth0": interface}, "virtual_servers": {"dns": served}})
    for line in (
        "  PANIC: 1 of 3 servers are up",
        "  QUORUM LOST",
        "  warning: ns1 and ns2 have different cookie secrets",
        "  warning: real server ns2 answers ARP",
        "  quorum_down FAILED 3 s ago: exit status 1",
    ):
        assert line in text.splitlines()


def test_a_terminal_is_not_steered_by_what_servers_say():
    server = SERVER | {"why": "ns1: \x1b[2Jgone"}
    assert "\x1b" not in render(STATUS | {"virtual_servers": {"dns": SERVED | {"servers": [server]}}})


def test_rates_are_those_of_the_time_between():
    def at(seconds, *packets):
        servers = [
            {"name": f"ns{number}", "address": f"192.0.2.1{number}", "packets": count, "share": 0.5, "standing": "up"}
            for number, count in enumerate(packets, 1)
        ]
        return {"at": seconds, "virtual_servers": {"dns": servers}}

    head, _, first, second = rates(at(10.0, 100, 100), at(12.0, 400, 200))
    assert head == "dns  200 per second"
    assert first.split()[:5] == ["ns1", "up", "150", "75.0%", "50.0%"]
    assert second.split()[:5] == ["ns2", "up", "50", "25.0%", "50.0%"]
    assert "0.0%" in list(rates(at(1.0, 5), at(2.0, 5)))[2], "nobody asks"


@pytest.mark.parametrize("verb", [["status"], ["explain", "192.0.2.1"], ["drain", "ns1"], ["check", "now"], ["top"]])
def test_no_daemon_is_one_line_and_status_3(verb, tmp_path, capsys):
    assert main([*verb, "--run-dir", str(tmp_path)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dnslb: pyvrrp is not running (")
    assert err.count("\n") == 1


@pytest.mark.parametrize("changed", [{"problem": "no interface"}, {"panic": "all"}, {"quorum": False}, {"sorry": True}])
def test_the_exit_status_of_status(changed, monkeypatch, capsys):
    monkeypatch.setattr(status_verb, "ask", lambda *_: json.loads(json.dumps(STATUS)))
    assert main(["status"]) == 0
    assert main(["status", "--json"]) == 0
    served = {"virtual_servers": {"dns": SERVED | changed}}
    monkeypatch.setattr(status_verb, "ask", lambda *_: STATUS | served)
    assert main(["status"]) == 1
    monkeypatch.setattr(status_verb, "ask", lambda *_: {"other": 1})
    assert main(["status"]) == 4
    assert "the answer can't be read" in capsys.readouterr().err


def test_drain_waits_until_nobody_drains(monkeypatch, capsys):
    standings = iter(["draining", "draining", "drained"])

    def ask(arguments, *words):
        if words[0] == "drain":
            return [{"virtual_server": "dns", "server": "ns1", "word": "drain"}]
        return {"virtual_servers": {"dns": [{"name": "ns1", "standing": next(standings)}]}}

    monkeypatch.setattr(word_verb, "ask", ask)
    monkeypatch.setattr(word_verb, "_EVERY", 0.0)
    assert main(["drain", "ns1", "--wait"]) == 0
    assert capsys.readouterr().out.splitlines() == ["dns: ns1: drain", "drained: it may be stopped"]
    standings = iter(["draining"] * 1000)
    assert main(["drain", "ns1", "--wait", "--timeout", "0"]) == 1


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: dnslb {verb}")


def test_neither_dnspython_nor_the_balancer_is_loaded_to_ask_for_a_status():
    program = "import sys, dnslb.cli, dnslb.cli.status; sys.exit('dns' in sys.modules or 'asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=20, check=False).returncode == 0


@pytest.mark.parametrize(
    "words", [["sample", "-n", "0"], ["sample", "--interface", "lo"], ["sample", "--vip", "192.0.2.53"]]
)
def test_a_sample_of_nothing_is_bad_input(words, capsys):
    assert main(words) == 2
