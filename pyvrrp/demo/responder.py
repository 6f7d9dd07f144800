"""A small DNS server for the demo where unbound is not installed: it answers from the `local-data` of an unbound.conf.

python -m pyvrrp.demo.responder unbound.conf dns1
"""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import struct
import sys
from pathlib import Path
from threading import Thread

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset

from pyvrrp.demo.probe import as_source, pktinfo_socket

LOCAL_DATA = re.compile(r'^\s*local-data:\s*"(.*)"', re.MULTILINE)


class Zone:
    """The records of a configuration file, and the name that this server tells of itself (NSID)."""

    def __init__(self, file: Path, nsid: str) -> None:
        self._nsid = nsid.encode()
        self._records: dict[tuple[dns.name.Name, int], dns.rrset.RRset] = {}
        for record in LOCAL_DATA.findall(file.read_text()):
            owner, ttl, _, kind, *data = record.split()
            rrset = dns.rrset.from_text(owner, int(ttl), "IN", kind, " ".join(data))
            self._records[rrset.name, rrset.rdtype] = rrset

    def answer(self, wire: bytes) -> bytes | None:
        """The answer to a query; None to what is none."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        if query.flags & dns.flags.QR or len(query.question) != 1:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        question = query.question[0]
        rrset = self._records.get((question.name, question.rdtype))
        if rrset is not None:
            response.answer.append(rrset)
        elif not any(name == question.name for name, _ in self._records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        if any(option.otype == dns.edns.OptionType.NSID for option in query.options):
            response.use_edns(0, options=[dns.edns.NSIDOption(self._nsid)])
        return response.to_wire()


def serve(zone: Zone) -> None:
    """Answer on port 53, UDP and TCP, on every address, from the address that was asked."""

    class Connection(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while len(size := self.rfile.read(2)) == 2:
                answer = zone.answer(self.rfile.read(*struct.unpack("!H", size)))
                if answer is None:
                    return
                self.wfile.write(struct.pack("!H", len(answer)) + answer)

    class Server(socketserver.ThreadingTCPServer):
        address_family = socket.AF_INET6
        allow_reuse_address = True
        daemon_threads = True

    Thread(target=Server(("::", 53), Connection).serve_forever, daemon=True).start()
    udp = pktinfo_socket(53)
    while True:
        query, ancillary, _, client = udp.recvmsg(4096, 256)
        answer = zone.answer(query)
        if answer is not None:
            with contextlib.suppress(OSError):  # the address may be gone again
                udp.sendmsg([answer], as_source(ancillary), 0, client)


if __name__ == "__main__":
    serve(Zone(Path(sys.argv[1]), sys.argv[2]))
