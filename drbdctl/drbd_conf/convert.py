"""The same configuration in the syntax of 8.4 or 9, proved by reading it again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from drbdctl.drbd_conf import Loaded, loads
from drbdctl.drbd_conf.keywords import Version
from drbdctl.drbd_conf.reader import Comment
from drbdctl.drbd_conf.versions import fit
from drbdctl.drbd_conf.writer import write
from pyvrrp.config.diagnostics import Diagnostics, Position


@dataclass(frozen=True, slots=True)
class Converted:
    """The text, what was lost on the way, and whether the text says the same."""

    text: str
    diagnostics: Diagnostics
    "losses; with an error the text is not to be used"


def convert(loaded: Loaded, version: Version) -> Converted:
    """Write what was read for `version`, read that again and compare the two models.

    A configuration that has errors itself is not converted: the text is empty.
    """
    diagnostics = Diagnostics()
    if loaded.diagnostics.errors:
        for found in loaded.diagnostics.errors:
            diagnostics.add(found)
        return Converted("", diagnostics)
    wanted = fit(loaded.config, version, diagnostics)
    text = write(wanted, version)
    again = loads(text, name="converted")
    if again.config != wanted or again.diagnostics.errors:
        reason = next((str(found) for found in again.diagnostics.errors), "the text does not say what the file says")
        diagnostics.error(
            Position(loaded.files[0], 1), "not-proved", f"the conversion went wrong: {reason}", "please report the file"
        )
    for comment in _dropped(loaded.comments, again.comments):
        diagnostics.note(
            comment.position, "comment-dropped", f"this comment has no place: {comment.text[:60]}", "copy it by hand"
        )
    if len(loaded.files) > 1:
        diagnostics.note(
            Position(loaded.files[0], 1),
            "includes-joined",
            f"{len(loaded.files)} files became one",
            "split it as you like",
        )
    return Converted(text, diagnostics)


def _dropped(before: tuple[Comment, ...], after: tuple[Comment, ...]) -> list[Comment]:
    kept = Counter(comment.text for comment in after)
    dropped: list[Comment] = []
    for comment in before:
        if kept[comment.text] > 0:
            kept[comment.text] -= 1
        elif comment.text:
            dropped.append(comment)
    return dropped
