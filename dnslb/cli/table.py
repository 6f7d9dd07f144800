"""The balancer's status as text: what is wrong first, a line for each server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dnslb.cli.daemon import Document

_HEAD = ("server", "standing", "share", "weight", "qps", "packets", "checks", "why")


def render(document: Document) -> str:
    """All virtual servers."""
    lines: list[str] = []
    for name, served in document["virtual_servers"].items():
        interface = document["interfaces"].get(served["interface"]) or {}
        lines += [*_head(name, served, interface), *_rows(served), *_remarks(served, interface), ""]
    return "\n".join(map(harmless, lines)).rstrip() or "nothing is balanced"


def aligned(rows: Sequence[Sequence[str]], *, left: frozenset[int]) -> Iterator[str]:
    """Rows as columns; those in `left` begin at the left, the last one is not filled up."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join([*cells[:-1], row[-1]]).rstrip()


def harmless(line: str) -> str:
    """The line without what would steer a terminal: other hosts have had a say in it."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)


def _head(name: str, served: Document, interface: Document) -> Iterator[str]:
    where = ", ".join(served["endpoints"][:4]) + (" ..." if len(served["endpoints"]) > 4 else "")
    here = "here" if served["held"] else "not here"
    yield f"{name}  {where}  {'+'.join(served['protocols'])}, {served['spread']}, {here}"
    if served["problem"] or interface.get("problem"):
        yield f"  NOT BALANCED: {served['problem'] or interface['problem']}"
    elif interface:
        yield f"  engine {interface['chosen'] or 'is being chosen'}"
    if served["panic"]:
        yield f"  PANIC: {served['panic']}"
    if not served["quorum"]:
        yield "  QUORUM LOST"
    if served["sorry"]:
        yield "  the sorry server gets all new flows"


def _rows(served: Document) -> Iterator[str]:
    rows = [_HEAD]
    for server in served["servers"]:
        passed = sum(check["healthy"] is True for check in server["checks"])
        rows.append(
            (
                server["name"],
                server["standing"] + (f" ({server['admin']})" if server.get("admin", "auto") != "auto" else ""),
                f"{server['share']:.1%}",
                f"{server['weight']}",
                f"{server['qps']:.0f}",
                f"{server['packets']}",
                f"{passed}/{len(server['checks'])}",
                server["why"].removeprefix(f"{server['name']}: "),
            )
        )
    return aligned(rows, left=frozenset((0, 1, 7)))


def _remarks(served: Document, interface: Document) -> Iterator[str]:
    for server in served["servers"]:
        for warning in server.get("warnings", []):
            yield f"  warning: {server['name']}: {warning}"
    for finding in served["findings"]:
        yield f"  warning: {finding}"
    arp = interface.get("arp", {})
    for leak in arp.get("leaks", []):
        yield f"  warning: {leak}"
    if arp.get("failed"):
        yield f"  warning: {arp['failed']}"
    for cause in served["common_causes"]:
        yield f"  no server passes {cause['check']}: {cause['detail']}"
    for script in served["scripts"]:
        if not script["ok"]:
            yield f"  {script['script']} FAILED {script['age']:.0f} s ago: {script['detail']}"
    passed = {why: count for why, count in interface.get("passed", {}).items() if count}
    if passed:
        yield "  left to this node: " + ", ".join(f"{count} {why}" for why, count in passed.items())
