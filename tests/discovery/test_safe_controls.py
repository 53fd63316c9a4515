"""Which controls are tried, by kind and words."""

import pytest

from tasks.discovery.engine.safe_controls import (
    Act,
    Candidate,
    Choice,
    SurroundingForm,
    is_entered,
    safe_act,
    words_to_type,
)

GET_FORM = SurroundingForm("get", ("filters",), has_password=False)
POST_FORM = SurroundingForm("post", ("contact", "Send"), has_password=False)
LOGIN = SurroundingForm("get", ("login",), has_password=True)
TWO = (Choice(is_disabled=False, is_selected=True), Choice(is_disabled=False, is_selected=False))

SAFE = [
    (Act.SEARCH, Candidate("input", type="search")),
    (Act.SEARCH, Candidate("input", type="text", placeholder="Find a book")),
    (Act.SEARCH, Candidate("input", type="text", role="combobox", label="City")),
    (Act.SEARCH, Candidate("input", type="text", name="q", form=POST_FORM)),
    (Act.SEARCH, Candidate("input", type="text", label="Suche")),
    (Act.MORE, Candidate("button", type="button", text="Load more")),
    (Act.MORE, Candidate("button", type="submit", text="Mehr anzeigen")),
    (Act.MORE, Candidate("a", text="›", href="https://shop.example/?page=2")),
    (Act.MORE, Candidate("a", text="Next", href="https://shop.example/list?page=2")),
    (Act.TAB, Candidate("button", type="button", role="tab", text="Reviews")),
    (Act.SORT, Candidate("th", text="Price", is_sortable=True)),
    (Act.SORT, Candidate("select", label="Order by", options=TWO)),
    (Act.FILTER, Candidate("select", name="colour", options=TWO, form=GET_FORM)),
    (Act.FILTER, Candidate("input", type="checkbox", label="In stock", form=GET_FORM)),
    (Act.MENU, Candidate("summary", text="Details", is_expandable=True)),
    (Act.MENU, Candidate("button", type="button", text="Categories", is_expandable=True)),
]
UNSAFE = [
    Candidate("button", type="button", text="Delete"),
    Candidate("button", type="button", role="tab", text="Log out"),
    Candidate("button", type="button", text="Buy now", is_expandable=True),
    Candidate("button", type="button", text="Load more", script="deleteAll()"),
    Candidate("button", type="button", text="Load more", id="remove-all"),
    Candidate("button", type="button", text="Next", label="Pay and continue"),
    Candidate("button", type="submit", text="Next", form=POST_FORM),
    Candidate("button", type="submit", text="Next", form=GET_FORM),
    Candidate("button", type="button", text="Next", form=POST_FORM),
    Candidate("button", type="button", text="Sign up", is_expandable=True),
    Candidate("button", type="button", text="Send message", role="tab"),
    Candidate("button", type="button", text="Save changes"),
    Candidate("button", type="button", text="Add to cart"),
    Candidate("input", type="checkbox", label="Subscribe to the newsletter"),
    Candidate("input", type="checkbox", label="In stock", form=POST_FORM),
    Candidate("input", type="text", label="Search", form=LOGIN),
    Candidate("input", type="text", name="email"),
    Candidate("input", type="password", name="q"),
    Candidate("input", type="file", name="search"),
    Candidate("select", name="colour", options=TWO[:1]),
    Candidate("select", name="colour", options=TWO, form=POST_FORM),
    Candidate("a", text="Next", href="https://elsewhere.example/?page=2"),
    Candidate("a", text="Next", href="mailto:next@shop.example"),
    Candidate("a", text="More", href="https://shop.example/file.zip", is_download=True),
    Candidate("a", text="Next", href="https://shop.example/delete/1"),
    Candidate("button", type="button", text="Löschen", is_expandable=True),
    Candidate("button", type="button", text="Something"),
]


@pytest.mark.parametrize(("act", "candidate"), SAFE)
def test_safe_controls_are_tried(act: Act, candidate: Candidate) -> None:
    assert act is safe_act(candidate, host="shop.example")


@pytest.mark.parametrize("candidate", UNSAFE)
def test_others_are_left_alone(candidate: Candidate) -> None:
    assert safe_act(candidate, host="shop.example") is None


def test_enter_is_pressed_only_where_it_asks() -> None:
    assert is_entered(Candidate("input", type="search"))
    assert is_entered(Candidate("input", type="search", form=GET_FORM))
    assert not is_entered(Candidate("input", type="search", form=POST_FORM))


def test_the_commonest_words_are_typed() -> None:
    """Of two that are as common, the first; short words and numbers are none."""
    assert ("kettle", "red") != words_to_type(["Red kettle 2024", "Blue kettle"])
    assert ("kettle", "blue") == words_to_type(["Red kettle 2024", "Blue kettle"])
    assert ("test", "data") == words_to_type([])
