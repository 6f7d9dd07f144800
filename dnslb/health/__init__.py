"""Whether a DNS server answers, and answers right."""
