"""Encoder networks as ONNX graphs, written straight from the weight files: no torch, no export.

A graph names its large weights and leaves them where they are: ``Network.weights`` says which tensors of the
weight file are to be given to the session that runs it (external data in ONNX's terms). It takes tens of
kilobytes and a fraction of a second, and is kept by ``index.encoders.sessions``.

BERT: Devlin et al., NAACL 2019. CLIP: Radford et al., ICML 2021. SigLIP: Zhai et al., ICCV 2023. Vision
Transformer: Dosovitskiy et al., ICLR 2021. EfficientNet-Lite: Tan and Le, ICML 2019, without squeeze-and-
excitation and with ReLU6.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray
from index.encoders.tensors import Tensors

__all__ = ["Misfit", "Network", "Unsupported", "bert", "clip_image", "clip_text", "efficientnet_lite2"]

OPSET = 20
"""The first with GELU."""
IR_VERSION = 9
BATCH_NORM_EPSILON = 1e-3
"""Of EfficientNet-Lite."""
LITE2_BLOCKS = 21
LITE2_HALVING = (1, 4, 7, 15)
"""The blocks of EfficientNet-Lite2 that halve the picture."""


class Misfit(ValueError):
    """The weights do not have the names or shapes that the architecture asks for."""


class Unsupported(ValueError):
    """The architecture has a part that no graph is written for: says which."""


@dataclass(frozen=True, slots=True)
class Network:
    """A graph and the weights that it takes from a weight file."""

    model: bytes
    """ONNX."""
    weights: Mapping[str, tuple[int, ...]]
    """Name in the weight file to the shape in which the graph takes it."""


class _Graph:
    """Collects the nodes of one graph."""

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self._tensors = tensors
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []
        self._inputs: list[Any] = []
        self._count = 0
        self.weights: dict[str, tuple[int, ...]] = {}

    def input(self, name: str, shape: Sequence[int | str]) -> str:
        from onnx import TensorProto, helper

        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        return name

    def rows(self, name: str) -> str:
        """An input of row numbers."""
        from onnx import TensorProto, helper

        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, ["rows"]))
        return name

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        from onnx import helper

        made = [f"{kind}_{self._count}_{place}" for place in range(outputs)]
        self._count += 1
        self._nodes.append(helper.make_node(kind, list(inputs), made, **attributes))
        return made[0] if outputs == 1 else made

    def constant(self, array: NDArray[Any]) -> str:
        """A value that is written into the graph."""
        from onnx import numpy_helper

        name = f"constant_{self._count}"
        self._count += 1
        self._initializers.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def weight(self, name: str, *shape: int, view: tuple[int, ...] | None = None) -> str:
        """A tensor of the weight file, which must have ``shape``, seen as ``view``."""
        from onnx import TensorProto

        there = self._tensors[name].shape if name in self._tensors else None
        if there != shape:
            raise Misfit(
                f"{name} should have the shape {shape}, but " + (f"has {there}" if there else "is missing")
            )
        if name not in self.weights:
            proto = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=view or shape)
            proto.data_location = TensorProto.EXTERNAL
            proto.external_data.add(key="location", value="weights")
            self._initializers.append(proto)
            self.weights[name] = view or shape
        return name

    def network(self, result: str, shape: Sequence[int | str]) -> Network:
        from onnx import TensorProto, helper

        output = helper.make_tensor_value_info(result, TensorProto.FLOAT, list(shape))
        graph = helper.make_graph(self._nodes, "network", self._inputs, [output], self._initializers)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="montage",
        )
        return Network(model.SerializeToString(), dict(self.weights))

    # -- the parts of a transformer: all on rows (batch times length, width) -----------------------------

    def linear(self, x: str, name: str, columns: int, width: int) -> str:
        """torch's Linear, with a bias."""
        return str(
            self.node(
                "Gemm", x, self.weight(f"{name}.weight", columns, width), self.bias(name, columns), transB=1
            )
        )

    def bias(self, name: str, columns: int) -> str:
        return self.weight(f"{name}.bias", columns)

    def norm(self, x: str, name: str, width: int, epsilon: float) -> str:
        parts = self.weight(f"{name}.weight", width), self.weight(f"{name}.bias", width)
        return str(self.node("LayerNormalization", x, *parts, axis=-1, epsilon=epsilon))

    def attention(self, q: str, k: str, v: str, size: int, flat: str, mask: str | None) -> str:
        """Softmax attention of (batch, heads, length, size) queries and values and transposed keys."""
        q = self.node("Mul", q, self.constant(np.array(1.0 / math.sqrt(size), np.float32)))
        scores = self.node("MatMul", q, k)
        if mask is not None:
            scores = self.node("Add", scores, mask)
        seen = self.node("MatMul", self.node("Softmax", scores, axis=-1), v)
        return str(self.node("Reshape", self.node("Transpose", seen, perm=[0, 2, 1, 3]), flat))


