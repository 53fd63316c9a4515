"""Searches by words and by meaning: tools that were found on real programs, wants of people who had not seen them.

``found_tools.json`` has what discoveries of the targets found (tests/acceptance/targets), and for each entry of their
lists the tools that serve it. Which of them a search should find is the judgement of those lists, not ours.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tasks.core.ledger import Ledger
from tasks.core.ledger.tenants import Tenant
from tasks.discovery.store.search import by_meaning, by_words
from tasks.discovery.store.tools import Wanted, listing, names_of
from tests.discovery.tools import a_tool, record

LABELLED: dict[str, list[dict[str, Any]]] = json.loads(Path(__file__).with_name("found_tools.json").read_text("utf-8"))


@dataclass(frozen=True)
class Asked:
    text: str
    site: str
    tools: frozenset[str]


def site_of(target: str) -> str:
    return f"https://{target}.example"


def asked() -> list[Asked]:
    return [Asked(one["want"], site_of(one["target"]), frozenset(one["tools"])) for one in LABELLED["asked"]]


def misspelled(text: str) -> str:
    """Swap two letters of the longest word."""
    word = max(text.rstrip(".").split(), key=len)
    return text.replace(word, word[:2] + word[3] + word[2] + word[4:])


@pytest.fixture
def ids(ledger: Ledger, alice: Tenant) -> dict[str, tuple[str, str]]:
    """Everything that was found on the targets, as one tenant's; site and name by id."""
    for target, found in groupby(LABELLED["tools"], key=lambda one: one["target"]):
        made = [
            a_tool(
                one["name"],
                site=site_of(target),
                title=one["title"],
                description=one["description"],
                purpose=one["purpose"],
                input_schema={"type": "object", "properties": one["inputs"]},
            )
            for one in found
        ]
        record(ledger, alice, *made)
    return {tool_id: (site, name) for tool_id, site, name in names_of(ledger, Wanted(alice.id))}


def recall(wants: Sequence[Asked], best: Callable[[Asked], Iterator[str]], *, most: int = 5) -> float:
    """The share of the wants for which one of the right tools is among the first."""
    return sum(any(name in want.tools for name in list(best(want))[:most]) for want in wants) / len(wants)


# What is computed of the rows is computed here, not by the database; one is enough for hundreds of searches.
@pytest.mark.parametrize("either_ledger", ["sqlite"], indirect=True)
def test_words_and_meaning_together_find_more_than_each_alone(
    ledger: Ledger, alice: Tenant, ids: dict[str, tuple[str, str]]
) -> None:
    """Recall among the first five, on one site; and of all sites; and with the longest word misspelled."""

    def together(want: Asked) -> Iterator[str]:
        page = listing(ledger, Wanted(alice.id, site=want.site, text=want.text), limit=5)
        return (facts.stored.name for facts in page.tools)

    def anywhere(want: Asked) -> Iterator[str]:
        page = listing(ledger, Wanted(alice.id, text=want.text), limit=5)
        return (facts.stored.name if facts.stored.site == want.site else "" for facts in page.tools)

    def meaning(*asked: Any) -> dict[str, float]:
        return by_meaning(*asked).likeness

    def alone(search: Callable[..., dict[str, float]], *, within: bool = True) -> Callable[[Asked], Iterator[str]]:
        def best(want: Asked) -> Iterator[str]:
            with ledger.read() as connection:
                scores = search(connection, alice.id, want.text)
            for tool_id in sorted(scores, key=lambda one: (-scores[one], one)):
                site, name = ids[tool_id]
                if site == want.site or not within:
                    yield name if site == want.site else ""

        return best

    wants = asked()
    assert (219, 80) == (len(ids), len(wants))
    of_site = recall(wants, together), recall(wants, alone(by_words)), recall(wants, alone(meaning))
    of_all = recall(wants, anywhere), recall(wants, alone(by_words, within=False))
    wrong = [Asked(misspelled(want.text), want.site, want.tools) for want in wants]
    of_wrong = recall(wrong, together), recall(wrong, alone(by_words))
    assert of_site[0] >= max(of_site[1:])
    assert of_site[0] >= 0.85
    assert of_all[0] >= of_all[1]
    assert of_wrong[0] >= of_wrong[1]


@pytest.mark.parametrize(
    ("text", "best"),
    [
        ("look up", "search_products"),
        ("Suche", "search_products"),
        ("log on", "enter"),
        ("purchase", "checkout"),
        ("newsleter", "subscribe"),
    ],
)
def test_what_is_meant_is_found(ledger: Ledger, alice: Tenant, text: str, best: str) -> None:
    """Said in other words, misspelled, or in another language; what none of them means finds nothing."""
    record(
        ledger,
        alice,
        a_tool("search_products", title="Search products", description="Search the catalogue."),
        a_tool("enter", title="Sign in", description="With name and password.", purpose="login"),
        a_tool("checkout", title="Order", description="Order what is in the basket.", purpose="order"),
        a_tool("subscribe", title="Newsletter", description="Once a month by e-mail.", purpose="newsletter"),
    )
    assert best == listing(ledger, Wanted(alice.id, text=text), limit=1).tools[0].stored.name
    assert [] == listing(ledger, Wanted(alice.id, text="xyzzy plugh"), limit=9).tools
