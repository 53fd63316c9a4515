"""Tools are listed, searched, recommended and deleted, each tenant's apart; sign-in states are kept sealed."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from tasks.core.errors import InputRejected, NotFound
from tasks.core.ledger import Ledger
from tasks.core.ledger.tenants import Tenant
from tasks.discovery.store import sessions
from tasks.discovery.store.recommending import recommended, score_of
from tasks.discovery.store.records import Diff, Status, StoredTool
from tasks.discovery.store.tools import (
    Page,
    Wanted,
    all_of,
    delete,
    delete_site,
    facts_of,
    find,
    listing,
    tool_for_job,
    versions_of,
)
from tasks.discovery.tool import Effect, Source
from tests.discovery.tools import SITE, a_tool, ran, record
from tests.samples import running

Stored = Callable[[str], StoredTool]
Discover = Callable[..., Diff]


def names(page: Page) -> list[str]:
    return [facts.stored.name for facts in page.tools]


@pytest.fixture
def shop(discover: Discover) -> None:
    """Four tools of one site."""
    discover(
        a_tool("search_products", title="Search products", description="Search the catalogue."),
        a_tool("contact", title="Contact us", description="Send a message to our staff.", effect=Effect.WRITE),
        a_tool("list_pages", title="Pages of products", description="Go through the list.", source=Source.PAGINATION),
        a_tool("subscribe", title="Newsletter", description="Subscribe by e-mail.", confidence=0.4),
    )


def found(ledger: Ledger, tenant: Tenant, text: str, **wanted: object) -> list[str]:
    return names(listing(ledger, Wanted(tenant.id, text=text, **wanted), limit=10))


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("text", "best"),
    [
        ("search", "search_products"),
        ("searching catalogues", "search_products"),
        ("subscribing to newsletters", "subscribe"),
        ("contacting staff", "contact"),
        ("listPages", "list_pages"),
    ],
)
def test_words_are_found_however_inflected(ledger: Ledger, alice: Tenant, text: str, best: str) -> None:
    """By the words of name, title and description, their stems compared."""
    assert best == found(ledger, alice, text)[0]


@pytest.mark.usefixtures("shop")
def test_a_search_is_filtered_and_paged(ledger: Ledger, alice: Tenant, bob: Tenant) -> None:
    """Another tenant finds nothing; each tool is on one page."""
    assert [] == found(ledger, bob, "search")
    assert [] == found(ledger, alice, "xyzzy")
    assert [] == found(ledger, alice, "the of and")
    assert ["list_pages"] == found(ledger, alice, "products", source=Source.PAGINATION)
    wanted = Wanted(alice.id, text="products search terms")
    pages, cursor = [], None
    while True:
        page = listing(ledger, wanted, limit=1, cursor=cursor)
        pages += names(page)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert pages == names(listing(ledger, wanted, limit=10))
    assert 4 == len(set(pages)) == page.total


@pytest.mark.usefixtures("shop")
def test_notes_decide_between_equals(ledger: Ledger, alice: Tenant, discover: Discover, stored: Stored) -> None:
    """Of two that fit alike, the one that worked comes first; and a note's words find its tool."""
    discover(a_tool("find_a"), a_tool("find_b"))
    ran(ledger, alice, stored("find_a"), ok=False, used=["argument colour"])
    ran(ledger, alice, stored("find_b"), used=["argument colour"])
    assert ["find_b", "find_a"] == found(ledger, alice, "find")[:2]
    assert {"find_a", "find_b"} == set(found(ledger, alice, "colours"))
    ran(ledger, alice, stored("find_a"), used=["selector #kaleidoscope"])
    assert [] == found(ledger, alice, "kaleidoscope")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({}, {"search_products", "contact", "list_pages", "subscribe"}),
        ({"effect": Effect.WRITE}, {"contact"}),
        ({"source": Source.PAGINATION}, {"list_pages"}),
        ({"min_confidence": 0.5}, {"search_products", "contact", "list_pages"}),
        ({"statuses": [Status.STALE, Status.DEPRECATED]}, set()),
        ({"site": "https://other.example"}, set()),
    ],
)
def test_lists_are_filtered(ledger: Ledger, alice: Tenant, filter_: dict[str, object], expected: set[str]) -> None:
    """By each of their columns."""
    page = listing(ledger, Wanted(alice.id, **filter_), limit=10)
    assert (expected, len(expected), None) == (set(names(page)), page.total, page.next_cursor)
    assert expected == {one.name for one in all_of(ledger, Wanted(alice.id, **filter_), limit=10)}


@pytest.mark.usefixtures("shop")
def test_lists_are_paged(ledger: Ledger, alice: Tenant) -> None:
    """Newest first, none twice, none left out."""
    first = listing(ledger, Wanted(alice.id), limit=3)
    second = listing(ledger, Wanted(alice.id), limit=3, cursor=first.next_cursor)
    ids = [facts.stored.id for page in (first, second) for facts in page.tools]
    assert 4 == first.total == len(ids)
    assert all(one > other for one, other in pairwise(ids))
    assert None is second.next_cursor


