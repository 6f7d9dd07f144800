"""drbd.conf of 8.3, 8.4 and 9 to the model, and what is said about its mistakes."""

from pathlib import Path

import pytest

from drbdctl.drbd_conf import Loaded, load, loads
from drbdctl.drbd_conf.model import Address, Host, Naming, Resource, Volume
from pyvrrp.config.diagnostics import Severity
from tests.unit.drbd_samples import FIXTURES

CONF = FIXTURES / "conf"
HOSTS = """
on a { device /dev/drbd0; disk /dev/sdb; meta-disk internal; address 10.9.0.1:7788; }
on b { device /dev/drbd0; disk /dev/sdb; meta-disk internal; address 10.9.0.2:7788; }
"""


def resource(inner: str = "", hosts: str = HOSTS) -> Loaded:
    return loads(f"resource r {{\n{inner}\n{hosts}}}\n", name="f")


def only(loaded: Loaded) -> Resource:
    assert len(loaded.config.resources) == 1
    return loaded.config.resources[0]


def errors(loaded: Loaded) -> list[str]:
    return [str(each) for each in loaded.diagnostics.errors]


def test_the_scenario() -> None:
    path = str(CONF / "scenario.conf")
    loaded = load(path)
    drbd0 = only(loaded)
    assert drbd0.name == "drbd0"
    test1, test2 = drbd0.hosts
    volume = Volume(0, "/dev/drbd0", 0, "/dev/sdb1", "internal")
    assert test1 == Host(Naming.ON, ("test1",), Address("ipv4", "192.168.0.11", 7789), volumes=(volume,))
    assert test2 == Host(Naming.ON, ("test2",), Address("ipv4", "192.168.0.12", 7789), volumes=(volume,))
    settings = loaded.config.effective(drbd0)
    assert settings.disk.value("resync-rate") == "10M"
    assert {each.name: each.value for each in settings.net} == {
        "cram-hmac-alg": "sha1",
        "protocol": "C",
        "shared-secret": "security",
    }
    assert settings.startup.value("degr-wfc-timeout") == "120"
    assert loaded.config.general.value("usage-count") == "yes"
    assert [str(each).removeprefix(path) for each in loaded.diagnostics] == [
        ":5:3: warning[syncer-section]: drbd-utils 9 before 9.29 refuse a syncer section; "
        "`drbdctl convert` writes its options in their modern places",
        ":5:12: note[legacy-keyword]: rate in syncer is the old way to say it; today it is disk { resync-rate 10M; }",
        ":8:3: note[legacy-keyword]: protocol in resource is the old way to say it; today it is net { protocol C; }",
    ]


def test_8_3_in_full() -> None:
    loaded = load(str(CONF / "8.3-full.conf"))
    assert errors(loaded) == []
    mail, spool = loaded.config.resources
    settings = loaded.config.effective(mail)
    assert settings.net.value("shared-secret") == 'it\'s a "secret" \\ indeed'
    assert settings.net.value("fencing") == "resource-only"
    assert settings.net.value("verify-alg") == "crc32c"
    assert settings.net.value("use-rle") == "yes"
    assert settings.net.value("tcp-cork") == "no"
    assert settings.disk.value("disk-flushes") == "no"
    assert settings.options.value("cpu-mask") == "3"
    assert settings.handlers.value("fence-peer").startswith("/usr/lib/drbd/outdate-peer.sh on mail1")
    assert spool.hosts[1].volumes == (Volume(0, "/dev/drbd_spool", 1, "/dev/vg0/spool", "/dev/vg0/meta[1]"),)
    assert loaded.config.effective(spool).disk.value("resync-after") == "mail"
    assert loaded.config.minors("mail2") == {0: ("mail", 0), 1: ("spool", 0)}


def test_8_4_volumes_are_given_to_the_hosts() -> None:
    data, floating = load(str(CONF / "8.4.conf")).config.resources
    alpha, bravo = data.hosts
    assert [(each.number, each.minor, each.disk) for each in alpha.volumes] == [
        (0, 10, "/dev/vg/data"),
        (1, 11, "/dev/vg/log"),
    ]
    assert bravo.volumes[1].disk == "/dev/vg2/log"
    assert bravo.volumes[0].options.value("al-extents") == "1237"
    assert str(alpha.address) == "ipv6 [fd00:10::1]:7790"
    assert [each.naming for each in floating.hosts] == [Naming.FLOATING, Naming.FLOATING]
    assert floating.hosts[0].volumes[0].disk == "/dev/vg/float"
    assert floating.hosts[1].volumes[0].disk == "/dev/vg2/float"


