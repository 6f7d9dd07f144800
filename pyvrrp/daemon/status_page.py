"""The status as one HTML page without scripts, to be read on a telephone at 3 a.m.; pure.

All text comes from files, scripts and other hosts, and none of it is ever taken for HTML.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from pyvrrp.core.report import Entry, Mood, worst

REFRESH = 5
"seconds"

_CLASSES = {Mood.PLAIN: "plain", Mood.GOOD: "good", Mood.WATCH: "watch", Mood.BAD: "bad"}
_STYLE = """
:root{color-scheme:light dark;--bg:#f5f5f3;--card:#fff;--fg:#1c1c1a;--dim:#62625e;--line:#dcdcd7;
--plain:#8b8b86;--good:#1a7f37;--watch:#9a6700;--bad:#cf222e}
@media(prefers-color-scheme:dark){:root{--bg:#121211;--card:#1d1d1b;--fg:#ecece6;--dim:#a0a09a;--line:#33332f;
--plain:#85857f;--good:#3fb950;--watch:#e3b341;--bad:#ff7b72}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--bg);color:var(--fg);
font:1rem/1.4 system-ui,sans-serif;overflow-wrap:anywhere}
header{display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:baseline;justify-content:space-between}
h1{font-size:1.4rem;margin:0}
h2{font-size:.85rem;margin:1.6rem 0 .5rem;color:var(--dim);text-transform:uppercase;letter-spacing:.06em}
time,.said{color:var(--dim);font-size:.9rem}
.banner{margin:.8rem 0 0;padding:.7rem .9rem;border-radius:.5rem;font-weight:700;color:#fff;background:var(--mood)}
.banner ul{margin:.4rem 0 0;padding-left:1.1rem;font-weight:400}
.good{--mood:var(--good)}.watch{--mood:var(--watch)}.bad{--mood:var(--bad)}.plain{--mood:var(--plain)}
@media(prefers-color-scheme:dark){.banner{color:#111}}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr));gap:.6rem}
article{background:var(--card);border:1px solid var(--line);border-left:.35rem solid var(--mood);
border-radius:.5rem;padding:.6rem .8rem}
.head{display:flex;flex-wrap:wrap;gap:0 .8rem;justify-content:space-between;align-items:baseline}
h3{font-size:1.05rem;margin:0}
.word{font-weight:700;color:var(--mood)}
.said{margin:.15rem 0 0}
.part{border-top:1px solid var(--line);margin-top:.45rem;padding-top:.4rem}
.part h3{font-size:.95rem;font-weight:500}
.part .part{margin-left:.8rem}
"""


def page(name: str, taken: str, problems: Sequence[str], report: Mapping[str, Sequence[Entry]]) -> Iterator[str]:
    """In pieces: of the node `name`, as it was at `taken` (ISO 8601); what is worst comes first below each headline.

    The banner is red when and only when there are `problems`, that is, when /healthz says no.
    """
    mood = Mood.BAD if problems else min(worst(each for entries in report.values() for each in entries), Mood.WATCH)
    sign = {Mood.BAD: "!!", Mood.WATCH: "!"}.get(mood, "ok")
    yield (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{sign} {escape(name)}: pyvrrp</title>\n'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f'<meta http-equiv="refresh" content="{REFRESH}"><style>{_STYLE}</style></head><body>\n'
    )
    at = f"{escape(taken[:10])} {escape(taken[11:19])} UTC"
    yield f"<header><h1>{escape(name)}</h1><time>{at}, again every {REFRESH} s</time></header>\n"
    yield _banner(mood, problems)
    for headline, entries in report.items():
        yield f'<h2>{escape(headline)}</h2>\n<div class="cards">\n'
        for entry in sorted(entries, key=lambda entry: -worst([entry])):
            yield f'<article class="{_CLASSES[worst([entry])]}">{_entry(entry)}</article>\n'
        yield "</div>\n"
    yield "</body></html>\n"


def _banner(mood: Mood, problems: Sequence[str]) -> str:
    match mood:
        case Mood.BAD:
            told = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
        case Mood.WATCH:
            told = "It works; something is to be looked at"
        case _:
            told = "All is well"
    listed = "".join(f"<li>{escape(each)}</li>" for each in problems)
    return f'<div class="banner {_CLASSES[mood]}">{told}{f"<ul>{listed}</ul>" if listed else ""}</div>\n'


def _entry(entry: Entry) -> str:
    word = f'<span class="word {_CLASSES[entry.mood]}">{escape(entry.word)}</span>' if entry.word else ""
    said = "".join(f'<p class="said">{escape(each)}</p>' for each in entry.sentences)
    parts = "".join(f'<div class="part">{_entry(part)}</div>' for part in entry.parts)
    return f'<div class="head"><h3>{escape(entry.title)}</h3>{word}</div>{said}{parts}'
