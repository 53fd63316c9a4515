"""What a site's own searches show: pages that no link leads to, with links to more results, orders and filters."""

from collections.abc import Iterator
from urllib.parse import urlencode, urlsplit

from tasks.discovery.engine.effects import effect_of
from tasks.discovery.engine.form_types import form_type
from tasks.discovery.engine.page import Control, Form, Method, Page
from tasks.discovery.engine.sources.form_calls import is_token
from tasks.discovery.engine.sources.form_words import query_field
from tasks.discovery.engine.sources.page_words import CommonWords
from tasks.discovery.tool import Effect

# Forms of a site that are asked once each. What one search shows, the next mostly shows too.
MOST = 2
# Pages that are seen before a word is chosen: the first ones may list nothing.
_ENOUGH_PAGES = 5
# Of a form's type; a form that filters a list is mostly one that stands in the list.
_LEAST_SURE = 0.5


class Searches:
    """Asks each search form of a site, two at most, for the word that most titles have.

    A word that many titles have gives more results than one page holds, which shows how to get at the others.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Form] = {}
        self._asked: set[str] = set()
        self._words = CommonWords()
        self._pages = 0

    def add(self, page: Page) -> None:
        """Take a page that was looked at, in the order of the walk."""
        self._pages += 1
        self._words.add(page)
        for form in page.forms:
            path = urlsplit(form.action).path
            if path not in self._asked and path not in self._waiting and _is_search(form):
                self._waiting[path] = form

    def addresses(self, *, is_end: bool) -> Iterator[str]:
        """Yield the addresses that the searches lead to, each once; ``is_end``: there is nothing else to look at."""
        word = self._words.commonest()
        if not word or not (is_end or self._pages >= _ENOUGH_PAGES):
            return
        for path, form in list(self._waiting.items()):
            del self._waiting[path]
            if len(self._asked) < MOST:
                self._asked.add(path)
                yield _address(form, word)


def _is_search(form: Form) -> bool:
    if form.method is not Method.GET or query_field(form) is None or any(map(is_token, form.controls)):
        return False
    words = [button.caption for button in form.buttons]
    if effect_of("GET", *words, urlsplit(form.action).path) is not Effect.READ:
        return False
    guess = form_type(form)
    return guess.name == "search" and guess.probability >= _LEAST_SURE


def _address(form: Form, word: str) -> str:
    asked = query_field(form)
    sent = [
        (control.name, word if control is asked else control.value)
        for control in form.controls
        if control is asked or _is_kept(control)
    ]
    return f"{form.action.partition('#')[0].partition('?')[0]}?{urlencode(sent)}"


def _is_kept(control: Control) -> bool:
    """Whether a value goes along that the page itself has set."""
    return control.type == "hidden" and bool(control.name and control.value) and not control.is_disabled
