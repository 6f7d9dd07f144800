"""The authentication block of an instance."""

from __future__ import annotations

from pyvrrp.config.model import Authentication
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Word

_KEY_LENGTH = 8
_PLACEHOLDERS = ("add-your-password-here", "password", "passwd", "changeme", "secret", "mypassword", "1111", "1234")
"samples' passwords that were met in files in use"


def read(instance: Values, *, version: int, strict: bool) -> Authentication | None:
    """PASS or AH with its key, or None; what is left without authentication says so."""
    blocks = instance.all("authentication")
    if not blocks:
        return None
    inside = [line for block in blocks for line in block.body or ()]
    values = Values(instance.owner, inside, instance.diagnostics, blocks[0].position)
    kind, password = values.word("auth_type"), _password(values)
    if strict or version == 3:
        why = "strict mode" if strict else "VRRPv3"
        hint = "remove the authentication block" + ("" if strict else " or write 'version 2'")
        values.error(
            blocks[0].position, "no-authentication", f"{why} has no authentication, the block is ignored", hint
        )
        return None
    if kind is None or kind.text not in ("PASS", "AH"):
        said = f"'auth_type {kind}' is neither PASS nor AH" if kind else "there is no auth_type"
        values.error(
            kind.position if kind else blocks[0].position,
            "no-authentication",
            f"{said}: it runs without authentication, as keepalived does",
            "write 'auth_type PASS', in capitals",
        )
        return None
    if password is None:
        values.error(
            blocks[0].position,
            "no-authentication",
            "there is no auth_pass: it runs without authentication, as keepalived does",
            "write 'auth_pass WORD' with at most 8 characters",
        )
        return None
    key = password.text.encode(errors="surrogateescape")
    return Authentication(kind.text, key[:_KEY_LENGTH].ljust(_KEY_LENGTH, b"\0"))


def _password(values: Values) -> Word | None:
    word = values.word("auth_pass")
    if word is None:
        return None
    if len(word.text.encode(errors="surrogateescape")) > _KEY_LENGTH:
        values.error(
            word.position,
            "password-too-long",
            f"auth_pass has {len(word.text)} characters, only the first {_KEY_LENGTH} are used and sent",
            "write 8 characters or fewer, the same on all routers",
        )
    if word.text.lower() in _PLACEHOLDERS:
        values.note(
            word.position,
            "placeholder-password",
            "auth_pass is still the sample's",
            "choose your own; it travels in clear text all the same",
        )
    return word
