"""What is said of lines that the tables do not know, or not there, or not like that."""

import pytest

from pyvrrp.config import load_text
from pyvrrp.config.keywords import Body, Keyword
from tests.unit.config_texts import codes, instance, messages


class Plugin:
    """Owns `vrrp_dns_check`, written as keepalived's users write blocks: several keywords on a line."""

    def __init__(self, *keywords: Keyword) -> None:
        self.keywords = keywords or (
            Keyword(
                name="vrrp_dns_check",
                words=(1, 1),
                inline=True,
                repeatable=True,
                body=(
                    Keyword(name="server", words=(1, 1)),
                    Keyword(name="name", words=(1, 1)),
                    Keyword(name="type", words=(1, 1)),
                    Keyword(name="weight", words=(1, 2)),
                    Keyword(name="recursion", words=(0, 1)),
                ),
            ),
        )
        self.instance_keywords = (Keyword(name="track_dns", body=Body.LINES, repeatable=True),)


def test_a_misspelt_block_is_ignored_and_what_is_in_it_is_still_looked_at() -> None:
    text = instance("state MASTER\npriority 101\nnopreempt").replace("vrrp_", "vrpp_")
    loaded = load_text(text, name="active.conf")
    found = messages(loaded)
    assert (
        "active.conf:1:1: error[unknown-keyword]: 'vrpp_instance' is not a keyword at the top level; "
        "did you mean 'vrrp_instance'? The block is ignored"
    ) in found
    assert "active.conf:7:1: error[master-nopreempt]: vrrp_instance VI: nopreempt has no effect" in found
    assert loaded.config.instances == ()


def test_what_is_wrong_inside_a_misspelt_block_is_not_fatal() -> None:
    loaded = load_text(instance("priority", without=("virtual_router_id",)).replace("vrrp_", "vrpp_") + instance())
    assert "error missing-argument" in codes(loaded)
    assert "error missing-virtual-router-id" in codes(loaded)
    assert loaded.diagnostics.fatal == []


@pytest.mark.parametrize("keyword", ["vrrp_scrpit chk", "vrrp_sync_gruop G", "gobal_defs"])
def test_other_misspelt_blocks_are_looked_into_too(keyword: str) -> None:
    loaded = load_text(f"{keyword} {{\n nonsense\n}}\n" + instance())
    assert codes(loaded).count("error unknown-keyword") == 2
    assert "'nonsense' is not a keyword in" in messages(loaded)


def test_two_near_candidates_are_both_named_and_nothing_is_guessed() -> None:
    extension = Plugin(Keyword(name="probe_a", body=(), words=(0, 0)), Keyword(name="probe_b", body=(), words=(0, 0)))
    loaded = load_text("probe_c {\n nonsense\n}\n" + instance(), plugins=[extension])
    assert codes(loaded) == ["error unknown-keyword"]
    assert "did you mean 'probe_a' or 'probe_b'?" in messages(loaded)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (instance("prioritty 50"), "'prioritty' is not a keyword in vrrp_instance; did you mean 'priority'?"),
        (instance("wubble 50"), "'wubble' is not a keyword in vrrp_instance; the line is ignored"),
        (
            "global_defs {\ngarp_master_delay 1\n}\n" + instance(),
            "[misplaced-keyword]: 'garp_master_delay' does not belong in global_defs, it belongs in vrrp_instance; "
            "here it is 'vrrp_garp_master_delay'. The line is ignored",
        ),
        (
            "script_user root\n" + instance(),
            "'script_user' does not belong at the top level, it belongs in global_defs",
        ),
        (instance("vrrp_version 3"), "it belongs in global_defs; here it is 'version'"),
        (
            "global_defs {\nstate_dump_file_location /tmp/x\n}\n" + instance(),
            "did you mean 'state_dump_file'?",
        ),
        (
            instance("track_interface eth1"),
            "error[missing-block]: 'track_interface' needs a block, the line is ignored; "
            "write 'track_interface { eth1 }'",
        ),
        (instance("priority 100 {\n 3\n}"), "error[unexpected-block]: 'priority' takes no block"),
        (instance("nopreempt off"), "'nopreempt' takes no value, what follows is ignored; 'nopreempt' is on because"),
        (instance("state BACKUP please"), "'state' takes one value, what follows is ignored; remove it"),
        (instance("state BACKUP priority 7"), "what follows is ignored; begin a new line before 'priority'"),
        (instance("authentication please {\n}"), "'authentication' takes no value, what follows is ignored; remove it"),
        (instance("priority 7\npriority 8"), "warning[duplicate-keyword]: 'priority' stands in line 5 already"),
        (instance("track_script {\n chk {\n }\n}"), "error[unexpected-block]: a line of track_script takes no block"),
    ],
    ids=lambda value: value.split("'")[1] if "'" in value else None,
)
def test_a_line_that_is_not_used_is_reported(text: str, finding: str) -> None:
    assert finding in messages(load_text(text))


