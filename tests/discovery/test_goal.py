"""What is left of a goal once it is safe."""

import pytest

from tasks.discovery.goal import MAX_GOAL_CHARS, clean_goal


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("  find  tea\n by name ", "find tea by name"),
        ("find\x00 tea\x1b[31m", "find tea[31m"),
        ("a <script>alert(1)</script> b", "a b"),
        ("a <SCRIPT src=x> b", "a b"),
        ("a <script\n>x</script\t> b", "a b"),
        ("<scr<script></script>ipt>x", "x"),
        ("go to javascript:alert(1)", "go to alert(1)"),
        ("JaVaScRiPt :x", "x"),
        ("jajavascript:vascript:x", "x"),
        ("img onerror=alert(1)", "img alert(1)"),
        ("img ONCLICK = x", "img x"),
        ("price on sale = low", "price on sale = low"),
        ("a\u200bb", "ab"),
        ("Suche nach Büchern", "Suche nach Büchern"),
        ("", ""),
    ],
)
def test_what_could_run_is_taken_out(sent: str, kept: str) -> None:
    """Scripts, handlers and control characters, however they are put together; words stay."""
    assert kept == clean_goal(sent)


def test_a_long_goal_is_cut() -> None:
    """At 500 characters, after cleaning."""
    assert "x" * MAX_GOAL_CHARS == clean_goal("<script>y</script>" + "x" * 600)


def test_cleaning_a_hostile_goal_ends_soon() -> None:
    """Nested as deep as the longest goal allows."""
    assert "" == clean_goal("<script" * 700)
    deep = "javascript:"
    for _ in range(200):
        deep = f"java{deep}script:"
    assert "" == clean_goal(deep)
