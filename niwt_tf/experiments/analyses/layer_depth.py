"""NIWT at every depth of the trained network (Section 5.3): nothing is trained again, only the cut moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from niwt_tf.data.schema import Images
from niwt_tf.experiments.analyses.drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, curve, new_figure, percent_axis, save
from niwt_tf.experiments.analyses.finished_transfer import FinishedTransfer, TestFeatures, evaluate_transferer
from niwt_tf.experiments.analyses.record import AnalysisRecord, Column, spread
from niwt_tf.experiments.measuring import fit_maps, measure_importance, seen_operators
from niwt_tf.method.reader import Reader
from niwt_tf.models.network import Network
from niwt_tf.models.unit_cut import UnitNetwork, cut_at

_COLUMNS = (
    *(Column("layer", "Layer", "text"), Column("neurons", "Neurons", "count"), Column("positions", "Positions", "text")),
    *(Column("acc_seen", "Seen"), Column("acc_seen_low"), Column("acc_seen_high")),
    *(Column("acc_unseen", "Unseen"), Column("acc_unseen_low"), Column("acc_unseen_high")),
    *(Column("harmonic_mean", "H"), Column("acc_zsl", "ZSL"), Column("ausuc")),
    *(Column("validation_harmonic_mean", "H on folds"), Column("map_rank_correlation", "Map", "correlation")),
    *(Column("rank_correlation_within", kind="correlation"), Column("rank_correlation_across", kind="correlation")),
    *(Column("calibration", kind="number"), Column("engine", kind="text"), Column("lambda", kind="number")),
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
    settings = finished.settings.replace(extra_layers=())
    cuts: dict[int, Network] = {}
    networks: dict[str, Network] = {}
    for name, network in finished.networks.items():
        key = id(network.model)
        cuts.setdefault(key, cut_at(network.model, layer))
        networks[name] = cuts[key]
    readers: dict[str, Reader] = {}
    shared: dict[int, Reader] = {}
    for name, reader in finished.readers.items():
        if layer == finished.networks[name].layer:
            readers[name] = reader
            continue
        readers[name] = shared.setdefault(id(reader), LayerReader(cut_at(reader.network.model, layer), reader))
    if isinstance(networks["main"], UnitNetwork) and "auto" in settings.engine:
        # A tail without a convolution or kernel is estimated to cost nothing, which says nothing about the engines.
        settings = settings.replace(engine=("closed_form",))
    operators = seen_operators(settings, finished.learners, readers)
    measured = measure_importance(settings, finished.learners, networks, operators, readers)
    maps = fit_maps(settings, finished.learners, measured)
    cut = replace(finished, settings=settings, networks=networks, readers=readers)
    return replace(cut, operators=operators, measured=measured, maps=maps)


def layer_depth(
    finished: FinishedTransfer, test: TestFeatures, layers: Sequence[str], command: str
) -> AnalysisRecord:
    """Return one row a layer, first to last; importance, map and every choice of Stage 3 are made anew at each."""
    own, rows = finished.networks["main"].layer, []
    hidden = not finished.readers["main"].execution.progress
    for layer in tqdm(layers, desc="depth", unit="layer", delay=5, leave=False, disable=hidden):
        there = at_layer(finished, layer)
        transferer = there.transferred()
        found, trial = evaluate_transferer(transferer, finished.unseen_descriptions, test), transferer.trial
        seen, unseen = spread(found.per_class[: test.num_seen]), spread(found.per_class[test.num_seen :])
        network, importance = there.networks["main"], transferer.head.importance
        height, width = network.trunk.output_shape[1:3]
        positions = "none" if isinstance(network, UnitNetwork) else f"{height} x {width}"
        scores = found.harmonic_mean, found.acc_zsl, found.ausuc, trial.harmonic_mean
        correlations = importance.rank_correlation_within, importance.rank_correlation_across
        figures = transferer.importance_map.rank_correlation, *correlations, found.calibration
        about = layer, network.num_neurons, positions
        rows.append((*about, *seen, *unseen, *scores, *figures, trial.choice.engine, trial.choice.regularization))
    flat = [row[0] for row in rows if row[2] == "none"]
    details = {
        "own_layer": own,
        "fully_connected": flat,
        "validation": "H on folds of validation classes" if finished.folds else "none: too few seen classes",
    }
    return AnalysisRecord(
        "Depth of the layer", _caption(finished, own, flat), command, _COLUMNS, tuple(rows), None, details
    )


def _caption(finished: FinishedTransfer, own: str, flat: Sequence[str]) -> str:
    text = (
        "Accuracies on test images when the same trained network is cut at other layers, from the first block to the last; "
        "bands are 95 % intervals over classes. Importance, map and every choice on the folds are made anew at each; these "
        f"curves are for looking at. The run's own layer is {own}."
    )
    if flat:
        text += " Behind the dashed line: fully connected layers, whose neurons are units without positions."
    if not finished.folds:
        text += " There were too few seen classes for folds, so the first of each grid was taken."
    if finished.settings.extra_layers:
        listed = ",".join(finished.settings.extra_layers)
        text += f" The run's further layers (--extra_layers={listed}) are left out here, at its own layer too."
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
