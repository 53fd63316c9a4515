"""What makes vectors: each model says what it is, and none makes them up."""

import base64
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event
from typing import Any

import numpy as np
import pytest

from tasks.core.egress import Egress, EgressPolicy
from tasks.core.errors import AppError, EgressRefused, EngineUnavailable, Permanent, Transient
from tasks.core.text.ngrams import packed
from tasks.core.text.vectors import Vectors
from tasks.knowledge.contract import EmbedRequest
from tasks.knowledge.engine.embed import Embedding
from tasks.knowledge.engine.embedding import HashedNgrams, unit
from tasks.knowledge.engine.endpoint import PROMPT, Endpoint, Patience
from tasks.knowledge.engine.minilm import MiniLM
from tests.knowledge.embeddings import served
from tests.knowledge.house import House, ScriptedModel


def embed(vector: list[float]) -> Any:
    return base64.b64encode(np.array(vector, "<f4").tobytes()).decode()


def test_an_endpoint_is_asked_in_batches() -> None:
    """With the key; its vectors come back in order, at length 1."""
    asked: list[dict[str, Any]] = []

    def answer(body: dict[str, Any]) -> tuple[int, object]:
        asked.append(body)
        rows = [{"index": at, "embedding": [3.0, len(text), 4.0]} for at, text in enumerate(body["input"])]
        return 200, {"data": rows[::-1]}

    with served(answer) as host, Egress(EgressPolicy(allow=frozenset({host}))) as egress:
        endpoint = Endpoint(egress, url=f"http://{host}/v1/", model="small", key="secret")
        vectors = endpoint.embed_texts(["", *("a" * size for size in range(2, 121))])
        endpoint.close()
    assert ("endpoint:small", 3, (120, 3)) == (endpoint.model.name, endpoint.model.dimensions, vectors.shape)
    assert np.allclose(1, np.linalg.norm(vectors, axis=1))
    assert np.allclose(vectors[5] / vectors[5][0] * 3, [3, 6, 4])
    assert [1, 100, 20] == [len(body["input"]) for body in asked]
    assert {("Bearer secret", "/v1/embeddings", "small")} == {(one["key"], one["path"], one["model"]) for one in asked}


@pytest.mark.parametrize(
    ("status", "content", "error", "code"),
    [
        (503, {}, Transient, "model_away"),
        (429, {}, Transient, "model_away"),
        (401, {}, Permanent, "model_refused"),
        (200, {"data": []}, Permanent, "bad_vector"),
        (200, {"data": [{"index": 0, "embedding": ["x"]}]}, Permanent, "bad_vector"),
        (200, {"data": [{"index": 0, "embedding": "="}]}, Permanent, "bad_vector"),
    ],
)
def test_an_endpoint_that_fails_gives_no_vector(status: int, content: object, error: type[AppError], code: str) -> None:
    """Nothing else takes its place; what may pass is tried again."""
    with (
        served(lambda _: (status, content)) as host,
        Egress(EgressPolicy(allow=frozenset({host}))) as egress,
        pytest.raises(error) as raised,
    ):
        Endpoint(egress, url=f"http://{host}", model="small", key=None, patience=PROMPT)
    assert code == raised.value.code


def test_an_endpoint_that_is_busy_is_asked_again() -> None:
    """As long as the job goes on; one that refuses is not."""
    told = [429, 503, 200, 200, 401]

    def answer(body: dict[str, Any]) -> tuple[int, object]:
        return told.pop(0), {"data": [{"index": at, "embedding": [1.0, 2.0]} for at in range(len(body["input"]))]}

    seen: list[None] = []
    with (
        served(answer) as host,
        Egress(EgressPolicy(allow=frozenset({host}))) as egress,
        closing(
            Endpoint(
                egress,
                url=f"http://{host}",
                model="small",
                key=None,
                checkpoint=lambda: seen.append(None),
                patience=Patience(10.0, (0.01, 0.01)),
            )
        ) as endpoint,
    ):
        assert (1, 2) == endpoint.embed_texts(["a"]).shape
        assert 2 <= len(seen)
        with pytest.raises(Permanent):
            endpoint.embed_texts(["a"])
        assert [] == told


