"""BERT's encoder with mean pooling as an ONNX graph, from weights in the safetensors format (version 0.3)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# ONNX's own GELU came with 20.
_OPSET = 20


def weights_in(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a safetensors file: 8 bytes of length, a JSON header, the data."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    kinds: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8"), "F16": np.dtype("<f2")}
    found = {}
    for name, told in header.items():
        if name != "__metadata__":
            begin, end = told["data_offsets"]
            flat = np.frombuffer(content[8 + size + begin : 8 + size + end], kinds[told["dtype"]])
            found[name] = flat.reshape(told["shape"])
    return found


def graph_of(path: Path, config: dict[str, Any]) -> bytes:
    """Return the model: ``ids`` (texts, tokens), of texts of one length, to ``vectors`` (texts, dimensions)."""
    return _Writer(weights_in(path), config).write()


class _Writer:
    def __init__(self, weights: dict[str, NDArray[Any]], config: dict[str, Any]) -> None:
        self._weights = weights
        self._config = config
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._count = 0

    def write(self) -> bytes:
        hidden = self._embeddings()
        for layer in range(self._config["num_hidden_layers"]):
            hidden = self._layer(f"encoder.layer.{layer}", hidden)
        self._nodes.append(helper.make_node("ReduceMean", [hidden, self._ints(1)], ["vectors"], keepdims=0))
        inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["texts", "tokens"])]
        size = self._config["hidden_size"]
        outputs = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", size])]
        graph = helper.make_graph(self._nodes, "encoder", inputs, outputs, self._constants)
        opsets = [helper.make_opsetid("", _OPSET)]
        content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
        return content

    def _embeddings(self) -> str:
        words = self._node("Gather", self._weight("embeddings.word_embeddings.weight"), "ids")
        tokens = self._node("Gather", self._node("Shape", "ids"), self._ints(1))
        places = self._node(
            "Slice", self._weight("embeddings.position_embeddings.weight"), self._ints(0), tokens, self._ints(0)
        )
        kind = self._constant(self._weights["embeddings.token_type_embeddings.weight"][0])
        whole = self._node("Add", self._node("Add", words, places), kind)
        return self._normed("embeddings.LayerNorm", whole)

    def _layer(self, name: str, hidden: str) -> str:
        heads = self._config["num_attention_heads"]
        size = self._config["hidden_size"] // heads
        query, key, value = (
            self._node(
                "Transpose",
                self._node(
                    "Reshape",
                    self._linear(f"{name}.attention.self.{part}", hidden),
                    self._ints(0, 0, heads, size),
                ),
                perm=[0, 2, 3, 1] if part == "key" else [0, 2, 1, 3],
            )
            for part in ("query", "key", "value")
        )
        scores = self._node("Mul", self._node("MatMul", query, key), self._constant(np.float32(size**-0.5)))
        shares = self._node("Softmax", scores, axis=-1)
        seen = self._node("Transpose", self._node("MatMul", shares, value), perm=[0, 2, 1, 3])
        joined = self._node("Reshape", seen, self._ints(0, 0, heads * size))
        attended = self._node("Add", self._linear(f"{name}.attention.output.dense", joined), hidden)
        attended = self._normed(f"{name}.attention.output.LayerNorm", attended)
        inner = self._node("Gelu", self._linear(f"{name}.intermediate.dense", attended))
        outer = self._node("Add", self._linear(f"{name}.output.dense", inner), attended)
        return self._normed(f"{name}.output.LayerNorm", outer)

    def _linear(self, name: str, given: str) -> str:
        # As it is multiplied, so that nothing is turned round at every run.
        weight = self._constant(np.ascontiguousarray(self._weights[f"{name}.weight"].T))
        return self._node("Add", self._node("MatMul", given, weight), self._weight(f"{name}.bias"))

    def _normed(self, name: str, given: str) -> str:
        scale, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._node("LayerNormalization", given, scale, bias, epsilon=self._config["layer_norm_eps"], axis=-1)

    def _weight(self, name: str) -> str:
        return self._constant(self._weights[name])

    def _ints(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))

    def _constant(self, value: Any) -> str:
        self._count += 1
        name = f"c{self._count}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _node(self, kind: str, *given: str, **attributes: Any) -> str:
        self._count += 1
        name = f"n{self._count}"
        self._nodes.append(helper.make_node(kind, list(given), [name], **attributes))
        return name
