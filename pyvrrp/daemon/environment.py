"""What the guard says in the environment of its speaker."""

CHANNEL = "PYVRRP_GUARD"
"the descriptor of its socket"
ADOPT = "PYVRRP_ADOPT"
"1: it may adopt the role of the process before"
RESTARTS = "PYVRRP_RESTARTS"
"how often it was started again"
