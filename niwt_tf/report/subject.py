"""What was trained on what: the facts that a reader needs before any figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from niwt_tf.data.schema import Dataset
from niwt_tf.experiments.settings import Settings
from niwt_tf.models.network import Network
from niwt_tf.report.contents import Facts
from niwt_tf.report.map_quality import method_of

_IMPORTANCE = {"shared": "a sample of all seen classes", "own": "its own images"}
_TRAINED = {"all": "all layers", "head": "the head"}


def facts_of(
    settings: Settings,
    dataset: Dataset,
    network: Network,
    history: Mapping[str, Sequence[Mapping[str, Any]]],
    chosen: Mapping[str, Any],
    seconds: Mapping[str, float],
) -> tuple[Facts, ...]:
    """Return lists of facts about the data, the network, the method and the run.

    Args:
        settings: of the run.
        dataset: with its split.
        network: the expanded one.
        history: the stage train's history.json.
        chosen: the chosen trial of the stage transfer's selection.json.
        seconds: how long each finished stage took.
    """
    return (
        Facts("Data", _of_data(settings, dataset)),
        Facts("Network", _of_network(settings, network, history)),
        Facts("Transfer", _of_transfer(settings, chosen)),
        Facts("Run", _of_run(settings, seconds)),
    )


def title_of(settings: Settings, network: Network) -> str:
    """Return what the page is called."""
    unseen = len(network.class_names) - network.num_seen
    return f"{settings.dataset}: {count(network.num_seen, 'seen class')}, {count(unseen, 'unseen class')}"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: "1 seen class", "3 seen classes", "1,000 images"."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def _of_data(settings: Settings, dataset: Dataset) -> tuple[tuple[str, str], ...]:
    split, knowledge = dataset.split, dataset.knowledge
    assert split is not None
    groups = len({group for group in knowledge.groups if group})
    entries = count(len(knowledge.names), "attribute") + (f" in {count(groups, 'group')}" if groups else ", no groups")
    known = {"boxes": dataset.boxes, "parts": dataset.parts, "attributes": dataset.image_attributes}
    annotated = [name for name, values in known.items() if values is not None]
    return (
        ("Data set", settings.dataset),
        ("Folder", settings.data_folder),
        ("Seen classes", f"{len(split.seen):,}, trained on images"),
        ("Unseen classes", f"{len(split.unseen):,}, known by their descriptions alone"),
        ("Training images", f"{len(split.train):,}"),
        ("Test images", f"{len(split.test_seen):,} of seen classes, {len(split.test_unseen):,} of unseen ones"),
        ("Split", split.name),
        ("Descriptions", f"{knowledge.source}: {entries}"),
        ("Known of each image", ", ".join(annotated) or "its class alone"),
    )


def _of_network(
    settings: Settings, network: Network, history: Mapping[str, Sequence[Mapping[str, Any]]]
) -> tuple[tuple[str, str], ...]:
    height, width, neurons = network.trunk.output_shape[1:]
    epochs: dict[str, int] = {}
    for epoch in history.get("main", ()):
        epochs[str(epoch["phase"])] = epochs.get(str(epoch["phase"]), 0) + 1
    trained = " then ".join(f"{count(number, 'epoch')} ({phase})" for phase, number in epochs.items())
    return (
        ("Backbone", settings.backbone),
        ("Initial weights", settings.weights if settings.weights != "none" else "none: trained from scratch"),
        ("Input", f"{network.input_size} × {network.input_size} pixels"),
        ("Layer explained", f"{network.layer}: {count(neurons, 'neuron')} at {height} × {width} positions"),
        ("Trained", _TRAINED[settings.finetune] + (f", {trained}" if trained else "")),
        ("Learning rate", f"{settings.learning_rate:g}; batches of {settings.batch_size}"),
    )


def _of_transfer(settings: Settings, chosen: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    folds = f"seen classes held out in {count(settings.num_folds, 'fold')}; no test image"
    on = "nothing: too few seen classes to hold any out" if chosen["harmonic_mean"] is None else folds
    if settings.head != "niwt":
        return (("All columns by", method_of(chosen)), ("Chosen on", on))
    strength = f"{chosen['head_regularization']:g}"
    head = {
        "ridge": f"ridge regression, penalty {strength}",
        "lda": f"linear discriminant, shrinkage {strength}",
        "softmax": "softmax, as trained",
    }[chosen.get("head_kind", "ridge")]
    return (
        ("Seen head", head),
        ("Importance averaged over", _IMPORTANCE[settings.importance_over]),
        ("Importance map", f"{settings.map}; descriptions {settings.normalisation}"),
        ("New columns by", f"{chosen['engine']}, λ {chosen['regularization']:g} towards {chosen['anchor']}"),
        ("Support images", f"{settings.num_support} of {settings.support}"),
        ("Further layers", ", ".join(settings.extra_layers) or "none"),
        ("Chosen on", on),
    )


def _of_run(settings: Settings, seconds: Mapping[str, float]) -> tuple[tuple[str, str], ...]:
    took = ", ".join(f"{name} {_duration(value)}" for name, value in seconds.items())
    return (("Seed", str(settings.seed)), ("Precision", settings.precision), ("Time", took or "unknown"))


def _duration(seconds: float) -> str:
    # A no-break space keeps the unit with its number.
    return f"{seconds:.1f}\N{NO-BREAK SPACE}s" if seconds < 100 else f"{seconds / 60:.1f}\N{NO-BREAK SPACE}min"
