"""What a form's tool is called: a title that a person would choose, from what the page says about the form."""

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from tasks.discovery.engine.act_words import says_act
from tasks.discovery.engine.effects import adds_account, ends_session
from tasks.discovery.engine.endpoint_inputs import singular
from tasks.discovery.engine.lexicon import form_concepts
from tasks.discovery.engine.page import Control, Form, Method, Page
from tasks.discovery.engine.schema import describe
from tasks.discovery.engine.sources.addresses import list_name
from tasks.discovery.engine.sources.form_same import names_act

MAX_TITLE_WORDS = 6
_MAX_OBJECT_WORDS = 4
_MAX_DESCRIPTION = 500

# What a form of each type is called where the page has no better words.
_PLAIN_TITLES = {
    "login": "Log in",
    "registration": "Register",
    "password/login recovery": "Recover password",
    "contact/comment": "Send message",
    "join mailing list": "Subscribe",
    "order/add to cart": "Order",
}
# Types whose forms do the same everywhere: words of the page would only hide that.
_SAME_EVERYWHERE = frozenset({"login", "registration", "password/login recovery", "join mailing list"})
_SEARCH_WORD = re.compile(r"^(search(es|ing)?|find|quick|lookup|look|query|filter)$", re.IGNORECASE)
_FILLER = frozenset(
    {
        *(
            "a",
            "an",
            "all",
            "and",
            "at",
            "box",
            "by",
            "e.g",
            "enter",
            "field",
            "for",
            "form",
            "go",
            "here",
            "in",
            "input",
        ),
        *("keyword", "keywords", "me", "my", "now", "of", "on", "our", "phrase", "please", "site", "submit", "term"),
        *("terms", "text", "the", "this", "to", "type", "up", "with", "within", "word", "words", "your", "ctrl", "k"),
    }
)
# When something was is not what is searched for, and what a page says of its list just now is no name for it.
_SPAN = re.compile(r"\b(dates?|times?|from|since|until|till|before|after)\b", re.IGNORECASE)
_COUNT = re.compile(r"[\W\d_]*\d[\W\d_]*([^\W\d_]+)?\W*$")
_GENERIC_CAPTIONS = frozenset({"", "go", "ok", "send", "submit", "save", "search", "find", "apply", "continue", "next"})


def title_of(
    form: Form,
    *,
    type_name: str,
    submit: Control | None,
    is_of_item: bool = False,
    list_path: str = "",
    page: Page | None = None,
) -> str:
    """Return a title of a few words, such as ``Search books``.

    Args:
        is_of_item: the form stands beside each item of a list, whose name its heading is.
        list_path: of the page that the form leads back to: what a search without a better name searches.
        page: that it stands on, which may say what is done where the form's heading is only a field's.
    """
    caption = _short(submit.caption if submit else "")
    if type_name == "search" and _says_search(form) and not _says_otherwise(caption):
        title = _search_title(form)
        # A search of /images/results looks for images. A box without a form leads back to where it stands.
        called = list_name(list_path.strip("/") or (urlsplit(form.action).path if page else ""), title="-")
        return f"Search {called}" if title == "Search" and called != "-" and not _SEARCH_WORD.match(called) else title
    if list_path and (acts := _acts(form)):
        return acts[0][:80] if len(acts) == 1 else f"Act on selected {list_name(list_path, title='items')}"
    plain = _PLAIN_TITLES.get(type_name, "")
    if type_name in _SAME_EVERYWHERE and not _is_for_others(form, type_name, page):
        return plain
    heading = _short(form.label) or ("" if is_of_item else _short(form.heading))
    if caption.casefold() not in _GENERIC_CAPTIONS and len(caption.split()) > 1:
        return caption
    if heading:
        return heading if says_act(heading, purpose=type_name) or page is None else _act_of(form, page) or heading
    if caption.casefold() not in _GENERIC_CAPTIONS:
        return caption
    if type_name == "search" and list_path:
        return f"Filter {list_name(list_path, title='items')}"
    if type_name in _SAME_EVERYWHERE and page is not None and (act := _act_of(form, page)):
        return act
    return plain or f"{caption or 'Submit'} {_path_words(form.action)}".strip()


def _acts(form: Form) -> list[str]:
    """Return what may be done with the rows that are ticked in a list; nothing where it has none to tick."""
    if not any(control.type == "checkbox" for control in form.controls):
        return []
    options = (option for control in form.controls if names_act(control) for option in control.options)
    return [option.label for option in options if option.value and option.label and not option.is_disabled]


