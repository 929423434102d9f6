"""The operations that an export may hold: TensorFlow's own, which any TensorFlow Serving of its time has on CPU and GPU.

Not here, and so refused: Python (PyFunc), files and network (ReadFile, WriteFile, data sets, tables from files), printing,
custom operations, and everything that compiles while it serves. What only saves and restores is allowed where no signature
reaches it.
"""

from __future__ import annotations

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
