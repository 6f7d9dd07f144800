"""Runs commands for the test that started this machine; a line of JSON asks, a line of JSON answers.

    {"id": 1, "argv": ["true"], "timeout": 10}   ->   {"id": 1, "status": 0, "output": "", "seconds": 0.03}
    {"id": 2, "put": "/etc/x", "text": "..."}    ->   {"id": 2, "status": 0, ...}
    {"id": 3, "get": "/proc/drbd", "last": 0}    ->   {"id": 3, "status": 0, "output": "...", ...}

The channel is a virtio serial port: it goes on working while every network link is cut.
"""

import glob
import json
import os
import signal
import subprocess
import threading
import time


def port():
    while True:
        for name in glob.glob("/sys/class/virtio-ports/*/name"):
            with open(name) as file:
                if file.read().strip() == "agent":
                    return "/dev/" + name.split("/")[-2]
        time.sleep(0.05)


def run(request):
    process = subprocess.Popen(
        request["argv"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, **request.get("environment", {})},
    )
    try:
        output, _ = process.communicate(timeout=request["timeout"])
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, status = f"no end within {request['timeout']} s".encode(), 124
    return status, output.decode(errors="replace")


def put(request):
    os.makedirs(os.path.dirname(request["put"]), exist_ok=True)
    with open(request["put"], "w") as file:
        file.write(request["text"])
    os.chmod(request["put"], request["mode"])
    return 0, ""


def get(request):
    with open(request["get"], "rb") as file:
        if request["last"]:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - request["last"]))
        return 0, file.read().decode(errors="replace")


def answer(request, write):
    began = time.monotonic()
    try:
        status, output = put(request) if "put" in request else get(request) if "get" in request else run(request)
    except Exception as error:
        status, output = 127, f"{type(error).__name__}: {error}"
    write({"id": request["id"], "status": status, "output": output, "seconds": time.monotonic() - began})


def main():
    channel = os.open(port(), os.O_RDWR)
    lock = threading.Lock()

    def write(message):
        data = json.dumps(message).encode() + b"\n"
        with lock:
            while data:
                data = data[os.write(channel, data) :]

    write({"id": 0, "status": 0, "output": "up", "seconds": 0.0})
    pending = b""
    while True:
        received = os.read(channel, 65536)
        if not received:  # nobody is at the other end
            time.sleep(0.05)
            continue
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            threading.Thread(target=answer, args=(json.loads(line), write), daemon=True).start()


main()
