"""What the files of a SavedModel show without running it: the form of its signatures, its operations and its size."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

_UNNAMED = re.compile(r"(args?|inputs?|outputs?)_?[0-9]+")
_COMPILED = "_XlaMustCompile"
_LARGE = 1024  # bytes; a smaller tensor may well hold what another does
_RATIO, _MARGIN = 1.3, 2**20


class CheckError(Exception):
    """A check that found a fault; the message is one line."""


def meta_graph(folder: Path) -> Any:
    """Return the MetaGraphDef that a server loads.

    Raises:
        CheckError: saved_model.pb cannot be parsed or has no graph tagged `serve`.
    """
    try:
        model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    except Exception as error:  # protobuf's DecodeError is no ValueError in every implementation of it
        raise CheckError(f"saved_model.pb cannot be parsed: {error}") from None
    found = [graph for graph in model.meta_graphs if list(graph.meta_info_def.tags) == ["serve"]]
    if len(found) != 1:
        raise CheckError(f"saved_model.pb must hold one graph with the tag 'serve', not {len(found)}")
    return found[0]


def signatures_of(graph: Any) -> dict[str, Any]:
    """Return the SignatureDefs of a MetaGraphDef that are there for callers."""
    return {name: graph.signature_def[name] for name in sorted(graph.signature_def) if not name.startswith("__")}


def check_signatures(graph: Any) -> str:
    """Check that inputs and outputs are named, float32 or string, and have the batch first, of any size.

    Returns:
        What was seen, for the table.

    Raises:
        CheckError: the first that is not so.
    """
    signatures = signatures_of(graph)
    if not signatures:
        raise CheckError("there is no signature")
    for name, signature in signatures.items():
        if not signature.inputs or not signature.outputs:
            raise CheckError(f"{name} has no {'outputs' if signature.inputs else 'inputs'}")
        for way, tensors in (("input", signature.inputs), ("output", signature.outputs)):
            for key in sorted(tensors):
                _check_tensor(f"{name}: {way} {key!r}", key, tensors[key])
    return ", ".join(signatures)


def _check_tensor(what: str, key: str, info: Any) -> None:
    if _UNNAMED.fullmatch(key):
        raise CheckError(f"{what} has no name of its own")
    kind = tf.dtypes.as_dtype(info.dtype)
    if kind not in (tf.float32, tf.string):
        raise CheckError(f"{what} is {kind.name}, neither float32 nor string")
    shape = info.tensor_shape
    if shape.unknown_rank or not shape.dim or shape.dim[0].size != -1:
        sides = "unknown" if shape.unknown_rank else [dim.size for dim in shape.dim]
        raise CheckError(f"{what} must have the batch as its first side, of any size; its shape is {sides}")


def check_operations(graph: Any) -> str:
    """Check that there are only operations of `core_ops`, and none that is compiled when it runs.

    Returns:
        What was seen, for the table.

    Raises:
        CheckError: operations that are not on the list, or one that must be compiled.
    """
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    reached = list(_reached(graph, functions))
    everywhere = [*graph.graph_def.node, *(node for function in functions.values() for node in function.node_def)]
    wrong = {node.op for node in reached} - ANSWERING | {node.op for node in everywhere} - ANYWHERE
    wrong -= functions.keys()
    if wrong:
        raise CheckError(f"operations that a server should not run: {', '.join(sorted(wrong))}")
    for attributes in (holder.attr for holder in (*everywhere, *functions.values())):
        if _COMPILED in attributes and attributes[_COMPILED].b:
            raise CheckError("a function must be compiled by XLA, which a server does not do (jit_compile)")
    return f"{len({node.op for node in everywhere} - functions.keys())} kinds, all of TensorFlow's core"


def _reached(graph: Any, functions: dict[str, Any]) -> Iterator[Any]:
    """Yield the nodes that answering takes, in the graph and in the functions that it calls."""
    nodes = {node.name: node for node in graph.graph_def.node}
    wanted = [info.name for signature in signatures_of(graph).values() for info in signature.outputs.values()]
    called: list[str] = []
    seen: set[str] = set()
    while wanted:
        name = wanted.pop().removeprefix("^").partition(":")[0]
        if name not in seen and name in nodes:
            seen.add(name)
            wanted.extend(nodes[name].input)
            called.extend(_calls(nodes[name]))
            yield nodes[name]
    seen = set()
    while called:
        name = called.pop()
        if name not in seen and name in functions:
            seen.add(name)
            for node in functions[name].node_def:
                called.extend(_calls(node))
                yield node


def _calls(node: Any) -> list[str]:
    values = node.attr.values()
    return [node.op, *(value.func.name for value in values), *(one.name for value in values for one in value.list.func)]


def check_size(folder: Path) -> str:
    """Check that the SavedModel takes at most 1.3 times the bytes of its weights, or one megabyte more for a small one.

    A tensor that is there twice counts once, so weights that were written twice are seen.

    Returns:
        What was seen, for the table.

    Raises:
        CheckError: it takes more, or the checkpoint cannot be read.
    """
    parts = [folder / "saved_model.pb", *(folder / "variables").rglob("*")]
    size = sum(path.stat().st_size for path in parts if path.is_file())
    try:
        weights = _distinct_bytes(folder)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise CheckError(f"the variables cannot be read: {first_line(error)}") from None
    said = f"{size / max(weights, 1):.2f}x the weights ({size:,} of {weights:,} bytes)"
    if size > max(_RATIO * weights, weights + _MARGIN):
        raise CheckError(said)
    return said


def _distinct_bytes(folder: Path) -> int:
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    small, large = 0, {}
    for name in reader.get_variable_to_shape_map():
        value = np.asarray(reader.get_tensor(name))
        if value.dtype == object or value.nbytes < _LARGE:
            small += value.nbytes
        else:
            large[hashlib.sha256(value.tobytes()).digest() + str(value.shape).encode()] = value.nbytes
    return small + sum(large.values())


def first_line(error: object) -> str:
    """Return the first line of a message, for a table."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]


