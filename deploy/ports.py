"""Free ports on loopback."""

import socket


def free_port(preferred: int = 0) -> int:
    """Return ``preferred`` if nobody listens there, else a free port of the system's choice."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on loopback")
