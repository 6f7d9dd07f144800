"""Whether and how a storage group moves: rules, plans and the machine that follows them; a function of (event, now)."""
