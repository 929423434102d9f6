"""What the files of a SavedModel show without running it: the form of its signatures, its operations and its size."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from niwt_tf.files import files_below, literal_folder

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
    """Check that inputs and outputs are named, float32 or string, and have the batch first, of any size; return what was seen.

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
        raise CheckError(f"{what} has no name")
    kind = tf.dtypes.as_dtype(info.dtype)
    if kind not in (tf.float32, tf.string):
        raise CheckError(f"{what} is {kind.name}, neither float32 nor string")
    shape = info.tensor_shape
    if shape.unknown_rank or not shape.dim or shape.dim[0].size != -1:
        sides = "unknown" if shape.unknown_rank else [dim.size for dim in shape.dim]
        raise CheckError(f"{what} must have the batch as its first side, of any size; its shape is {sides}")


def check_operations(graph: Any) -> str:
    """Check that there are only core operations, and none that is compiled when it runs; return what was seen.

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
            raise CheckError("a function needs XLA (jit_compile), which a server does not have")
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
    """Check that variables and constants take at most 1.3 times the bytes of the weights, or one megabyte more for a small one.

    A tensor that is there twice counts once, so weights that were written twice, or into the graph, are seen. What was seen is
    returned. The graph's operations are not counted: those of many small layers may take more than the weights.

    Raises:
        CheckError: it takes more, or the checkpoint or the graph cannot be read.
    """
    size = _constant_bytes(folder) + sum(path.stat().st_size for path in files_below(folder / "variables"))
    try:
        weights = _distinct_bytes(folder)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise CheckError(f"the variables cannot be read: {first_line(error)}") from None
    said = f"{size / max(weights, 1):.2f}x the weights ({size:,} of {weights:,} bytes)"
    if size > max(_RATIO * weights, weights + _MARGIN):
        raise CheckError(said)
    return said


def _constant_bytes(folder: Path) -> int:
    graph = meta_graph(folder).graph_def
    nodes = itertools.chain(graph.node, *(function.node_def for function in graph.library.function))
    return sum(node.attr["value"].tensor.ByteSize() for node in nodes if node.op == "Const")


def _distinct_bytes(folder: Path) -> int:
    reader = tf.train.load_checkpoint(str(literal_folder(folder) / "variables" / "variables"))
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


_ANSWERING = """
Abs AccumulateNV2 Acos Acosh Add AddN AddV2 AdjustContrastv2 AdjustHue AdjustSaturation All Any ApproximateEqual ArgMax ArgMin
AsString Asin Asinh Assert AssignAddVariableOp AssignSubVariableOp AssignVariableOp Atan Atan2 Atanh AvgPool AvgPool3D
AvgPool3DGrad AvgPoolGrad BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchToSpaceND BiasAdd BiasAddGrad BiasAddV1 Bincount
BitwiseAnd BitwiseOr BitwiseXor BroadcastArgs BroadcastGradientArgs BroadcastTo Bucketize Case Cast Ceil CheckNumerics
CheckNumericsV2 Cholesky CholeskyGrad ClipByValue Concat ConcatOffset ConcatV2 Const ControlTrigger Conv Conv2D
Conv2DBackpropFilter Conv2DBackpropFilterV2 Conv2DBackpropInput Conv2DBackpropInputV2 Conv3D Conv3DBackpropFilterV2
Conv3DBackpropInputV2 Cos Cosh CropAndResize Cross Cumprod Cumsum DecodeAndCropJpeg DecodeBase64 DecodeBmp DecodeGif DecodeImage
DecodeJpeg DecodePaddedRaw DecodePng DecodeRaw DecodeWebP DenseBincount DepthToSpace DepthwiseConv2dNative
DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput DestroyResourceOp Diag DiagPart Digamma Dilation2D
DisableCopyOnRead Div DivNoNan DrawBoundingBoxesV2 Einsum Elu EluGrad EmptyTensorList EncodeBase64 EncodeJpeg EncodePng
EnsureShape Enter Equal Erf Erfc Erfinv Exit Exp ExpandDims Expm1 ExtractImagePatches ExtractJpegShape Fill Floor FloorDiv
FloorMod FusedBatchNorm FusedBatchNormGrad FusedBatchNormGradV2 FusedBatchNormGradV3 FusedBatchNormV2 FusedBatchNormV3 Gather
GatherNd GatherV2 Greater GreaterEqual GuaranteeConst HSVToRGB HashTableV2 HistogramFixedWidth Identity IdentityN If
ImageProjectiveTransformV3 InTopKV2 InitializeTableV2 Inv InvGrad Invert InvertPermutation IsFinite IsInf IsNan L2Loss LRN
LRNGrad LeakyRelu LeakyReluGrad LeftShift Less LessEqual Lgamma LinSpace ListDiff Log Log1p LogMatrixDeterminant LogSoftmax
LogicalAnd LogicalNot LogicalOr LookupTableExportV2 LookupTableFindV2 LookupTableImportV2 LookupTableSizeV2 LoopCond LowerBound
MatMul MatrixBandPart MatrixDeterminant MatrixDiag MatrixDiagPart MatrixDiagPartV3 MatrixDiagV3 MatrixInverse MatrixSetDiagV3
MatrixSolve MatrixSolveLs MatrixTriangularSolve Max MaxPool MaxPool3D MaxPool3DGrad MaxPool3DGradGrad MaxPoolGrad
MaxPoolGradGrad MaxPoolGradGradV2 MaxPoolGradGradWithArgmax MaxPoolGradV2 MaxPoolGradWithArgmax MaxPoolV2 MaxPoolWithArgmax
Maximum Mean Merge Min Minimum MirrorPad MirrorPadGrad Mod Mul MulNoNan Neg NextAfter NextIteration NoOp NonMaxSuppressionV3
NotEqual NthElement OneHot OnesLike Pack Pad PadV2 ParallelConcat ParseExample ParseExampleV2 ParseSingleExample PartitionedCall
Placeholder PlaceholderWithDefault Pow PreventGradient Prod Qr RGBToHSV RandomStandardNormal RandomUniform RandomUniformInt
Range Rank ReadVariableOp RealDiv Reciprocal ReciprocalGrad ReduceJoin RegexFullMatch RegexReplace Relu Relu6 Relu6Grad ReluGrad
Reshape ResizeArea ResizeBicubic ResizeBicubicGrad ResizeBilinear ResizeBilinearGrad ResizeNearestNeighbor
ResizeNearestNeighborGrad ResourceGather ResourceGatherNd Reverse ReverseSequence ReverseV2 RightShift Rint Roll Round Rsqrt
RsqrtGrad ScaleAndTranslate ScaleAndTranslateGrad ScatterNd SegmentMax SegmentMean SegmentMin SegmentProd SegmentSum Select
SelectV2 SelfAdjointEigV2 Selu SeluGrad Shape ShapeN Sigmoid SigmoidGrad Sign Sin Sinh Size Slice Softmax
SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad Softsign SoftsignGrad SpaceToBatchND SpaceToDepth SparseSegmentMean
SparseSegmentSum SparseSoftmaxCrossEntropyWithLogits SparseToDense Split SplitV Sqrt SqrtGrad Square SquaredDifference Squeeze
StatefulPartitionedCall StatelessCase StatelessIf StatelessRandomNormal StatelessRandomNormalV2 StatelessRandomUniform
StatelessRandomUniformV2 StatelessWhile StaticRegexFullMatch StaticRegexReplace StopGradient StridedSlice StridedSliceGrad
StringFormat StringJoin StringLength StringLower StringNGrams StringSplit StringSplitV2 StringStrip StringToHashBucketFast
StringToHashBucketStrong StringToNumber StringUpper Sub Substr Sum Svd Switch Tan Tanh TanhGrad TensorArrayCloseV3
TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayReadV3 TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3
TensorArrayV3 TensorArrayWriteV3 TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather
TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack TensorListPushBackBatch TensorListReserve
TensorListResize TensorListScatterIntoExistingList TensorListScatterV2 TensorListSetItem TensorListSplit TensorListStack
TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate TensorStridedSliceUpdate Tile TopK
TopKV2 Transpose TruncateDiv TruncateMod UnicodeDecode UnicodeEncode Unique UniqueV2 UniqueWithCounts Unpack UnravelIndex
UnsortedSegmentJoin UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum UpperBound VarHandleOp
VarIsInitializedOp VariableShape Where While Xdivy Xlog1py Xlogy ZerosLike Zeta
"""
_SAVING = "MergeV2Checkpoints Restore RestoreSlice RestoreV2 Save SaveSlices SaveV2 ShardedFilename ShardedFilespec"
ANSWERING = frozenset(_ANSWERING.split())
ANYWHERE = ANSWERING | frozenset(_SAVING.split())
