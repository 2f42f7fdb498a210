# SPDX-License-Identifier: GPL-2.0-or-later
"""An interactive bc in a pseudo terminal is killed and goes on in another one: terminal.py RUN"""
import os
import pty
import select
import signal
import sys
import time

RUN = sys.argv[1]


def start(*args):
    """A process with a terminal of its own: its number, and the other end."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(RUN, [RUN, *args])
    return pid, fd


def expect(fd, text):
    """Waits for the text, a minute is for hangs only."""
    got = b""
    end = time.monotonic() + 60
    while text not in got:
        if time.monotonic() > end or not select.select([fd], [], [], 60)[0]:
            sys.exit(f"no {text} in {got}")
        try:
            got += os.read(fd, 4096)
        except OSError:
            sys.exit(f"the end, and no {text} in {got}")


def new_file(old):
    """Waits until another checkpoint is there."""
    end = time.monotonic() + 60
    while not os.path.exists("tty") or os.stat("tty").st_ino == old:
        if time.monotonic() > end:
            sys.exit("no checkpoint")
        time.sleep(0.02)
    return os.stat("tty").st_ino


pid, fd = start("--file", "tty", "--every", "30", "--", "/usr/bin/bc", "-q")
os.write(fd, b"x=21\nx+1\n")
expect(fd, b"\r22\r\n")
new_file(new_file(new_file(0)))
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
os.close(fd)
os.rename("tty", "tty2")
pid, fd = start("--restart", "tty2", "--file", "tty", "--every", "30")
os.write(fd, b"x*2\n")
expect(fd, b"\r42\r\n")
os.write(fd, b"quit\n")
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
