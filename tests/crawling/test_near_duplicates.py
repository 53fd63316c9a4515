"""Pages that say nearly the same."""

import json
import random
from pathlib import Path

import pytest

from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.engine.near_duplicates import NearDuplicates, fingerprint
from tests.crawling.conftest import Crawl, MakeJob
from tests.crawling.local_site import LocalSite

WORDS = [f"w{number}" for number in range(3000)]


def text_of(seed: int, *, words: int = 1200) -> list[str]:
    """Return words that no other seed gives in this order."""
    return random.Random(seed).choices(WORDS, k=words)


def print_of(words: list[str]) -> int:
    found = fingerprint(" ".join(words))
    assert found is not None
    return found


def bits_apart(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def test_few_words_more_change_few_bits() -> None:
    """Another text has nothing in common; a text in other clothes is the same."""
    for seed in range(20):
        words = text_of(seed)
        edited = [*words[:100], "inserted", *words[100:250], *words[251:]]
        assert bits_apart(print_of(words), print_of(edited)) <= 6
        assert bits_apart(print_of(words), print_of(text_of(seed + 100))) > 12
    assert print_of(words) == fingerprint("**" + ",  ".join(words).upper() + "**")
    assert None is fingerprint(" ".join(words[:50]))


def test_pages_are_grouped_by_the_shortest_address(site: LocalSite, crawl: Crawl) -> None:
    """Whatever came first; those that are alone are in no group."""
    words = text_of(1)
    site.page("/", "/print/a", "/a", "/b", "/c", "/short")
    site.page("/print/a", text=" ".join(words))
    site.page("/a", text=" ".join([*words, "more"]))
    site.page("/b", text=" ".join(text_of(2)))
    site.page("/c", text=" ".join(["begun", *words]))
    site.page("/short")
    done = crawl()
    lines = [json.loads(line) for line in done.job.saved["similar.jsonl"].splitlines()]
    assert [{"url": f"{site.url}/a", "pages": 2, "similar": [f"{site.url}/c", f"{site.url}/print/a"]}] == lines
    assert (6, 2) == (len(done.paths), done.result.similar)


def test_a_site_without_any_has_no_groups(site: LocalSite, crawl: Crawl) -> None:
    """And no artifact."""
    site.page("/", "/b")
    site.page("/b", text=" ".join(text_of(2)))
    done = crawl()
    assert (0, False) == (done.result.similar, "similar.jsonl" in done.job.saved)


@pytest.mark.parametrize("flipped", [[0, 9, 18, 27, 36, 45], [57, 58, 59, 60, 61, 62], [0, 9, 18, 27, 36, 45, 54]])
def test_six_bits_are_found_wherever_they_are(
    site: LocalSite, make_job: MakeJob, tmp_path: Path, flipped: list[int]
) -> None:
    """One in each of six parts of the fingerprint, or all in one; seven are too many."""
    one = print_of(text_of(1))
    other = one
    for bit in flipped:
        other ^= 1 << bit
    with CrawlState(tmp_path / "x.sqlite", fence=1) as state:
        near = NearDuplicates(state)
        for url, found in (("https://a.example/1", one), ("https://a.example/2", other)):
            near.note(url, found)
        groups = near.write_groups(tmp_path / "similar.jsonl", make_job(site))
    assert ((1, 1) if len(flipped) < 7 else (0, 0)) == groups
