"""A program with a speaker and a test plugin: a gate and a check that are steered by files in the current directory.

`open` lets the gate be acquired, `refuse` makes it fail, `slow` delays its release by a second; `unhealthy` fails the
check. Each step is a line on standard output: monotonic time, what, whether the VIP is on eth0 at that moment.
"""

import asyncio
import contextlib
import signal
import sys
import time
from ipaddress import ip_interface
from pathlib import Path

from pyvrrp import Config, Parameters, Speaker, VirtualAddress, VrrpInstance
from pyvrrp.config.model import Track
from pyvrrp.daemon.plugins import GateFailed, TrackerSpec

VIP = "192.0.2.100/24"


def there(name):
    return Path(name).exists()


class Files:
    """The plugin, its service and its gate."""

    name = "files"
    keywords = instance_keywords = ()

    def __init__(self):
        self.speaker = None
        self.trackers = [TrackerSpec(kind="files", name="check", run=self.check)]

    def configure(self, config, diagnostics):
        return self

    def gates(self, instance):
        return [self]

    async def start(self):
        self.say("start")

    async def stop(self):
        self.say("stop")

    def status(self):
        return {}

    async def check(self, report):
        while True:
            bad = there("unhealthy")
            report(not bad, "there is a file `unhealthy`" if bad else "fine")
            await asyncio.sleep(0.02)

    async def acquire(self):
        self.say("acquire")
        while not there("open"):
            if there("refuse"):
                raise GateFailed("there is a file `refuse`")
            await asyncio.sleep(0.01)
        self.say("acquired")

    async def release(self):
        self.say("release")
        if there("slow"):
            await asyncio.sleep(1.0)
        self.say("released")

    def say(self, what):
        node = getattr(self.speaker, "node", None)
        vip = node is not None and any(str(each) == VIP for each in node.netlink.addresses("eth0"))
        print(time.monotonic(), what, "vip" if vip else "-", flush=True)


async def main(priority):
    plugin = Files()
    vip = VirtualAddress(interface=ip_interface(VIP), device="eth0")
    parameters = Parameters(
        vrid=51, priority=priority, addresses=(vip.address,), gate_cool_down=1.0, garp_master_delay=0
    )
    instance = VrrpInstance(
        name="GATED",
        interface="eth0",
        parameters=parameters,
        virtual_addresses=(vip,),
        tracks=(Track("files", "check", weight=0),),
    )
    plugin.speaker = speaker = Speaker(Config(instances=(instance,)), plugins=[plugin])
    speaker.observers.append(lambda _, transition: plugin.say(transition.new.value))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with speaker:
        await stop.wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1])))
