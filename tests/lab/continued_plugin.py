"""A plugin that the daemon finds by its entry point: what it has lives by descriptors, and goes on over a restart.

A FIFO, `first` in PYVRRP_TEST_DIRECTORY: a test that reads it sees its end when nobody has the other end any more.
An nftables table `continued`, which the kernel deletes with the last descriptor of its owner's socket.
A file `change` there has `second` opened instead, `many` more than can be kept. `said` tells what happened.
"""

import asyncio
import contextlib
import os
from pathlib import Path

from dnslb.dataplane.libnftables import Libnftables

HERE = Path(os.environ.get("PYVRRP_TEST_DIRECTORY", "/nonexistent"))


class Continuing:
    name = "continuing"
    keywords = instance_keywords = trackers = ()

    def configure(self, config, diagnostics):
        return Service()


class Service:
    """The table outlives a reload, the pipe does not."""

    trackers = ()
    nft = None

    def __init__(self):
        self.taken, self.instances = {}, ()
        self.has = {}

    def gates(self, instance):
        return []

    def take_over(self, descriptors, instances, changed):
        self.taken, self.instances, self.changed = descriptors, sorted(instances), changed

    def descriptors(self):
        if (HERE / "many").exists():
            return {str(number): 0 for number in range(300)}
        return self.has

    async def start(self):
        self.say(f"start {sorted(self.taken)} {self.instances}")
        self.has = dict(self.taken)
        if "table" in self.has:
            Service.nft = Libnftables(adopt=self.has["table"])
        elif self.nft is None:
            Service.nft = Libnftables()
            self.nft.run("create table inet continued { flags owner; }")
        self.has["table"] = self.nft.fileno()
        if "pipe" not in self.has:
            self.open("first")
        self.task = asyncio.create_task(self.work())

    async def stop(self):
        self.say("stop")
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        os.close(self.has["pipe"])

    def status(self):
        return {}

    def open(self, name):
        self.has["pipe"] = os.open(HERE / name, os.O_RDWR)

    async def work(self):
        while True:
            await asyncio.sleep(0.02)
            if (HERE / "change").exists():
                os.close(self.has["pipe"])
                self.open("second")
                self.changed()
                (HERE / "change").unlink()
            if (HERE / "many").exists():
                self.changed()

    @staticmethod
    def say(what):
        with (HERE / "said").open("a") as file:
            print(what, file=file)


def install(directory):
    """Make `directory` a place on PYTHONPATH where the entry point is found."""
    directory.mkdir()
    for name in ("first", "second"):
        os.mkfifo(directory / name)
    (directory / "continued_plugin.py").write_text(Path(__file__).read_text())
    metadata = directory / "continued_plugin-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: continued-plugin\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[pyvrrp.plugins]\ncontinuing = continued_plugin:Continuing\n")
