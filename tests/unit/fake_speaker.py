"""A speaker for the guard's tests: it does what the words of its command line say, one line of them for each start.

`ready` and `beat` tell the guard, `wait` goes on until a signal comes, `hang` stands still for ever, `exit N` ends,
`abort` dies by SIGABRT, `journal FILE`, `pid_file FILE` and `notify TEXT` are told, `store FIFO` has the guard keep its
writing end. `raw TEXT` is sent as it is, with a descriptor, `flood` sends without end. What happens is logged.
"""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

from pyvrrp.daemon.heartbeat import connect
from pyvrrp.daemon.pidfile import PidFile

TIMEOUT = 0.4


def main(log, *scripts):
    guard = connect()
    adopt, beating = guard.adopt, False

    def say(**what):
        with open(log, "a") as file:
            file.write(json.dumps({"at": time.monotonic(), "pid": os.getpid(), **what}) + "\n")

    def signalled(number, _):
        say(signal=number)
        if number == signal.SIGTERM:
            os._exit(0)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGRTMIN + 2):
        signal.signal(number, signalled)
    left = {name for name in os.environ if name.startswith("PYVRRP_") or name == "NOTIFY_SOCKET"}
    stored = {owner: sorted(each) for owner, each in guard.stored.items()}
    say(start=guard.restarts, adopt=adopt, guard=guard.pid, parent=os.getppid(), left=sorted(left), stored=stored)
    words = iter(scripts[min(guard.restarts, len(scripts) - 1)].split())
    for word in words:
        match word:
            case "journal":
                guard.tell(journal=next(words))
            case "pid_file":
                pid_file = PidFile(Path(next(words)))
                pid_file.acquire(os.getppid())
                guard.keep(pid_file)
            case "notify":
                guard.tell(notify=next(words))
            case "store":
                guard.store("fake", {"fifo": os.open(next(words), os.O_RDWR)})
            case "raw":
                socket.send_fds(guard._channel, [next(words).encode()], [1])
            case "flood":
                while True:
                    guard.tell(beat=TIMEOUT)
            case "ready":
                guard.tell(ready=[TIMEOUT, 2.0])
                beating = True
            case "wait":
                while True:
                    if beating:
                        guard.tell(beat=TIMEOUT)
                    time.sleep(TIMEOUT / 4)
            case "hang":
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
                while True:
                    time.sleep(60)
            case "abort":
                os.abort()
            case "exit":
                sys.exit(int(next(words)))


main(*sys.argv[1:])
