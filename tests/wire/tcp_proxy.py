"""A TCP proxy that breaks connections: cut() resets them all, hold() lets nothing through until release()."""

import socket
import struct
import threading

LOOK_SECONDS = 0.1


class Proxy:
    def __init__(self, port, host="127.0.0.1"):
        """From `host` and a port of its own to 127.0.0.1:port."""
        self.to = ("127.0.0.1", port)
        self.listener = socket.create_server((host, 0), backlog=128)
        self.host, self.port = self.listener.getsockname()
        self.generation = 0
        self.accepted = 0
        self.flowing = threading.Event()
        self.flowing.set()
        self.closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        self.generation += 1

    def hold(self):
        self.flowing.clear()

    def release(self):
        self.flowing.set()

    def close(self):
        self.closed = True
        self.cut()
        self.release()
        self.listener.close()

    def _accept(self):
        while not self.closed:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(near, self.generation), daemon=True).start()

    def _serve(self, near, generation):
        try:
            self.flowing.wait()
            far = socket.create_connection(self.to, timeout=5)
        except OSError:
            self._reset(near)
            return
        ends = [threading.Thread(target=self._pump, args=(a, b, generation), daemon=True)
                for a, b in ((near, far), (far, near))]
        for end in ends:
            end.start()
        for end in ends:
            end.join()
        for s in (near, far):
            self._reset(s) if generation != self.generation else s.close()

    def _pump(self, source, sink, generation):
        source.settimeout(LOOK_SECONDS)
        try:
            while generation == self.generation:
                try:
                    data = source.recv(65536)
                except socket.timeout:
                    continue
                while not self.flowing.wait(LOOK_SECONDS):
                    if generation != self.generation:
                        return
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                while data and generation == self.generation:
                    try:
                        data = data[sink.send(data):]
                    except socket.timeout:
                        continue
        except OSError:
            try:
                sink.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def _reset(s):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
