"""Whether words name something that is done, by the languages' own verbs (``effects.json``, ``lexicon.json``)."""

from tasks.discovery.engine.effects import acts_in, reads_by
from tasks.discovery.engine.lexicon import form_concepts

# What a form of each type is called, where it is called after what it does.
_CALLED = {
    "search": frozenset({"search"}),
    "login": frozenset({"log_in"}),
    "registration": frozenset({"register"}),
    "password/login recovery": frozenset({"forgot"}),
    "contact/comment": frozenset({"contact", "message", "send"}),
    "join mailing list": frozenset({"newsletter"}),
    "order/add to cart": frozenset({"order"}),
}
# These are acts whatever the form is for.
_ACTS = frozenset({"search", "log_in", "send", "filter", "download"})
# What one does with a form besides, as the first word of its title.
_LEADING = frozenset(
    {"act", "apply", "ask", "choose", "export", "run", "sort", "start", "submit", "try", "upload", "use"}
)


def is_called(text: str, *, purpose: str) -> bool:
    """Whether a form of this type is called after it."""
    return bool(form_concepts(text) & _CALLED.get(purpose, frozenset()))


def says_act(text: str, *, purpose: str = "") -> bool:
    """Whether the words name something that is done: a search, a change, a deletion, a filter …"""
    if acts_in(text) or reads_by(text) or is_called(text, purpose=purpose):
        return True
    return bool(form_concepts(text) & _ACTS) or text.strip().casefold().split(" ", 1)[0] in _LEADING