@pytest.mark.parametrize(("told", "asked"), [("21", 1), ("9" * 400, 1), ("0", 3), ("Tue, 24 Nov 2026 04:00:00 GMT", 3)])
def test_an_endpoint_is_not_waited_for_in_vain(told: str, asked: int) -> None:
    """One that asks for more than 20 s is given up at once; of a date nothing is known but that it is busy."""
    seen: list[None] = []

    def answer(_body: dict[str, Any]) -> tuple[int, object]:
        seen.append(None)
        return 429, {}

    with (
        served(answer, headers={"Retry-After": told}) as host,
        Egress(EgressPolicy(allow=frozenset({host}))) as egress,
        pytest.raises(Transient, match="answered 429"),
    ):
        Endpoint(egress, url=f"http://{host}", model="small", key=None, patience=Patience(10.0, (0.01, 0.01)))
    assert asked == len(seen)


def test_an_endpoint_that_hangs_is_away() -> None:
    """When its time is over, as one that cannot be reached."""
    goes_on = Event()

    def answer(_body: dict[str, Any]) -> tuple[int, object]:
        goes_on.wait(60)
        return 200, {}

    with served(answer) as host, Egress(EgressPolicy(allow=frozenset({host}))) as egress:
        with pytest.raises(Transient) as raised:
            Endpoint(egress, url=f"http://{host}", model="small", key=None, patience=Patience(0.2, ()))
        goes_on.set()
    assert "model_away" == raised.value.code


def test_vectors_of_one_model_are_of_one_length() -> None:
    """Also where the batches differ."""

    def answer(body: dict[str, Any]) -> tuple[int, object]:
        length = 3 if len(body["input"]) == 20 else 2
        return 200, {"data": [{"index": at, "embedding": [1.0] * length} for at in range(len(body["input"]))]}

    with (
        served(answer) as host,
        Egress(EgressPolicy(allow=frozenset({host}))) as egress,
        closing(Endpoint(egress, url=f"http://{host}", model="small", key=None)) as endpoint,
        pytest.raises(Permanent, match="differ in length"),
    ):
        endpoint.embed_texts(["a"] * 120)


def test_an_endpoint_must_be_allowed() -> None:
    """As every other address."""
    with served(lambda _: (200, {})) as host, Egress() as egress, pytest.raises(EgressRefused):
        Endpoint(egress, url=f"http://{host}", model="small", key=None)


def test_no_vector_is_zero() -> None:
    """One without a direction is an error; a text without words has one of its own."""
    for bad in ([[0.0, 0.0]], [[float("nan"), 1.0]]):
        with pytest.raises(Permanent):
            unit(np.array(bad, np.float32))
    assert np.linalg.norm(HashedNgrams().embed_texts(["", "of the"]), axis=1).min() > 0.99


def test_texts_are_embedded_for_whoever_asks(house: House) -> None:
    """With what the caller calls them; by another model they are not."""
    job, model = house.job("knowledge.embed"), ScriptedModel()

    @contextmanager
    def opened(_job: object) -> Iterator[ScriptedModel]:
        yield model

    items = [{"content": "tea", "hash": "h", "chunk_index": 3, "document_id": "d"}, {"content": "hotel"}]
    result = Embedding(opened)(EmbedRequest(items=items), job)
    assert ("scripted", 6, "h", 3, "d") == (
        result.model,
        result.dimensions,
        *(getattr(result.vectors[0], name) for name in ("hash", "chunk_index", "document_id")),
    )
    decoded = np.frombuffer(base64.b64decode(result.vectors[1].vector), "<f4")
    assert np.array_equal(model.embed_texts(["hotel"])[0], decoded)
    with pytest.raises(AppError) as raised:
        Embedding(opened)(EmbedRequest(items=items, model="other"), job)
    assert "other_model" == raised.value.code


def test_minilm_knows_what_is_meant() -> None:
    """Nearer to a sentence that says the same in other words, in whatever company it comes, and after packing."""
    model = MiniLM(threads=1)
    texts = ["How do I put a list in order?", "Sorting sequences in Python", "It rains in autumn. " * 20]
    vectors = model.embed_texts(texts)
    assert np.allclose(vectors[0], model.embed_texts(texts[:1])[0], atol=1e-5)
    exact = vectors @ vectors[0]
    assert exact[1] > 0.4
    assert exact[2] < 0.2
    kept = Vectors.of([packed(vector) for vector in vectors], 384).cosines(vectors[0])
    assert np.allclose(exact, kept, atol=0.01)
    model.close()


def test_without_its_extra_minilm_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what to do."""
    monkeypatch.setattr("tasks.knowledge.engine.minilm.find_spec", lambda _: None)
    with pytest.raises(EngineUnavailable, match="extra `minilm`"):
        MiniLM()
