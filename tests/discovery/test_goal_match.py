"""Which of a shop's tools a person means."""

import pytest

from tasks.discovery.engine.goal_match import GoalMatch
from tasks.discovery.engine.ranking import LEAST_MATCH, rank
from tasks.discovery.tool import FormCall, RequestCall, Source, Tool


def tool(name: str, purpose: str, path: str, *inputs: str, title: str = "", source: Source = Source.FORM) -> Tool:
    return Tool(
        name=name,
        title=title or name.replace("_", " ").capitalize(),
        site="http://shop.test",
        found_on="http://shop.test/",
        source=source,
        purpose=purpose,
        call=RequestCall(url=f"http://shop.test{path}"),
        input_schema={"type": "object", "properties": {name: {"type": "string"} for name in inputs}},
        prior=0.9,
    )


TOOLS = [
    tool("search_products", "search", "/search", "q"),
    tool("subscribe_newsletter", "join mailing list", "/newsletter", "email", title="Join our mailing list"),
    tool("log_in", "login", "/login", "username", "password"),
    tool("contact_us", "contact/comment", "/contact", "name", "email", "message"),
    tool("sort_by_price", "sort", "/products", "sort", source=Source.SORT),
    tool("product_pages", "pagination", "/products", "page", source=Source.PAGINATION),
    tool("search_flights", "search", "/flights", "origin", "destination", "date"),
    tool("get_forecast", "api", "/api/weather", "city", title="Weather forecast", source=Source.OPENAPI),
]


@pytest.mark.parametrize(
    ("goal", "wanted"),
    [
        ("find products by name", "search_products"),
        ("sign up for the newsletter", "subscribe_newsletter"),
        ("subscribe", "subscribe_newsletter"),
        ("log in to my account", "log_in"),
        ("send a message to support", "contact_us"),
        ("how do I contact the company?", "contact_us"),
        ("cheapest product first", "sort_by_price"),
        ("go through all pages of products", "product_pages"),
        ("search for flights", "search_flights"),
        ("book a flight from Paris to Rome", "search_flights"),
        ("what is the weather in London", "get_forecast"),
        ("Produkte suchen", "search_products"),
        ("rechercher un produit", "search_products"),
    ],
)
def test_the_tool_that_a_person_means_comes_first(goal: str, wanted: str) -> None:
    """In words of their own, in several languages."""
    best = rank(TOOLS, GoalMatch(goal))[0]
    assert wanted == best.tool.name
    assert best.match >= LEAST_MATCH


@pytest.mark.parametrize("goal", ["translate a text into Japanese", "play chess"])
def test_nothing_serves_a_goal_that_the_site_does_not(goal: str) -> None:
    """So that no tool is the one for it."""
    assert all(one.match < LEAST_MATCH for one in rank(TOOLS, GoalMatch(goal)))


def test_without_a_goal_the_surest_comes_first() -> None:
    """By what was shown, else by what the source says, then by the kind of source."""
    assessed = [one.model_copy(update={"confidence": 0.1}) for one in TOOLS[:-1]]
    assert "get_forecast" == rank([*assessed, TOOLS[-1]], GoalMatch(""))[0].tool.name


def test_what_only_shows_a_page_comes_after_what_does_something() -> None:
    """However sure it is: it would else fill a bounded result."""
    page = tool("list_offers", "list", "/offers", source=Source.LIST)
    found = tool("find_offers", "list", "/api/offers", "search", source=Source.LIST)
    unsure = TOOLS[1].model_copy(update={"prior": 0.5})
    names = [one.tool.name for one in rank([page, found, unsure], GoalMatch(""))]
    assert ["find_offers", "subscribe_newsletter", "list_offers"] == names


def test_the_page_of_a_form_comes_after_the_form() -> None:
    """Whoever has the form needs no tool that shows it; other pages of many things keep their place."""
    url = "http://shop.test/books/{id}/change/"
    change = tool("change_book", "other", "/").model_copy(
        update={"call": FormCall(page_url=f"{url}?next=/", url=url, method="POST"), "prior": 0.6}
    )
    pages = [
        tool("open_book_change", "open", "/books/{book}/change/", "book", source=Source.ITEM),
        tool("open_book", "open", "/books/{id}/", "id", source=Source.ITEM),
    ]
    ranked = rank([*pages, change], GoalMatch(""))
    assert ["open_book", "change_book", "open_book_change"] == [one.tool.name for one in ranked]
