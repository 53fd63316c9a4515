"""The way out for programs that make their own connections: an HTTP proxy on loopback that applies the guard.

A browser resolves names, follows redirects and opens sockets by itself; given this proxy and nothing else, each of its
connections is named here first. Every target is judged by the policy that ``job.http`` obeys, looked up once by us, and
reached at the very address that was judged (``server``, ``forwarding``, ``tunnels``). Only who holds a ``Pass`` is
served; it also counts the bytes of its job and remembers what was refused (``passes``).
"""

from tasks.core.egress.proxy.client_side import ProxyLimits
from tasks.core.egress.proxy.passes import Pass
from tasks.core.egress.proxy.server import EgressProxy

__all__ = ["EgressProxy", "Pass", "ProxyLimits"]
