"""``knowledge.embed``: vectors for whoever asks, the searches of a web process above all."""

import base64
from dataclasses import dataclass

from tasks.core.errors import InputRejected
from tasks.core.job import JobContext
from tasks.knowledge.contract import Embedded, EmbedRequest, EmbedResult
from tasks.knowledge.engine.update import OpenEmbedder


@dataclass(frozen=True, slots=True)
class Embedding:
    """Implements ``knowledge.embed``."""

    embedder: OpenEmbedder

    def __call__(self, request: EmbedRequest, job: JobContext) -> EmbedResult:
        """Embed the items.

        Raises:
            InputRejected: another model was asked for than this worker has.
        """
        with self.embedder(job) as embedder:
            if request.model not in {None, embedder.model.name}:
                raise InputRejected(
                    f"This worker embeds by {embedder.model.name}, not by {request.model}.",
                    field="model",
                    code="other_model",
                )
            vectors = embedder.embed_texts([item.content for item in request.items])
            made = tuple(
                Embedded(
                    hash=item.hash,
                    chunk_index=item.chunk_index,
                    document_id=item.document_id,
                    vector=base64.b64encode(vector.astype("<f4").tobytes()).decode(),
                )
                for item, vector in zip(request.items, vectors, strict=True)
            )
            return EmbedResult(model=embedder.model.name, dimensions=embedder.model.dimensions, vectors=made)
