"""Finding the links between the pages of a list, on pages invented here."""

import pytest

from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.pagination import PageLinkKind, Pagination, find_pagination

ROWS = "".join(f"<li><a href='/item/{n}-a-good-thing'>A good thing no. {n}, described at length</a>" for n in range(8))


def find(pager: str, *, url: str = "https://example.org/list?page=2") -> Pagination:
    menu = "<ul id=menu><li><a href=/>Home</a><li><a href=/about>About us</a><li><a href=/contact>Contact</a></ul>"
    return find_pagination(
        read_page(f"<body>{menu}<ul>{ROWS}</ul>{pager}<footer><a href=/terms>Terms</a></footer>", url=url)
    )


def kinds(found: Pagination) -> dict[str, str]:
    return {one.link.text: one.kind.value for one in found.links}


def test_numbers_and_arrows_are_told_apart() -> None:
    found = find(
        "<div class=pagination><a href='?page=1'>« Previous</a> <a href='?page=1'>1</a> <b>2</b> "
        "<a href='?page=3'>3</a> <a href='?page=4'>4</a> <a href='?page=3'>Next »</a></div>"
    )
    assert found.is_paginated
    assert {"« Previous": "prev", "1": "page", "3": "page", "4": "page", "Next »": "next"} == kinds(found)


@pytest.mark.parametrize(
    ("previous", "following"),
    [
        ("Zurück", "Weiter"),
        ("Précédent", "Suivant"),
        ("Anterior", "Siguiente"),
        ("Предыдущая", "Следующая"),
        ("前へ", "次へ"),
    ],
)
def test_other_languages_are_read(previous: str, following: str) -> None:
    found = find(
        f"<nav class=pager><a href='?page=1'>{previous}</a> <a href='?page=1'>1</a> <span>2</span> "
        f"<a href='?page=3'>3</a> <a href='?page=3'>{following}</a></nav>"
    )
    assert ("prev", "next") == (kinds(found).get(previous), kinds(found).get(following))


def test_rel_next_is_enough_beside_a_list() -> None:
    found = find(
        "<div class=nav-links><a rel=next href='/blog/page/3'>Older entries</a></div>",
        url="https://example.org/blog/page/2",
    )
    assert PageLinkKind.NEXT in {one.kind for one in found.links}


def test_a_page_without_a_list_has_none() -> None:
    found = find(
        "<p>Posted in <a href=/tag/tea>tea</a> and <a href=/2024/05>May 2024</a></p>", url="https://example.org/post"
    )
    assert not found.is_paginated
    assert () == found.links


def test_a_page_without_links_has_none() -> None:
    found = find_pagination(read_page("<p>Nothing here", url="https://example.org/"))
    assert (0.0, ()) == (found.probability, found.links)


def test_the_surest_link_of_a_kind_is_given() -> None:
    found = find(
        "<div class=pagination><b>1</b> <a href='?page=2'>2</a> <a href='?page=3'>3</a> "
        "<a href='?page=2'>Next</a></div>",
        url="https://example.org/list",
    )
    following = found.first_of(PageLinkKind.NEXT)
    assert following is not None
    assert "https://example.org/list?page=2" == following.link.href
    assert found.first_of(PageLinkKind.FIRST) is None
