"""A program whose standard output is a terminal."""

import contextlib
import fcntl
import os
import struct
import subprocess
import termios
import threading

import support as wire


class Terminal:
    """Of so many columns; what it wrote is in `text`."""

    def __init__(self, command, columns=200, env=None, cwd=None, **more):
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave,
                                        env={"TERM": "xterm", **(env or {})}, cwd=cwd, **more)
        os.close(slave)
        self.bytes = b""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        with contextlib.suppress(OSError):  # a terminal that nobody writes to any more is EIO
            while block := os.read(self.master, 65536):
                self.bytes += block

    @property
    def text(self):
        return self.bytes.decode(errors="replace").replace("\r\n", "\n")

    def end(self):
        """Its exit code, once everything was read."""
        code = self.process.wait(wire.SURELY_SECONDS)
        self.reader.join(wire.SURELY_SECONDS)
        os.close(self.master)
        return code
