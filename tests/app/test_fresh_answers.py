"""Answers that are given again: how long, when they are made anew, and when they are forgotten."""

from collections.abc import Iterator
from threading import Event

import pytest

from app.fresh_answers import FRESH_S, STALE_S, FreshAnswers
from tasks.core.errors import NotFound
from tests.samples import FakeClock, eventually


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def answers(clock: FakeClock) -> Iterator[FreshAnswers[str, str]]:
    answers: FreshAnswers[str, str] = FreshAnswers(most=2, clock=clock)
    yield answers
    answers.close()


def never() -> str:
    pytest.fail("nobody is to make it anew")


def keep(answers: FreshAnswers[str, str], key: str, value: str, owner: str = "alice") -> None:
    answers.put(key, owner, value, seen=answers.seen(owner))


def test_an_answer_is_fresh_for_five_minutes(answers: FreshAnswers[str, str], clock: FakeClock) -> None:
    """After one more there is none; which the documents say, too."""
    assert (300, 60) == (FRESH_S, STALE_S)
    keep(answers, "q", "old")
    clock.at += FRESH_S - 1
    assert "old" == answers.get("q", "alice", never)
    clock.at += STALE_S + 1
    assert answers.get("q", "alice", never) is None
    assert answers.get("other", "alice", never) is None


def test_a_stale_answer_is_given_while_one_is_made(answers: FreshAnswers[str, str], clock: FakeClock) -> None:
    """Nobody waits for it, and it is made once."""
    keep(answers, "q", "old")
    clock.at += FRESH_S
    may_end, begun = Event(), []

    def renew() -> str:
        begun.append(1)
        assert may_end.wait(10)
        return "new"

    assert ["old", "old"] == [answers.get("q", "alice", renew) for _ in range(2)]
    may_end.set()
    assert eventually(lambda: answers.get("q", "alice", renew) == "new")
    assert [1] == begun
    clock.at += FRESH_S - 1
    assert "new" == answers.get("q", "alice", never)


@pytest.mark.parametrize("gives", [None, NotFound("The site is gone.")])
def test_what_cannot_be_made_anew_ends(
    answers: FreshAnswers[str, str], clock: FakeClock, gives: NotFound | None
) -> None:
    """The stale one is given for its minute, and not longer; the next ones are still made anew."""
    keep(answers, "q", "old")
    clock.at += FRESH_S
    tried = Event()

    def renew() -> None:
        tried.set()
        if gives is not None:
            raise gives

    assert "old" == answers.get("q", "alice", renew)
    assert tried.wait(5)
    assert "old" == answers.get("q", "alice", never)
    clock.at += STALE_S
    assert answers.get("q", "alice", never) is None
    keep(answers, "q", "kept")
    clock.at += FRESH_S
    assert "kept" == answers.get("q", "alice", lambda: "new")
    assert eventually(lambda: answers.get("q", "alice", never) == "new")


def test_what_was_made_before_a_change_is_not_kept(answers: FreshAnswers[str, str], clock: FakeClock) -> None:
    """Whether by who waited for it or aside; another tenant's answers stay."""
    seen = answers.seen("alice")
    keep(answers, "hers", "x", owner="bob")
    answers.forget("alice")
    answers.put("q", "alice", "old", seen=seen)
    assert answers.get("q", "alice", never) is None
    assert "x" == answers.get("hers", "bob", never)

    keep(answers, "q", "old")
    clock.at += FRESH_S
    begun, may_end, ended = Event(), Event(), Event()

    def renew() -> str:
        begun.set()
        assert may_end.wait(10)
        ended.set()
        return "made of what was before"

    assert "old" == answers.get("q", "alice", renew)
    assert begun.wait(5)
    answers.forget("alice")
    may_end.set()
    assert ended.wait(5)
    done = Event()  # the one thread has put it, or not, before it does this
    keep(answers, "next", "stale", owner="bob")
    clock.at += FRESH_S
    answers.get("next", "bob", done.set)  # type: ignore[arg-type]  # anything that can be called
    assert done.wait(5)
    assert answers.get("q", "alice", never) is None


def test_those_used_longest_ago_make_room(answers: FreshAnswers[str, str]) -> None:
    """So that memory does not grow with what is asked."""
    keep(answers, "a", "1")
    keep(answers, "b", "2")
    assert "1" == answers.get("a", "alice", never)
    keep(answers, "c", "3")
    assert ["1", None, "3"] == [answers.get(key, "alice", never) for key in "abc"]
