"""`python -m pyvrrp.config.tables > docs/keywords.md`: the keyword tables as a page."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from pyvrrp.config.keywords import Keyword, Use
from pyvrrp.config.tables import ROOT

_HEAD = """\
# Keywords of keepalived.conf

Written by `python -m pyvrrp.config.tables`; do not edit. Every keyword of keepalived 2.2 to 2.4 that concerns VRRP is
here; `pyvrrp check` reports all others as errors.

- **used**: it does what keepalived.conf(5) says.
- **not yet**: known, but not supported yet; `pyvrrp check` and the daemon's log say so once for each file.
- **no effect**: of another process of keepalived's, or obsolete.
"""
_USES = {Use.USED: "used", Use.KNOWN: "not yet", Use.IGNORED: "no effect"}


def markdown() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_section("Top level", ROOT)]) + "\n"


def _section(title: str, keywords: Iterable[Keyword]) -> Iterator[str]:
    rows = sorted(keywords, key=lambda keyword: keyword.name)
    yield f"## {title}\n"
    yield "| keyword | | instead |\n| --- | --- | --- |"
    for keyword in rows:
        yield f"| `{keyword.name}` | {_USES[keyword.use]} | {keyword.hint.replace('|', chr(92) + '|')} |"
    yield ""
    for keyword in rows:
        if isinstance(keyword.body, tuple):
            yield from _section(keyword.name, keyword.body)


if __name__ == "__main__":
    sys.stdout.write(markdown())
