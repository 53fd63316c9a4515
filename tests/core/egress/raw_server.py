"""A listener that keeps every byte it gets, and answers each connection once with what it was told."""

import socket
import threading
from contextlib import suppress


class RawServer:
    """One TCP port of loopback, and the UDP port of the same number."""

    def __init__(self, answer: bytes = b"", *, host: str = "127.0.0.1") -> None:
        self.answer = answer
        self.connections: list[bytearray] = []
        self.datagrams = 0
        self.host = host
        self._tcp = socket.create_server((host, 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((host, self.port))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._accept, self._receive)]
        for thread in self._threads:
            thread.start()

    @property
    def port(self) -> int:
        return int(self._tcp.getsockname()[1])

    @property
    def endpoint(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def arrivals(self) -> int:
        """Connections and datagrams."""
        return len(self.connections) + self.datagrams

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._tcp.accept()
                kept = bytearray()
                self.connections.append(kept)
                self._open.append(connection)
                threading.Thread(target=self._talk, args=(connection, kept), daemon=True).start()

    def _talk(self, connection: socket.socket, kept: bytearray) -> None:
        with suppress(OSError):
            is_answered = False
            while data := connection.recv(65536):
                kept += data
                if self.answer and not is_answered:
                    is_answered = True
                    connection.sendall(self.answer)

    def _receive(self) -> None:
        with suppress(OSError):
            while self._udp.recv(65536):
                self.datagrams += 1

    def close(self) -> None:
        for sock in (self._tcp, self._udp, *self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5)
