"""The services of plugins: who follows the addresses, who takes commands, and that one's fault is not the others'."""

import asyncio
import logging

import pytest

from pyvrrp.config.model import Config
from pyvrrp.daemon.journal import Journal, read
from pyvrrp.daemon.plugins import CommandRefused
from pyvrrp.daemon.services import Services


class Plain:
    """A plugin that is its own service, and has nothing but what it must have."""

    trackers = ()

    def __init__(self, name):
        self.name = name
        self.calls = []

    def configure(self, config, diagnostics):
        return self

    def gates(self, instance):
        return ()

    async def start(self):
        self.calls.append("start")

    async def stop(self):
        self.calls.append("stop")

    def status(self):
        return {}


class Following(Plain):
    def hold(self, instance, held):
        self.calls.append((instance, held))
        if instance == "BAD":
            raise RuntimeError("a mistake")


class Undone(Plain):
    undo = (["remove", "192.0.2.53"],)


class Commanded(Plain):
    async def command(self, words):
        if words == ["no"]:
            raise CommandRefused("not now; ask later")
        return {"words": list(words)}


def test_what_ends_a_service_is_written_down_before_it_starts(tmp_path):
    journal = Journal.open(tmp_path / "journal")

    class Looking(Undone):
        async def start(self):
            self.calls.append(read(tmp_path / "journal").services)

    looking = Looking("looking")
    asyncio.run(Services([Plain("plain"), looking], Config(), journal=journal).start([]))
    assert looking.calls == [{"looking": (("remove", "192.0.2.53"),)}]
    asyncio.run(Services([Plain("looking")], Config(), journal=journal).start([]))
    assert read(tmp_path / "journal").services == {"looking": ()}


def test_those_that_follow_hear_of_the_addresses():
    plain, first, second = Plain("plain"), Following("first"), Following("second")
    services = Services([plain, first, second], Config())
    services.hold("DNS", True)
    services.hold("DNS", False)
    assert first.calls == second.calls == [("DNS", True), ("DNS", False)]
    assert plain.calls == []


def test_one_that_fails_is_logged_and_the_others_hear_of_it(caplog):
    first, second = Following("first"), Following("second")
    with caplog.at_level(logging.ERROR, "pyvrrp"):
        Services([first, second], Config()).hold("BAD", True)
    assert second.calls == [("BAD", True)]
    assert [record.message for record in caplog.records] == [
        "plugin first: hold(BAD, True) failed",
        "plugin second: hold(BAD, True) failed",
    ]


def test_commands_reach_their_plugin():
    services = Services([Plain("plain"), Commanded("dnslb")], Config())
    assert asyncio.run(services.command("dnslb", ["explain", "192.0.2.1"])) == {"words": ["explain", "192.0.2.1"]}
    with pytest.raises(CommandRefused, match="not now; ask later"):
        asyncio.run(services.command("dnslb", ["no"]))


@pytest.mark.parametrize("plugin", ["plain", "nobody"])
def test_a_plugin_that_takes_no_commands_is_named_with_those_that_do(plugin):
    services = Services([Plain("plain"), Commanded("dnslb")], Config())
    with pytest.raises(CommandRefused, match=f"there is no plugin '{plugin}' that takes commands; there are: dnslb"):
        asyncio.run(services.command(plugin, []))
    with pytest.raises(CommandRefused, match="there are: none"):
        asyncio.run(Services([], Config()).command(plugin, []))
