"""Reading URLs: what they mean, and which no request may name."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from structlog.testing import capture_logs

from tasks.core.egress import Target, normalize_url, parse_url
from tasks.core.errors import EgressRefused

REFUSED = {
    "file": "file:///etc/passwd",
    "gopher": "gopher://127.0.0.1:6379/_INFO",
    "ftp": "ftp://example.com/",
    "websocket": "ws://example.com/",
    "data": "data:text/html,x",
    "script": "javascript:alert(1)",
    "relative": "/path",
    "empty": "",
    "no host": "http://",
    "password": "http://user:pw@example.com/",
    "user name": "https://user@example.com/",
    "backslash before the at sign": "http://example.com\\@127.0.0.1/",
    "fragment before the at sign": "http://example.com#@127.0.0.1/",
    "query before the at sign": "http://example.com?@127.0.0.1/",
    "reserved for examples": "http://www.example/",
    "zone": "http://[fe80::1%25eth0]/",
    "port out of range": "http://example.com:65536/",
    "localhost": "http://localhost/",
    "localhost with a dot": "http://LOCALHOST./",
    "under localhost": "http://foo.localhost/",
    "multicast DNS": "http://printer.local/",
    "internal": "http://metadata.google.internal/",
    "home network": "http://router.home.arpa/",
    "local network": "http://nas.lan./",
    "single label": "http://redis/",
    "single label with a dot": "http://redis./",
    "empty label": "http://a..example.com/",
    "only a dot": "http://./",
    "long label": f"http://{'a' * 64}.com/",
    "endless": "http://example.com/" + "a" * 9000,
    "lone surrogate": "http://a\ud800.example.com/",
}
MEANINGS = {
    "HTTP://EXAMPLE.com": "http://example.com/",
    "  https://example.com:443/a/../b \n": "https://example.com/b",
    "http:\\\\example.com\\x": "http://example.com/x",
    "https://bücher.example.com/": "https://xn--bcher-kva.example.com/",
    "http://0x08.0x08.2056/": "http://8.8.8.8/",
    "http://134744072/": "http://8.8.8.8/",
    "http://①.①.①.①/": "http://1.1.1.1/",
    "http://example.com/%2e%2e/x": "http://example.com/x",
    "http://example.com/@someone?mail=a@b.c": "http://example.com/@someone?mail=a@b.c",
    "http://example.com?mail=a@b.c": "http://example.com/?mail=a@b.c",
}


@pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED)
def test_url_is_refused(url: str) -> None:
    """Anything but a plain http or https URL with a public-looking host is refused."""
    with capture_logs(), pytest.raises(EgressRefused):
        parse_url(url)


@pytest.mark.parametrize(("text", "href"), MEANINGS.items())
def test_url_means_what_it_means_to_a_browser(text: str, href: str) -> None:
    """The address is normalised as the WHATWG standard says."""
    assert parse_url(text).href == href


def test_target_has_the_parts_of_its_url() -> None:
    """A target carries the default port and no literal address where the host is a name."""
    expected = Target(href="https://example.com/a?b=c#d", scheme="https", host="example.com", port=443)
    assert expected == parse_url("https://example.com/a?b=c#d")


def test_literal_addresses_are_read_as_addresses() -> None:
    """However it is written, a literal host comes out as an address without brackets."""
    targets = [parse_url("http://0x7f.1:81/"), parse_url("https://[2606:4700::0:1]/")]
    assert [("127.0.0.1", IPv4Address("127.0.0.1")), ("2606:4700::1", IPv6Address("2606:4700::1"))] == [
        (target.host, target.ip) for target in targets
    ]


def test_endpoint_puts_ipv6_in_brackets() -> None:
    """The allow-list's spelling of a target cannot be confused with its port."""
    assert parse_url("http://[2606:4700::1]/").endpoint == "[2606:4700::1]:80"


def test_resource_leaves_out_the_fragment() -> None:
    """What goes over the wire is path and query."""
    assert parse_url("http://example.com/a?b=/c#d/e").resource == "/a?b=/c"


def test_allowed_endpoint_may_have_a_private_name() -> None:
    """An operator's own service may be called what it likes, on its exact port."""
    assert parse_url("http://redis:8080/", allow=frozenset({"redis:8080"})).host == "redis"


def test_allowed_endpoint_does_not_allow_its_other_ports() -> None:
    """The allow-list is exact."""
    with capture_logs(), pytest.raises(EgressRefused):
        parse_url("http://redis:8081/", allow=frozenset({"redis:8080"}))


def test_refusal_is_opaque_outside_and_explained_in_the_log() -> None:
    """The caller learns what to do, the operator learns why."""
    with capture_logs() as logs, pytest.raises(EgressRefused) as caught:
        parse_url("http://printer.local:8080/")
    assert "local" not in caught.value.message
    assert caught.value.field == "url"
    assert logs == [
        {
            "event": "egress_refused",
            "log_level": "warning",
            "reason": "private name, .local",
            "host": "printer.local",
            "port": 8080,
        }
    ]


def test_log_holds_no_password_and_no_query() -> None:
    """A refused URL is logged without what may be secret in it."""
    with capture_logs() as logs, pytest.raises(EgressRefused):
        parse_url("http://user:hunter2@example.com/?token=hunter2")
    assert [{"reason": log["reason"], "url": log["url"]} for log in logs] == [
        {"reason": "credentials in the URL", "url": "example.com/"}
    ]


def test_normalize_url_resolves_against_a_base() -> None:
    """A link on a page is read relative to that page."""
    assert normalize_url("../x", base="https://example.com/a/b/c") == "https://example.com/a/x"


def test_normalize_url_returns_none_for_what_is_no_url() -> None:
    """Failure is a value here: pages are full of broken links."""
    assert normalize_url("http://exa mple.com/") is None
