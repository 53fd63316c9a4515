"""What an operator may set, and a caller tighten."""

import pytest

from tasks.core.egress import EgressPolicy
from tasks.core.errors import ConfigurationRefused


def test_nothing_is_allow_listed_by_default() -> None:
    """The allow-list is off, and only the web's own ports are open."""
    policy = EgressPolicy()
    assert (frozenset(), frozenset({80, 443})) == (policy.allow, policy.allowed_ports)


def test_limits_tighten_a_policy() -> None:
    """A caller may ask for less."""
    assert EgressPolicy(max_bytes=10).tightened(max_bytes=5).max_bytes == 5


def test_limits_never_loosen_a_policy() -> None:
    """A caller who asks for more gets what the operator set."""
    policy = EgressPolicy(max_bytes=10, max_redirects=1, total_timeout_s=3)
    assert policy == policy.tightened(max_bytes=11, max_redirects=2, total_timeout_s=4, read_timeout_s=1e9)


@pytest.mark.parametrize(
    "entry", ["localhost", "LOCALHOST:80", "*.example.com:80", "0x7f.1:80", "http://a.b:80", "::1:80"]
)
def test_allow_list_entry_that_could_never_match_is_refused(entry: str) -> None:
    """A misspelt entry stops the process at start instead of silently allowing nothing."""
    with pytest.raises(ConfigurationRefused, match="host:port"):
        EgressPolicy(allow=frozenset({entry}))


@pytest.mark.parametrize("entry", ["localhost:8000", "127.0.0.1:80", "[::1]:443", "redis:6379"])
def test_allow_list_takes_exact_endpoints(entry: str) -> None:
    """Names, IPv4 and bracketed IPv6 addresses, each with its port."""
    assert entry in EgressPolicy(allow=frozenset({entry})).allow
