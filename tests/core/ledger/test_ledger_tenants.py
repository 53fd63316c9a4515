"""Tenants and their keys: shown once, kept as a digest, useless when revoked."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import sqlalchemy as sa

from tasks.core.errors import Conflict, NotFound
from tasks.core.ledger import Ledger, tenants
from tasks.core.ledger.schema import api_keys
from tests.samples import ago


def test_key_opens_its_tenant(ledger: Ledger) -> None:
    """Two keys of one name belong to one tenant; another name is another tenant."""
    first, second, other = (
        tenants.tenant_of(ledger, tenants.create_key(ledger, tenant=name, name="k")) for name in ("a", "a", "b")
    )
    assert first == second
    assert first is not None
    assert other is not None
    assert (first.name, other.name) == ("a", "b")
    assert first.id != other.id


def test_first_keys_made_together_belong_to_one_tenant(ledger: Ledger) -> None:
    """Several web processes may start at once, each with the same development tenant."""
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda n: tenants.create_key(ledger, tenant="new", name=str(n)), range(8)))
    assert len({tenants.tenant_of(ledger, key) for key in keys}) == 1


def test_same_key_made_together_exists_once(ledger: Ledger) -> None:
    """The others are told so."""

    def make(_: int) -> str | None:
        with suppress(Conflict):
            return tenants.create_key(ledger, tenant="new", name="k", key="sy_given")

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(make, range(8)))
    assert sorted(made, key=str) == [None] * 7 + ["sy_given"]


def test_key_itself_is_not_kept(ledger: Ledger) -> None:
    """Who reads the table learns no key."""
    key = tenants.create_key(ledger, tenant="a", name="k")
    with ledger.read() as connection:
        row = connection.execute(sa.select(api_keys)).one()
    assert row.sha256 == tenants.digest(key)
    assert key not in repr(row)


def test_made_keys_differ_and_are_long(ledger: Ledger) -> None:
    """A key is 256 random bits."""
    keys = {tenants.create_key(ledger, tenant="a", name="k") for _ in range(3)}
    assert len(keys) == 3
    assert {True} == {key.startswith("sy_") and len(key) == 46 for key in keys}


@pytest.mark.parametrize("key", ["", "sy_nonsense", "\0"])
def test_unknown_key_opens_nothing(ledger: Ledger, key: str) -> None:
    """Nobody is not an error here; the front door decides what it means."""
    tenants.create_key(ledger, tenant="a", name="k")
    assert tenants.tenant_of(ledger, key) is None


def test_given_key_is_taken_once(ledger: Ledger) -> None:
    """The same key for two tenants would mix them up."""
    assert tenants.create_key(ledger, tenant="a", name="k", key="given") == "given"
    with pytest.raises(Conflict):
        tenants.create_key(ledger, tenant="b", name="k", key="given")


def test_use_is_noted_once_a_minute(ledger: Ledger) -> None:
    """Exact enough for an operator, and no write for each request."""
    key = tenants.create_key(ledger, tenant="a", name="k")
    assert [known.last_used_at for known in tenants.list_keys(ledger)] == [None]
    tenants.tenant_of(ledger, key)
    (noted,) = tenants.list_keys(ledger)
    tenants.tenant_of(ledger, key)
    assert [noted] == tenants.list_keys(ledger)
    with ledger.write() as connection:
        connection.execute(api_keys.update().values(last_used_at=ago(61)))
    tenants.tenant_of(ledger, key)
    (later,) = tenants.list_keys(ledger)
    assert noted.last_used_at is not None
    assert later.last_used_at is not None
    assert later.last_used_at >= noted.last_used_at


def test_revoked_key_opens_nothing(ledger: Ledger) -> None:
    """From the next request on; the other keys go on working."""
    key, other = (tenants.create_key(ledger, tenant="a", name=name) for name in ("k", "o"))
    (first, _) = tenants.list_keys(ledger)
    tenants.revoke_key(ledger, first.id)
    assert tenants.tenant_of(ledger, key) is None
    assert tenants.tenant_of(ledger, other) is not None
    with pytest.raises(NotFound):
        tenants.revoke_key(ledger, first.id)


def test_somebody_can_sign_in_while_a_live_key_exists(ledger: Ledger) -> None:
    """A production start asks this."""
    assert not tenants.any_live_key(ledger)
    tenants.create_key(ledger, tenant="a", name="k")
    assert tenants.any_live_key(ledger)
    tenants.revoke_key(ledger, tenants.list_keys(ledger)[0].id)
    assert not tenants.any_live_key(ledger)
