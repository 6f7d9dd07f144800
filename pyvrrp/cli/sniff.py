"""`pyvrrp sniff`: the advertisements on a link, read by scapy: a second opinion, independent of our own decoder."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

OK, USAGE, _, MISSING = range(4)
_NOT_PERMITTED = 4


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "sniff",
        help="print the advertisements on a link, decoded by scapy",
        description="Print each VRRP packet on an interface, decoded by scapy and not by our own code. "
        "Needs the extra [sniff] (pip install 'pyvrrp[sniff]') and CAP_NET_RAW.",
        epilog="exit status: 0 done, 1 no such interface, 3 scapy is not installed, 4 not permitted.",
    )
    parser.add_argument("interface", help="eth0, or the bridge where every packet passes")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="stop after N packets (default: never)")
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after S seconds (default: never)")


def run(arguments: argparse.Namespace) -> int:
    """Listen until interrupted, or until enough was seen."""
    try:
        from scapy.layers import inet, inet6, vrrp  # noqa: F401  # what is imported is what gets decoded
        from scapy.sendrecv import sniff
    except ImportError:
        print("pyvrrp sniff: scapy is not installed; pip install 'pyvrrp[sniff]'", file=sys.stderr)
        return MISSING
    try:
        sniff(
            iface=arguments.interface,
            lfilter=is_vrrp,
            prn=lambda packet: print(describe(packet), flush=True),
            store=False,
            count=arguments.count,
            timeout=arguments.seconds,
        )
    except PermissionError:
        print("pyvrrp sniff: not permitted; run as root, or with CAP_NET_RAW", file=sys.stderr)
        return _NOT_PERMITTED
    except (OSError, ValueError) as error:
        print(f"pyvrrp sniff: {arguments.interface}: {error}; `ip link` lists the interfaces", file=sys.stderr)
        return USAGE
    return OK


def is_vrrp(packet: Any) -> bool:
    """Whether it carries VRRP, bare or behind an Authentication Header."""
    from scapy.layers.vrrp import VRRP, VRRPv3

    return VRRP in packet or VRRPv3 in packet or (packet.haslayer("IP") and packet["IP"].proto == 51)


def describe(packet: Any) -> str:
    """One line: time, addresses, TTL, and the fields that the election looks at."""
    from scapy.layers.vrrp import VRRP, VRRPv3

    ip = packet["IP"] if packet.haslayer("IP") else packet["IPv6"]
    ttl = ip.ttl if packet.haslayer("IP") else ip.hlim
    when = time.strftime("%H:%M:%S", time.localtime(float(packet.time))) + f"{float(packet.time) % 1:.6f}"[1:]
    head = f"{when} {ip.src} > {ip.dst} ttl {ttl}"
    if VRRPv3 in packet:
        vrrp = packet[VRRPv3]
        tail = f"VRRPv3 vrid {vrrp.vrid} prio {vrrp.priority} intvl {vrrp.adv / 100:g} s"
    elif VRRP in packet:
        vrrp = packet[VRRP]
        tail = f"VRRPv{vrrp.version} vrid {vrrp.vrid} prio {vrrp.priority} intvl {vrrp.adv} s auth {vrrp.authtype}"
    else:
        return f"{head} Authentication Header, {len(bytes(ip.payload))} bytes (the extra knows no VRRP behind AH)"
    return f"{head} {tail} {', '.join(map(str, vrrp.addrlist))}"
