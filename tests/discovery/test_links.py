"""Which links of a site are followed, and in which order."""

from dataclasses import replace

import pytest

from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.links import Links, kind_of

ORIGIN = "https://shop.test"


def links(
    html: str, *, depth: int = 0, max_depth: int = 2, goal: str = "", opens_deletions: bool = False
) -> tuple[Links, dict[str, str]]:
    """What is taken from a page, and why the rest is not."""
    left_out: dict[str, str] = {}
    found = Links(
        max_depth=max_depth,
        serves=lambda words: float(bool(goal) and goal in words),
        told=lambda url, reason: left_out.update({url: reason}),
        opens_deletions=opens_deletions,
    )
    found.origin = ORIGIN
    found.claim(f"{ORIGIN}/")
    found.add(read_page(html, url=f"{ORIGIN}/"), depth=depth)
    return found, left_out


def taken(found: Links) -> list[str]:
    paths = []
    while (one := found.take()) is not None:
        paths.append(one.url.removeprefix(ORIGIN))
    return paths


def test_each_page_is_taken_once_in_order() -> None:
    """However it is spelt, and never the page itself."""
    found, _ = links("<a href=/a>A</a><a href=/b>B</a><a href='/a#x'>A</a><a href=/>Home</a><a href='./b?'>B</a>")
    assert ["/a", "/b"] == taken(found)


def test_links_that_scripts_keep_back_are_followed_like_others() -> None:
    """After those in sight, and not where they do something."""
    page = read_page("<a href=/a>A</a>", url=f"{ORIGIN}/")
    kept_back = read_page("<a href=/a/copy>Copy</a><a href=/logout>Bye</a>", url=f"{ORIGIN}/").links
    found, _ = links("")
    found.add(replace(page, kept_back=kept_back), depth=0)
    assert ["/a", "/a/copy"] == taken(found)


def test_other_sites_files_and_unsafe_links_are_left_out() -> None:
    """A link is followed with GET, which some sites let delete things."""
    found, left_out = links(
        "<a href=https://other.test/>Other</a><a href=/x.pdf>File</a><a href=/logout>Bye</a>"
        "<a href='/item/3?action=delete'>x</a><a href=/cart/7>Remove</a><a href=http://shop.test/>Plain</a>"
        "<a href=mailto:a@b.c>Mail</a><a href=/ok>Details</a>"
    )
    assert ["/ok"] == taken(found)
    assert {"other_site", "not_html", "unsafe"} == set(left_out.values())
    assert {f"{ORIGIN}/logout", f"{ORIGIN}/item/3?action=delete", f"{ORIGIN}/cart/7"} == {
        url for url, reason in left_out.items() if reason == "unsafe"
    }


GUARDED = "<form method=post action=/save><input type=hidden name=csrf_token value=x><input name=a></form>"


@pytest.mark.parametrize(
    ("html", "is_opened"),
    [
        (f"{GUARDED}<a href='/book/3/delete/?next=/books/'>Delete</a>", True),
        ("<form method=post action=/save><input name=a></form><a href=/book/3/delete/>Delete</a>", False),
        (f"{GUARDED}<a href='/book/3/delete/?token=ab12'>Delete</a>", False),
        (f"{GUARDED}<a href='/book/3/?action=delete'>Delete</a>", False),
        (f"{GUARDED}<a href=/delete/book/3>Delete</a>", False),
        (f"{GUARDED}<a href=/book/3/delete/ data-method=delete>Delete</a>", False),
        (f"{GUARDED}<a href=/book/3/delete/ onclick='go()'>Delete</a>", False),
        (f"{GUARDED}<a href=/user/3/delete/>Delete</a>", False),
        (f"{GUARDED}<a href=/logout/>Log out</a>", False),
        (f"{GUARDED}<a href=/book/3/buy/>Buy now</a>", False),
    ],
)
def test_links_that_say_delete_are_opened_where_asked_for_and_everything_says_that_the_site_asks(
    html: str, is_opened: bool
) -> None:
    """Never without being asked for."""
    assert is_opened == bool(taken(links(html, opens_deletions=True)[0]))
    assert [] == taken(links(html)[0])


def test_pages_of_a_new_kind_come_before_more_of_the_same() -> None:
    """Twenty products are one kind of page."""
    products = "".join(f"<a href=/products/{n}>P</a>" for n in range(20))
    found, _ = links(f"{products}<a href=/about>About</a><a href='/list?page=2'>2</a><a href='/list?page=3'>3</a>")
    assert ["/products/0", "/about", "/list?page=2"] == taken(found)[:3]


def test_what_serves_the_goal_comes_first() -> None:
    """Among pages of kinds that are equally new."""
    found, _ = links("<a href=/a>A</a><a href=/b>flights</a>", goal="flights")
    assert ["/b", "/a"] == taken(found)


def test_a_level_is_finished_before_the_next() -> None:
    """And none is begun below the deepest."""
    found, _ = links("<a href=/a>A</a><a href=/b>B</a>")
    one = found.take()
    assert one is not None
    found.add(read_page("<a href=/new>New</a>", url=one.url), depth=one.depth)
    found.add(read_page("<a href=/deep>Deep</a>", url=f"{ORIGIN}/x"), depth=2)
    assert found.is_cut
    assert ["/b", "/new"] == taken(found)


def test_a_new_place_comes_before_more_filters_of_a_known_one() -> None:
    """The combinations of a list's filters are endless; the page below one of its items is a function of its own."""
    found, _ = links("<a href='/list?a=1'>A</a><a href='/list?a=1&b=2'>B</a><a href='/list?b=2'>B</a>")
    one = found.take()
    assert one is not None
    found.add(read_page("<a href=/list/7/history>History</a>", url=one.url), depth=one.depth)
    assert ["/list/7/history", "/list?a=1&b=2", "/list?b=2"] == taken(found)


def test_addresses_of_one_kind() -> None:
    """Names and numbers are what differs."""
    assert kind_of(f"{ORIGIN}/p/12?b=1&a=2") == kind_of(f"{ORIGIN}/p/7?a=x&b=y")
    assert kind_of(f"{ORIGIN}/p/a-long-name-of-it") == kind_of(f"{ORIGIN}/p/other-name-of-it")
    assert kind_of(f"{ORIGIN}/about") != kind_of(f"{ORIGIN}/contact")
