"""What an operator lets outgoing requests do."""

from dataclasses import dataclass, replace
from typing import Self, TypedDict, Unpack

from tasks.core.egress.targets import read_target
from tasks.core.errors import ConfigurationRefused
from tasks.core.settings import Settings


class Limits(TypedDict, total=False):
    """The parts of a policy that a caller may tighten for one client."""

    connect_timeout_s: float
    read_timeout_s: float
    total_timeout_s: float
    max_bytes: int
    max_redirects: int


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Where outgoing requests may go and what they may cost.

    Proxies, certificates and passwords named in the environment are never used.

    Attributes:
        allowed_ports: the only ports a request may name.
        allow: exact endpoints (``host:port``, an IPv6 host in brackets) that skip the name, address and port checks,
            never the scheme check. For tests, demos and services of one's own.
        connect_timeout_s: looking up the name, connecting and the TLS handshake.
        read_timeout_s: the longest silence while reading or writing.
        total_timeout_s: the whole request, redirects and body included.
        max_bytes: the most that one response may hold, both on the wire and decoded.
        max_redirects: how many redirects are followed, each checked like the first address.
    Raises:
        ConfigurationRefused: an entry of ``allow`` is not written the way a URL is normalised, so could never match.
    """

    allowed_ports: frozenset[int] = frozenset({80, 443})
    allow: frozenset[str] = frozenset()
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 30.0
    total_timeout_s: float = 120.0
    max_bytes: int = 32 * 1024 * 1024
    max_redirects: int = 10
    user_agent: str = "Switchyard"

    def __post_init__(self) -> None:
        unusable = sorted(entry for entry in self.allow if not _is_endpoint(entry))
        if unusable:
            raise ConfigurationRefused(
                f"Not exact: {', '.join(unusable)}. Write each entry as host:port, in lower case, without patterns.",
                field="allow",
            )

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what the operator has set."""
        return cls(allowed_ports=frozenset(settings.egress_ports), allow=frozenset(settings.egress_allow))

    def tightened(self, **limits: Unpack[Limits]) -> "EgressPolicy":
        """Return this policy with each of ``limits`` that is lower than its own; none is ever raised."""
        return replace(
            self,
            connect_timeout_s=min(self.connect_timeout_s, limits.get("connect_timeout_s", self.connect_timeout_s)),
            read_timeout_s=min(self.read_timeout_s, limits.get("read_timeout_s", self.read_timeout_s)),
            total_timeout_s=min(self.total_timeout_s, limits.get("total_timeout_s", self.total_timeout_s)),
            max_bytes=min(self.max_bytes, limits.get("max_bytes", self.max_bytes)),
            max_redirects=min(self.max_redirects, limits.get("max_redirects", self.max_redirects)),
        )


def _is_endpoint(entry: str) -> bool:
    try:
        # An asterisk is a legal character of a host, and surely meant as a pattern.
        return "*" not in entry and read_target(f"http://{entry}").endpoint == entry
    except ValueError:
        return False
