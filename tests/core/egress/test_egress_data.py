"""The guard against data that nobody here wrote; see the README beside it. Skipped where it is absent."""

import json
import random
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tasks.core.egress import Egress, is_denied, normalize_url
from tasks.core.errors import EgressRefused

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
RANDOM_ADDRESSES_PER_RANGE = 50


def load(name: str) -> Any:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"../shared/data/{name} is absent")
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_address_of_every_denied_range_is_denied() -> None:
    """The first, the last and random addresses inside each range are refused: none let through."""
    choice = random.Random(20260101)
    let_through = []
    for cidr in load("egress_addresses.json")["denied_cidrs"]:
        network = ip_network(cidr)
        first, last = int(network[0]), int(network[-1])
        inside = [choice.randint(first, last) for _ in range(RANDOM_ADDRESSES_PER_RANGE)]
        kind = type(network[0])
        let_through += [str(kind(bits)) for bits in (first, last, *inside) if is_denied(kind(bits)) is None]
    assert let_through == []


def test_every_embedded_form_is_denied() -> None:
    """Each way to hide an inner address is refused, as an address and as a URL: none let through."""
    forms = load("egress_addresses.json")["embedded"]
    with Egress() as egress:
        let_through = [form for form in forms if is_denied(form) is None or not refuses(egress, literal_url(form))]
    assert let_through == []


def test_every_hostile_url_is_refused() -> None:
    """Each hostile URL is refused before any name is looked up: none let through."""
    with Egress(resolver=lambda host, port: pytest.fail(f"looked up {host}")) as egress:
        urls = load("egress_addresses.json")["hostile_urls"]
        assert [url for url in urls if not refuses(egress, url)] == []


def test_every_hostile_url_is_refused_by_the_client() -> None:
    """The same, where it counts: on the way out."""
    urls = load("egress_addresses.json")["hostile_urls"]
    with capture_logs(), Egress() as egress, egress.client() as client:
        for url in urls:
            with pytest.raises(EgressRefused):
                client.get(url)


def test_every_url_of_the_web_platform_is_read_as_it_says() -> None:
    """All 891 cases: the file's 1004 entries less 113 strings, which are remarks.

    A case with a base is resolved against it, one without stands alone (17 of those fail only for lack of a base); the
    outcome is the expected ``href``, or none where the case says ``failure``.
    """
    cases = [case for case in load("urltestdata.json") if isinstance(case, dict)]
    agreed = [case for case in cases if normalize_url(case["input"], base=case["base"]) == case.get("href")]
    assert (len(agreed), len(cases)) == (891, 891)


def literal_url(address: str) -> str:
    return f"http://[{address}]/" if ip_address(address).version == 6 else f"http://{address}/"


def refuses(egress: Egress, url: str) -> bool:
    """Whether ``egress`` refuses ``url`` for what it is."""
    with capture_logs():
        try:
            egress.check(url)
        except EgressRefused:
            return True
    return False