def _act_of(form: Form, page: Page) -> str:
    """Return what the page's title, else the form's address, says is done; nothing where neither does."""
    before, colon, after = re.split(r"\s[|·\u2013\u2014-]\s", page.title)[0].partition(":")
    said = before if after.strip().casefold() in before.casefold() else f"{before}{colon}{after}"
    if (title := _short(said.strip())) and says_act(title):
        return title
    if form.method is not Method.POST:
        return ""
    *rest, last = ["", *(part for part in unquote(urlsplit(form.action).path).split("/") if part)]
    thing = re.sub(r"[\W_]+", " ", singular(rest[-1])).strip() if rest else ""
    is_told = thing and says_act(last) and not re.search(r"\d", thing)
    return f"{last} {thing}".replace("_", " ").capitalize()[:60] if is_told else ""


def _is_signed_in(page: Page) -> bool:
    """Whether the page offers to sign out."""
    captions = (button.caption for form in page.forms for button in form.buttons)
    return any(ends_session(text) for text in (*captions, *(link.text for link in page.links)) if text)


def _is_for_others(form: Form, type_name: str, page: Page | None) -> bool:
    """Whether it looks like a form for visitors and is none: who knows a password changes it, who is in adds a user."""
    if type_name == "password/login recovery":
        return any(control.type == "password" for control in form.controls)
    if type_name != "registration":
        return False
    return adds_account(form.label or form.heading) or (page is not None and _is_signed_in(page))


def description_of(form: Form, *, title: str, page: Page, submit: Control | None) -> str:
    """Return a sentence or two: what is sent where, and what the page asks for."""
    heading = form.label or (form.heading if form.heading in form.text or form.method is Method.POST else "")
    asked = [text for control in form.fields if control.is_visible and (text := describe(control))]
    about = f"{title}." if not heading or heading.casefold() in title.casefold() else f"{title} ({heading[:100]})."
    where = f" The form on “{page.title[:100]}”" if page.title else " The form"
    target = urlsplit(form.action).path or "/"
    how = f"{where} at {urlsplit(page.url).path or '/'} sends to {target[:120]}"
    by = f" with “{submit.caption[:60]}”" if submit and submit.caption else ""
    fields = f" Asks for: {'; '.join(dict.fromkeys(text[:60] for text in asked))}." if asked else ""
    return f"{about}{how}{by}.{fields}"[:_MAX_DESCRIPTION]


def query_field(form: Form) -> Control | None:
    """Return the field that a search is typed into: the one that says so, else the first that takes words."""
    typed = [control for control in form.fields if control.type in ("text", "search") and control.name]
    seen = [control for control in typed if control.is_visible] or typed
    for control in seen:
        names = f"{control.name} {control.id} {control.label} {control.placeholder}"
        if control.type == "search" or control.role == "searchbox" or "search" in form_concepts(names):
            return control
    return seen[0] if seen else None


def _says_search(form: Form) -> bool:
    """Whether it calls itself a search, besides looking like one."""
    said = [form.action, form.role, form.id, form.name, form.label, *form.class_tokens]
    for control in form.controls:
        said += [control.type, control.role, control.name, control.id, control.caption, describe(control)]
    return "search" in form_concepts(" ".join(said))


def _search_title(form: Form) -> str:
    for phrase in _search_phrases(form):
        words = re.findall(r"[^\W_][\w'\u2019.-]*", phrase)
        named = [word.rstrip(".'\u2019-") for word in words if word.rstrip(".").casefold() not in _FILLER]
        about = [word for word in named if not _SEARCH_WORD.match(word)]
        if not about or len(about) > _MAX_OBJECT_WORDS or _SPAN.search(phrase):
            continue
        # In another language the page's own words are kept: they name the search already.
        if len(about) == len(named) and "search" in form_concepts(phrase):
            return phrase.strip(" .…:")[:80]
        return f"Search {' '.join(about)}".rstrip()
    return "Search"


def _search_phrases(form: Form) -> Iterator[str]:
    yield form.label
    field = query_field(form)
    if field is not None:
        yield from (field.placeholder, field.label, field.title)
    captions = (button.caption for button in form.buttons if button.is_submit)
    yield from (caption for caption in captions if "search" in form_concepts(caption))
    if form.heading and form.heading in form.text:
        yield form.heading
    if field is not None:
        yield field.legend


def _says_otherwise(caption: str) -> bool:
    """Whether a button says in some words what it does, and that is no search."""
    return len(caption.split()) > 1 and "search" not in form_concepts(caption)


def _short(text: str) -> str:
    text = text.strip(" .:…»\u203a>→")
    if _COUNT.match(text):
        return ""
    return text if 0 < len(text.split()) <= MAX_TITLE_WORDS and len(text) <= 60 else ""


def _path_words(url: str) -> str:
    parts = [part for part in unquote(urlsplit(url).path).split("/") if re.search(r"[^\W\d_]{2}", part)]
    return re.sub(r"[\W_]+", " ", parts[-1].partition(".")[0]).strip() if parts else ""
