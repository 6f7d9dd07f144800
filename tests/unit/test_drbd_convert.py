"""`drbdctl convert`: what it writes means the same, in the judgement of drbdadm where that is installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from drbdctl.cli import main
from drbdctl.drbd_conf import load, loads
from drbdctl.drbd_conf.convert import Converted, convert
from drbdctl.drbd_conf.keywords import SECTIONS, Choice, Number, Plain, Version
from drbdctl.drbd_conf.keywords import Keyword as Word
from tests.unit.drbd_samples import FIXTURES

CONF = FIXTURES / "conf"
FILES = [*sorted(CONF.glob("*.conf")), CONF / "debian" / "drbd.conf"]
DRBDADM = {Version.V84: "/lib/drbd/drbdadm-84", Version.V9: "drbdadm"}
YOUNGER = {"tls", "tls-keyring", "tls-privkey", "tls-certificate", "load-balance-paths", "drbd8-api-compatibility"} | {
    "rdma-ctrl-rcvbuf-size",
    "rdma-ctrl-sndbuf-size",
}
"than drbd-utils 9.22"
HOSTS = """
  on a { device /dev/drbd0; disk /dev/sdb; meta-disk internal; address 10.9.0.1:7788; }
  on b { device /dev/drbd0; disk /dev/sdb; meta-disk internal; address 10.9.0.2:7788; }
"""


def converted(path: Path, version: Version) -> Converted:
    return convert(load(str(path)), version)


def judged(file: Path, version: Version) -> str:
    """What drbdadm of that version makes of the file, without what names the file."""
    command = DRBDADM[version]
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed (drbd-utils)")
    done = subprocess.run([command, "-c", str(file), "dump"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith("#"))


def dry_run(file: Path) -> list[list[str]]:
    """The commands of `drbdadm up`, which is not run, each with its options in order."""
    judged(file, Version.V84)
    command = [DRBDADM[Version.V84], "-c", str(file), "-d", "up", "data"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    return [sorted(line.split()) for line in done.stdout.splitlines()]


def test_the_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(CONF / "scenario.conf")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert (
        out
        == """\