def test_the_rest_of_the_file_counts() -> None:
    (made,) = load_text("wubble {\n x { y }\n}\n" + instance("priority 7\nwobble 3")).config.instances
    assert made.parameters.priority == 7


def test_a_known_keyword_is_reported_once_in_a_file() -> None:
    text = instance("use_vmac\nsmtp_alert") + instance("use_vmac", name="B").replace("_id 7", "_id 8")
    found = [line for line in messages(load_text(text)).splitlines() if "not-supported" in line]
    assert len(found) == 2
    assert "'use_vmac' is not supported yet; the interface's own MAC address is used" in found[0]


def test_inside_a_block_that_is_not_supported_only_mistakes_are_reported() -> None:
    loaded = load_text("track_file f {\n file /tmp/f\n weight 1\n wieght 2\n}\n" + instance())
    assert codes(loaded) == ["warning not-supported", "error unknown-keyword"]


def test_virtual_servers_are_one_clear_warning() -> None:
    block = "virtual_server 192.0.2.1 53 {\n lb_kind DR\n real_server 192.0.2.2 53 {\n DNS_CHECK {\n }\n }\n}\n"
    loaded = load_text(block + block + instance())
    assert codes(loaded) == ["warning not-supported"]
    assert "virtual_server blocks are not served yet" in messages(loaded)


def test_keywords_of_other_processes_are_notes() -> None:
    loaded = load_text("global_defs {\nlvs_flush\n}\n" + instance("debug 3"))
    assert codes(loaded) == ["note ignored-keyword", "note ignored-keyword"]


def test_a_plugins_block_reaches_it_clean() -> None:
    text = "vrrp_dns_check r { server 127.0.0.1  name name  type A\n recursion  weight -20 reverse  nmae x\n}\n"
    loaded = load_text(text + instance(), plugins=[Plugin()])
    (block,) = loaded.config.plugin_blocks
    lines = [" ".join(str(word) for word in line.words) for line in block.body or ()]
    assert lines[:3] == ["server 127.0.0.1", "name name", "type A"]
    assert lines[3:] == ["recursion", "weight -20 reverse"]
    assert "'weight' takes at most 2 values, what follows is ignored" in messages(loaded)


def test_a_plugins_trackers_are_in_the_model() -> None:
    text = instance("track_dns {\n r weight -20 reverse\n s\n}")
    loaded = load_text(text, plugins=[Plugin()])
    tracks = [(track.kind, track.name, track.weight, track.reverse) for track in loaded.config.instances[0].tracks]
    assert tracks == [("dns", "r", -20, True), ("dns", "s", None, None)]
    assert loaded.config.instances[0].tracks[0].position.line == 6
    assert codes(loaded) == []


def test_without_its_plugin_the_block_is_unknown() -> None:
    assert codes(load_text("vrrp_dns_check r {\n server 127.0.0.1\n}\n" + instance())) == ["error unknown-keyword"]


def test_a_plugin_may_take_over_a_block_that_is_not_supported() -> None:
    extension = Plugin(Keyword(name="virtual_server", words=(2, 2), body=(Keyword(name="lb_kind", words=(1, 1)),)))
    loaded = load_text("virtual_server 192.0.2.1 53 {\n lb_kind DR\n}\n" + instance(), plugins=[extension])
    assert codes(loaded) == []
    assert [block.name for block in loaded.config.plugin_blocks] == ["virtual_server"]
