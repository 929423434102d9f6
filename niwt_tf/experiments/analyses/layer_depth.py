"""NIWT at every depth of the trained network (Section 5.3): nothing is trained again, only the cut moves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from niwt_tf.compute.features import Reader
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError
from niwt_tf.experiments.analyses.record import AnalysisRecord, TableColumn, spread
from niwt_tf.experiments.analyses.rerun import FinishedTransfer, TestFeatures, evaluate_chosen
from niwt_tf.methods.task import Task
from niwt_tf.models.cut import is_cut, is_degenerate, output_of
from niwt_tf.models.layers import Preprocess
from niwt_tf.models.network import Network
from niwt_tf.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, curve, new_figure, percent_axis, save

_COLUMNS = (
    *(TableColumn("layer", "Layer", "text"), TableColumn("neurons", "Neurons", "count")),
    TableColumn("positions", "Positions", "text"),
    *(TableColumn("acc_seen", "Seen"), TableColumn("acc_seen_low"), TableColumn("acc_seen_high")),
    *(TableColumn("acc_unseen", "Unseen"), TableColumn("acc_unseen_low"), TableColumn("acc_unseen_high")),
    *(TableColumn("harmonic_mean", "H"), TableColumn("acc_zsl", "ZSL"), TableColumn("ausuc")),
    *(TableColumn("validation_harmonic_mean", "H on folds"), TableColumn("map_rank_correlation", "Map", "correlation")),
    *(TableColumn("rank_correlation_within", kind="correlation"), TableColumn("rank_correlation_across", kind="correlation")),
    *(TableColumn("calibration", kind="number"), TableColumn("engine", kind="text"), TableColumn("lambda", kind="number")),
)


class LayerReader(Reader):
    """Reads maps at another cut of a network, uncached, and features, which are the same at every cut, through its reader."""

    def __init__(self, network: Network, own: Reader) -> None:
        """Take `network`, another cut of the network that `own` reads through."""
        super().__init__(network, replace(own.execution, cache=None))
        self._own = own

    def features(self, images: Images) -> np.ndarray:
        """See `Reader`."""
        return self._own.features(images)

    def feature_batches(self, images: Images, *, keep_maps: bool = False) -> Iterator[np.ndarray]:
        """See `Reader`; maps are not kept."""
        yield from self._own.feature_batches(images)


def at_layer(finished: FinishedTransfer, layer: str) -> FinishedTransfer:
    """Return the same run cut at another layer: importances and maps measured anew, on the same networks and images.

    Raises:
        InputError: a layer that cannot be cut at.
    """
    cuts: dict[int, Network] = {}
    readers: dict[int, Reader] = {}
    tasks = []
    for task in finished.tasks:
        key = id(task.network.model)
        if key not in cuts:
            cuts[key] = cut_at(task.network.model, layer)
        reader = task.reader
        if layer != task.network.layer:
            reader = readers.setdefault(id(reader), LayerReader(cut_at(reader.network.model, layer), reader))
        settings = finished.method.at_layer(task.settings, not isinstance(cuts[key], UnitNetwork))
        tasks.append(Task(settings, task.partition, cuts[key], reader, task.source))
    finished.method.prepare(tasks[0].settings, tasks)
    return replace(finished, tasks=tasks)


def layer_depth(finished: FinishedTransfer, test: TestFeatures, layers: Sequence[str], command: str) -> AnalysisRecord:
    """Return one row a layer, first to last; importance, map and every choice of Stage 3 are made again at each layer."""
    own, rows = finished.main.network.layer, []
    hidden = not finished.main.reader.execution.progress
    for layer in tqdm(layers, desc="depth", unit="layer", delay=5, leave=False, disable=hidden):
        there = at_layer(finished, layer)
        chosen = there.chosen()
        found, trial = evaluate_chosen(chosen, finished.unseen, test), chosen.trial
        seen, unseen = spread(found.per_class[: test.num_seen]), spread(found.per_class[test.num_seen :])
        network, known = there.main.network, chosen.generator.figures
        height, width = network.trunk.output_shape[1:3]
        positions = "none" if isinstance(network, UnitNetwork) else f"{height} x {width}"
        scores = found.harmonic_mean, found.acc_zsl, found.ausuc, trial.harmonic_mean
        names = ("map_rank_correlation", "rank_correlation_within", "rank_correlation_across")
        figures = *(known[name] for name in names), found.calibration
        about = layer, network.num_neurons, positions
        rows.append((*about, *seen, *unseen, *scores, *figures, trial.candidate.engine, trial.candidate.regularization))
    flat = [row[0] for row in rows if row[2] == "none"]
    details = {
        "own_layer": own,
        "fully_connected": flat,
        "validation": "H on folds of validation classes" if finished.folds else "none: too few seen classes",
    }
    return AnalysisRecord("Depth of the layer", _caption(finished, own, flat), command, _COLUMNS, tuple(rows), None, details)


def _caption(finished: FinishedTransfer, own: str, flat: Sequence[str]) -> str:
    text = (
        "Accuracies on test images when the same trained network is cut at other layers, from the first block to the last; "
        "bands are 95 % intervals over classes. Importance, map and every choice on the folds are made again at each layer; "
        f"these curves are only to look at. The run's own layer is {own}."
    )
    if flat:
        text += " To the right of the dashed line: fully connected layers, whose neurons are units without positions."
    if not finished.folds:
        text += " There were too few seen classes for folds, so the first value of each grid was used."
    further = finished.method.further_layers(finished.settings)
    if further:
        text += (
            f" The run's further layers (--extra_layers={','.join(further)}) are left out here, also at the run's own layer."
        )
    return text


def draw_layer_depth(record: AnalysisRecord, path: Path) -> None:
    """Draw the accuracies over the layers."""
    figure = new_figure(max(7.5, 0.75 * len(record.rows) + 3), 4.8)
    axes = figure.subplots()
    places = np.arange(len(record.rows))
    for name, colour, label in (("acc_seen", BLUE, "seen"), ("acc_unseen", ORANGE, "unseen")):
        curve(axes, places, record.column(name), colour, label, record.column(f"{name}_low"), record.column(f"{name}_high"))
    curve(axes, places, record.column("harmonic_mean"), GREEN, "H", linewidth=2.2)
    curve(axes, places, record.column("acc_zsl"), PURPLE, "ZSL")
    curve(axes, places, record.column("validation_harmonic_mean"), GREY, "H on the folds", linestyle=":")
    flat = set(record.details["fully_connected"])
    names = [str(row[0]) for row in record.rows]
    if flat and len(flat) < len(names):
        axes.axvline(next(place for place, name in enumerate(names) if name in flat) - 0.5, color="0.6", linestyle="--")
    ticks = [f"{row[0]}\n{row[1]} neurons" for row in record.rows]
    axes.set_xticks(places, ticks, rotation=0 if len(ticks) <= 6 else 60, fontsize=8.5, parse_math=False)
    for tick, name in zip(axes.get_xticklabels(), names, strict=True):
        tick.set_fontweight("bold" if name == record.details["own_layer"] else "normal")
    axes.set_xlabel("layer that the network is cut at (bold: the run's own)")
    percent_axis(axes, "accuracy, %")
    axes.set_title("Depth of the layer", fontsize=11)
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    save(figure, path)


# "block3_conv2", "conv4_block23_out", "block_12_add" and "block6g_add" begin with their block's name.
_BLOCK = re.compile(r"conv\d+(?=_)|block_?\d+")
_LAYERS = keras.layers
# They end no block: what they pass on is another layer's map.
_PASSING = (
    *(_LAYERS.MaxPooling2D, _LAYERS.AveragePooling2D, _LAYERS.GlobalMaxPooling2D, _LAYERS.GlobalAveragePooling2D),
    *(_LAYERS.Dropout, _LAYERS.SpatialDropout2D, _LAYERS.ZeroPadding2D, _LAYERS.Cropping2D, _LAYERS.InputLayer, Preprocess),
)
_MOST = 10


def depth_layers(model: keras.Model, own: str) -> list[str]:
    """Return the names of layers to cut at, in order: the last of each block that can be cut at, then fully connected ones.

    A network of more than ten blocks is thinned: of those with maps of one size the last is kept. `own`, where it is a
    convolution, is always there.

    Args:
        model: ends in its head.
        own: the layer that the network is cut at.
    """
    last: dict[str, tuple[str, int]] = {}
    for layer in reversed(model.layers[:-1]):
        output, found = output_of(model, layer.name), _BLOCK.match(layer.name)
        block = found[0] if found else layer.name.split("_")[0]
        # From the end, since whether a layer is degenerate is measured, which takes a second.
        if block not in last and len(output.shape) == 4 and not isinstance(layer, _PASSING) and _usable(model, layer.name):
            last[block] = (layer.name, int(output.shape[1] or 0))
    chosen = [*reversed(last.values())]
    if len(chosen) > _MOST:
        chosen = [(name, size) for size, name in {size: name for name, size in chosen}.items()]
    names = {name for name, _ in chosen} | ({own} if len(output_of(model, own).shape) == 4 else set())
    units = {layer.name for layer in model.layers[:-1] if isinstance(layer, _LAYERS.Dense) and _is_flat(model, layer.name)}
    ordered = [layer.name for layer in model.layers if layer.name in names]
    return ordered + [layer.name for layer in model.layers if layer.name in units]


def _is_flat(model: keras.Model, name: str) -> bool:
    return len(output_of(model, name).shape) == 2


def _usable(model: keras.Model, name: str) -> bool:
    return is_cut(model, name) and not is_degenerate(model, name)


# A network cut at a fully connected layer: its units are the neurons, as a map of one position.
#
# `--layer` must be a convolution; the analysis of depth (NIWT Section 5.3) goes on to the fully connected layers.


class UnitNetwork(Network):
    """A `Network` whose map [B, 1, 1, N] holds the N units of a fully connected layer, as they are after their activation."""

    def _split(self, model: keras.Model, layer: str) -> tuple[keras.Model, keras.Model]:
        units = output_of(model, layer)
        if len(units.shape) != 2:
            raise InputError(f"layer must be fully connected, with an output [batch, units]. Received: {layer!r}.")
        count = int(units.shape[-1])
        as_map = keras.layers.Reshape((1, 1, count), name="units_as_map")(units)
        entry = keras.Input((1, 1, count), name="units")
        flat = keras.layers.Reshape((count,), name="map_as_units")(entry)
        features = self.head_input()
        rest = keras.Model(units, features)(flat) if features is not units else flat
        return keras.Model(model.inputs[0], as_map, name="trunk"), keras.Model(entry, rest, name="tail")


def cut_at(model: keras.Model, layer: str) -> Network:
    """Return the network cut at a convolution or at a fully connected layer; weights are shared.

    Raises:
        InputError: no such layer, or one that cannot be cut at.
    """
    flat = len(output_of(model, layer).shape) == 2
    return (UnitNetwork if flat else Network)(model, layer)
