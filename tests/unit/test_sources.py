"""Which address an instance advertises from, and how often it is looked for."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from pyvrrp.config.load import load_text
from pyvrrp.daemon.sources import Sources

TEXT = "vrrp_instance A { interface eth0\n virtual_router_id 1\n virtual_ipaddress { 192.0.2.100 }\n }"
OWN = ip_address("192.0.2.11")


class Host:
    """One interface, and how often somebody looked at it."""

    def __init__(self):
        self.looks = 0
        self.own = OWN

    def primary_address(self, device, family, exclude):
        self.looks += 1
        assert (device, family, exclude) == ("eth0", 4, {ip_address("192.0.2.100")})
        return self.own

    def addresses(self, device):
        self.looks += 1
        return []


@pytest.fixture
def config():
    return load_text(TEXT).config


def test_it_is_looked_for_once_until_something_changes(config):
    host, sources = Host(), Sources()
    (instance,) = config.instances
    assert [sources.of(instance, host, config.vips) for _ in range(3)] == [OWN] * 3
    assert host.looks == 1
    host.own = None
    assert sources.of(instance, host, config.vips) == OWN
    sources.forget()
    assert sources.of(instance, host, config.vips) is None


def test_an_address_of_the_file_must_be_there_where_it_is_tracked(config):
    host, sources = Host(), Sources()
    (instance,) = config.instances
    named = replace(instance, source=OWN)
    assert sources.of(named, host, config.vips) == OWN
    assert sources.of(replace(named, track_source=True), host, config.vips) is None


def test_the_vips_of_a_configuration_are_gathered_once(config):
    """They are asked for at each address that comes or goes."""
    assert config.vips is config.vips
    assert replace(config, instances=()).vips == frozenset()
