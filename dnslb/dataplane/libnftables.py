"""nftables through libnftables, by ctypes: a context keeps its netlink socket, and so the tables with `flags owner`.

The kernel deletes such a table when the last descriptor of the socket is closed, also by SIGKILL. A duplicate in
another process (SCM_RIGHTS) keeps the table alive, and a new context can `adopt` it: that is the owner then.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import socket
import threading
from ctypes import c_bool, c_char_p, c_int, c_uint32, c_void_p

LIBRARY = "libnftables.so.1"
NETLINK_NETFILTER = 12
_FIRST_ERROR = re.compile(r"Error: (.*)")
sockets_lock = threading.Lock()
"held by whoever opens a netlink socket of netfilter: that of a context is told by its being new"


class NftablesError(Exception):
    """libnftables is not there, or the kernel refused; one line."""


class Libnftables:
    """A context; one thread at a time may use it."""

    def __init__(self, library: str = LIBRARY, *, adopt: int | None = None) -> None:
        """`adopt`: a descriptor of another context's socket, to go on with instead of a new one; closed on success.

        Raises NftablesError.
        """
        self._library = _load(library)
        with sockets_lock:
            before = _netfilter_sockets()
            self._context: int | None = self._library.nft_ctx_new(0)
            if not self._context:
                raise NftablesError("libnftables makes no context: out of memory")
            new = _netfilter_sockets() - before
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)
        if len(new) != 1:
            self.close()
            raise NftablesError(f"{library} opens {len(new)} netlink sockets, not one: it is newer than what we know")
        (self._socket,) = new
        if adopt is not None:
            os.dup2(adopt, self._socket)
            os.close(adopt)
            self._discard_answers()
        os.set_inheritable(self._socket, False)  # a child that has it would keep our tables

    def fileno(self) -> int:
        """The descriptor of its netlink socket."""
        return self._socket

    def run(self, commands: str, *, dry: bool = False) -> str:
        """Run commands in nft's language as one transaction, all or nothing; what `list` ones print.

        `dry`: the kernel judges them, and changes nothing. Raises NftablesError with the first refusal.
        """
        if self._context is None:
            raise NftablesError("the nftables context is closed")
        self._library.nft_ctx_set_dry_run(self._context, dry)
        failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output = self._library.nft_ctx_get_output_buffer(self._context) or b""
        errors = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            raise NftablesError(_sentence(errors.decode(errors="replace")))
        return bytes(output).decode(errors="replace")

    def close(self) -> None:
        """Close its socket, and so give up the tables that it owns; idempotent."""
        if self._context is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def _discard_answers(self) -> None:
        """What the kernel said to the former owner, who died before it read it."""
        with socket.socket(fileno=os.dup(self._socket)) as inherited:
            while True:
                try:
                    inherited.recv(1, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    return
                except OSError:  # ENOBUFS: it was more than the socket could hold
                    continue


def _load(name: str) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(name)
    except OSError:
        raise NftablesError(f"{name} is not installed: install the package libnftables1 (or nftables)") from None
    context = [c_void_p]
    for function, arguments, result in (
        ("nft_ctx_new", [c_uint32], c_void_p),
        ("nft_ctx_free", context, None),
        ("nft_ctx_buffer_output", context, c_int),
        ("nft_ctx_buffer_error", context, c_int),
        ("nft_ctx_get_output_buffer", context, c_char_p),
        ("nft_ctx_get_error_buffer", context, c_char_p),
        ("nft_ctx_set_dry_run", [c_void_p, c_bool], None),
        ("nft_run_cmd_from_buffer", [c_void_p, c_char_p], c_int),
    ):
        getattr(library, function).argtypes = arguments
        getattr(library, function).restype = result
    return library


def _netfilter_sockets() -> set[int]:
    """The descriptors of this process that are netlink sockets of the netfilter family."""
    found = set()
    for entry in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{entry}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(entry))) as each:
                if each.family == socket.AF_NETLINK and each.proto == NETLINK_NETFILTER:
                    found.add(int(entry))
        except OSError:  # another thread closed it
            continue
    return found


def _sentence(errors: str) -> str:
    """The first refusal, without the place in our text and the text itself."""
    first = _FIRST_ERROR.search(errors)
    if first and first[1].endswith(
        os.strerror(errno.EMSGSIZE)
    ):  # root of a user namespace has no more room than others
        return "the change is larger than net.core.wmem_max allows: raise it, or use fewer services"
    return first[1] if first else " ".join(errors.split())[:200] or "it failed, and said nothing"
