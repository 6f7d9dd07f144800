"""did_you_mean: the words that people mistype."""

import pytest

from pyvrrp.config.suggest import did_you_mean

KEYWORDS = (
    "vrrp_instance", "vrrp_sync_group", "vrrp_script", "virtual_router_id", "virtual_ipaddress", "priority", "state",
    "advert_int", "authentication", "auth_pass", "auth_type", "nopreempt", "interface", "notify", "notify_stop",
)  # fmt: skip


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("vrpp_instance", "vrrp_instance"),
        ("vrrp_instnace", "vrrp_instance"),
        ("VRRP_INSTANCE", "vrrp_instance"),
        ("virtual-router-id", "virtual_router_id"),
        ("virtual_ipadress", "virtual_ipaddress"),
        ("authentification", "authentication"),
        ("pirority", "priority"),
        ("sate", "state"),
        ("no_preempt", "nopreempt"),
        ("notify_stopp", "notify_stop"),
        ("advertint", "advert_int"),
    ],
)
def test_a_mistyped_word(word: str, meant: str) -> None:
    assert did_you_mean(word, KEYWORDS) == meant


@pytest.mark.parametrize("word", ["", "x", "foo", "<<<<<<<", "real_server", "weight"])
def test_nothing_is_near(word: str) -> None:
    assert did_you_mean(word, KEYWORDS) is None


def test_letter_case_comes_before_distance() -> None:
    assert did_you_mean("master", ("Mister", "MASTER")) == "MASTER"


def test_the_nearest_wins_and_of_equals_the_first() -> None:
    assert did_you_mean("notifx", ("notify_stop", "notifies", "notify")) == "notify"
    assert did_you_mean("eth2", ("eth0", "eth1")) == "eth0"


def test_exchanged_letters_are_one_mistake() -> None:
    assert did_you_mean("ehtx", ("ethx",)) == "ethx"


def test_half_of_a_short_word_is_not_near() -> None:
    assert did_you_mean("abc", ("xb", "a")) is None
