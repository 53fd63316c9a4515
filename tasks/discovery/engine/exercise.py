"""Tries the safe controls of a live page, so that its scripts show what they ask the site for.

Search boxes are typed into; more of a list, another order, a filter, a tab or a menu is asked for. Nothing else is
pressed, and ``Watch`` lets nothing out that is more than a question. What no script listens to is left alone.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import ElementHandle, Frame, JSHandle, Page
from playwright.async_api import Error as PlaywrightError

from tasks.discovery.engine.listeners import heeded
from tasks.discovery.engine.safe_controls import (
    MOST_OF,
    Act,
    Candidate,
    Choice,
    SurroundingForm,
    is_entered,
    safe_act,
    words_to_type,
)
from tasks.discovery.engine.watch import Watch

MAX_ACTS = 16
_ROUNDS = 2
_CLICK_LIMIT_MS = 600
_KEY_DELAY_MS = 15
_FRAME_LIMIT_S = 2.0
_REOPEN_LIMIT_MS = 10_000
# How long a first request may take to come: who types is waited for by many pages, a press is not.
_TYPED_FIRST_S = 0.6
_PRESSED_FIRST_S = 0.2
_TIMES_MORE = 2
# What these ask for depends on no field that would have to be filled in first.
_SHOWS_ALL = frozenset({Act.MORE, Act.TAB, Act.MENU})


@dataclass(frozen=True, slots=True)
class _Control:
    candidate: Candidate
    element: ElementHandle
    act: Act


@dataclass(slots=True)
class _Turn:
    """What is left to do, and what has been done."""

    ends: float
    acts_left: int
    seen: set[tuple[str, ...]]
    silent: set[tuple[str, ...]]
    pressed: set[tuple[str, str, str]]
    done: list[str]

    @property
    def is_over(self) -> bool:
        return self.acts_left <= 0 or monotonic() >= self.ends


async def exercise(
    page: Page,
    watch: Watch,
    *,
    budget_s: float,
    words: Sequence[str] = (),
    max_acts: int = MAX_ACTS,
    silent: set[tuple[str, ...]] | None = None,
    pressed: set[tuple[str, str, str]] | None = None,
    reopen: bool = True,
) -> tuple[str, ...]:
    """Try the safe controls of ``page`` and return what was done; ``watch`` has the requests.

    The order is fixed: search boxes, more, orders, filters, lists to pick from, tabs, menus, each as they stand in the
    document; then once more what has appeared since.

    Args:
        budget_s: the most it may take, opening the page again aside.
        words: what to type; without any, the commonest words of what the page lists.
        silent: controls that asked for nothing on other pages of the site, which are left out; this page's are added.
        pressed: takes the buttons of which pressing has shown all there is, with nothing stopped: id, name and what
            each says.
        reopen: open the page anew afterwards. Otherwise it is left as it is, guarded: close it.
    """
    url = page.url
    silent = set() if silent is None else silent
    pressed = set() if pressed is None else pressed
    ends = monotonic() + budget_s
    turn = _Turn(ends=ends, acts_left=max_acts, seen=set(silent), silent=silent, pressed=pressed, done=[])
    try:
        async with asyncio.timeout(budget_s):
            if typed := await _words(page, words):
                await watch.guard()
                for _ in range(_ROUNDS):
                    before = len(turn.done)
                    await _one_round(page, watch, turn, typed)
                    if len(turn.done) == before:  # what nothing was done to shows nothing new
                        break
    except TimeoutError:
        pass
    except PlaywrightError as exc:
        # A page that navigates or breaks under our hands ends the turn; what was seen stays.
        turn.done.append(f"ended: {exc.message.partition(chr(10))[0][:100]}")
    if reopen and turn.done:
        await _open_again(page, watch, url)
    return tuple(turn.done)


async def _words(page: Page, words: Sequence[str]) -> tuple[str, ...]:
    """Return what to type; nothing where no script could answer."""
    found: dict[str, Any] = await page.evaluate(_script("exercise_words.js"))
    if not found["has_scripts"]:
        return ()
    return tuple(words) or words_to_type([*found["texts"], found["title"]])


async def _one_round(page: Page, watch: Watch, turn: _Turn, words: tuple[str, ...]) -> None:
    controls = await _controls(page)
    for act in Act:
        fresh = [control for control in controls if control.act is act and control.candidate.key not in turn.seen]
        for control in fresh[: MOST_OF[act]]:
            if turn.is_over:
                return
            turn.seen.add(control.candidate.key)
            before, stopped = watch.total, len(watch.stopped)
            try:
                await _try(page, watch, turn, control=control, words=words)
            except PlaywrightError:
                # Gone, covered or moved: the next one may be there.
                continue
            # What it would have sent, had it not been stopped, may depend on the fields.
            if control.act in _SHOWS_ALL and len(watch.stopped) == stopped:
                one = control.candidate
                turn.pressed.add((one.id, one.name, one.text or one.value or one.label))
            if watch.total == before:
                turn.silent.add(control.candidate.key)


async def _controls(page: Page) -> list[_Control]:
    found: list[_Control] = []
    host = urlsplit(page.url).netloc
    for frame in page.frames:
        if urlsplit(frame.url).netloc == host:
            try:
                async with asyncio.timeout(_FRAME_LIMIT_S):
                    found += await _controls_in(frame, host)
            except (PlaywrightError, TimeoutError):
                # Gone, or still on its way: the page goes on without it.
                continue
    return found


async def _controls_in(frame: Frame, host: str) -> list[_Control]:
    found: list[_Control] = []
    handle = await frame.evaluate_handle(_script("exercise.js"))
    facts: list[dict[str, Any]] = await handle.evaluate("found => found.facts")
    candidates = [_candidate(fact) for fact in facts]
    acts = {at: act for at, one in enumerate(candidates) if (act := safe_act(one, host=host)) is not None}
    for at in await heeded(frame, handle, list(acts)):
        if element := await _element(handle, at):
            found.append(_Control(candidates[at], element, acts[at]))
    return found


async def _element(handle: JSHandle, position: int) -> ElementHandle | None:
    return (await handle.evaluate_handle("(found, position) => found.elements[position]", position)).as_element()


async def _try(page: Page, watch: Watch, turn: _Turn, *, control: _Control, words: tuple[str, ...]) -> None:
    match control.act:
        case Act.SEARCH:
            await _search(watch, turn, control=control, words=words)
        case Act.MORE:
            for _ in range(_TIMES_MORE):
                await _press(watch, turn, control)
        case Act.PICK:
            await _press(watch, turn, control)
            boxes = [one for one in await _controls(page) if one.act is Act.SEARCH]
            for box in [one for one in boxes if one.candidate.key not in turn.seen][:1]:
                turn.seen.add(box.candidate.key)
                await _search(watch, turn, control=box, words=words)
            await page.keyboard.press("Escape")
            # It empties the box, which asks once more: that is none of the next act's.
            await watch.settle(first_s=_PRESSED_FIRST_S)
        case Act.MENU:
            await _press(watch, turn, control)
            await page.keyboard.press("Escape")
        case _ if control.candidate.tag == "select":
            await _choose(watch, turn, control)
        case _:
            await _press(watch, turn, control)


async def _search(watch: Watch, turn: _Turn, *, control: _Control, words: tuple[str, ...]) -> None:
    for word in words:
        if turn.is_over:
            return
        name = _begin(turn, f"typed {word!r} into {control.candidate.spoken!r}")
        with watch.acting(name, typed=word):
            await control.element.fill("")
            await control.element.type(word, delay=_KEY_DELAY_MS)
            await watch.settle(first_s=_TYPED_FIRST_S)
            if not watch.count(name) and is_entered(control.candidate):
                await control.element.press("Enter", no_wait_after=True)
                await watch.settle(first_s=_PRESSED_FIRST_S)
        if not watch.count(name):
            # One that does not answer the first word does not answer the next.
            return


async def _press(watch: Watch, turn: _Turn, control: _Control) -> None:
    with watch.acting(_begin(turn, f"pressed {control.candidate.spoken!r} ({control.act})")):
        try:
            await control.element.click(timeout=_CLICK_LIMIT_MS, no_wait_after=True)
        except PlaywrightError:
            await control.element.dispatch_event("click")
        await watch.settle(first_s=_PRESSED_FIRST_S)


async def _choose(watch: Watch, turn: _Turn, control: _Control) -> None:
    options = control.candidate.options
    others = [place for place, option in enumerate(options) if not option.is_disabled and not option.is_selected]
    for place in others[:2]:
        name = _begin(turn, f"chose option {place + 1} of {control.candidate.spoken!r} ({control.act})")
        with watch.acting(name):
            await control.element.select_option(index=place, timeout=_CLICK_LIMIT_MS, no_wait_after=True)
            await watch.settle(first_s=_PRESSED_FIRST_S)
        if not watch.count(name):
            return


def _begin(turn: _Turn, name: str) -> str:
    """Count an act and return its name, which no other act has."""
    turn.acts_left -= 1
    times = sum(done.partition(" #")[0] == name for done in turn.done)
    turn.done.append(f"{name} #{times + 1}" if times else name)
    return turn.done[-1]


async def _open_again(page: Page, watch: Watch, url: str) -> None:
    """Leave the page while it is guarded, so that its farewell is judged too, and come back."""
    watch.pause()
    try:
        await page.goto("about:blank", timeout=_REOPEN_LIMIT_MS)
        await watch.release()
        await page.goto(url, timeout=_REOPEN_LIMIT_MS, wait_until="domcontentloaded")
    except PlaywrightError:
        # It could be opened a moment ago; whoever needs it now finds out.
        return


def _candidate(fact: dict[str, Any]) -> Candidate:
    form = fact.pop("form")
    options = tuple(Choice(**option) for option in fact.pop("options"))
    candidate = Candidate(**fact, options=options)
    if form is None:
        return candidate
    surrounding = SurroundingForm(method=form["method"], words=tuple(form["words"]), has_password=form["has_password"])
    return replace(candidate, form=surrounding)


def _script(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
