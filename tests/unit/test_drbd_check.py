"""`drbdctl check`: what is wrong on any machine, what is wrong on this one, and the exit status."""

import json
import re
from pathlib import Path

import pytest

from drbdctl.cli import main
from drbdctl.drbd_conf import loads
from drbdctl.drbd_conf.lint import WILD, lint
from drbdctl.drbd_conf.lint_machine import lint_machine
from drbdctl.host import Machine, enabled_units, local_addresses, local_ipv4
from tests.unit.drbd_samples import FIXTURES

HOSTS = """
on a { device /dev/drbd0; disk /dev/sdb; meta-disk internal; address 10.9.0.1:7788; }
on b { device /dev/drbd0; disk /dev/sdb; meta-disk internal; address 10.9.0.2:7788; }
"""
CAREFUL = "net { protocol C; fencing resource-only; }\nhandlers { fence-peer /bin/f; split-brain /bin/s; }"
HERE = Machine("a", frozenset({"10.9.0.1", "127.0.0.1"}))


def found(text: str) -> list[str]:
    loaded = loads(text, name="f")
    assert loaded.diagnostics.errors == []
    lint(loaded.config, loaded.diagnostics)
    return [str(each) for each in loaded.diagnostics if each.code != "legacy-keyword"]


def resource(inner: str = CAREFUL, hosts: str = HOSTS) -> str:
    return f"resource r {{\n{inner}\n{hosts}}}\n"


def on_machine(machine: Machine, text: str = resource()) -> list[str]:
    loaded = loads(text, name="f")
    lint_machine(loaded.config, machine, "f", loaded.diagnostics)
    return [str(each) for each in loaded.diagnostics]


def test_nothing_to_say_about_a_careful_file() -> None:
    assert found(resource()) == []
    assert on_machine(HERE) == []


def test_no_fencing() -> None:
    (line,) = found(resource("handlers { split-brain /bin/s; }"))
    assert line.startswith("f:1:1: warning[no-fencing]: r: a node with old data is promoted as if it were UpToDate; ")
    assert found(resource("handlers { split-brain /bin/s; } options { quorum majority; }")) == []


def test_fencing_without_a_handler() -> None:
    (line,) = found(resource("net { fencing resource-only; } handlers { split-brain /bin/s; }"))
    assert "warning[no-fence-handler]" in line


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WILD.items() for value in sorted(values)]
)
def test_a_wild_policy(name: str, value: str) -> None:
    lines = found(resource(CAREFUL.replace("protocol C;", f"protocol C; {name} {value};")))
    assert [line.partition("]")[0] for line in lines] == ["f:2:19: warning[wild-split-brain-policy"]
    assert f"{name} {value} can discard the newer data" in lines[0]


@pytest.mark.parametrize(
    ("net", "codes"),
    [
        ("after-sb-0pri discard-zero-changes; after-sb-1pri consensus; after-sb-2pri disconnect;", []),
        ("always-asbp;", ["wild-split-brain-policy"]),
        ("allow-two-primaries;", ["two-primaries"]),
        ("allow-two-primaries no;", []),
        ("cram-hmac-alg sha1;", ["secret-missing"]),
        ("shared-secret x;", ["secret-unused"]),
        ("timeout 60; ping-int 6;", ["timeout-too-long"]),
        ("timeout 60; ping-int 7;", []),
    ],
)
def test_net(net: str, codes: list[str]) -> None:
    loaded = loads(resource(CAREFUL.replace("protocol C;", f"protocol C; {net}")))
    lint(loaded.config, loaded.diagnostics)
    assert [each.code for each in loaded.diagnostics] == codes


@pytest.mark.parametrize("protocol", ["A", "B"])
def test_an_asynchronous_protocol_is_noted(protocol: str) -> None:
    (line,) = found(resource(CAREFUL.replace("protocol C", f"protocol {protocol}")))
    assert f"note[asynchronous-protocol]: r: with protocol {protocol} a takeover can lose the last writes" in line


def test_two_primaries_need_protocol_c() -> None:
    lines = found(resource(CAREFUL.replace("protocol C;", "protocol A; allow-two-primaries;")))
    assert [line for line in lines if "error[two-primaries-protocol]" in line]


def test_a_node_that_makes_itself_primary() -> None:
    (line,) = found(resource(CAREFUL + "startup { become-primary-on a; }"))
    assert "warning[become-primary-on]" in line


@pytest.mark.parametrize(
    ("disk", "noted"),
    [
        ("resync-rate 10M;", True),
        ("resync-rate 10M; c-plan-ahead 0;", False),
        ("resync-rate 10M; c-plan-ahead 20;", True),
    ],
)
def test_a_rate_that_is_only_the_first(disk: str, noted: bool) -> None:
    assert bool(found(resource(f"{CAREFUL} disk {{ {disk} }}"))) is noted


def test_two_resources_that_share_what_can_not_be_shared() -> None:
    lines = found(resource() + resource().replace("resource r", "resource q").replace("10.9.0.2", "10.9.0.3"))
    assert [line.partition("; ")[0] for line in lines] == [
        "f:12:8: error[shared-device]: device minor 0 on a belongs to r at f:5:8",
        "f:12:8: error[shared-disk]: disk /dev/sdb on a belongs to r at f:5:8",
        "f:12:62: error[shared-address]: address ipv4 10.9.0.1:7788 on a belongs to r at f:5:62",
        "f:13:8: error[shared-device]: device minor 0 on b belongs to r at f:6:8",
        "f:13:8: error[shared-disk]: disk /dev/sdb on b belongs to r at f:6:8",
    ]


