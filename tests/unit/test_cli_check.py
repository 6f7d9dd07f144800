"""`pyvrrp check`: what it prints, and its exit status."""

import json
from pathlib import Path

import pytest

from pyvrrp.cli import main
from tests.unit.config_texts import instance

CORPUS = Path(__file__).parents[1] / "corpus" / "keepalived"
WARNING = instance("use_vmac")


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["check", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keepalived.conf"
    path.write_text(instance())
    return path


def test_nothing_wrong(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(capsys, "-f", str(file)) == (0, f"{file}: nothing to report; runs VI\n", "")


def test_a_file_without_a_virtual_router_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(__file__).parents[2] / "examples" / "dns-dsr" / "ns.conf"
    assert check(capsys, "-f", str(file)) == (0, f"{file}: nothing to report; runs no vrrp_instance\n", "")


def test_the_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    path = CORPUS / "scenario-active.conf"
    status, out, err = check(capsys, "-f", str(path))
    lines = out.splitlines()
    assert (status, err) == (1, "")
    assert lines[0].startswith(f"{path}:1:1: error[unknown-keyword]: 'vrpp_instance' is not a keyword")
    assert any("write 'state BACKUP' on both nodes" in line for line in lines)
    assert lines[-1] == f"{path}: 4 errors, 1 note; `pyvrrp run` refuses it"


@pytest.mark.parametrize(
    ("text", "arguments", "status"),
    [
        (instance("nopreempt"), ["--strict"], 0),
        (WARNING, [], 0),
        (WARNING, ["--strict"], 1),
        (instance("prioritty 3"), [], 1),
        ("", [], 1),
    ],
    ids=["note", "warning", "warning, strict", "error", "empty"],
)
def test_exit_status(
    file: Path, capsys: pytest.CaptureFixture[str], text: str, arguments: list[str], status: int
) -> None:
    file.write_text(text)
    assert check(capsys, "-f", str(file), *arguments)[0] == status


def test_an_error_that_does_not_stop_the_daemon_says_what_runs(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(instance("prioritty 3"))
    _, out, _ = check(capsys, "-f", str(file))
    assert out.splitlines()[-1] == f"{file}: 1 error; runs VI"


def test_a_file_that_can_not_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.conf"
    expected = f"pyvrrp check: {path}: No such file or directory; name another file with -f\n"
    assert check(capsys, "-f", str(path)) == (2, "", expected)
    assert check(capsys, "-f", str(tmp_path))[0] == 2


def test_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(instance("prioritty 3\nuse_vmac\nnopreempt"))
    status, out, _ = check(capsys, "-f", str(file), "--json")
    report = json.loads(out)
    assert status == 1
    assert report["schema"] == 1
    assert report["files"] == [str(file)]
    assert report["summary"] == {"errors": 1, "warnings": 1, "notes": 1, "fatal": 0, "instances": ["VI"]}
    assert report["diagnostics"][0] == {
        "file": str(file),
        "line": 5,
        "column": 1,
        "severity": "error",
        "code": "unknown-keyword",
        "message": "'prioritty' is not a keyword in vrrp_instance",
        "hint": "did you mean 'priority'? The line is ignored",
        "fatal": False,
    }


def test_bytes_that_are_no_text_are_reported_not_raised(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(b"\x1b[31m\xff\xfe\n" + instance().encode())
    status, out, _ = check(capsys, "-f", str(file))
    assert status == 1
    assert "\x1b" not in out
    assert json.loads(check(capsys, "-f", str(file), "--json")[1])


def test_another_config_id(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(instance("@node2 prioritty 3"))
    assert check(capsys, "-f", str(file), "-i", "node1")[0] == 0
    assert check(capsys, "-f", str(file), "-i", "node2")[0] == 1