@dataclass(frozen=True, slots=True)
class _Shape:
    width: int
    layers: int
    heads: int
    inner: int
    epsilon: float
    gelu: str
    """``none`` (exact), ``tanh`` or ``quick``."""


def bert(tensors: Tensors, *, layers: int, width: int, heads: int, inner: int, epsilon: float) -> Network:
    """BERT's encoder without its table of words.

    Inputs: ``embedded`` (N, T, width), the sum of word, place and type vectors; ``mask`` (N, 1, 1, T), 0
    where there is a word and a large negative number where there is none. Output: (N * T, width).

    Raises:
        Misfit: if the weights are those of another network.
    """
    graph = _Graph(tensors)
    embedded = graph.input("embedded", ("texts", "length", width))
    mask = graph.input("mask", ("texts", 1, 1, "length"))
    flat = graph.integers(-1, width)
    split = _split_shape(graph, embedded, heads, width // heads)
    x = graph.norm(graph.node("Reshape", embedded, flat), "embeddings.LayerNorm", width, epsilon)
    for number in range(layers):
        at = f"encoder.layer.{number}"
        parts = {}
        for part, turn in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
            rows = graph.linear(x, f"{at}.attention.self.{part}", width, width)
            parts[part] = graph.node("Transpose", graph.node("Reshape", rows, split), perm=turn)
        seen = graph.attention(parts["query"], parts["key"], parts["value"], width // heads, flat, mask)
        seen = graph.linear(seen, f"{at}.attention.output.dense", width, width)
        x = graph.norm(graph.node("Add", x, seen), f"{at}.attention.output.LayerNorm", width, epsilon)
        wide = graph.node("Gelu", graph.linear(x, f"{at}.intermediate.dense", inner, width))
        thin = graph.linear(wide, f"{at}.output.dense", width, inner)
        x = graph.norm(graph.node("Add", x, thin), f"{at}.output.LayerNorm", width, epsilon)
    return graph.network(x, ("words", width))


def _split_shape(graph: _Graph, embedded: str, heads: int, size: int, parts: tuple[int, ...] = ()) -> str:
    """(N, T, *parts, heads, size) for a Reshape, from the shape of (N, T, width)."""
    shape = graph.node("Slice", graph.node("Shape", embedded), graph.integers(0), graph.integers(2))
    return str(graph.node("Concat", shape, graph.integers(*parts, heads, size), axis=0))


def _blocks(graph: _Graph, x: str, prefix: str, shape: _Shape, split: str, mask: str | None) -> str:
    """open_clip's ``Transformer``: blocks that normalise first."""
    width, size = shape.width, shape.width // shape.heads
    flat = graph.integers(-1, width)
    axis = graph.integers(0)
    for number in range(shape.layers):
        at = f"{prefix}.resblocks.{number}"
        weight = graph.weight(f"{at}.attn.in_proj_weight", 3 * width, width)
        bias = graph.weight(f"{at}.attn.in_proj_bias", 3 * width)
        rows = graph.node("Gemm", graph.norm(x, f"{at}.ln_1", width, shape.epsilon), weight, bias, transB=1)
        turned = graph.node("Transpose", graph.node("Reshape", rows, split), perm=[2, 0, 3, 1, 4])
        q, k, v = (
            graph.node("Squeeze", part, axis)
            for part in graph.node("Split", turned, outputs=3, axis=0, num_outputs=3)
        )
        seen = graph.attention(q, graph.node("Transpose", k, perm=[0, 1, 3, 2]), v, size, flat, mask)
        x = graph.node("Add", x, graph.linear(seen, f"{at}.attn.out_proj", width, width))
        wide = graph.linear(
            graph.norm(x, f"{at}.ln_2", width, shape.epsilon), f"{at}.mlp.c_fc", shape.inner, width
        )
        if shape.gelu == "quick":
            scaled = graph.node("Mul", wide, graph.constant(np.array(1.702, np.float32)))
            wide = graph.node("Mul", wide, graph.node("Sigmoid", scaled))
        else:
            wide = graph.node("Gelu", wide, approximate=shape.gelu)
        x = graph.node("Add", x, graph.linear(wide, f"{at}.mlp.c_proj", width, shape.inner))
    return x


def _shape_of(tower: Mapping[str, Any], quick: bool, heads: int, width: int, layers: int) -> _Shape:
    """What both towers say of their blocks. Raises Unsupported for what the graphs lack."""
    for name in (
        "block_type",
        "qk_norm",
        "scaled_cosine_attn",
        "scale_heads",
        "scale_attn_inner",
        "scale_attn",
    ):
        if tower.get(name):
            raise Unsupported(f"{name} of its attention")
    if tower.get("scale_fc") or tower.get("ls_init_value") is not None:
        raise Unsupported("scaled layers")
    if not isinstance(layers, int):
        raise Unsupported("a convolutional network")
    norm, act = dict(tower.get("norm_kwargs") or {}), dict(tower.get("act_kwargs") or {})
    epsilon, gelu = float(norm.pop("eps", 1e-5)), str(act.pop("approximate", "none"))
    if norm or act or (quick and gelu != "none") or gelu not in ("none", "tanh") or width % heads:
        raise Unsupported("unusual settings of its layers")
    inner = int(width * float(tower.get("mlp_ratio", 4.0)))
    return _Shape(width, layers, heads, inner, epsilon, "quick" if quick else gelu)


def _refuse_others(tensors: Tensors, used: Mapping[str, Any], prefix: str, known: Sequence[str]) -> None:
    """A weight that the architecture has no place for belongs to a larger or another network."""
    inside = f"{prefix}transformer."
    others = [name for name in tensors if name.startswith(inside) and name not in used]
    if others:
        raise Misfit(f"{others[0]} has no place in the architecture")
    for name in known:
        if name not in used and tensors.shape(name) is not None:
            raise Misfit(f"{name} has no place in the architecture")


def clip_text(tensors: Tensors, config: Mapping[str, Any]) -> Network:
    """The text tower of an open_clip model without its table of tokens.

    Inputs: ``embedded`` (N, T, width), the sum of token and place vectors; ``rows`` (N,) int64, where in the
    N * T places the vector of each text stands; for a causal model also ``mask`` (T, T), 0 for what a place
    may look at and a large negative number elsewhere. Output: (N, columns).

    Raises:
        Misfit: if the weights are those of another network.
        Unsupported: if the tower has a part that no graph is written for.
    """
    text, columns = config["text_cfg"], int(config["embed_dim"])
    if text.get("hf_model_name"):
        raise Unsupported("a text tower of transformers")
    if text.get("embed_cls") or text.get("pool_type", "argmax") not in ("argmax", "first", "last", "eos"):
        raise Unsupported("the pooling of its text tower")
    if text.get("proj_type", "linear") not in ("linear", "none"):
        raise Unsupported("the projection of its text tower")
    width, heads = int(text.get("width", 512)), int(text.get("heads", 8))
    shape = _shape_of(text, bool(config.get("quick_gelu")), heads, width, text.get("layers", 12))
    prefix = "text." if config.get("custom_text") else ""
    length, vocabulary = int(text.get("context_length", 77)), int(text.get("vocab_size", 49408))
    for name, wanted in (("positional_embedding", length), ("token_embedding.weight", vocabulary)):
        if tensors.shape(prefix + name) != (wanted, width):
            raise Misfit(f"{prefix}{name} should have the shape {(wanted, width)}")
    graph = _Graph(tensors)
    embedded = graph.input("embedded", ("texts", "length", width))
    mask = None if text.get("no_causal_mask") else graph.input("mask", ("length", "length"))
    rows = graph.rows("rows")
    split = _split_shape(graph, embedded, heads, width // heads, (3,))
    x = graph.node("Reshape", embedded, graph.integers(-1, width))
    x = _blocks(graph, x, f"{prefix}transformer", shape, split, mask)
    x = graph.norm(graph.node("Gather", x, rows, axis=0), f"{prefix}ln_final", width, shape.epsilon)
    if text.get("proj_type", "linear") == "none":
        columns = width
    elif text.get("proj_bias"):
        x = graph.linear(x, f"{prefix}text_projection", columns, width)
    else:
        x = graph.node("MatMul", x, graph.weight(f"{prefix}text_projection", width, columns))
    _refuse_others(tensors, graph.weights, prefix, [f"{prefix}cls_emb"])
    return graph.network(x, ("texts", columns))


def clip_image(tensors: Tensors, config: Mapping[str, Any]) -> Network:
    """The image tower of an open_clip model that is open_clip's own Vision Transformer.

    Input: ``patches`` (N * P, 3 * side * side), the P patches of each picture as rows, channels first.
    Output: (N, columns).

    Raises:
        Misfit: if the weights are those of another network.
        Unsupported: if the tower has a part that no graph is written for.
    """
    vision, columns = config["vision_cfg"], int(config["embed_dim"])
    if vision.get("timm_model_name"):
        raise Unsupported(f"the image tower {vision['timm_model_name']} of timm")
    if vision.get("attentional_pool") or vision.get("pool_type", "tok") != "tok":
        raise Unsupported("the pooling of its image tower")
    width, side = int(vision.get("width", 768)), vision.get("patch_size", 16)
    picture = vision.get("image_size", 224)
    if not isinstance(side, int) or not isinstance(picture, int) or picture % side:
        raise Unsupported("pictures or patches that are not square")
    heads = width // int(vision.get("head_width", 64))
    shape = _shape_of(vision, bool(config.get("quick_gelu")), heads, width, vision.get("layers", 12))
    count = (picture // side) ** 2
    graph = _Graph(tensors)
    patches = graph.input("patches", ("patches", 3 * side * side))
    seen = 3 * side * side
    weight = graph.weight("visual.conv1.weight", width, 3, side, side, view=(width, seen))
    x = graph.node("Gemm", patches, weight, transB=1)
    x = graph.node("Reshape", x, graph.integers(-1, count, width))
    pictures = graph.node("Slice", graph.node("Shape", x), graph.integers(0), graph.integers(1))
    first = graph.weight("visual.class_embedding", width, view=(1, 1, width))
    first = graph.node("Expand", first, graph.node("Concat", pictures, graph.integers(1, width), axis=0))
    x = graph.node("Concat", first, x, axis=1)
    x = graph.node("Add", x, graph.weight("visual.positional_embedding", count + 1, width))
    x = graph.node("Reshape", x, graph.integers(-1, width))
    if not vision.get("no_ln_pre"):
        x = graph.norm(x, "visual.ln_pre", width, shape.epsilon)
    split = graph.integers(-1, count + 1, 3, heads, width // heads)
    x = _blocks(graph, x, "visual.transformer", shape, split, None)
    x = graph.node("Reshape", x, graph.integers(-1, count + 1, width))
    x = graph.node("Gather", x, graph.constant(np.array(0, np.int64)), axis=1)
    x = graph.norm(x, "visual.ln_post", width, shape.epsilon)
    x = graph.node("MatMul", x, graph.weight("visual.proj", width, columns))
    _refuse_others(tensors, graph.weights, "visual.", ["visual.ln_pre.weight"])
    return graph.network(x, ("pictures", columns))


def efficientnet_lite2(tensors: Mapping[str, NDArray[Any]], side: int) -> Network:
    """EfficientNet-Lite2, all weights within, each batch normalisation folded into the convolution before it.

    Input: ``pictures`` (N, side, side, 3). Output: (N, classes) logits.
    """
    graph = _Graph(tensors)
    low, high = graph.constant(np.array(0, np.float32)), graph.constant(np.array(6, np.float32))

    def convolved(
        x: str, name: str, norm: str, stride: int, size: int, *, relu: bool = True
    ) -> tuple[str, int]:
        weight, bias = _folded(tensors, name, norm)
        kernel = weight.shape[2]
        after = -(-size // stride)
        missing = max((after - 1) * stride + kernel - size, 0)  # "same": the odd pixel goes to the end
        pads = [missing // 2, missing // 2, missing - missing // 2, missing - missing // 2]
        groups = len(weight) if weight.shape[1] == 1 and len(weight) > 1 else 1
        y = graph.node(
            "Conv", x, graph.constant(weight), graph.constant(bias),
            kernel_shape=[kernel, kernel], strides=[stride, stride], pads=pads, group=groups,
        )  # fmt: skip
        return str(graph.node("Clip", y, low, high)) if relu else str(y), after

    x = graph.node("Transpose", graph.input("pictures", ("pictures", side, side, 3)), perm=[0, 3, 1, 2])
    x, size = convolved(x, "_conv_stem", "_bn0", 2, side)
    for number in range(LITE2_BLOCKS):
        at, before = f"_blocks.{number}", x
        if f"{at}._expand_conv.weight" in tensors:
            x, size = convolved(x, f"{at}._expand_conv", f"{at}._bn0", 1, size)
        stride = 2 if number in LITE2_HALVING else 1
        x, size = convolved(x, f"{at}._depthwise_conv", f"{at}._bn1", stride, size)
        x, size = convolved(x, f"{at}._project_conv", f"{at}._bn2", 1, size, relu=False)
        if stride == 1 and number and len(tensors[f"{at}._project_conv.weight"]) == _columns(tensors, at):
            x = graph.node("Add", x, before)
    x, size = convolved(x, "_conv_head", "_bn1", 1, size)
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    weight, bias = (np.asarray(tensors[f"_fc.{part}"], np.float32) for part in ("weight", "bias"))
    x = graph.node("Gemm", x, graph.constant(weight), graph.constant(bias), transB=1)
    return graph.network(x, ("pictures", len(bias)))


def _columns(tensors: Mapping[str, NDArray[Any]], at: str) -> int:
    return int(tensors[f"{at}._expand_conv.weight"].shape[1])


def _folded(tensors: Mapping[str, NDArray[Any]], name: str, norm: str) -> tuple[FloatArray, FloatArray]:
    """A convolution's weight and bias with the normalisation that follows it, in double precision."""
    gain, shift, mean, variance = (
        np.asarray(tensors[f"{norm}.{part}"], np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gain / np.sqrt(variance + BATCH_NORM_EPSILON)
    weight = np.asarray(tensors[f"{name}.weight"], np.float64) * scale[:, None, None, None]
    return weight.astype(np.float32), (shift - mean * scale).astype(np.float32)
