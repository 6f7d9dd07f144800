"""The Linux edge: sockets, netlink, addresses, scripts."""
