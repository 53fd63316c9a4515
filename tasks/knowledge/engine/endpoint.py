"""Vectors from an endpoint that speaks OpenAI's interface for embeddings (``POST <base>/embeddings``)."""

import base64
import binascii
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import Permanent, Transient
from tasks.core.text.ngrams import packed
from tasks.knowledge.engine.embedding import Readable, unit
from tasks.knowledge.engine.refusals import refused
from tasks.knowledge.records import ENDPOINT, Model

if TYPE_CHECKING:
    from tasks.core.egress import Egress

_BATCH = 100
# Longer texts are refused by the usual models, which read about 8,000 tokens.
_MAX_CHARS = 8000
_MAX_DIMENSIONS = 8192
_LONGEST_PAUSE_S = 20.0
_TICK_S = 0.2


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an endpoint is waited for.

    Args:
        timeout_s: for one answer, in seconds.
        pauses_s: seconds after which one that is busy is asked again, each time that it does not say itself.
    """

    timeout_s: float
    pauses_s: tuple[float, ...]


PATIENT = Patience(60.0, (1.0, 4.0, 10.0))
"""Nobody waits, and much is kept already."""
PROMPT = Patience(10.0, ())
"""Somebody waits, and there is an answer without it."""


class Endpoint:
    """One model of one endpoint, reached by the job's egress-checked way out.

    Args:
        checkpoint: called while an endpoint is waited for that is busy.
    Raises:
        EgressRefused: the endpoint's address is not allowed.
        Transient, Permanent: as ``embed_texts``, of the one text that tells how long the vectors are.
    """

    def __init__(
        self,
        egress: "Egress",
        *,
        url: str,
        model: str,
        key: str | None,
        checkpoint: Callable[[], None] = lambda: None,
        patience: Patience = PATIENT,
    ) -> None:
        self._url = f"{url.rstrip('/')}/embeddings"
        self._name = model
        self._checkpoint, self._pauses_s = checkpoint, patience.pauses_s
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = egress.client(total_timeout_s=patience.timeout_s, max_redirects=0)
        try:
            dimensions = len(self._ask(["dimensions"])[0])
        except BaseException:
            self.close()
            raise
        self.model = Model(f"{ENDPOINT}{model}"[:100], dimensions)

    def embed(self, pieces: Sequence[Readable]) -> list[bytes]:
        """See ``Embedder``."""
        return [packed(vector) for vector in self.embed_texts([piece.whole for piece in pieces])]

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See ``Embedder``. A text is read up to its 8,000th character.

        Raises:
            Transient: the endpoint is away, or busy.
            Permanent: it refuses, or answers what is no embedding.
        """
        found = [self._ask(texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)]
        if any(vectors.shape[1] != self.model.dimensions for vectors in found):
            raise Permanent(f"The endpoint's vectors of {self._name} differ in length.", code="bad_vector")
        return unit(np.concatenate(found)) if found else np.empty((0, self.model.dimensions), np.float32)

    def _ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        body = {"model": self._name, "input": [text[:_MAX_CHARS] or " " for text in texts], "encoding_format": "base64"}
        for pause_s in (*self._pauses_s, None):
            try:
                answer = self._client.post(self._url, json=body, headers=self._headers)
                content = answer.json() if answer.status_code == httpx.codes.OK else None
            except (httpx.RequestError, Transient) as exc:  # the latter where its time is over
                raise Transient(f"The embedding endpoint cannot be reached: {exc}"[:300], code="model_away") from exc
            except ValueError as exc:
                raise Permanent("The embedding endpoint's answer is no JSON.", code="model_refused") from exc
            if content is not None:
                return _vectors_in(content, len(texts))
            error = refused(answer.status_code)
            if pause_s is None or not isinstance(error, Transient):
                break
            wait_s = _asked_for_s(answer.headers.get("retry-after", ""), otherwise=pause_s)
            if wait_s > _LONGEST_PAUSE_S:
                break
            self._wait(wait_s)
        raise error

    def _wait(self, seconds: float) -> None:
        """Let an endpoint come to itself that has as many requests as it takes in a minute."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._checkpoint()
            time.sleep(min(_TICK_S, left))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _asked_for_s(told: str, *, otherwise: float) -> float:
    """Return the seconds of a ``Retry-After``, or ``otherwise`` where there is none, or a date."""
    return float(told) if told.isascii() and told.isdecimal() else otherwise


def _vectors_in(content: Any, count: int) -> NDArray[np.float32]:
    try:
        rows = sorted(content["data"], key=lambda row: int(row["index"]))
        vectors = np.stack([_vector(row["embedding"]) for row in rows])
    except (TypeError, KeyError, ValueError, binascii.Error) as exc:
        raise Permanent("The embedding endpoint's answer holds no embeddings.", code="bad_vector") from exc
    if vectors.ndim != 2 or len(vectors) != count or not 0 < vectors.shape[1] <= _MAX_DIMENSIONS:
        raise Permanent(f"The embedding endpoint gave {len(vectors)} vectors for {count} texts.", code="bad_vector")
    return vectors


def _vector(told: Any) -> NDArray[np.float32]:
    if isinstance(told, str):
        return np.frombuffer(base64.b64decode(told, validate=True), "<f4")
    return np.asarray(told, np.float32)
