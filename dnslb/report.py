"""What the status page tells of dnslb: who gets which part of the queries, and why; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pyvrrp.core.report import Entry, Mood

Part = Mapping[str, Any]
_GOOD = ("up", "standby", "sorry")
_BAD = ("down", "panic")


def entries(part: Part) -> Iterator[Entry]:
    """An entry for each virtual server, and for each block of the local real server."""
    problems = part.get("problems", ())
    for name, served in part.get("virtual_servers", {}).items():
        yield _virtual_server(name, served, part["interfaces"].get(served["interface"]), problems)
    for block in part.get("blocks", ()):
        held = block["state"] == "held"
        said = [f"{name}: {detail}" for name, detail in block["checks"].items()]
        mood = Mood.GOOD if held else Mood.WATCH
        yield Entry(f"real server for {', '.join(block['virtual_ipaddress'])}", block["state"], mood, said)


def _virtual_server(name: str, served: Part, interface: Part | None, problems: list[str]) -> Entry:
    mine = [each for each in problems if each.startswith(f"{name}: ")]
    servers = [_server(each) for each in served["servers"]]
    used = sum(each["share"] > 0 for each in served["servers"])
    engine = interface["problem"] or interface["chosen"] if interface else served["problem"]
    causes = [
        f"all fail {each['check']}: {each['cause']} ({each['detail']}); it is not the servers"
        for each in served["common_causes"]
    ]
    where = "its addresses are here" if served["held"] else "its addresses are not here"
    said = [*mine, *causes, f"{', '.join(served['endpoints'])}; {where}", *([engine] if engine else [])]
    watch = causes or served["findings"] or any(each.mood is not Mood.GOOD for each in servers)
    mood = Mood.BAD if mine else Mood.WATCH if watch else Mood.GOOD
    return Entry(name, f"{used} of {len(servers)} in use", mood, [*said, *served["findings"]], servers)


def _server(server: Part) -> Entry:
    standing = server["standing"]
    mood = Mood.GOOD if standing in _GOOD else Mood.WATCH
    rate = f"{server['share']:.0%}, {server['qps']:g} q/s"
    why = server["why"].removeprefix(f"{server['name']}: ")
    return Entry(
        f"{server['name']} {server['address']}", f"{standing}, {rate}", mood, [why, *server.get("warnings", ())]
    )