@pytest.mark.parametrize("text", [None, "search"])
def test_foreign_cursors_are_refused(ledger: Ledger, alice: Tenant, text: str | None) -> None:
    """Whatever they hold."""
    for cursor in ("x", "e30", "eyJza2lwIjogLTF9", "eyJiZWZvcmUiOiAiYSJ9"):
        with pytest.raises(InputRejected, match="start again without it"):
            listing(ledger, Wanted(alice.id, text=text), limit=1, cursor=cursor)


def test_recommendations_weigh_quality_success_and_use(
    ledger: Ledger, alice: Tenant, discover: Discover, stored: Stored
) -> None:
    """0.4, 0.4 and 0.2; only active tools; five at most."""
    discover(*(a_tool(f"tool_{number}", confidence=number / 10) for number in range(8)))
    for ok in (True, False):
        ran(ledger, alice, stored("tool_5"), ok=ok)
    assert pytest.approx(0.4 * 0.5 + 0.4 * 0.5 + 0.2 * 0.02) == score_of(facts_of(ledger, stored("tool_5")))
    ran(ledger, alice, stored("tool_7"), ok=False, stale_after=1)
    best = recommended(ledger, Wanted(alice.id))
    assert ["tool_5", "tool_6", "tool_4", "tool_3", "tool_2"] == [one.facts.stored.name for one in best]
    assert [] == recommended(ledger, Wanted(alice.id, text="xyzzy"))


def test_tools_are_found_by_their_own_tenant(ledger: Ledger, alice: Tenant, bob: Tenant, stored: Stored) -> None:
    """And by its jobs."""
    record(ledger, alice, a_tool("a"))
    tool = stored("a")
    assert tool == find(ledger, alice.id, tool.id) == tool_for_job(ledger, running(ledger, alice).id, tool.id)
    for look in (lambda: find(ledger, bob.id, tool.id), lambda: tool_for_job(ledger, running(ledger, bob).id, tool.id)):
        with pytest.raises(NotFound, match=f"No tool {tool.id}"):
            look()
    with pytest.raises(NotFound, match="No job x"):
        tool_for_job(ledger, "x", tool.id)


def test_a_deleted_tool_takes_everything_with_it(ledger: Ledger, alice: Tenant, stored: Stored) -> None:
    """Found again later, it begins anew."""
    record(ledger, alice, a_tool("a"))
    tool = stored("a")
    ran(ledger, alice, tool, used=["argument q"])
    delete(ledger, tool)
    assert [] == versions_of(ledger, tool.id)
    assert [] == found(ledger, alice, "search")
    with pytest.raises(NotFound):
        delete(ledger, tool)
    record(ledger, alice, a_tool("a"))
    assert 0 == stored("a").uses


def test_a_site_is_deleted_whole(ledger: Ledger, alice: Tenant, bob: Tenant) -> None:
    """With its sign-in state; no other site, no other tenant."""
    for tenant in (alice, bob):
        record(ledger, tenant, a_tool("a"), a_tool("b"))
        sessions.keep_session(ledger, tenant.id, SITE, b"x")
    record(ledger, alice, a_tool("a", site="https://other.example"))
    assert 2 == delete_site(ledger, alice.id, SITE)
    assert 0 == delete_site(ledger, alice.id, SITE)
    assert ["https://other.example"] == [one.site for one in all_of(ledger, Wanted(alice.id), limit=9)]
    assert 2 == len(all_of(ledger, Wanted(bob.id), limit=9))
    with pytest.raises(NotFound):
        sessions.kept_session(ledger, alice.id, SITE)
    assert SITE == sessions.kept_session(ledger, bob.id, SITE).site


def test_a_sign_in_state_is_kept_for_its_tenants_jobs(ledger: Ledger, alice: Tenant, bob: Tenant) -> None:
    """Replaced when there is a newer one, and forgotten on demand."""
    assert sessions.keep_session(ledger, alice.id, SITE, b"\x00one")
    before = sessions.kept_session(ledger, alice.id, SITE)
    assert not sessions.keep_session(ledger, alice.id, SITE, b"\x00two")
    after = sessions.kept_session(ledger, alice.id, SITE)
    assert (before.created_at, True) == (after.created_at, after.updated_at >= before.updated_at)
    expected = sessions.SealedSession(alice.id, b"\x00two")
    assert expected == sessions.sealed_session(ledger, running(ledger, alice).id, SITE)
    assert [after] == sessions.list_sessions(ledger, alice.id)
    assert [] == sessions.list_sessions(ledger, bob.id)
    assert None is sessions.sealed_session(ledger, running(ledger, bob).id, SITE)
    assert None is sessions.sealed_session(ledger, running(ledger, alice).id, "https://other.example")
    sessions.forget_session(ledger, alice.id, SITE)
    with pytest.raises(NotFound):
        sessions.forget_session(ledger, alice.id, SITE)
