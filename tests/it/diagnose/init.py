"""Runs a command on a terminal of its own and answers what it asks.

Standard input is JSON: a list of [the end of a question, the answer, whether the answer is shown]. Prints all that the
terminal showed, and how the command ended.
"""

import json
import os
import pty
import re
import select
import sys
import termios
import time

LIMIT = 20

conversation = json.load(sys.stdin)
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])

deadline = time.monotonic() + LIMIT
seen = b""


def read():
    """Whether the terminal is still open."""
    global seen
    if time.monotonic() > deadline:
        sys.exit(f"not within {LIMIT} s; so far: {seen.decode()}")
    if not select.select([terminal], [], [], 0.05)[0]:
        return True
    try:
        some = os.read(terminal, 65536)
    except OSError:
        return False
    seen += some
    return bool(some)


def shown():
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


for question, answer, is_shown in conversation:
    while not seen.endswith(question.encode()) or shown() != is_shown:
        if not read():
            sys.exit(f"ended before {question!r}: {seen.decode()}")
    os.write(terminal, answer.encode() + b"\n")
    before = len(seen)
    while len(seen) == before and read():
        pass
while read():
    pass
_, status = os.waitpid(pid, 0)
text = re.sub(r"\x1b\[[0-9;]*m", "", seen.decode()).replace("\r\n", "\n")
print(f"{text}ended with {os.waitstatus_to_exitcode(status)}")
