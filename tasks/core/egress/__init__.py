"""The egress guard: every outgoing request of every family leaves through here.

One reading of the URL (``targets``), an address table of our own (``addresses``), one lookup whose every answer is
checked (``guard``, ``lookups``), a connection to the checked address itself (``backends``; ``transfers`` where libcurl
connects), each redirect judged like the first address (``transports``; ``downloads`` follow none), caps on bytes and
time (``bodies``, ``deadlines``), and a refusal that says everything in the log and nothing outside (``refusals``).
``Egress`` (``door``) is what engines get as ``job.http``.
"""

from tasks.core.egress.addresses import embedded_ipv4, is_denied
from tasks.core.egress.answers import Answer, Head, Wants
from tasks.core.egress.door import Egress
from tasks.core.egress.lookups import Resolver
from tasks.core.egress.policy import EgressPolicy, Limits
from tasks.core.egress.targets import Target, normalize_url, parse_url

__all__ = [
    "Answer",
    "Egress",
    "EgressPolicy",
    "Head",
    "Limits",
    "Resolver",
    "Target",
    "Wants",
    "embedded_ipv4",
    "is_denied",
    "normalize_url",
    "parse_url",
]