def test_9_connections() -> None:
    loaded = load(str(CONF / "9.conf"))
    assert list(loaded.diagnostics) == []
    shared, paths, _ = loaded.config.resources
    assert [host.node_id for host in shared.hosts] == [0, 1, 2]
    assert shared.connections[0].mesh == ("alpha", "bravo", "charlie")
    assert loaded.config.effective(shared, shared.connections[0]).net.value("ping-int") == "3"
    assert [[str(end.address) for end in path] for path in paths.connections[0].paths] == [
        ["ipv4 10.0.0.1:7001", "ipv4 10.0.0.2:7001"],
        ["ipv4 10.1.0.1:7001", "ipv4 10.1.0.2:7001"],
    ]
    assert paths.connections[0].volumes[0][1].value("c-max-rate") == "50M"


def test_the_files_of_debian() -> None:
    loaded = load(str(CONF / "debian" / "drbd.conf"))
    assert [Path(file).name for file in loaded.files] == ["drbd.conf", "global_common.conf", "data.res", "float.res"]
    assert [each.name for each in loaded.config.resources] == ["data", "float"]
    assert loaded.config.resources[1].origin.position.file.endswith("drbd.d/float.res")


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("net { prtocol C; }", "f:2:7: error[unknown-keyword]: 'prtocol' is no keyword of net; did you mean protocol?"),
        (
            "net { ping-int 300; }",
            "f:2:16: error[bad-value]: ping-int: 300 is not within 1..120 seconds; "
            "ping-int takes a number 1..120 in seconds",
        ),
        (
            "disk { resync-rate 9G; }",
            "f:2:20: error[bad-value]: resync-rate: 9G is not within 1..8388608 KiB/s; "
            "resync-rate takes a number 1..8388608 in KiB/s",
        ),
        (
            "net { after-sb-0pri discard-zero-change; }",
            "f:2:21: error[bad-value]: after-sb-0pri: discard-zero-change is none of its values; "
            "did you mean discard-zero-changes?",
        ),
        (
            "net { on-io-error detach; }",
            "f:2:7: error[misplaced-keyword]: on-io-error has no place in net; it belongs into disk { }",
        ),
        ("rate 5M;", "f:2:1: error[misplaced-keyword]: rate has no place in resource; write disk { resync-rate ...; }"),
        ("net { ping-int 3 }", "f:2:16: error[missing-semicolon]: ; is missing behind 3; write it there"),
        ("net { ping-int 3\n timeout 5; }", "f:2:16: error[missing-semicolon]: ; is missing behind 3; write it there"),
        ("net { };", "f:2:8: error[stray-semicolon]: ; ends nothing; drbdadm refuses it; remove it"),
        (
            "net { } net { }",
            "f:2:9: error[duplicate-section]: there is a net section already at f:2:1; join the two",
        ),
        (
            "handlers { split-brain /bin/true; fence-peer /bin/a,b; }",
            "f:2:46: error[unexpected-character]: ',' can't stand in /bin/a,b; write \"/bin/a,b\" in quotes",
        ),
        (
            'handlers { split-brain "/bin/true; }',
            'f:2:24: error[unterminated-string]: the closing " is missing; write " before the end',
        ),
        (
            "net { shared-secret 0123456789012345678901234567890123456789012345678901234567890123; }",
            "f:2:21: error[bad-value]: shared-secret: the value is longer than 63 bytes; shared-secret takes a text",
        ),
        (
            "device /dev/drbd1; volume 1 { device minor 2; disk /dev/x; meta-disk internal; }",
            "f:2:20: error[mixed-volumes]: a block has either volume N { } or device, disk and meta-disk of its own; "
            "put these into volume 0 { }",
        ),
        ("on a { }", "error[duplicate-host]: there is an on a already; remove one of them"),
        ("connection { host a; }", "f:2:1: error[bad-connection]: a connection has two hosts"),
        ("include \"x\";", "f:2:1: error[unknown-keyword]: 'include' is no keyword of resource"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_resource(inner: str, expected: str) -> None:
    assert any(expected in line for line in errors(resource(inner))), errors(resource(inner))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("address 10.9.0.1;", "error[bad-address]: 10.9.0.1 is no address with a port"),
        ("address 10.9.0.300:7788;", "error[bad-address]: 10.9.0.300 is no IP address"),
        ("address fe80::1:7788;", "error[bad-address]: fe80::1:7788 is no address with a port"),
        ("address ipv4 [fe80::1]:7788;", "error[bad-address]: ipv4 [fe80::1]:7788 does not fit together"),
        ("address 10.9.0.1:70000;", "error[bad-address]: ipv4 10.9.0.1:70000 does not fit together"),
        ("adress 10.9.0.1:7788;", "error[unknown-keyword]: 'adress' is no keyword of on; did you mean address?"),
        ("device /dev/sda;", "error[bad-device]: device /dev/sda has no minor"),
        ("device /dev/drbd1 minor 2;", "error[bad-device]: /dev/drbd1 is not minor 2"),
        ("disk;", "error[wrong-number-of-words]: disk wants one value, not 0"),
        ("node-id 40;", "error[bad-value]: node-id: 40 is no number 0..31"),
    ],
)
def test_a_mistake_in_a_host(host: str, expected: str) -> None:
    loaded = resource(hosts=f"on a {{ {host} }} on b {{ }}")
    assert any(expected in line for line in errors(loaded)), errors(loaded)


