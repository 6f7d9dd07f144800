"""Numbers for a monitoring system: what a metric is, and the text that Prometheus reads; pure.

https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4), and OpenMetrics 1.0.0 (RFC-style text at
https://prometheus.io/docs/specs/om/open_metrics_spec/). Both are written here and not by prometheus-client: our
numbers are read off the snapshot when somebody asks, so that its registry and its counters would stand idle, and what
is left of it is this page. Its parsers judge this page in the tests.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import islice

TEXT = "text/plain; version=0.0.4; charset=utf-8"
"the media type of the text format"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LABEL_VALUE = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\"", "\0": "\N{REPLACEMENT CHARACTER}"})
_BATCH = 64
"samples of one piece of text: a fraction of a millisecond"


class Kind(Enum):
    """What may be done with the numbers of a metric."""

    COUNTER = "counter"
    "they only grow, from 0 at a start, or when somebody clears them; the name ends in `_total`"
    GAUGE = "gauge"
    INFO = "info"
    "always 1, the labels tell; the name ends in `_info`"


_ENDS = {Kind.COUNTER: "_total", Kind.INFO: "_info", Kind.GAUGE: ""}


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured; ValueError for a name or labels that Prometheus would not take."""

    name: str
    "as samples have it; seconds and bytes are its last word but `_total`"
    kind: Kind
    help: str
    "one sentence, for a person"
    labels: tuple[str, ...] = ()
    "the names of the labels of every sample"

    def __post_init__(self) -> None:
        for name in (self.name, *self.labels):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a metric or a label")
        if not self.name.endswith(_ENDS[self.kind]):
            raise ValueError(f"{self.name}: the name of this {self.kind.value} ends in {_ENDS[self.kind]}")

    @property
    def family(self) -> str:
        """The name without the ending that its kind gives it."""
        return self.name.removesuffix(_ENDS[self.kind])


Sample = tuple[tuple[object, ...], float]
"the values of the labels, in the order of their names, and the number; True counts as 1"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric and its samples, which are read once; none: it is not written."""

    metric: Metric
    samples: Iterable[Sample]


def exposition(families: Iterable[Family], *, openmetrics: bool = False) -> Iterator[str]:
    """The text, in pieces of whole lines that take little time each; no two families may be of one metric."""
    for family in families:
        metric = family.metric
        lines = _lines(metric, family.samples)
        batch = "".join(islice(lines, _BATCH))
        if batch:
            yield _head(metric, openmetrics=openmetrics)
        while batch:
            yield batch
            batch = "".join(islice(lines, _BATCH))
    if openmetrics:
        yield "# EOF\n"


def _head(metric: Metric, *, openmetrics: bool) -> str:
    name = metric.family if openmetrics else metric.name
    kind = metric.kind.value if openmetrics or metric.kind is not Kind.INFO else "gauge"
    text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        text = text.replace('"', r"\"")
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def _lines(metric: Metric, samples: Iterable[Sample]) -> Iterator[str]:
    name, labels = metric.name, metric.labels
    for values, number in samples:
        if labels:
            told = [f'{label}="{_text(value)}"' for label, value in zip(labels, values, strict=True)]
            yield f"{name}{{{','.join(told)}}} {_number(number)}\n"
        else:
            yield f"{name} {_number(number)}\n"


def _text(value: object) -> str:
    return str(value).translate(_LABEL_VALUE)


def _number(value: float) -> str:
    if isinstance(value, int):  # a bool too
        return str(int(value))
    if math.isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(round(value, 9))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def accepts_openmetrics(accept: str) -> bool:
    """Whether who sends this Accept header (RFC 9110, 12.5.1) likes OpenMetrics at least as well as plain text."""
    wishes = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for each in accept.split(","):
        media, *parameters = (part.strip().lower() for part in each.split(";"))
        if media in wishes:
            wishes[media] = max(wishes[media], _quality(parameters))
    return 0 < wishes["application/openmetrics-text"] >= wishes["text/plain"]


def _quality(parameters: Iterable[str]) -> float:
    for each in parameters:
        if each.startswith("q="):
            found = re.fullmatch(r"q=([01](?:\.\d{0,3})?)", each)
            return min(float(found[1]), 1.0) if found else 0.0
    return 1.0
