"""Facts about operators that passes rely on: what may be shared, swapped, fused, dropped or folded.

A fact is stated only where it holds bit for bit, for every dtype and every input (NaN, ±0, ±inf, integers at their
ends).  `Max` and `Min` are commutative because their meaning here is IEEE 754-2019 `maximum` and `minimum`, which order
−0 below +0.  An operator that is not in the table (`facts_of` gives None) is kept, unchanged and in place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphopt.ir.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class Facts:
    """What always holds of one operator."""

    deterministic: bool = True
    """The same inputs give the same outputs; see `is_deterministic` for one node of a graph."""
    commutative: bool = False
    """With exactly two inputs, these may be swapped."""
    elementwise: bool = False
    """An output element depends only on the input elements at its (broadcast) position, and all have one shape."""
    moves: bool = False
    """Output elements are input elements, moved or repeated and never computed (Pad and Gather among them)."""
    idempotent: bool = False
    """Applied again to its own result, with the same other inputs, it changes nothing."""
    involution: bool = False
    """Applied twice it gives its input back, for every dtype it takes."""
    shape_only: bool = False
    """Only the shape of the input is looked at, never its elements."""
    shape_inputs: frozenset[int] = frozenset()
    """Inputs whose elements decide the output's shape (or which axes are meant): small integers, best constant."""
    checked_inputs: frozenset[int] = frozenset()
    """Inputs whose elements have bounds, as places, lengths and axes do: the shape rule looks at each, however many."""
    data_dependent: bool = False
    """The output's shape depends on the elements of an input that is not a `shape_input`."""
    control_flow: bool = False
    """Runs the graphs in its attributes; it is as deterministic as they are."""


def facts_of(op: str, domain: str = "") -> Facts | None:
    """What is known of an operator; None when it is not in the table, so nothing may be assumed."""
    return _TABLE.get(("" if domain == "ai.onnx" else domain, op))


def is_deterministic(graph: Graph, node: Node) -> bool:
    """Whether this node gives the same outputs for the same inputs: it may be shared, folded and moved.

    False for operators that are not in the table, for random ones (a fixed `seed` fixes the sequence of draws
    and not each draw), for Dropout that may be training, and where a subgraph holds such a node.
    """
    facts = facts_of(node.op, node.domain)
    if facts is None:
        return False
    if node.op == "Dropout" and not node.domain:
        return _drops_nothing(graph, node)
    inner = (g for g in graph.subgraphs_of(node)) if facts.control_flow else ()
    return facts.deterministic and all(is_deterministic(g, n) for g in inner for n in g.nodes())


def _drops_nothing(graph: Graph, node: Node) -> bool:
    slots = graph.inputs_of(node)
    training = slots[2] if len(slots) > 2 else None
    if training is None:
        return True
    return training.constant is not None and not bool(training.constant.array().any())


_TABLE: dict[tuple[str, str], Facts] = {}


def _state(ops: str, domain: str = "", **facts: object) -> None:
    for op in ops.split():
        known = _TABLE.get((domain, op), Facts())
        _TABLE[domain, op] = replace(known, **facts)  # pyright: ignore[reportArgumentType]  # names of Facts' fields


def _shaped_by(slots: tuple[int, ...], ops: str) -> None:
    _state(ops, shape_inputs=frozenset(slots))


def _bounded(slots: tuple[int, ...], ops: str) -> None:
    _state(ops, checked_inputs=frozenset(slots))


# ---- every standard operator is in the table -----------------------------------------------------------

_state(
    "AffineGrid ArgMax ArgMin Attention AveragePool BatchNormalization BlackmanWindow CausalConvWithState Col2Im"
    " ConcatFromSequence Constant Conv ConvInteger ConvTranspose CumProd CumSum DFT DeformConv Det"
    " DynamicQuantizeLinear Einsum EyeLike GRU Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample"
    " GroupNormalization HammingWindow HannWindow Hardmax ImageDecoder InstanceNormalization LRN LSTM"
    " LayerNormalization LinearAttention LogSoftmax LpNormalization LpPool MatMul MatMulInteger MaxPool MaxRoiPool"
    " MaxUnpool MeanVarianceNormalization MelWeightMatrix NegativeLogLikelihoodLoss OneHot Optional OptionalGetElement"
    " OptionalHasElement QLinearConv QLinearMatMul RMSNormalization RNN ReduceL1 ReduceL2 ReduceLogSum"
    " ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Resize RoiAlign"
    " RotaryEmbedding STFT SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength"
    " Softmax SoftmaxCrossEntropyLoss SplitToSequence StringNormalizer StringSplit SwiGLU TensorScatter"
    " TfIdfVectorizer TopK Upsample"
)
_state("If Loop Scan SequenceMap", control_flow=True)
_state("Adagrad Adam Momentum", domain="ai.onnx.preview.training")
_state("FlexAttention", domain="ai.onnx.preview", control_flow=True)
_state(
    "ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer LabelEncoder"
    " LinearClassifier LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble"
    " TreeEnsembleClassifier TreeEnsembleRegressor ZipMap",
    domain="ai.onnx.ml",
)

# ---- what varies ---------------------------------------------------------------------------------------

_state("Bernoulli Multinomial RandomNormal RandomUniform", deterministic=False)
_state("RandomNormalLike RandomUniformLike", deterministic=False, shape_only=True)
_state("Dropout", deterministic=False)

# ---- one element at a time -----------------------------------------------------------------------------