global {
  usage-count yes;
}
common {
  disk {
    resync-rate 10M;
  }
}
resource drbd0 {
  net {
    protocol C;
    cram-hmac-alg sha1;
    shared-secret security;
  }
  startup {
    degr-wfc-timeout 120;
  }
  on test1 {
    device /dev/drbd0;
    disk /dev/sdb1;
    meta-disk internal;
    address ipv4 192.168.0.11:7789;
  }
  on test2 {
    device /dev/drbd0;
    disk /dev/sdb1;
    meta-disk internal;
    address ipv4 192.168.0.12:7789;
  }
}
"""
    )


@pytest.mark.parametrize("name", ["scenario.conf", "8.3-style.conf", "8.3-full.conf"])
def test_drbdadm_84_reads_the_same_from_both(name: str, tmp_path: Path) -> None:
    file = tmp_path / "drbd.conf"
    file.write_text(converted(CONF / name, Version.V84).text)
    assert judged(file, Version.V84) == judged(CONF / name, Version.V84)


def test_drbdadm_84_would_run_the_same_commands_from_both(tmp_path: Path) -> None:
    text = (CONF / "8.4.conf").read_text().replace("alpha", os.uname().nodename)
    before, after = tmp_path / "before.conf", tmp_path / "after.conf"
    before.write_text(text.replace("usage-count no;", "usage-count no; disable-ip-verification;"))
    after.write_text(converted(before, Version.V84).text)
    first, second = (dry_run(each) for each in (before, after))
    assert any("--al-extents=1237" in line for line in first)
    assert first == second


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_drbdadm_9_reads_it(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "drbd.conf"
    file.write_text(converted(path, Version.V9).text)
    dump = judged(file, Version.V9)
    for resource in load(str(path)).config.resources:
        assert f"resource {resource.name} {{" in dump
    again = tmp_path / "again.conf"
    again.write_text(converted(file, Version.V9).text)
    assert judged(again, Version.V9) == dump


@pytest.mark.parametrize(
    ("path", "version"),
    [(path, version) for path in FILES for version in DRBDADM if (path.name, version) != ("9.conf", Version.V84)],
    ids=lambda each: each.value if isinstance(each, Version) else each.name,
)
def test_nothing_changes_the_second_time(path: Path, version: Version) -> None:
    first = converted(path, version)
    assert not first.diagnostics.errors
    second = convert(loads(first.text), version)
    assert second.text == first.text
    assert not second.diagnostics.errors


def sample(keyword: Word) -> str:
    match keyword.value:
        case Number(least, most):
            return f" {max(least, min(most, 300))}"
        case Choice(words):
            return f" {words[-1]}"
        case Plain.FLAG:
            return ""
        case Plain.BOOLEAN:
            return " no"
        case Plain.TEXT | Plain.NAMES:
            return " a"


@pytest.mark.parametrize("version", [Version.V84, Version.V9], ids=["8.4", "9"])
def test_drbdadm_knows_every_keyword(version: Version, tmp_path: Path) -> None:
    blocks = {
        section: "".join(
            f"{name}{sample(keyword)};\n"
            for name, keyword in keywords.items()
            if version in keyword.versions and name not in YOUNGER | {"resync-after"}
        )
        for section, keywords in SECTIONS.items()
    }
    inner = "".join(f"{name} {{\n{body}}}\n" for name, body in blocks.items() if name != "global")
    loaded = loads(f"global {{\n{blocks['global']}}}\nresource r {{\n{inner}{HOSTS}}}\n")
    assert not [each for each in loaded.diagnostics if each.code != "legacy-keyword"]
    file = tmp_path / "drbd.conf"
    file.write_text(convert(loaded, version).text)
    dump = judged(file, version)
    for name in ("net", "disk", "options", "startup", "handlers"):
        assert f"{name} {{" in dump


def test_what_the_version_lacks_is_told() -> None:
    result = converted(CONF / "8.3-full.conf", Version.V9)
    lost = [(each.position.line, each.code) for each in result.diagnostics if each.code == "not-in-version"]
    assert lost == [(32, "not-in-version"), (39, "not-in-version"), (46, "not-in-version")]
    assert "become-primary-on" not in result.text
    assert "node-id 0;" in result.text


def test_nine_to_84_is_refused_where_84_has_no_words_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "--to", "8.4", str(CONF / "9.conf")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "error[too-many-hosts]: shared has 3 hosts, 8.4 has two" in err
    assert "error[too-many-paths]" in err


def test_a_connection_of_9_becomes_addresses_of_84(tmp_path: Path) -> None:
    text = (CONF / "9.conf").read_text()
    file = tmp_path / "drbd.conf"
    file.write_text(text[text.index("resource single") :])
    result = converted(file, Version.V84)
    assert "address ipv4 10.0.0.1:7002;" in result.text
    assert "protocol B;" in result.text
    assert "connection" not in result.text


def test_fencing_stands_where_the_version_wants_it() -> None:
    text = f"resource r {{ disk {{ fencing resource-only; }} {HOSTS} }}"
    old, new = (convert(loads(text), version).text for version in (Version.V84, Version.V9))
    assert "disk {\n    fencing resource-only;" in old
    assert "net {\n    fencing resource-only;" in new


def test_comments_are_kept_or_said_to_be_dropped() -> None:
    result = converted(CONF / "8.3-full.conf", Version.V84)
    for comment in ("# The storage pair of the mail cluster", "# no phoning home", "# a third of the link"):
        assert comment in result.text
    (dropped,) = (each for each in result.diagnostics if each.code == "comment-dropped")
    assert (dropped.position.line, dropped.message) == (65, "this comment has no place: nothing more")


def test_a_file_with_errors_is_not_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "drbd.conf"
    file.write_text("resource r { nett { } }")
    assert main(["convert", str(file)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "unknown-keyword" in err
    assert main(["convert", str(tmp_path / "none")]) == 2
