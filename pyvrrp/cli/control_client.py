"""Ask the daemon through its control socket; blocking, with one deadline for the whole exchange."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ANSWER_BYTES = 256 * 1024 * 1024
_CHUNK = 256 * 1024


class NotRunning(Exception):
    """No daemon listens; the text says what was tried and what to do."""


class ControlError(Exception):
    """The daemon is there but gave no result; the text says why."""


def call(path: Path, method: str, parameters: Mapping[str, object] | None = None, *, timeout: float = 10.0) -> Any:
    """The `result` of a method, `timeout` in seconds.

    Raises NotRunning, or ControlError for a refusal, an error, silence or an answer that can't be read.
    """
    request = json.dumps({"method": method, "parameters": dict(parameters or {})}) + "\n"
    try:
        line = _exchange(path, request.encode(), time.monotonic() + timeout)
        answer = json.loads(line)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        hint = "start it (`systemctl start pyvrrp`, `pyvrrp run`), or name its directory with --run-dir"
        raise NotRunning(f"pyvrrp is not running ({path}: {error.strerror}); {hint}") from error
    except PermissionError as error:
        raise ControlError(
            f"{path}: permission denied; ask as root, or as a member of the group of {path.parent}"
        ) from error
    except TimeoutError as error:
        raise ControlError(f"{path}: no answer within {timeout:g} s; the daemon hangs, or is stopped") from error
    except OSError as error:
        raise ControlError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ControlError(f"{path}: the answer is no line of JSON ({error}); is it a pyvrrp that listens?") from error
    if not isinstance(answer, dict) or answer.get("ok") is not True or "result" not in answer:
        why = answer.get("error") if isinstance(answer, dict) else None
        raise ControlError(f"{path}: {why or 'the answer has no result; is it a pyvrrp that listens?'}")
    return answer["result"]


def _exchange(path: Path, request: bytes, deadline: float) -> bytes:
    """Send the request and return the answer's line."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(_left(deadline))
        channel.connect(str(path))
        with contextlib.suppress(BrokenPipeError):  # it has refused us already, and said why
            channel.sendall(request)
        answer = bytearray()
        while not answer.endswith(b"\n") and len(answer) < _ANSWER_BYTES:
            channel.settimeout(_left(deadline))
            chunk = channel.recv(_CHUNK)
            if not chunk:
                break
            answer += chunk
    return bytes(answer)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
