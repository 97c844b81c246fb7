"""An ONNX graph, written node by node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from leanseg.errors import LeansegError, require

OPSET = 17


class Graph:
    """Nodes in the order in which they compute; every value has a name.

    Example:
        >>> graph = Graph()
        >>> graph.input("x", np.float32, ["n"])
        'x'
        >>> graph.output("y", graph.add("Mul", "x", graph.constant(2.0)), ["n"])
        >>> len(graph.serialised({"unit": "mm"})) > 0
        True
    """

    def __init__(self) -> None:
        self._onnx = require("onnx", extra="train")
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, kind: type, shape: list[str | int]) -> str:
        """An input of the graph; words in the shape are sizes that are left open."""
        element = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, element, shape))
        return name

    def output(self, name: str, value: str, shape: list[str | int]) -> None:
        """Give a value (float32) out under a name."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))
        kind = self._onnx.TensorProto.FLOAT
        self._outputs.append(self._onnx.helper.make_tensor_value_info(name, kind, shape))

    def constant(self, value: ArrayLike, kind: type = np.float32) -> str:
        """A fixed array."""
        name = f"c{len(self._weights)}"
        self._weights.append(self._onnx.numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def whole(self, *numbers: int) -> str:
        """Fixed whole numbers, (n,), as shapes and axes are given."""
        return self.constant(numbers, np.int64)

    def add(self, operator: str, *values: str, **attributes: Any) -> str:
        """One node with one output."""
        name = f"v{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(operator, list(values), [name], **attributes))
        return name

    def cast(self, value: str, kind: type) -> str:
        """A value in another number type."""
        return self.add("Cast", value, to=self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind)))

    def sorted(self, value: str, length: str) -> str:
        """All ``length`` entries of the last axis in rising order."""
        names = [f"v{len(self._nodes)}", f"v{len(self._nodes)}_places"]
        options = {"axis": -1, "largest": 0, "sorted": 1}
        self._nodes.append(self._onnx.helper.make_node("TopK", [value, length], names, **options))
        return names[0]

    def insert(self, model: bytes, value: str, *, prefix: str) -> str:
        """Another graph of one input and one output.

        Args:
            model: an ONNX file.
            value: what it is fed.
            prefix: put before all its names.

        Returns:
            Its output.

        Raises:
            LeansegError: it was written for another set of operators.
        """
        loaded = self._onnx.load_from_string(model)
        found = {entry.domain: entry.version for entry in loaded.opset_import}
        if found != {"": OPSET}:
            raise LeansegError(f"expected a graph of ONNX operators {OPSET}, found {found}; train the model again")
        compose = require("onnx.compose", extra="train")
        inner = compose.add_prefix(loaded, prefix).graph
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [inner.input[0].name]))
        self._nodes += inner.node
        self._weights += inner.initializer
        return str(inner.output[0].name)

    def serialised(self, metadata: Mapping[str, str]) -> bytes:
        """The contents of an ONNX file, checked for consistency."""
        helper = self._onnx.helper
        graph = helper.make_graph(self._nodes, "leanseg", self._inputs, self._outputs, self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        model.producer_name = "leanseg"
        helper.set_model_props(model, dict(metadata))
        self._onnx.checker.check_model(model)
        content: bytes = model.SerializeToString()
        return content