# The operations that an export may hold: TensorFlow's own, which any TensorFlow Serving of its time has on CPU and GPU.
#
# Not here, and so refused: Python (PyFunc), files and network (ReadFile, WriteFile, data sets, tables from files), printing,
# custom operations, and everything that compiles while it serves. What only saves and restores is allowed where no signature
# reaches it.


_CONTROL = """
Assert Case Const ControlTrigger EnsureShape Enter Exit GuaranteeConst Identity IdentityN If LoopCond Merge NextIteration
NoOp PartitionedCall Placeholder PlaceholderWithDefault PreventGradient StatefulPartitionedCall StatelessCase StatelessIf
StatelessWhile StopGradient Switch While
"""
_VARIABLES = """
AssignAddVariableOp AssignSubVariableOp AssignVariableOp DestroyResourceOp DisableCopyOnRead HashTableV2 InitializeTableV2
LookupTableExportV2 LookupTableFindV2 LookupTableImportV2 LookupTableSizeV2 ReadVariableOp ResourceGather ResourceGatherNd
VarHandleOp VarIsInitializedOp VariableShape
"""
_ARRAYS = """
BatchToSpaceND BroadcastArgs BroadcastGradientArgs BroadcastTo Concat ConcatOffset ConcatV2 DepthToSpace Diag DiagPart
ExpandDims Fill Gather GatherNd GatherV2 InvertPermutation ListDiff LowerBound MatrixBandPart MatrixDiag MatrixDiagPart
MatrixDiagPartV3 MatrixDiagV3 MatrixSetDiagV3 MirrorPad MirrorPadGrad OneHot OnesLike Pack Pad PadV2 ParallelConcat Range
Rank Reshape Reverse ReverseSequence ReverseV2 Roll ScatterNd Shape ShapeN Size Slice SpaceToBatchND SpaceToDepth Split
SplitV Squeeze StridedSlice StridedSliceGrad TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub
TensorScatterUpdate TensorStridedSliceUpdate Tile Transpose Unique UniqueV2 UniqueWithCounts Unpack UnravelIndex UpperBound
Where ZerosLike
"""
_LISTS = """
EmptyTensorList TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayReadV3 TensorArrayScatterV3
TensorArraySizeV3 TensorArraySplitV3 TensorArrayV3 TensorArrayWriteV3 TensorListConcatV2 TensorListElementShape
TensorListFromTensor TensorListGather TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack
TensorListPushBackBatch TensorListReserve TensorListResize TensorListScatterIntoExistingList TensorListScatterV2
TensorListSetItem TensorListSplit TensorListStack
"""
_MATHEMATICS = """
Abs AccumulateNV2 Acos Acosh Add AddN AddV2 All Any ApproximateEqual ArgMax ArgMin Asin Asinh Atan Atan2 Atanh BatchMatMul
BatchMatMulV2 BatchMatMulV3 Bincount BitwiseAnd BitwiseOr BitwiseXor Bucketize Cast Ceil CheckNumerics CheckNumericsV2
Cholesky CholeskyGrad ClipByValue Cos Cosh Cross Cumprod Cumsum DenseBincount Digamma Div DivNoNan Einsum Equal Erf Erfc
Erfinv Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual HistogramFixedWidth Inv InvGrad Invert IsFinite IsInf IsNan
LeftShift Less LessEqual Lgamma LinSpace Log Log1p LogMatrixDeterminant LogicalAnd LogicalNot LogicalOr MatMul
MatrixDeterminant MatrixInverse MatrixSolve MatrixSolveLs MatrixTriangularSolve Max Maximum Mean Min Minimum Mod Mul
MulNoNan Neg NextAfter NotEqual Pow Prod Qr RandomStandardNormal RandomUniform RandomUniformInt RealDiv Reciprocal
ReciprocalGrad RightShift Rint Round Rsqrt RsqrtGrad SegmentMax SegmentMean SegmentMin SegmentProd SegmentSum Select
SelectV2 SelfAdjointEigV2 Sigmoid SigmoidGrad Sign Sin Sinh SparseSegmentMean SparseSegmentSum SparseToDense Sqrt SqrtGrad
Square SquaredDifference StatelessRandomNormal StatelessRandomNormalV2 StatelessRandomUniform StatelessRandomUniformV2 Sub
Sum Svd Tan Tanh TanhGrad TruncateDiv TruncateMod UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd
UnsortedSegmentSum Xdivy Xlog1py Xlogy Zeta
"""
_LAYERS = """
AvgPool AvgPool3D AvgPool3DGrad AvgPoolGrad BiasAdd BiasAddGrad BiasAddV1 Conv Conv2D Conv2DBackpropFilter
Conv2DBackpropFilterV2 Conv2DBackpropInput Conv2DBackpropInputV2 Conv3D Conv3DBackpropFilterV2 Conv3DBackpropInputV2
DepthwiseConv2dNative DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput Dilation2D Elu EluGrad
FusedBatchNorm FusedBatchNormGrad FusedBatchNormGradV2 FusedBatchNormGradV3 FusedBatchNormV2 FusedBatchNormV3 InTopKV2
L2Loss LRN LRNGrad LeakyRelu LeakyReluGrad LogSoftmax MaxPool MaxPool3D MaxPool3DGrad MaxPool3DGradGrad MaxPoolGrad
MaxPoolGradGrad MaxPoolGradGradV2 MaxPoolGradGradWithArgmax MaxPoolGradV2 MaxPoolGradWithArgmax MaxPoolV2 MaxPoolWithArgmax
NthElement Relu Relu6 Relu6Grad ReluGrad Selu SeluGrad Softmax SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad Softsign
SoftsignGrad SparseSoftmaxCrossEntropyWithLogits TopK TopKV2
"""
_IMAGES = """
AdjustContrastv2 AdjustHue AdjustSaturation CropAndResize DecodeAndCropJpeg DecodeBmp DecodeGif DecodeImage DecodeJpeg
DecodePng DecodeWebP DrawBoundingBoxesV2 EncodeJpeg EncodePng ExtractImagePatches ExtractJpegShape HSVToRGB
ImageProjectiveTransformV3 NonMaxSuppressionV3 RGBToHSV ResizeArea ResizeBicubic ResizeBicubicGrad ResizeBilinear
ResizeBilinearGrad ResizeNearestNeighbor ResizeNearestNeighborGrad ScaleAndTranslate ScaleAndTranslateGrad
"""
_STRINGS = """
AsString DecodeBase64 DecodePaddedRaw DecodeRaw EncodeBase64 ParseExample ParseExampleV2 ParseSingleExample ReduceJoin
RegexFullMatch RegexReplace StaticRegexFullMatch StaticRegexReplace StringFormat StringJoin StringLength StringLower
StringNGrams StringSplit StringSplitV2 StringStrip StringToHashBucketFast StringToHashBucketStrong StringToNumber
StringUpper Substr UnicodeDecode UnicodeEncode UnsortedSegmentJoin
"""
_SAVING = "MergeV2Checkpoints Restore RestoreSlice RestoreV2 Save SaveSlices SaveV2 ShardedFilename ShardedFilespec"
ANSWERING = frozenset(" ".join((_CONTROL, _VARIABLES, _ARRAYS, _LISTS, _MATHEMATICS, _LAYERS, _IMAGES, _STRINGS)).split())
ANYWHERE = ANSWERING | frozenset(_SAVING.split())
