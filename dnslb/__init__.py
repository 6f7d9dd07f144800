"""DNS servers behind one address."""
