"""A program that runs a VRRP speaker in its own asyncio loop, without a configuration file.

Two of these on one link share 192.0.2.100: run it as root on both machines (or in two namespaces),

    python3 examples/library_speaker.py eth0 192.0.2.100/24 --priority 150

and watch the address move when one of them is stopped.
"""

import argparse
import asyncio
import logging
import signal
from ipaddress import ip_interface

from pyvrrp import Config, Parameters, Speaker, Transition, VirtualAddress, VrrpInstance


def configuration(interface: str, address: str, priority: int) -> Config:
    vip = VirtualAddress(interface=ip_interface(address), device=interface)
    parameters = Parameters(vrid=51, family=vip.address.version, version=3, priority=priority, addresses=(vip.address,))
    instance = VrrpInstance(name="EXAMPLE", interface=interface, parameters=parameters, virtual_addresses=(vip,))
    return Config(instances=(instance,))


def moved(instance: str, transition: Transition) -> None:
    print(f"{instance} is {transition.new.value}: {transition.reason.value} {transition.detail}", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description="share an address by VRRPv3")
    parser.add_argument("interface")
    parser.add_argument("address", help="ADDRESS/PREFIX")
    parser.add_argument("--priority", type=int, default=100)
    arguments = parser.parse_args()

    speaker = Speaker(configuration(arguments.interface, arguments.address, arguments.priority))
    speaker.observers.append(moved)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with speaker:  # priority 0 is said, and the address released, on the way out
        await stop.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main())
