"""What makes vectors. A model that fails raises: no other takes its place, and no vector is made up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import Permanent
from tasks.core.text.ngrams import packed
from tasks.core.text.words import stems
from tasks.knowledge.hashed import HASHED, ngrams_of
from tasks.knowledge.records import Model


class Readable(Protocol):
    """What is embedded: its words, and its whole text."""

    @property
    def stems(self) -> list[str]:
        """Its words."""

    @property
    def whole(self) -> str:
        """Its text."""


class Embedder(Protocol):
    """One model, ready.

    Raises (each): ``EngineUnavailable`` where this image lacks it, ``Transient`` or ``Permanent`` where it fails.
    """

    @property
    def model(self) -> Model:
        """What the vectors are kept under."""

    def embed(self, pieces: Sequence[Readable]) -> list[bytes]:
        """Return the vectors of these, packed."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of plain texts: shape (texts, dimensions), each of length 1."""

    def close(self) -> None:
        """Give back what it holds."""


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return these vectors at length 1.

    Raises:
        Permanent: one is all zeros, or no number at all: whatever made it has failed.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not (lengths > 0).all():
        raise Permanent("The model gave a vector without a direction.", code="bad_vector")
    found: NDArray[np.float32] = (vectors / lengths).astype(np.float32)
    return found


@dataclass(frozen=True, slots=True)
class HashedNgrams:
    """Needs no weights: see ``tasks.core.text.ngrams``. A text without any word is a vector of one bucket."""

    model: Model = HASHED

    def embed(self, pieces: Sequence[Readable]) -> list[bytes]:
        """See ``Embedder``."""
        return [packed(ngrams_of(piece.stems)) for piece in pieces]

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See ``Embedder``."""
        return np.stack([ngrams_of(list(stems(text))) for text in texts])

    def close(self) -> None:
        """Hold nothing."""
