"""Servers for every test of the guard."""

from collections.abc import Iterator

import pytest

from tests.core.egress.loopback import Loopback


@pytest.fixture
def server() -> Iterator[Loopback]:
    loopback = Loopback()
    yield loopback
    loopback.close()


@pytest.fixture
def inner() -> Iterator[Loopback]:
    """A second server, which no test allows: it must never be asked."""
    loopback = Loopback()
    loopback.serve("/", b"secret")
    yield loopback
    loopback.close()
