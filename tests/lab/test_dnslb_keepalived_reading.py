"""The fixtures are files that the real keepalived reads, and which of our words are its own is measured."""

import re
import subprocess
from pathlib import Path

import pytest

from pyvrrp.config.keywords import Body
from tests.unit.test_dnslb_keywords import REAL_SERVER, VIRTUAL_SERVER, body

FIXTURES = Path(__file__).parents[1] / "fixtures" / "virtual_server"


def keepalived(conf: Path, *options: str) -> tuple[int, str]:
    """Its exit code (0: nothing to complain about) and what it says."""
    command = ["keepalived", "-t", *options, "-f", str(conf)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", ["resolvers-dr", "group-dr"])
def test_keepalived_reads_the_fixtures_without_complaint(name, tmp_path):
    conf = tmp_path / "keepalived.conf"
    text = (FIXTURES / f"{name}.conf").read_text()
    conf.write_text(text[text.index("\nvirtual_server") :])  # what stands before it would need an interface
    assert keepalived(conf, "-C") == (0, "")


@pytest.mark.parametrize(("block", "theirs"), [("virtual_server", VIRTUAL_SERVER), ("real_server", REAL_SERVER)])
def test_the_words_that_it_does_not_know_are_ours(block, theirs, tmp_path):
    names = [keyword.name for keyword in body(block) if keyword.body is Body.NONE]
    inside = "\n".join(f"{name} 1" for name in names)
    if block == "real_server":
        inside = f"real_server 192.0.2.11 53 {{\n{inside}\n}}"
    conf = tmp_path / "keepalived.conf"
    conf.write_text(f"virtual_server 192.0.2.53 53 {{\n{inside}\n}}\n")
    unknown = set(re.findall(r"Unknown keyword '(.*)'", keepalived(conf, "-C")[1]))
    assert unknown == set(names) - set(theirs.split())
