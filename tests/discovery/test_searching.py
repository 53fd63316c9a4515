"""Which searches of a site are asked, and for what."""

import pytest

from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.page import Page
from tasks.discovery.engine.searching import MOST, Searches

ORIGIN = "https://blog.test"
TITLES = "".join(f"<a href=/posts/{at}>Letters from {place} harbour</a>" for at, place in enumerate(("oslo", "riga")))


def search(action: str = "/search", more: str = "") -> str:
    return (
        f"<form role=search action={action}><input type=search name=q placeholder='Search posts'>{more}"
        "<button>Search</button></form>"
    )


def page(html: str, *, path: str = "/") -> Page:
    return read_page(html, url=f"{ORIGIN}{path}")


def asked(*pages: Page, is_end: bool = True) -> list[str]:
    searches = Searches()
    for one in pages:
        searches.add(one)
    return [address.removeprefix(ORIGIN) for address in searches.addresses(is_end=is_end)]


def test_a_search_is_asked_for_the_word_that_most_titles_have() -> None:
    """With what the form always sends, and once, though it is on every page."""
    titles = TITLES + "<a href=/posts/9>Letters home again</a>"
    form = search(more="<input type=hidden name=in value=posts><input name=author>")
    assert ["/search?q=letters&in=posts"] == asked(page(form + titles), page(form, path="/about"))


def test_one_title_on_many_pages_counts_once() -> None:
    """What stands beside every page is no more common for that."""
    beside = page("<a href=/best>Favourite of ours</a>" + TITLES)
    assert ["/search?q=letters"] == asked(beside, beside, beside, page(search(), path="/s"))


def test_a_word_is_chosen_when_enough_was_seen() -> None:
    """The first pages of a site may list nothing."""
    pages = [page(search() + TITLES, path=f"/{at}") for at in range(4)]
    assert [] == asked(*pages, is_end=False)
    assert ["/search?q=letters"] == asked(*pages, page("", path="/5"), is_end=False)


def test_not_every_search_of_a_site_is_asked() -> None:
    """The bound on pages is for the pages."""
    pages = [page(search(f"/find{at}") + TITLES, path=f"/{at}") for at in range(5)]
    assert MOST == len(asked(*pages))


@pytest.mark.parametrize(
    "html",
    [
        search().replace("<form", "<form method=post"),
        "<form action=/subscribe><input type=email name=mail><button>Subscribe</button></form>",
        search("/cart/delete"),
        search(more="<input type=hidden name=csrf_token value=Zk3xQ9vTb8LmN2pR>"),
    ],
)
def test_what_may_do_more_than_ask_is_not_sent(html: str) -> None:
    """Forms that post, other types, words of deleting, tokens."""
    assert [] == asked(page(html + TITLES))


def test_nothing_is_asked_where_no_titles_share_a_word() -> None:
    """An input is never made up."""
    assert [] == asked(page(search() + "<a href=/a>Alpine flowers today</a>"))
