"""Whole files: the scenario's two, typical ones, and what load() makes of the machine around them."""

import socket
from pathlib import Path

import pytest

from pyvrrp.config import load, load_text
from pyvrrp.config.keywords import Body, Keyword
from pyvrrp.core.events import State
from tests.unit.config_texts import codes, instance

CORPUS = Path(__file__).parents[1] / "corpus" / "keepalived"


def findings(name: str) -> list[str]:
    loaded = load(str(CORPUS / name))
    return [str(found).replace(f"{CORPUS}/", "") for found in loaded.diagnostics]


def test_the_scenarios_active_node() -> None:
    assert findings("scenario-active.conf") == [
        "scenario-active.conf:1:1: error[unknown-keyword]: 'vrpp_instance' is not a keyword at the top level; "
        "did you mean 'vrrp_instance'? The block is ignored",
        "scenario-active.conf:1:1: error[nothing-to-run]: there is no vrrp_instance that can be run; "
        "write one, or mend what is reported about it",
        "scenario-active.conf:7:5: error[master-nopreempt]: vrrp_instance DRBD: nopreempt has no effect with "
        "'state MASTER' (keepalived drops it): the node takes the address back when it returns; "
        "write 'state BACKUP' on both nodes and keep nopreempt on both",
        "scenario-active.conf:11:19: error[password-too-long]: vrrp_instance DRBD: auth_pass has 22 characters, "
        "only the first 8 are used and sent; write 8 characters or fewer, the same on all routers",
        "scenario-active.conf:11:19: note[placeholder-password]: vrrp_instance DRBD: auth_pass is still the sample's; "
        "choose your own; it travels in clear text all the same",
    ]


def test_the_scenarios_backup_node() -> None:
    found = load(str(CORPUS / "scenario-backup.conf"))
    assert codes(found) == [
        "error unknown-keyword",
        "error nothing-to-run",
        "note nopreempt",
        "error password-too-long",
        "note placeholder-password",
    ]


def test_the_scenario_runs_once_its_keyword_is_mended() -> None:
    text = (CORPUS / "scenario-active.conf").read_text().replace("vrpp_instance", "vrrp_instance")
    loaded = load_text(text)
    (made,) = loaded.config.instances
    assert loaded.diagnostics.fatal == []
    assert made.authentication is not None
    assert made.authentication.key == b"Add-Your"
    assert (made.parameters.initial_state, made.parameters.nopreempt) == (State.MASTER, False)
    assert made.notify.master is not None
    assert made.notify.master.argv == ("/usr/local/sbin/drbd_master.sh",)


@pytest.mark.parametrize(
    ("name", "found", "instances"),
    [
        ("vip-and-script.conf", ["note nopreempt"], ["VI_1"]),
        ("sync-group.conf", [], ["OUTSIDE", "INSIDE"]),
        ("unicast-cloud.conf", [], ["CLOUD"]),
        ("ipv6.conf", [], ["V4", "V6"]),
    ],
)
def test_files_as_they_are_in_use(name: str, found: list[str], instances: list[str]) -> None:
    loaded = load(str(CORPUS / name))
    assert codes(loaded) == found
    assert [made.name for made in loaded.config.instances] == instances
    assert loaded.files == (str(CORPUS / name),)


def test_the_strict_sample_runs_and_says_why_it_is_a_trap() -> None:
    loaded = load(str(CORPUS / "strict-sample.conf"))
    assert loaded.diagnostics.fatal == []
    assert [found.code for found in loaded.diagnostics.errors] == ["strict-state", "no-authentication", "strict-mode"]
    assert [found.code for found in loaded.diagnostics.warnings] == [
        *["not-supported"] * 4,
        "strict-no-accept",
        "not-supported",
    ]


def test_dirt_is_named_line_by_line() -> None:
    loaded = load(str(CORPUS / "dirt.conf"))
    found = [(each.position.line, each.code) for each in loaded.diagnostics if each.severity.value == "error"]
    assert found == [
        (1, "slash-comment"),
        (3, "extra-argument"),
        (4, "misplaced-keyword"),
        (5, "unknown-keyword"),
        (8, "merge-conflict"),
        (9, "missing-argument"),
        (15, "unquoted-command"),
        (16, "bad-number"),
        (20, "bad-state"),
        (22, "missing-virtual-router-id"),
        (24, "unknown-keyword"),
        (26, "misplaced-keyword"),
        (28, "no-authentication"),
        (29, "password-too-long"),
        (32, "undefined-name"),
        (34, "missing-block"),
        (36, "bad-address"),
        (37, "bad-option"),
        (41, "empty-block"),
        (41, "nothing-to-run"),
        (43, "undefined-name"),
    ]


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        load(str(tmp_path / "none.conf"))


def test_conditions_compare_with_the_hosts_name_or_the_id_given(tmp_path: Path) -> None:
    host = socket.gethostname().partition(".")[0]
    text = instance(f"@{host} priority 7\n@node2 priority 8")
    assert load_text(text).config.instances[0].parameters.priority == 7
    assert load_text(text, config_id="node2").config.instances[0].parameters.priority == 8


def test_the_environment_and_the_instances_name() -> None:
    text = instance("priority ${_ENV PRIO}\nunicast_src_ip ${_INSTANCE}\nunicast_peer { 192.0.2.2 }")
    (made,) = load_text(text, environ={"PRIO": "9"}, instance="192.0.2.1").config.instances
    assert (made.parameters.priority, str(made.source)) == (9, "192.0.2.1")


def test_includes_are_among_the_files(tmp_path: Path) -> None:
    (tmp_path / "vi.conf").write_text(instance("prioritty 3"))
    (tmp_path / "top.conf").write_text("include vi.conf\n")
    loaded = load(str(tmp_path / "top.conf"))
    assert [Path(name).name for name in loaded.files] == ["top.conf", "vi.conf"]
    assert [Path(found.position.file).name for found in loaded.diagnostics] == ["vi.conf"]


def test_equal_files_make_equal_models() -> None:
    name = str(CORPUS / "sync-group.conf")
    assert load(name).config == load(name).config


def test_a_comment_more_changes_nothing() -> None:
    text = (CORPUS / "vip-and-script.conf").read_text()
    assert load_text("# moved\n" + text).config == load_text(text).config


def test_a_plugin_s_block_may_be_work_enough():
    class Balancer:
        keywords = (Keyword(name="virtual_server", body=Body.SKIP, alone=True), Keyword(name="notes", body=Body.SKIP))
        instance_keywords = ()

    assert not load_text("virtual_server {\n}\n", plugins=[Balancer()]).diagnostics.fatal
    assert [each.code for each in load_text("notes {\n}\n", plugins=[Balancer()]).diagnostics] == ["nothing-to-run"]
