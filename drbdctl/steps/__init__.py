"""What a plan is made of, carried out: commands with a deadline, DRBD's role, mounts, services, and who holds them."""
