"""Stages 1 and 2 of all tasks, done in one pass or read from a run, and what the candidates of a task share.

Dimensions: M images, D features.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.sampling import statistics_sample
from niwt_tf.methods.niwt.files import load_maps, load_measured, load_operators, save_maps, save_measured, save_operators
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.measuring import MeasuredHead, fit_maps, measure_importance, refit_map, seen_operators
from niwt_tf.methods.niwt.solving import NiwtCandidate
from niwt_tf.methods.niwt.support import Support, support_of
from niwt_tf.methods.relevance import RelevanceMap
from niwt_tf.methods.seen_heads import SeenHead, temperature_scale
from niwt_tf.methods.task import Task
from niwt_tf.metrics.calibration import seen_margin


def prepare(settings: Settings, tasks: Sequence[Task]) -> None:
    """Measure the importances of all tasks in one pass over the images that they share, and fit their maps."""
    _measure(settings, tasks)
    _fit_maps(settings, tasks)


def _keep(tasks: Sequence[Task], **found: Mapping[str, Any]) -> None:
    for task, (key, by_partition) in itertools.product(tasks, found.items()):
        task.keep(key, by_partition[task.partition.name])


def _measure(settings: Settings, tasks: Sequence[Task]) -> tuple[dict[str, np.ndarray], dict[str, list[MeasuredHead]]]:
    partitions = [task.partition for task in tasks]
    networks = {task.partition.name: task.network for task in tasks}
    readers = {task.partition.name: task.reader for task in tasks}
    operators = seen_operators(settings, partitions, readers)
    measured = measure_importance(settings, partitions, networks, operators, readers)
    _keep(tasks, operator=operators, measured=measured)
    return operators, measured


def _fit_maps(settings: Settings, tasks: Sequence[Task]) -> dict[str, list[ImportanceMap] | RelevanceMap]:
    measured = {task.partition.name: measured_of(task) for task in tasks}
    maps = fit_maps(settings, [task.partition for task in tasks], measured)
    _keep(tasks, maps=maps)
    return maps


def write_importance(
    settings: Settings, tasks: Sequence[Task], folder: Path, work: Callable[[], Path]
) -> tuple[dict[str, Any], dict[str, float]]:
    """Measure all tasks and write the stage `importance`; return shapes and figures."""
    del work  # an interrupted measuring goes on from the cache
    operators, measured = _measure(settings, tasks)
    save_operators(folder, operators)
    save_measured(folder, measured)
    first = measured["main"][0].importance
    consistency = {"rank_correlation_within": first.rank_correlation_within}
    consistency["rank_correlation_across"] = first.rank_correlation_across
    return {"importance": (len(measured["main"]), *first.means.shape)}, _known(consistency)


def read_importance(tasks: Sequence[Task], folder: Path) -> None:
    """Put the finished stage `importance` into the tasks."""
    names = [task.partition.name for task in tasks]
    operators, measured = load_operators(folder), load_measured(folder, names)
    _keep(tasks, operator=operators, measured=measured)


def write_maps(
    settings: Settings, tasks: Sequence[Task], folder: Path, work: Callable[[], Path]
) -> tuple[dict[str, Any], dict[str, float]]:
    """Fit all tasks' maps and write the stage `map`; return shapes and figures."""
    del work
    maps = _fit_maps(settings, tasks)
    save_maps(folder, maps)
    main = maps["main"]
    if isinstance(main, RelevanceMap):
        figures = {"map_rank_correlation": main.rank_correlation, "relevance_warrant": main.warrant}
        return {"relevances": main.relevances.shape, "duals": main.duals.shape}, _known(figures)
    best = max(each.rank_correlation for each in main)
    return {"weights": main[0].weights.shape}, _known({"map_rank_correlation": best})


def read_maps(tasks: Sequence[Task], folder: Path) -> None:
    """Put the finished stage `map` into the tasks."""
    maps = load_maps(folder, [task.partition.name for task in tasks])
    _keep(tasks, maps=maps)


def _known(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if value == value}


def measured_of(task: Task) -> list[MeasuredHead]:
    """Return the candidate heads of a task that was prepared, with their importances."""
    measured: list[MeasuredHead] = task.cached("measured", _unprepared)
    return measured


def operator_of(task: Task) -> np.ndarray:
    """Return the mean operator [N, D] of a task that was prepared, over a sample of its training images."""
    operator: np.ndarray = task.cached("operator", _unprepared)
    return operator


def map_of(task: Task, candidate: NiwtCandidate) -> ImportanceMap:
    """Return the map of a task that a candidate asks for."""
    head, penalty = candidate.head, candidate.map_regularization
    if penalty is None:
        maps: list[ImportanceMap] = task.cached("maps", _unprepared)
        return maps[head]
    key = "map", head, penalty
    return task.cached(key, lambda: refit_map(task.settings, task.partition, measured_of(task)[head], penalty))


def relevance_of(task: Task) -> RelevanceMap:
    """Return the relevance map of a task that was prepared."""
    fitted: RelevanceMap = task.cached("maps", _unprepared)
    return fitted


def support_for(task: Task, engine: str) -> Support:
    """Return what a task's columns are fitted on by an engine."""
    operator, images = operator_of(task), task.partition.training.images
    # The closed form alone needs no maps; whoever needs them finds in them all that it needs too.
    return task.cached(("support", engine), lambda: support_of(task.settings, (engine,), task.reader, images, operator))


def statistics_of(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Return features [M, D] and labels [M] of a sample of a task's training images, for scale and bias."""

    def read() -> tuple[np.ndarray, np.ndarray]:
        sample = statistics_sample(task.settings, task.partition)
        return np.array(task.reader.features(sample)), sample.labels  # a copy: the reader may give a part of the cache's file

    return task.cached("statistics", read)


def margins_of(task: Task, heads: Sequence[SeenHead]) -> np.ndarray:
    """Return what each head's logits are divided by in a mean over the heads, [T].

    That is their `seen_margin` on a task's held-out images, in a unit in which the mean's logits have the scale that
    probabilities need.
    """
    features, labels = task.features(task.held_out), task.held_out.labels
    logits = np.stack([features @ head.columns + head.biases for head in heads])
    margins = np.array([seen_margin(each, labels) for each in logits])
    if not len(labels):
        return margins
    return margins / temperature_scale((logits / margins[:, None, None]).mean(axis=0), labels)


def _unprepared() -> Any:
    raise AssertionError("A task must be prepared before a method is fitted on it.")
