"""Which forms are the same one, met again on another page or beside another item."""

import re
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from tasks.discovery.engine.page import Control, Form, Method
from tasks.discovery.engine.site import FormSelectors, Snapshot

# Of one form that leads back to whatever page it is on.
MAX_PLACES = 8
# A form on so many of the pages is the site's, not theirs.
_SHARE_OF_SITE = 0.5
_NUMBER = re.compile(r"\d+")
# Fields whose value says what is done, so that another value is another function.
_ACT_NAME = re.compile(
    r"_?(method|action|act|op|operation|do|cmd|command|task|mode|step|form_?(id|name))", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Met:
    """A form where it was met."""

    form: Form
    snapshot: Snapshot
    selectors: FormSelectors

    @property
    def path(self) -> str:
        """The path of its page, numbers apart."""
        return _path(self.snapshot)

    @property
    def is_own(self) -> bool:
        """Whether it leads back to its own page."""
        return self.form.action.partition("#")[0] == self.snapshot.page.url.partition("#")[0]

    @property
    def restated(self) -> frozenset[int]:
        """The places of hidden fields that only say again what the page's own address says."""
        if self.form.method is not Method.GET:
            return frozenset()
        asked = parse_qsl(urlsplit(self.snapshot.page.url).query, keep_blank_values=True)
        return frozenset(
            at
            for at, control in enumerate(self.form.controls)
            if control.type == "hidden" and (control.name, control.value) in asked
        )


def same_forms(met: Iterable[Met], *, snapshots: Sequence[Snapshot]) -> list[list[Met]]:
    """Return the forms of a site, each with its appearances, the plainest first; in the order in which they were met.

    Args:
        snapshots: the pages that were looked at, with forms and without.
    """
    alike: dict[Hashable, list[Met]] = defaultdict(list)
    for one in met:
        alike[_signature(one)].append(one)
    paths = {_path(snapshot) for snapshot in snapshots}
    found = [group for whole in alike.values() for group in _by_place(whole, paths)]
    return [sorted(group, key=_plainness) for group in _without_poorer(found)]


def says_act(control: Control) -> bool:
    """Whether a hidden value says what the form does."""
    is_plain = control.type == "hidden" and 0 < len(control.value) <= 60 and not control.value.isdigit()
    return is_plain and names_act(control)


def names_act(control: Control) -> bool:
    """Whether a field is called after what the form does."""
    return bool(_ACT_NAME.fullmatch(control.name.strip("_[]")))


def _by_place(alike: list[Met], paths: Collection[str]) -> list[list[Met]]:
    """Tell apart forms that lead back to their pages: searching the authors is not searching the books.

    One that is on most pages of a site does the same everywhere.
    """
    places: dict[str, list[Met]] = defaultdict(list)
    for one in alike:
        places[one.path].append(one)
    if not alike[0].is_own or len(places) >= max(2, _SHARE_OF_SITE * len(paths)):
        return [alike]
    return list(places.values())[:MAX_PLACES]


def _without_poorer(groups: list[list[Met]]) -> list[list[Met]]:
    """Leave out a form that is another one of the same place with fewer fields: its list had no rows to choose."""
    fields = {id(group): _fields(group[0]) for group in groups}
    kept = []
    for group in groups:
        first = group[0]
        is_poorer = first.is_own and any(
            other is not group
            and (other[0].path, other[0].form.id, other[0].form.method)
            == (first.path, first.form.id, first.form.method)
            and fields[id(group)] < fields[id(other)]
            for other in groups
        )
        if not (is_poorer and first.form.id):
            kept.append(group)
    return kept


def _place(met: Met) -> Hashable:
    return met.path, met.form.id, met.form.method


def _signature(met: Met) -> Hashable:
    """Return what a form shares with its other appearances and with no other form of the site."""
    form = met.form
    restated = met.restated
    controls = [control for at, control in enumerate(form.controls) if at not in restated]
    return (
        form.method,
        _target(met),
        tuple(dict.fromkeys((control.type, _NUMBER.sub("0", control.name)) for control in controls)),
        tuple(button.caption for button in form.buttons if button.is_submit),
        tuple((control.name, control.value) for control in controls if says_act(control)),
    )


def _target(met: Met) -> Hashable:
    form = met.form
    if met.is_own:
        # It comes back to its own page: what it offers tells it from others that do.
        offered = tuple(option.value for control in form.controls for option in control.options)[:50]
        return (form.id, form.heading if form.heading in form.text else "", offered)
    parts = urlsplit(form.action)
    query = [] if form.method is Method.GET else parse_qsl(parts.query, keep_blank_values=True)
    kept = tuple((name, "" if _NUMBER.search(value) else value) for name, value in query)
    return (parts.scheme, parts.netloc, _NUMBER.sub("0", parts.path), kept)


def _plainness(met: Met) -> tuple[int, bool]:
    return len(met.restated), met.is_own and bool(urlsplit(met.snapshot.page.url).query)


def _fields(met: Met) -> frozenset[tuple[str, str]]:
    restated = met.restated
    return frozenset((control.type, control.name) for at, control in enumerate(met.form.controls) if at not in restated)


def _path(snapshot: Snapshot) -> str:
    return _NUMBER.sub("0", urlsplit(snapshot.page.url).path)
