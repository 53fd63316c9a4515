"""The note of what a child works on."""

from pathlib import Path

from tasks.core import at_work


def test_note_tells_the_newest_attempt_and_nothing_after_its_end(tmp_path: Path) -> None:
    """A shorter attempt leaves nothing of a longer one."""
    note = at_work.note_of(tmp_path, worker="all@here#ab12", child_pid=7)
    assert at_work.attempt_in(note) is None
    at_work.begin(note, "a-b-c", 12)
    assert at_work.attempt_in(note) == ("a-b-c", 12)
    at_work.begin(note, "d", 3)
    assert at_work.attempt_in(note) == ("d", 3)
    at_work.end(note)
    assert at_work.attempt_in(note) is None
    assert at_work.notes(tmp_path) == [("ab12", 7, note)]


def test_note_that_was_tidied_away_is_there_again_with_the_next_attempt(tmp_path: Path) -> None:
    """The folder, too."""
    note = at_work.note_of(tmp_path, worker="all@here#ab12", child_pid=7)
    at_work.begin(note, "a", 1)
    note.unlink()
    note.parent.rmdir()
    at_work.begin(note, "a", 2)
    assert at_work.attempt_in(note) == ("a", 2)


def test_unreadable_note_names_no_attempt(tmp_path: Path) -> None:
    """Nobody is killed for it, and nobody kept."""
    note = at_work.note_of(tmp_path, worker="w", child_pid=7)
    note.parent.mkdir(parents=True)
    note.write_bytes(b"\xff\x00 half a no")
    assert at_work.attempt_in(note) is None
