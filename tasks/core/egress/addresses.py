"""Which IP addresses an outgoing request may not reach.

The table is our own because ``ipaddress.is_global`` follows the Python release, not the registries, and passes
dozens of special ranges.

Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries (2025-10-09), IANA IPv4 and IPv6 Multicast Address
Space (2026-01-27, 2026-02-02), IANA Internet Protocol Version 6 Address Space; where another source is used, the
entry says so.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

IPAddress = IPv4Address | IPv6Address

_DENIED_IPV4 = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this network"),  # RFC 791
        ("10.0.0.0/8", "private use"),  # RFC 1918
        ("100.64.0.0/10", "shared address space"),  # RFC 6598; holds a cloud's metadata at 100.100.100.200
        ("127.0.0.0/8", "loopback"),  # RFC 1122
        ("168.63.129.16/32", "cloud platform channel"),  # Microsoft Learn, "What is IP address 168.63.129.16?"
        ("169.254.0.0/16", "link local"),  # RFC 3927; holds most clouds' metadata at 169.254.169.254
        ("172.16.0.0/12", "private use"),  # RFC 1918
        ("192.0.0.0/24", "IETF protocol assignments"),  # RFC 6890; holds a cloud's metadata at 192.0.0.192
        ("192.0.2.0/24", "documentation"),  # RFC 5737
        ("192.31.196.0/24", "AS112"),  # RFC 7535
        ("192.52.193.0/24", "AMT"),  # RFC 7450
        ("192.88.99.0/24", "6to4 relay anycast, deprecated"),  # RFC 7526
        ("192.168.0.0/16", "private use"),  # RFC 1918
        ("192.175.48.0/24", "AS112"),  # RFC 7534
        ("198.18.0.0/15", "benchmarking"),  # RFC 2544
        ("198.51.100.0/24", "documentation"),  # RFC 5737
        ("203.0.113.0/24", "documentation"),  # RFC 5737
        ("224.0.0.0/4", "multicast"),  # IANA IPv4 multicast registry
        ("240.0.0.0/4", "reserved"),  # RFC 1112; its last address is the limited broadcast
    )
)

# IANA has opened only this block for global unicast, so every other IPv6 address is refused without being listed:
# loopback, unspecified, mapped, compatible, translated, NAT64, discard, SRv6, unique, link and site local, multicast.
# The cost: behind DNS64 every IPv4-only site is refused, because its answers lie in 64:ff9b::/96.
_GLOBAL_UNICAST = IPv6Network("2000::/3")

_DENIED_IPV6 = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("2001::/23", "IETF protocol assignments"),  # RFC 2928; Teredo, benchmarking, AMT, AS112, ORCHID, DET
        ("2001:db8::/32", "documentation"),  # RFC 3849
        ("2002::/16", "6to4"),  # RFC 3056
        ("2620:4f:8000::/48", "AS112"),  # RFC 7534
        ("3ffe::/16", "6bone, returned"),  # RFC 3701
        ("3fff::/20", "documentation"),  # RFC 9637
    )
)

# (name, network, bits below the embedded IPv4 address); each form ends as plain IPv4 somewhere on its way.
_EMBEDDINGS = tuple(
    (form, IPv6Network(network), shift)
    for form, network, shift in (
        ("mapped", "::ffff:0:0/96", 0),  # RFC 4291, 2.5.5.2
        ("compatible", "::/96", 0),  # RFC 4291, 2.5.5.1
        ("translated", "::ffff:0:0:0/96", 0),  # RFC 2765, 2.1
        ("NAT64", "64:ff9b::/96", 0),  # RFC 6052
        ("local NAT64", "64:ff9b:1::/48", 0),  # RFC 8215, with the /96 layout of RFC 6052
        ("6to4", "2002::/16", 80),  # RFC 3056
        ("Teredo server", "2001::/32", 64),  # RFC 4380, 4
    )
)
_TEREDO = IPv6Network("2001::/32")
_LOW_32_BITS = 0xFFFF_FFFF
# RFC 5214, 6.1: an interface identifier of 0000:5efe or 0200:5efe, under any prefix, is followed by an IPv4 address.
_ISATAP_IDENTIFIERS = frozenset({0x0000_5EFE, 0x0200_5EFE})


def is_literal(host: str) -> bool:
    """Return whether ``host`` is an IP address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def embedded_ipv4(address: IPv6Address) -> Iterator[tuple[str, IPv4Address]]:
    """Yield every IPv4 address that ``address`` may carry, each with the name of its form."""
    bits = int(address)
    for form, network, shift in _EMBEDDINGS:
        if address in network:
            yield form, IPv4Address(bits >> shift & _LOW_32_BITS)
    if address in _TEREDO:
        yield "Teredo client", IPv4Address(~bits & _LOW_32_BITS)  # RFC 4380, 4: every bit is inverted
    if bits >> 32 & _LOW_32_BITS in _ISATAP_IDENTIFIERS:
        yield "ISATAP", IPv4Address(bits & _LOW_32_BITS)


def is_denied(ip: IPAddress | str) -> str | None:
    """Return why no request may go to ``ip``, or None if it may.

    Raises:
        ValueError: ``ip`` is text and no IP address.
    """
    address = ip_address(ip) if isinstance(ip, str) else ip
    if isinstance(address, IPv4Address):
        return next((reason for network, reason in _DENIED_IPV4 if address in network), None)
    if address.scope_id is not None:
        return "scoped to one interface"
    return _denied_embedding(address) or _denied_ipv6(address)


def _denied_embedding(address: IPv6Address) -> str | None:
    for form, inner in embedded_ipv4(address):
        if (reason := is_denied(inner)) is not None:
            return f"{form} form of {inner}: {reason}"
    return None


def _denied_ipv6(address: IPv6Address) -> str | None:
    if address not in _GLOBAL_UNICAST:
        return "not global unicast"
    return next((reason for network, reason in _DENIED_IPV6 if address in network), None)
