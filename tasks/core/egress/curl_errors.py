"""libcurl's errors as httpx's, so that engines know one family of them."""

import httpx
import pycurl

_UNREACHABLE = frozenset(
    {
        pycurl.E_COULDNT_CONNECT,
        pycurl.E_COULDNT_RESOLVE_HOST,
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
    }
)


def as_httpx(code: int, *, host: str, is_connected: bool) -> httpx.TransportError | httpx.InvalidURL:
    """Return the error for libcurl's ``code``; it names the host that was asked for, and never its addresses."""
    says = f"{host}: {pycurl.easy_strerror(code)}"
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return httpx.ReadTimeout(says) if is_connected else httpx.ConnectTimeout(f"Connecting to {host} took too long.")
    if code == pycurl.E_COULDNT_CONNECT:
        return httpx.ConnectError(f"Could not connect to {host}.")
    if code in _UNREACHABLE:
        return httpx.ConnectError(says)
    if code == pycurl.E_URL_MALFORMAT:
        return httpx.InvalidURL(says)
    if code == pycurl.E_SEND_ERROR:
        return httpx.WriteError(says)
    return httpx.ReadError(says) if code == pycurl.E_RECV_ERROR else httpx.RemoteProtocolError(says)
