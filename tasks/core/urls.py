"""Small questions about the URLs of our own servers (not of outgoing requests: see ``egress``)."""

import re

_PASSWORD = re.compile(r"(?<=:)[^:@/]+(?=@)")


def is_loopback(host: str | None) -> bool:
    """Tell whether ``host`` names this machine; no host (a file, a socket) does too."""
    return not host or host in {"localhost", "::1"} or host.startswith("127.")


def mask_password(url: str) -> str:
    """Return ``url`` with the password of its user-info part replaced by ``***``."""
    return _PASSWORD.sub("***", url, count=1)
