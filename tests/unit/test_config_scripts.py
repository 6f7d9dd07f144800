"""vrrp_script, notify commands, the names in track_* blocks, and vrrp_sync_group."""

import pytest

from pyvrrp.config import Loaded, load_text
from pyvrrp.config.model import Command, Notify, SyncGroup, VrrpScript
from tests.unit.config_texts import codes, instance, messages

SECURE = "global_defs {\nenable_script_security\nscript_user root\n}\n"


def script(body: str, track: str = "s") -> Loaded:
    return load_text(f"{SECURE}vrrp_script s {{\n{body}\n}}\n" + instance(f"track_script {{\n{track}\n}}"))


def only_script(body: str) -> tuple[VrrpScript, list[str]]:
    loaded = script(body)
    (made,) = loaded.config.scripts
    return made, codes(loaded)


def test_defaults() -> None:
    made, found = only_script("script /bin/true")
    assert made == VrrpScript(name="s", command=Command(("/bin/true",)))
    assert found == []


def test_everything() -> None:
    made, found = only_script(
        'script "/bin/check a"\ninterval 0.5\ntimeout 2\nweight -20 reverse\nrise 2\nfall 3\n'
        "user nobody nogroup\ninit_fail"
    )
    assert made == VrrpScript(
        name="s",
        command=Command(("/bin/check", "a"), "nobody", "nogroup"),
        interval=0.5,
        timeout=2,
        weight=-20,
        reverse=True,
        rise=2,
        fall=3,
        init_fail=True,
    )
    assert found == []


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        ("/bin/true", ("/bin/true",)),
        ("\"/bin/true a 'b c'\"", ("/bin/true", "a", "b c")),
        ('"killall -0 haproxy"', ("killall", "-0", "haproxy")),
        ('"/bin/true a && /bin/false | x"', ("/bin/true", "a", "&&", "/bin/false", "|", "x")),
        (r'"/bin/echo \"a b\" c\\ d ' + "'e f'g\"", ("/bin/echo", "a b", "c d", "e fg")),
        ("\"/bin/echo $HOME * ~ ''\"", ("/bin/echo", "$HOME", "*", "~", "")),
        ("'/bin/sh -c \"echo a b\"'", ("/bin/sh", "-c", "echo a b")),
    ],
)
def test_a_command_is_split_as_keepalived_does(line: str, argv: tuple[str, ...]) -> None:
    made, found = only_script(f"script {line}")
    assert made.command.argv == argv
    assert found == []


def test_a_path_test() -> None:
    made, found = only_script('script "</run/my service.up"')
    assert (made.path_test, made.command.argv) == (True, ("/run/my service.up",))
    assert found == []


def test_an_unquoted_command_is_run_without_its_arguments() -> None:
    made, found = only_script("script /usr/bin/pgrep -x nginx")
    assert made.command.argv == ("/usr/bin/pgrep",)
    assert found == ["error unquoted-command"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("interval 2", "error missing-command"),
        ('script ""', "error missing-command"),
        ('script "/bin/echo \'x"', "error bad-quoting"),
    ],
)
def test_a_script_that_can_not_be_run_counts_as_failed(body: str, code: str) -> None:
    loaded = script(body)
    assert loaded.config.scripts == ()
    assert [(track.kind, track.name) for track in loaded.config.instances[0].tracks] == [("script", "s")]
    assert codes(loaded) == [code, "error undefined-name"]


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("interval 0", "interval", 1.0),
        ("interval 2s", "interval", 1.0),
        ("timeout 0", "timeout", 1.0),
        ("weight 300", "weight", 0),
        ("weight 254", "weight", 253),
        ("weight -254", "weight", -253),
        ("weight 5 wubble", "weight", 5),
        ("rise 0", "rise", 1),
        ("fall x", "fall", 1),
    ],
)
def test_a_wrong_value_leaves_the_default(line: str, field: str, value: object) -> None:
    made, found = only_script(f"script /bin/true\n{line}")
    assert getattr(made, field) == value
    assert len(found) == 1


def test_the_timeout_is_the_interval() -> None:
    assert only_script("script /bin/true\ninterval 7")[0].timeout == 7


@pytest.mark.parametrize(
    ("line", "weight", "reverse", "found"),
    [
        ("s", None, None, []),
        ("s weight 10", 10, None, []),
        ("s weight -20 reverse", -20, True, []),
        ("s weight 0 noreverse", 0, False, []),
        ("s weight 254", 253, None, ["error bad-number"]),
        ("s weight 300", None, None, ["error bad-number"]),
        ("s weight x", None, None, ["error bad-number"]),
        ("s weight", None, None, ["error missing-argument"]),
        ("s reverse", None, None, ["error bad-option"]),
        ("s z", None, None, ["error bad-option"]),
        ("s\ns weight 3", None, None, ["error duplicate-name"]),
    ],
)
def test_a_tracked_name_stays_whatever_its_options(
    line: str, weight: int | None, reverse: bool | None, found: list[str]
) -> None:
    loaded = script("script /bin/true", line)
    (track,) = loaded.config.instances[0].tracks
    assert (track.kind, track.name, track.weight, track.reverse) == ("script", "s", weight, reverse)
    assert codes(loaded) == found


