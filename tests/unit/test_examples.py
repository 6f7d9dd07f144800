"""The complete files of examples/: nothing is to be said against them, and the wheel has what the demo needs."""

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from pyvrrp.cli import main
from pyvrrp.cli.demo import SCENARIOS

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
OTHERS = ("unbound.conf", "resolv.conf")
# Those with storage are checked where their resource is: in the virtual machines.
FILES = [file for file in sorted(EXAMPLES.glob("dns-*/*.conf")) if file.name not in OTHERS]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_file_is_without_findings(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", "--strict", "-f", str(file)]) == 0
    found = json.loads(capsys.readouterr().out)["diagnostics"]
    # A note to each nopreempt says what it needs, and has no way to see the other node's file.
    assert [each for each in found if (each["severity"], each["code"]) != ("note", "nopreempt")] == []


@pytest.mark.parametrize("pair", [("dns-active-backup", "dns1", "dns2"), ("dns-dsr", "lb1", "lb2"),
                                  ("dns-two-box", "dns1", "dns2")], ids=lambda pair: pair[0])  # fmt: skip
def test_the_two_nodes_differ_in_what_their_files_say(pair: tuple[str, str, str]) -> None:
    example, one, other = pair
    lines = [(EXAMPLES / example / f"{name}.conf").read_text().splitlines() for name in (one, other)]
    different = [(a.split(), b.split()) for a, b in zip(*lines, strict=True) if a != b and not a.startswith("#")]
    assert different == [(["router_id", one], ["router_id", other]), (["priority", "110"], ["priority", "100"])]


@pytest.mark.skipif(shutil.which("unbound-checkconf", path="/usr/sbin:/usr/bin") is None, reason="needs unbound")
@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*/unbound.conf")), ids=lambda file: file.parent.name)
def test_unbound_takes_its_file(file: Path) -> None:
    program = shutil.which("unbound-checkconf", path="/usr/sbin:/usr/bin")
    done = subprocess.run([program, file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_demo_has_its_files_in_the_wheel_and_names_them_in_the_readme(scenario: str) -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"][f"examples/{scenario}"] == f"pyvrrp/demo/{scenario}"
    readme = (EXAMPLES / scenario / "README.md").read_text()
    files = {path.name for path in (EXAMPLES / scenario).iterdir()} - {"README.md"}
    assert [name for name in sorted(files) if f"`{name}`" not in readme] == []
    assert f"pyvrrp demo {scenario}" in readme
