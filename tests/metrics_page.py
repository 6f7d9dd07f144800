"""The tables of docs/metrics.md, made from the code: python -m tests.metrics_page writes them into the page."""

import re
from collections.abc import Iterator
from pathlib import Path

import dnslb.metrics
import drbdctl.metrics
from pyvrrp.core.metrics import Metric
from pyvrrp.daemon.metrics import DAEMON, INSTANCES

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
TABLES: dict[str, list[Metric]] = {
    "daemon": [metric for metric, _ in DAEMON],
    "instances": [metric for metric, _ in INSTANCES],
    "dnslb": [metric for metric, _ in dnslb.metrics.METRICS],
    "drbdctl": [metric for metric, _ in drbdctl.metrics.METRICS],
}


def rows(metrics: list[Metric]) -> Iterator[str]:
    yield "| metric | type | labels | |"
    yield "| --- | --- | --- | --- |"
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.help} |"


def with_tables(page: str) -> str:
    """The page, with each table between its two marks as the code has it."""
    for name, metrics in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        table = "".join(f"{row}\n" for row in rows(metrics))
        page, found = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}{table}{end}", page, flags=re.DOTALL)  # noqa: B023
        assert found == 1, f"{PAGE.name} has no place for the table {name}"
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