_state(
    "Abs Acos Acosh Asin Asinh Atan Atanh BitCast BitwiseNot Cast CastLike Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu"
    " HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal RegexFullMatch Relu Round Selu"
    " Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu",
    elementwise=True,
)
_state(
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Clip Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean"
    " Min Mod Mul Or PRelu Pow StringConcat Sub Sum Where Xor",
    elementwise=True,
)
_state("DequantizeLinear QuantizeLinear")  # not elementwise: scales lie along an axis, or in blocks
_state("Add And BitwiseAnd BitwiseOr BitwiseXor Equal Max Min Mul Or Sum Xor", commutative=True)
_state("Abs Ceil Clip Floor Identity Relu Round Sign", idempotent=True)
_state("BitwiseNot Identity Neg Not", involution=True)

# ---- elements that move --------------------------------------------------------------------------------

_state(
    "CenterCropPad Compress Concat ConstantOfShape DepthToSpace Expand Flatten Gather GatherElements GatherND Pad"
    " Reshape ReverseSequence ScatterND ScatterElements Scatter Slice SpaceToDepth Split Squeeze Tile Transpose Trilu"
    " Unsqueeze",
    moves=True,
)
_state("Identity", moves=True)
_state("ScatterND ScatterElements", moves=False)  # `reduction` computes
_state("Shape Size EyeLike", shape_only=True)

# ---- operands that decide shapes -----------------------------------------------------------------------

_shaped_by((0,), "ConstantOfShape BlackmanWindow HammingWindow HannWindow MelWeightMatrix")
_shaped_by((1,), "AffineGrid CenterCropPad Expand OneHot Reshape Squeeze Tile TopK Unsqueeze Split SplitToSequence")
_shaped_by(
    (1,),
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare"
    " Upsample",
)
_shaped_by((0, 1), "MelWeightMatrix")
_shaped_by((1, 2), "Col2Im DFT")
_shaped_by((0, 1, 2), "Range")
_shaped_by((1, 3), "Pad STFT")
_shaped_by((2,), "MaxUnpool NonMaxSuppression")
_shaped_by((1, 2, 3), "Resize")
_shaped_by((1, 2, 3, 4), "Slice")
_state("NonMaxSuppression NonZero StringSplit Unique Compress ImageDecoder", data_dependent=True)

# ---- operands whose elements have bounds ---------------------------------------------------------------

_bounded((1,), "Gather GatherElements GatherND ReverseSequence Scatter ScatterElements ScatterND")
_bounded((1,), "CumProd CumSum MaxRoiPool MaxUnpool NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss")
_bounded((1, 2), "RoiAlign")
_bounded((2,), "TensorScatter")
_bounded((2, 3), "NonMaxSuppression")
_bounded((3,), "RotaryEmbedding")
_bounded((4,), "GRU LSTM RNN")
_bounded((6,), "Attention")
_state("ArrayFeatureExtractor", domain="ai.onnx.ml", checked_inputs=frozenset({1}))

# ---- other domains -------------------------------------------------------------------------------------

_MS = "com.microsoft"
_state(
    "Attention BiasAdd BiasGelu BiasSoftmax BiasSplitGelu CDist DecoderMaskedMultiHeadAttention DequantizeLinear"
    " DynamicQuantizeLSTM DynamicQuantizeMatMul EmbedLayerNormalization FastGelu FusedConv FusedGemm FusedMatMul"
    " FusedMatMulActivation GatherBlockQuantized Gelu GemmFastGelu GridSample GroupNorm GroupQueryAttention Inverse"
    " MatMulBnb4 MatMulInteger16 MatMulIntegerToFloat MatMulNBits MultiHeadAttention NGramRepeatBlock NhwcConv"
    " NhwcFusedConv NhwcMaxPool PackedAttention QAttention QEmbedLayerNormalization QGemm QLinearAdd"
    " QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul"
    " QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QuantizeLinear QuickGelu RotaryEmbedding"
    " SimplifiedLayerNormalization SkipGroupNorm SkipLayerNormalization SkipSimplifiedLayerNormalization"
    " TransposeMatMul",
    domain=_MS,
)
_state("FastGelu Gelu QuickGelu", domain=_MS, elementwise=True)
_state("ExpandDims GatherND Pad Trilu", domain=_MS, moves=True)
_state("Tokenizer Unique", domain=_MS, data_dependent=True)
_state("ExpandDims Pad", domain=_MS, shape_inputs=frozenset({1}))
_state("Range", domain=_MS, shape_inputs=frozenset({0, 1, 2}))
_state("GroupQueryAttention", domain=_MS, shape_inputs=frozenset({6}))
_state("GatherND RotaryEmbedding", domain=_MS, checked_inputs=frozenset({1}))
_state("EmbedLayerNormalization", domain=_MS, checked_inputs=frozenset({0, 1, 8}))
_state("QEmbedLayerNormalization", domain=_MS, checked_inputs=frozenset({0, 1}))
_state("NGramRepeatBlock", domain=_MS, checked_inputs=frozenset({0}))
_state("MatMulNBits PackedAttention", domain=_MS, checked_inputs=frozenset({4}))
_state("GroupQueryAttention", domain=_MS, checked_inputs=frozenset({5}))
_state("Affine ImageScaler ParametricSoftplus ScaledTanh SimplifiedLayerNormalization")
_state("Affine ParametricSoftplus ScaledTanh", elementwise=True)
_state("Crop", moves=True)
_state("Elementwise", domain="ai.graphopt", elementwise=True, control_flow=True)
