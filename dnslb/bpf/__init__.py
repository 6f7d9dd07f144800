"""eBPF without a compiler: an assembler, bpf(2), maps, programs and XDP links; it knows nothing of DNS."""
