"""What is wrong between blocks that are each right."""

import pytest

from pyvrrp.config import load_text
from tests.unit.config_texts import codes, instance, messages

SECURE = "global_defs {\nenable_script_security\nscript_user root\n}\n"
SCRIPT = "vrrp_script s {\n script /bin/true\n weight 5\n}\n"


def second(extra: str = "", vrid: int = 8, vip: str = "192.0.2.11") -> str:
    text = instance(extra, name="VI2")
    return text.replace("virtual_router_id 7", f"virtual_router_id {vrid}").replace("192.0.2.10", vip)


def test_one_vrid_twice_on_one_interface() -> None:
    loaded = load_text(instance() + second(vrid=7))
    assert codes(loaded) == ["error duplicate-vrid"]
    assert "VI2 and VI both have virtual_router_id 7 with IPv4 multicast on eth0" in messages(loaded)
    assert loaded.diagnostics.fatal


@pytest.mark.parametrize(
    "other",
    [
        second("interface eth1", vrid=7).replace("interface eth0\n", ""),
        second("unicast_peer { 192.0.2.9 }", vrid=7),
        second(vrid=7, vip="fe80::1"),
    ],
    ids=["interface", "unicast", "family"],
)
def test_one_vrid_where_it_does_not_matter(other: str) -> None:
    assert codes(load_text(instance() + other)) == []


def test_one_address_in_two_instances() -> None:
    loaded = load_text(instance() + second(vip="192.0.2.10"))
    assert codes(loaded) == ["warning shared-address"]
    assert "when one of them gives it up, it is gone for both" in messages(loaded)


def test_a_source_that_a_backup_does_not_have() -> None:
    assert codes(load_text(instance("mcast_src_ip 192.0.2.10"))) == ["warning source-is-virtual"]


def test_a_peer_that_is_oneself() -> None:
    text = instance("unicast_src_ip 192.0.2.1\nunicast_peer {\n 192.0.2.1\n 192.0.2.2\n}")
    assert codes(load_text(text)) == ["warning own-address"]


def test_a_source_to_track_that_is_not_given() -> None:
    assert codes(load_text(instance("track_src_ip"))) == ["warning no-effect"]


def test_the_owner_ignores_weights() -> None:
    text = SECURE + SCRIPT + instance("priority 255\ntrack_script { s }\ntrack_interface {\n eth1 weight 3\n eth2\n}")
    assert codes(load_text(text)) == ["warning weight-without-effect"] * 2
    assert codes(load_text(text.replace("weight", "#weight"))) == []


@pytest.mark.parametrize(
    ("switch", "found"), [("", ["warning weight-without-effect"]), ("sync_group_tracking_weight", [])]
)
def test_members_of_a_group_ignore_weights(switch: str, found: list[str]) -> None:
    group = "\n".join(["vrrp_sync_group G {", "group { VI VI2 }", switch, "}\n"])
    text = SECURE + SCRIPT + group + instance("track_script { s }") + second()
    assert codes(load_text(text)) == found


def test_a_script_that_nothing_tracks() -> None:
    assert codes(load_text(SECURE + SCRIPT + instance())) == ["warning unused-script"]


@pytest.mark.parametrize("text", [SCRIPT + instance("track_script { s }"), instance('notify "/bin/n"')])
def test_scripts_without_script_security(text: str) -> None:
    assert codes(load_text(text)) == ["warning script-security"]
    assert codes(load_text(SECURE + text)) == []


@pytest.mark.parametrize("password", ["Add-Your-Password-Here", "1111", "changeme"])
def test_a_samples_password(password: str) -> None:
    loaded = load_text(instance(f"authentication {{\nauth_type PASS\nauth_pass {password}\n}}"))
    assert "note placeholder-password" in codes(loaded)
    assert password not in messages(loaded)


def test_no_password_is_ever_printed() -> None:
    loaded = load_text(instance("authentication {\nauth_type PASS\nauth_pass correct-horse battery staple\n}"))
    assert sorted(codes(loaded)) == ["error extra-argument", "error password-too-long"]
    for part in ("correct", "battery", "staple"):
        assert part not in messages(loaded)
        assert part not in repr(loaded.config)
