"""The head of an HTTP request (RFC 9112), as far as a listener that only gives things out needs it; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"/[\x21-\x7e]*")
_VERSION = re.compile(r"HTTP/1\.[0-9]")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class BadRequest(ValueError):
    """It is no HTTP request; the text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for."""

    method: str
    path: str
    "without the query, not decoded"
    headers: Mapping[str, str] = field(default_factory=dict)
    "by name in lower case; the values of one that comes several times are joined by a comma"


def parse(head: bytes) -> Request:
    """Read all up to and with the empty line; raises BadRequest."""
    if not head.endswith(b"\r\n\r\n"):
        raise BadRequest("the head does not end in an empty line")
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]) or not _VERSION.fullmatch(parts[2]):
        raise BadRequest("the first line is not METHOD TARGET HTTP/1.1")
    if not _TARGET.fullmatch(parts[1]):
        raise BadRequest("the target does not begin with a slash")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise BadRequest("a header is not NAME: VALUE")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Request(parts[0], parts[1].partition("?")[0], headers)
