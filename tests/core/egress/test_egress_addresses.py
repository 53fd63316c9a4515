"""The address table, at its edges and through every disguise."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest

from tasks.core.egress import embedded_ipv4, is_denied

SPECIAL_RANGES = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
]
NEIGHBOURS = [
    "1.0.0.0",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::",
    "2001:db7:ffff::1",
    "2001:db9::",
    "2003::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001:830::200e",
]
LOOPBACK_IN_DISGUISE = {
    "mapped": "::ffff:127.0.0.1",
    "compatible": "::127.0.0.1",
    "translated": "::ffff:0:127.0.0.1",
    "NAT64": "64:ff9b::127.0.0.1",
    "local NAT64": "64:ff9b:1::127.0.0.1",
    "6to4": "2002:7f00:1::1",
    "Teredo server": "2001:0:7f00:1::",
    "Teredo client": "2001:0:808:808::80ff:fffe",
    "ISATAP": "2a00:1450::5efe:127.0.0.1",
}


@pytest.mark.parametrize("cidr", SPECIAL_RANGES)
@pytest.mark.parametrize("edge", [0, -1], ids=["first", "last"])
def test_edges_of_special_ranges_are_denied(cidr: str, edge: int) -> None:
    """The first and the last address of a special range are both refused."""
    assert is_denied(ip_network(cidr)[edge]) is not None


@pytest.mark.parametrize("address", NEIGHBOURS)
def test_public_neighbours_of_special_ranges_pass(address: str) -> None:
    """The table is exact: what lies right beside a special range stays reachable."""
    assert is_denied(address) is None


@pytest.mark.parametrize(("form", "address"), LOOPBACK_IN_DISGUISE.items(), ids=LOOPBACK_IN_DISGUISE)
def test_embedded_loopback_is_found(form: str, address: str) -> None:
    """Every transition form is taken apart down to the IPv4 address inside."""
    assert (form, IPv4Address("127.0.0.1")) in list(embedded_ipv4(IPv6Address(address)))


@pytest.mark.parametrize("address", LOOPBACK_IN_DISGUISE.values(), ids=LOOPBACK_IN_DISGUISE)
def test_embedded_loopback_is_denied_as_loopback(address: str) -> None:
    """The logged reason names what hides in the address."""
    assert "127.0.0.1: loopback" in str(is_denied(address))


def test_isatap_of_a_public_address_passes() -> None:
    """An interface identifier that happens to look like ISATAP is judged by the address in it."""
    assert is_denied("2a00:1450::200:5efe:8.8.8.8") is None


def test_scoped_address_is_denied() -> None:
    """An address bound to one interface is never public."""
    assert is_denied("2a00:1450::1%eth0") == "scoped to one interface"


def test_text_that_is_no_address_is_an_error() -> None:
    """The table answers about addresses only; a name is the caller's mistake."""
    with pytest.raises(ValueError, match="example"):
        is_denied("example.com")