def test_a_script_that_does_not_exist_is_an_error_and_stays() -> None:
    loaded = script("script /bin/true", "chk\ns")
    assert [track.name for track in loaded.config.instances[0].tracks] == ["chk", "s"]
    assert "error[undefined-name]: vrrp_instance VI: track_script: there is no vrrp_script chk that could be run" in (
        messages(loaded)
    )


def test_the_order_of_blocks_does_not_matter() -> None:
    loaded = load_text(instance("track_script { s }") + "vrrp_script s {\nscript /bin/true\n}\n" + SECURE)
    assert codes(loaded) == []


def test_interfaces_have_weight_0_unless_they_say_so() -> None:
    loaded = load_text(instance("track_interface {\n eth1\n eth2 weight 5\n}"))
    assert [(track.name, track.weight) for track in loaded.config.instances[0].tracks] == [("eth1", 0), ("eth2", 5)]


def notify(extra: str) -> tuple[Notify, list[str]]:
    loaded = load_text(SECURE + instance(extra))
    return loaded.config.instances[0].notify, codes(loaded)


def test_notify() -> None:
    made, found = notify(
        "notify_master \"/bin/n master 'a b'\" nobody nogroup\nnotify_backup /bin/b\nnotify_fault /bin/f root\n"
        "notify_stop /bin/s\nnotify_deleted /bin/d\nnotify /bin/any\nnotify_master_rx_lower_pri /bin/l"
    )
    assert made == Notify(
        master=Command(("/bin/n", "master", "a b"), "nobody", "nogroup"),
        backup=Command(("/bin/b",)),
        fault=Command(("/bin/f",), "root"),
        stop=Command(("/bin/s",)),
        deleted=Command(("/bin/d",)),
        any=Command(("/bin/any",)),
        master_rx_lower_pri=Command(("/bin/l",)),
    )
    assert found == []


@pytest.mark.parametrize("line", ["/bin/n a b c", "/bin/n --master", "/bin/n /etc/x", "/bin/n A=1"])
def test_an_unquoted_notify_command_is_explained(line: str) -> None:
    made, found = notify(f"notify_master {line}")
    assert made.master is None
    assert found == ["error unquoted-command"]


def test_the_first_of_two_notify_lines_counts() -> None:
    made, found = notify("notify_master /bin/a\nnotify_master /bin/b")
    assert made.master == Command(("/bin/a",))
    assert found == ["warning duplicate-keyword"]


def test_notify_deleted_alone_is_not_supported() -> None:
    assert notify("notify_deleted") == (Notify(), ["warning not-supported"])


TWO = instance() + instance(name="VI2").replace("_id 7", "_id 8").replace("192.0.2.10", "192.0.2.11")


def group(body: str, instances: str = TWO) -> Loaded:
    return load_text(f"{SECURE}vrrp_sync_group G {{\n{body}\n}}\n{instances}")


def test_a_group() -> None:
    loaded = group("group {\n VI\n VI2\n}\ntrack_interface {\n eth1\n}\nnotify /bin/n\nsync_group_tracking_weight")
    (made,) = loaded.config.sync_groups
    assert (made.name, made.members, made.sync_group_tracking_weight) == ("G", ("VI", "VI2"), True)
    assert made.notify == Notify(any=Command(("/bin/n",)))
    assert [track.name for track in made.tracks] == ["eth1"]
    assert all(member.parameters.in_sync_group for member in loaded.config.instances)
    assert codes(loaded) == []


def test_members_on_one_line() -> None:
    assert group("group { VI VI2 }").config.sync_groups == (SyncGroup(name="G", members=("VI", "VI2")),)


@pytest.mark.parametrize(
    ("body", "members", "found"),
    [
        ("group { VI VI2 NOPE }", ("VI", "VI2"), ["error undefined-name"]),
        ("group { VI }", ("VI",), ["warning single-member"]),
        ("group { VI VI2 VI }", ("VI", "VI2"), ["error duplicate-name"]),
        ("group { NOPE }", None, ["error empty-block", "error undefined-name"]),
        ("", None, ["error empty-block"]),
    ],
)
def test_members(body: str, members: tuple[str, ...] | None, found: list[str]) -> None:
    loaded = group(body)
    assert [made.members for made in loaded.config.sync_groups] == ([members] if members else [])
    assert codes(loaded) == found


def test_an_instance_is_in_one_group() -> None:
    loaded = load_text("vrrp_sync_group A { group { VI VI2 } }\nvrrp_sync_group B { group { VI VI2 } }\n" + TWO)
    assert [made.name for made in loaded.config.sync_groups] == ["A"]
    assert codes(loaded) == ["error empty-block", "error duplicate-name", "error duplicate-name"]


def test_who_is_in_no_group_is_not_marked() -> None:
    loaded = group("group { VI }")
    assert [member.parameters.in_sync_group for member in loaded.config.instances] == [True, False]