def test_hosts_that_do_not_fit_each_other() -> None:
    assert "error[same-address]" in found(resource(hosts=HOSTS.replace("10.9.0.2", "10.9.0.1")))[0]
    other = HOSTS.replace(
        "drbd0; disk /dev/sdb; meta-disk internal; address 10.9.0.2",
        "drbd1; disk /dev/sdb; meta-disk internal; address 10.9.0.2",
    )
    assert "warning[different-minors]: r: minor 1 on b, 0 on a" in found(resource(hosts=other))[0]
    assert "error[loopback-address]" in found(resource(hosts=HOSTS.replace("10.9.0.2", "127.0.0.1")))[0]


def test_resync_after_a_resource_that_is_not_there() -> None:
    assert "error[unknown-resource]" in found(resource(CAREFUL + "disk { resync-after q; }"))[0]


def test_another_name_than_in_the_file() -> None:
    (line,) = on_machine(Machine("c"))
    assert line == (
        "f:1:1: warning[host-not-here]: r: this machine, c, is in no `on` block; `uname -n` has to be one of: a b"
    )
    (line,) = on_machine(Machine("a.example.net"))
    assert line.endswith("; write on a.example.net in place of on a")


def test_an_address_that_is_not_here() -> None:
    (line,) = on_machine(Machine("a", frozenset({"10.9.0.9"})))
    assert line.startswith("f:5:62: error[address-not-here]: r: 10.9.0.1 is on no interface of this machine")
    assert on_machine(Machine("a", None)) == []
    assert on_machine(Machine("a", frozenset()), "global { disable-ip-verification; }\n" + resource()) == []


@pytest.mark.parametrize(("mode", "severity"), [(0o644, "warning"), (0o640, "note"), (0o600, None)])
def test_a_secret_that_others_can_read(mode: int, severity: str | None) -> None:
    text = resource(CAREFUL.replace("protocol C;", "cram-hmac-alg sha1; shared-secret x;"))
    lines = on_machine(Machine("a", None, {"f": mode}), text)
    assert [line.partition("[")[0] for line in lines] == ([f"f:2:27: {severity}"] if severity else [])


def test_units_that_start_at_boot() -> None:
    lines = on_machine(Machine("a", None, {}, ("drbd.service", "nfs-server.service")))
    assert [line.rpartition("; ")[2] for line in lines] == [
        "systemctl disable drbd.service",
        "systemctl disable nfs-server.service",
    ]


def test_enabled_units_are_asked_of_systemctl(tmp_path: Path) -> None:
    systemctl = tmp_path / "systemctl"
    # As on Debian 12: nfs-kernel-server is another name of nfs-server, and its status is 0 in any case.
    systemctl.write_text(
        "#!/bin/sh\ncase $2 in nfs-server*) echo enabled;; nfs-kernel*) echo alias;; *) echo disabled; exit 1;; esac\n"
    )
    systemctl.chmod(0o755)
    assert enabled_units(str(systemctl)) == ("nfs-server.service",)
    assert enabled_units(str(tmp_path / "none")) == ()


def test_the_addresses_of_this_machine(tmp_path: Path) -> None:
    fib = """\
  +-- 192.0.2.0/24 2 0 2
     |-- 192.0.2.2
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
"""
    assert local_ipv4(fib) == {"192.0.2.2"}
    (tmp_path / "fib_trie").write_text(fib)
    (tmp_path / "if_inet6").write_text("fd000000000000000000000000000002 02 40 00 80     eth0\n")
    assert local_addresses(tmp_path) == {"192.0.2.2", "fd00::2"}
    assert local_addresses(tmp_path / "none") is None
    assert "127.0.0.1" in (local_addresses() or ())


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["check", *arguments])
    return status, *capsys.readouterr()


def test_the_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "drbd.conf"
    file.write_bytes((FIXTURES / "conf" / "scenario.conf").read_bytes())
    file.chmod(0o644)
    status, out, err = check(capsys, "-f", str(file))
    assert (status, err) == (0, "")
    for code in ("syncer-section", "legacy-keyword", "no-fencing", "host-not-here", "secret-readable"):
        assert f"[{code}]" in out
    assert out.splitlines()[-1].startswith(f"{file}: 4 warnings, 4 notes; drbd0")
    assert "security" not in out
    assert check(capsys, "-f", str(file), "--strict")[0] == 1


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "drbd.conf"
    file.write_text(resource("net { ping-int 300; }"))
    status, out, _ = check(capsys, str(file), "--json")
    report = json.loads(out)
    assert status == 1
    assert (report["schema"], report["files"]) == (1, [str(file)])
    assert report["summary"]["errors"] == 1
    assert report["summary"]["resources"] == ["r"]
    assert report["diagnostics"][-1]["code"] == "bad-value"


def test_a_file_that_can_not_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none"
    expected = f"drbdctl check: {path}: No such file or directory; name another file\n"
    assert check(capsys, str(path)) == (2, "", expected)


def test_every_code_is_in_the_manual() -> None:
    root = Path(__file__).parents[2]
    manual = (root / "docs" / "drbdctl.md").read_text()
    reading = [*(root / "drbdctl" / "drbd_conf").glob("*.py"), root / "drbdctl" / "host.py"]
    sources = "".join(path.read_text() for path in reading)
    codes = set(re.findall(r'(?:error|warning|note)\(\s*[^"]*?,\s*"([a-z0-9-]+)",', sources))
    assert len(codes) > 50
    assert {code for code in codes if f"`{code}`" not in manual} == set()
