"""From text to a target: the only reading of a URL that an outgoing request relies on.

Source: WHATWG URL Standard, as implemented by ada.
"""

from dataclasses import dataclass
from ipaddress import ip_address

import ada_url

from tasks.core.egress.addresses import IPAddress
from tasks.core.egress.refusals import refuse, without_secrets

_DEFAULT_PORTS = {"http": 80, "https": 443}
# Longer than any address people publish, short enough to parse and log without thought.
_MAX_URL_CHARS = 8192
_MAX_LABEL_CHARS = 63  # RFC 1035, 2.3.4

# Names that no public zone holds: RFC 6761 (localhost, test, example, invalid), 6762 (local), 7686 (onion), 8375
# (home.arpa), 9476 (alt), ICANN's reservation of internal (2024), and what its collision studies found in private use.
_PRIVATE_SUFFIXES = (
    "localhost",
    "local",
    "internal",
    "home.arpa",
    "lan",
    "localdomain",
    "intranet",
    "private",
    "corp",
    "home",
    "test",
    "example",
    "invalid",
    "onion",
    "alt",
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes. ``host`` is ASCII and has no brackets; ``ip`` is set when it is a literal address."""

    href: str
    scheme: str
    host: str
    port: int
    ip: IPAddress | None = None

    @property
    def endpoint(self) -> str:
        """``host:port``, as an allow-list names it; an IPv6 host stands in brackets."""
        return endpoint(self.host, self.port)

    @property
    def resource(self) -> str:
        """Path and query, as they go over the wire."""
        path = self.href.split("/", 3)[3]
        return "/" + path.partition("#")[0]


def endpoint(host: str, port: int) -> str:
    """Return ``host:port``, with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def normalize_url(text: str, *, base: str | None = None) -> str | None:
    """Return the WHATWG ``href`` of ``text``, relative to ``base``, or None where the standard says failure.

    Any scheme is accepted: this says what a URL means, not whether a request may go there.
    """
    try:
        return str(ada_url.URL(text, base).href)
    except ValueError:  # also a lone surrogate, which cannot be encoded
        return None


def read_target(text: str) -> Target:
    """Return what ``text`` points at, wherever that is.

    Raises:
        ValueError: no URL, too long, another scheme than http and https, credentials or an ambiguous host; the message
            says which.
    """
    if len(text) > _MAX_URL_CHARS:
        raise ValueError("longer than any address")
    try:
        url = ada_url.URL(text)
    except ValueError:
        raise ValueError("not a URL") from None
    scheme = url.protocol.removesuffix(":")
    if scheme not in _DEFAULT_PORTS:
        raise ValueError("scheme is neither http nor https")
    if url.username or url.password:
        raise ValueError("credentials in the URL")
    if _is_ambiguous(text):
        raise ValueError("host reads differently to other parsers")
    host = url.hostname.strip("[]")
    is_literal = url.host_type is not ada_url.HostType.DEFAULT
    return Target(
        href=url.href,
        scheme=scheme,
        host=host,
        port=int(url.port or _DEFAULT_PORTS[scheme]),
        ip=ip_address(host) if is_literal else None,
    )


def _is_ambiguous(text: str) -> bool:
    """Whether an at sign stands where RFC 3986 sees credentials and WHATWG sees a path, query or fragment.

    We would go to the host that we judged; whoever writes such a URL hopes that the two differ.
    """
    authority = text.partition(":")[2].lstrip("/\\").partition("/")[0]
    return "@" in authority.partition("\\")[2] or "?@" in authority or "#@" in authority


def parse_url(text: str, *, allow: frozenset[str] = frozenset()) -> Target:
    """Return what ``text`` points at, if an outgoing request may name it.

    Literal addresses are returned as they are; ``Egress.check`` judges those.

    Args:
        text: an absolute URL, as a person or a page wrote it.
        allow: endpoints (``host:port``) whose host name is not judged.
    Raises:
        EgressRefused: no http or https URL, credentials, an ambiguous host, or a name that no public zone holds.
    """
    try:
        target = read_target(text)
    except ValueError as exc:
        raise refuse(str(exc), url=without_secrets(text)) from None
    if target.ip is None and target.endpoint not in allow and (reason := _denied_name(target.host)) is not None:
        raise refuse(reason, host=target.host, port=target.port)
    return target


def _denied_name(host: str) -> str | None:
    labels = host.removesuffix(".").split(".")
    if not all(0 < len(label) <= _MAX_LABEL_CHARS for label in labels):
        return "malformed name"
    if len(labels) == 1:
        return "name without a dot"
    name = "." + ".".join(labels)
    return next((f"private name, .{suffix}" for suffix in _PRIVATE_SUFFIXES if name.endswith("." + suffix)), None)
