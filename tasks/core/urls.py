"""Small questions about the URLs of our own servers (not of outgoing requests: see ``egress``)."""

import re
from ipaddress import ip_address

# To the last "@", because a password that was not percent-encoded may hold any character.
_USER_INFO = re.compile(r"(?<=://)([^:@/]*):.*(?=@)", re.DOTALL)
_PARAMETER = re.compile(r"(?<=[?&])(\w*password)=[^&#]*", re.IGNORECASE)


def is_loopback(host: str | None) -> bool:
    """Tell whether ``host`` names this machine; no host (a file, a socket) does too."""
    if not host or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def mask_password(url: str) -> str:
    """Return ``url`` with ``***`` for the password of its user-info part and of its parameters."""
    return _PARAMETER.sub(r"\1=***", _USER_INFO.sub(r"\1:***", url, count=1))
