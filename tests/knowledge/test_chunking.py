"""Pages cut into chunks: small, within one section, and each where it says."""

from itertools import pairwise

from tasks.knowledge.engine.chunking import MAX_CHUNKS, OVERLAP_CHARS, SIZE_CHARS, chunks_of


def test_a_chunk_is_of_one_section() -> None:
    """Under the headings above it; what looks like one in code is none; permalinks are left out."""
    body = "Words and more words. " * 20
    text = (
        f"Before. {body}\n\n# Kitchen ¶\n\n{body}\n\n## Tea\n\n```\n# no heading\n```\n{body}\n\n# Roof #\n\n{body}\n"
    )
    found = chunks_of(text)
    assert ["", "Kitchen", "Kitchen > Tea", "Roof"] == [chunk.heading for chunk in found]
    assert "# no heading" in text[found[2].start : found[2].end]
    assert text[found[1].start : found[1].end].startswith("# Kitchen")


def test_a_long_section_is_cut_at_sentences() -> None:
    """Its parts overlap a little, and nothing of it is lost."""
    text = " ".join(f"Sentence number {number} says little." for number in range(200))
    found = chunks_of(text)
    assert all(chunk.end - chunk.start <= SIZE_CHARS for chunk in found)
    assert all(text[chunk.start : chunk.end].endswith(".") for chunk in found)
    assert all(0 <= one.end - other.start <= OVERLAP_CHARS for one, other in pairwise(found))
    assert (0, len(text)) == (found[0].start, found[-1].end)


def test_a_heading_with_little_below_it_goes_with_what_follows() -> None:
    """Where that is one of its own sections."""
    text = "# A\n\n## B\n\nFew words.\n\n## C\n\nFew more.\n\n# D\n\nOthers.\n"
    found = chunks_of(text)
    assert ["A > B", "A > C", "D"] == [chunk.heading for chunk in found]
    assert text[found[0].start : found[0].end].startswith("# A")


def test_cutting_ends() -> None:
    """A text without any break is cut all the same, an endless one to a thousand chunks, an empty one to none."""
    assert [(0, SIZE_CHARS)] == [(chunk.start, chunk.end) for chunk in chunks_of("x" * SIZE_CHARS)]
    assert MAX_CHUNKS == len(chunks_of("word " * 400_000))
    assert [] == chunks_of(" \n\n ")
