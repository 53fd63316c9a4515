"""One site's chunks in memory: an inverted index for words, a matrix of bytes for vectors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.core.text.postings import Postings
from tasks.core.text.vectors import Vectors
from tasks.knowledge.search.passages import IndexRow, Library, Standing

# How often an index is read where the site changes meanwhile; the last is taken as it is, and soon read anew.
_READS = 3


@dataclass(frozen=True, slots=True)
class SiteIndex:
    """Immutable; a change makes another. Chunks are numbered by their place in ``chunk_ids``, which grow."""

    standing: Standing
    chunk_ids: NDArray[np.int64]
    page_ids: NDArray[np.int64]
    postings: Postings
    vectors: Vectors

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        return self.chunk_ids.nbytes + self.page_ids.nbytes + self.postings.size_bytes + self.vectors.size_bytes


def load_index(library: Library, site_id: str, earlier: SiteIndex | None = None) -> SiteIndex | None:
    """Read the site's index, or of an ``earlier`` one what has changed since; None where the site is gone."""
    surveyed = library.survey(site_id)
    for _ in range(_READS):
        if surveyed is None:
            return None
        found = _read(library, site_id, surveyed, earlier)
        if found.postings.size == len(surveyed[1]):
            break
        # Some have no vector yet; or went, or lost theirs to another model's, while they were read.
        surveyed, earlier = library.survey(site_id), found
        if surveyed is not None and surveyed[0] == found.standing:
            break
    return found


def _read(library: Library, site_id: str, surveyed: tuple[Standing, list[int]], earlier: SiteIndex | None) -> SiteIndex:
    standing, ids = surveyed
    if earlier is None or earlier.standing.model != standing.model:
        return _index(standing, list(library.rows(site_id, standing.model, ids)))
    now = np.asarray(ids, np.int64)
    kept = np.isin(earlier.chunk_ids, now, assume_unique=True)
    wanted: list[int] = np.setdiff1d(now, earlier.chunk_ids, assume_unique=True).tolist()
    added = _index(standing, list(library.rows(site_id, standing.model, wanted)))
    if kept.all() and not added.postings.size:
        return SiteIndex(standing, earlier.chunk_ids, earlier.page_ids, earlier.postings, earlier.vectors)
    return SiteIndex(
        standing,
        np.concatenate([earlier.chunk_ids[kept], added.chunk_ids]),
        np.concatenate([earlier.page_ids[kept], added.page_ids]),
        earlier.postings.changed(kept, added.postings),
        earlier.vectors.changed(kept, added.vectors),
    )


def _index(standing: Standing, rows: Sequence[IndexRow]) -> SiteIndex:
    return SiteIndex(
        standing,
        np.fromiter((row.chunk_id for row in rows), np.int64, len(rows)),
        np.fromiter((row.page_id for row in rows), np.int64, len(rows)),
        Postings.of([row.words for row in rows], [row.length for row in rows]),
        Vectors.of([row.vector for row in rows], standing.model.dimensions),
    )
