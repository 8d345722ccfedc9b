"""Runs a command on a terminal of its own, takes the terminal away once the proxy listens, tells what becomes of it."""

import http.client
import os
import pathlib
import pty
import re
import signal
import sys
import time

LIMIT = 15


def until(condition, what):
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    sys.exit(f"not within {LIMIT} s: {what}")


pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])

os.set_blocking(terminal, False)
seen = b""


def port():
    """From the terminal, or from the file that nohup sends the output to."""
    global seen
    try:
        seen += os.read(terminal, 65536)
    except (BlockingIOError, OSError):
        pass
    said = pathlib.Path("nohup.out")
    text = seen + (said.read_bytes() if said.exists() else b"")
    text = re.sub(rb"\x1b\[[0-9;]*m", b"", text)
    found = re.search(rb"listening.*?http://127\.0\.0\.1:(\d+)[\s\"]", text)
    return found and int(found[1])


def live(at):
    connection = http.client.HTTPConnection("127.0.0.1", at, timeout=LIMIT)
    connection.request("GET", "/-/live")
    return connection.getresponse().status == 200


def ended():
    done, status = os.waitpid(pid, os.WNOHANG)
    return done and (os.waitstatus_to_exitcode(status),)


def answers_or_ended():
    return ended() or (live(at) and time.monotonic() > taken + 1 and "answers")


at = until(port, "listening")
if not live(at):
    sys.exit("does not answer on its terminal")
os.close(terminal)
taken = time.monotonic()
if sys.argv[1] == "nohup":
    # Nothing is to happen, and that takes a while to see.
    outcome = until(answers_or_ended, "an answer")
    if outcome != "answers":
        sys.exit(f"ended with {outcome[0]}")
    os.kill(pid, signal.SIGTERM)
    until(ended, "the end")
    print("still answers")
else:
    print(f"ended with {until(ended, 'the end')[0]}")