def test_what_a_host_lacks() -> None:
    loaded = resource(hosts="on a { device /dev/drbd0; address 10.9.0.1:7788; } on b { }")
    assert errors(loaded) == [
        "f:3:1: error[missing-keyword]: on a: disk is missing; add it there",
        "f:3:52: error[missing-keyword]: on b: address, device, disk is missing; add it there",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "resorce r { }",
            "f:1:1: error[unknown-keyword]: 'resorce' is no keyword of the top level; did you mean resource?",
        ),
        ("net { }", "error[misplaced-keyword]: net has no place in the top level; it belongs into resource { }"),
        ("resource { }", "f:1:1: error[bad-block]: resource is incomplete; write resource NAME { ... }"),
        ("resource r {", "f:1:1: error[unclosed-block]: the block resource is not closed; write } at its end"),
        ("}", "f:1:1: error[stray-brace]: } closes nothing; remove it"),
        ("{ }", "f:1:1: error[nameless-block]: { without a name before it; write its keyword"),
        ('include "nowhere.conf";', "f:1:1: error[include-missing]: there is no file nowhere.conf"),
        ("global { usage-count maybe; }", "error[bad-value]: usage-count: maybe is none of its values"),
        ("common { } common { }", "f:1:12: error[duplicate-section]: there is a common already at f:1:1; join the two"),
    ],
)
def test_a_mistake_at_the_top(text: str, expected: str) -> None:
    loaded = loads(text, name="f")
    assert any(expected in line for line in errors(loaded)), errors(loaded)


def test_a_wildcard_may_find_nothing() -> None:
    assert list(loads('include "nowhere.d/*.res";').diagnostics) == []


def test_includes_are_relative_read_once_and_end(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "drbd.conf").write_text('include "sub/a.res"; include "sub/a.res";\n')
    (tmp_path / "sub" / "a.res").write_text(f'include "../drbd.conf"; resource r {{ {HOSTS} }}\n')
    loaded = load(str(tmp_path / "drbd.conf"))
    assert errors(loaded) == []
    assert len(loaded.files) == 2
    assert only(loaded).name == "r"


def test_an_include_that_is_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "drbd.conf").write_text('include "sub";\n')
    (tmp_path / "sub").mkdir()
    assert "include-unreadable" in errors(load(str(tmp_path / "drbd.conf")))[0]


def test_skip_leaves_out_a_resource() -> None:
    assert loads(f"skip resource q {{ what ever; }} resource r {{ {HOSTS} }}").config.resources[0].name == "r"


def test_of_two_values_the_last_counts_as_for_drbdadm() -> None:
    loaded = resource("protocol C; net { protocol A; ping-int 3; ping-int 4; }")
    assert loaded.config.effective(only(loaded)).net.value("protocol") == "A"
    assert [each.code for each in loaded.diagnostics.warnings] == ["duplicate-option", "duplicate-option"]


def test_a_secret_is_not_printed_in_a_diagnostic() -> None:
    loaded = resource("net { shared-secret " + "s3cret" * 20 + "; }")
    assert errors(loaded)
    assert not [line for line in errors(loaded) if "s3crets3cret" in line]


def test_every_diagnostic_has_a_hint() -> None:
    for path in sorted(CONF.glob("*.conf")):
        for each in load(str(path)).diagnostics:
            assert each.hint
            assert each.severity in Severity


def test_blocks_without_end_are_one_finding_not_a_crash() -> None:
    loaded = loads("resource r { proxy { " + "plugin { " * 50_000)
    codes = [each.code for each in loaded.diagnostics]
    assert codes.count("nested-too-deep") == 1
    assert codes.count("unclosed-block") == 8
