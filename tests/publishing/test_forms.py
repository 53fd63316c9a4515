"""Which pages have other forms than before."""

import shutil

import pytest

from tasks.publishing.engine.forms import digest_of
from tests.publishing.bench import PAGE, SITE, Bench

SEARCH = '<form action="/find"><input name="q"></form>'
FORMS = SITE | {
    "index.html": PAGE.format(f"First {SEARCH}"),
    "other.html": PAGE.format(f"Other {SEARCH}"),
    "gone.html": PAGE.format(f"Gone {SEARCH}"),
}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (f"<h1>a</h1>{SEARCH}", f"<p>b\n{SEARCH}<input-like>", True),
        (SEARCH, SEARCH.replace('"q"', '"query"'), False),
        (SEARCH, SEARCH.replace("</form>", "<b>Find</b></form>"), False),
        (SEARCH, f"{SEARCH}<button>Go</button>", False),
        ("<p>a", "<formula>b", True),
        ("<FORM\nid=x>  a</form>", "<FORM id=x> a</form>c", True),
        ("<input name=a>", "<input name=b>", False),
        ("<form>never closed", "<form>never  closed", True),
    ],
)
def test_only_forms_and_controls_count(one: str, other: str, same: bool) -> None:
    assert same == (digest_of(one.encode()) == digest_of(other.encode()))


def test_pages_with_other_forms_are_counted(bench: Bench) -> None:
    """New, others and gone ones; also where nothing is remembered, and on the way back."""
    assert 3 == bench.publish(FORMS).forms_changed
    words = FORMS | {"index.html": FORMS["index.html"].replace("paragraph", "section")}
    assert (1, 0) == ((found := bench.publish(words)).changed, found.forms_changed)
    del words["gone.html"]
    words["other.html"] = words["other.html"].replace('"q"', '"query"')
    words["new.html"] = PAGE.format(f"New {SEARCH}")
    shutil.rmtree(bench.memo()._folder)
    job = bench.job()
    result = bench.publish(words, job)
    assert (3, None) == (result.forms_changed, result.form_urls), "nobody has told the address"
    assert 3 == job.emissions.emitted[0].data["forms_changed"]
    shutil.rmtree(bench.memo()._folder)
    assert 3 == bench.roll_back().forms_changed
