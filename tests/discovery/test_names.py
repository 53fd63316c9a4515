"""Names of tools."""

import re

from hypothesis import given
from hypothesis import strategies as st

from tasks.discovery.engine.names import Names
from tasks.discovery.tool import TOOL_NAME


def test_a_name_keeps_what_may_stay_of_the_first_candidate_that_leaves_something() -> None:
    """Identifiers as they are, words joined, accents dropped."""
    names = Names()
    assert "findPetsByStatus" == names.take("findPetsByStatus")
    assert "replace_thing" == names.take("replace thing!")
    assert "Recherche_avancee" == names.take("Recherche avancée")
    assert "get_pets_id" == names.take("検索", "get/pets/{id}")
    assert "tool" == names.take("", "…")


def test_equal_names_are_told_apart_whatever_their_case() -> None:
    """By a number, within the length."""
    names = Names()
    assert ["search", "Search_2", "search_3"] == [names.take(text) for text in ("search", "Search", "search")]
    assert ["a" * 100, "a" * 98 + "_2"] == [names.take("a" * 300), names.take("a" * 101)]


@given(st.lists(st.text(max_size=150), max_size=30))
def test_any_texts_give_valid_names_that_differ(texts: list[str]) -> None:
    """Whatever a site calls its functions."""
    names = Names()
    taken = [names.take(text) for text in texts]
    assert all(re.fullmatch(TOOL_NAME, name) for name in taken)
    assert len(taken) == len({name.casefold() for name in taken})
