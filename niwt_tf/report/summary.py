"""What was trained on what: the facts that a reader needs before any figure."""

from __future__ import annotations

import math
import shlex
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from niwt_tf.config.settings import SETTINGS, Settings
from niwt_tf.data.schema import Dataset
from niwt_tf.methods.registry import method_of
from niwt_tf.models.network import Network
from niwt_tf.report.contents import Estimate, Facts, HeadlineRow, Reproduction
from niwt_tf.report.map_quality import in_words

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

    They are read from the dataset with its split, the expanded network, the stage train's history.json, the chosen trial of the
    stage transfer's selection.json, and the seconds that each finished stage took.
    """
    took = ", ".join(f"{name} {_duration(value)}" for name, value in seconds.items())
    return (
        Facts("Data", _of_data(settings, dataset)),
        Facts("Network", _of_network(settings, network, history)),
        Facts("Transfer", _of_transfer(settings, chosen)),
        Facts("Run", (("Seed", str(settings.seed)), ("Precision", settings.precision), ("Time", took or "unknown"))),
    )


def subject_of(settings: Settings, network: Network) -> str:
    """Return what the page is about."""
    unseen = len(network.class_names) - network.num_seen
    return f"{settings.dataset}: {count(network.num_seen, 'seen class')}, {count(unseen, 'unseen class')}"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: "1 seen class", "3 seen classes", "1,000 images"."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def percent(value: float | None, digits: int = 1) -> str:
    """Return a fraction as percent, "n/a" for what is unknown."""
    return "n/a" if value is None or math.isnan(value) else f"{100 * value:.{digits}f} %"


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
        ("Unseen classes", f"{len(split.unseen):,}, known only by their descriptions"),
        ("Training images", f"{len(split.train):,}"),
        ("Test images", f"{len(split.test_seen):,} of seen classes, {len(split.test_unseen):,} of unseen ones"),
        ("Split", split.name),
        ("Descriptions", f"{knowledge.source}: {entries}"),
        ("Annotations of each image", ", ".join(annotated) or "only its class"),
    )


def _of_network(
    settings: Settings, network: Network, history: Mapping[str, Sequence[Mapping[str, Any]]]
) -> tuple[tuple[str, str], ...]:
    height, width, neurons = network.trunk.output_shape[1:]
    epochs = Counter(str(epoch["phase"]) for epoch in history.get("main", ()))
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
    own = method_of(settings.method).facts(settings, chosen) or (("Head columns made by", in_words(settings.method, chosen)),)
    return (*own, ("Chosen on", on))


def _duration(seconds: float) -> str:
    # A no-break space keeps the unit with its number.
    return f"{seconds:.1f}\N{NO-BREAK SPACE}s" if seconds < 100 else f"{seconds / 60:.1f}\N{NO-BREAK SPACE}min"


_MEANINGS = (
    (
        "acc_seen", "Seen accuracy",
        "Share of test images of seen classes that are classified correctly when all {all} compete. It is the mean over "
        "classes.",
    ),
    ("acc_unseen", "Unseen accuracy", "The same for unseen classes. The network was trained on none of their images."),
    ("harmonic_mean", "H", "Harmonic mean of the two. It is high only if both are."),
    ("acc_zsl", "ZSL", "Unseen accuracy when only the unseen classes compete: {unseen}."),
    ("ausuc", "AUSUC", "Area under the curve of seen over unseen accuracy. It does not depend on the calibration constant."),
    ("ece", "ECE", "Mean difference between the highest probability and the share of right answers."),
)


_HELD_OUT = "An estimate from validation classes, because no unseen class has photographs."


def headline_of(
    estimates: Mapping[str, Estimate], num_seen: int, num_unseen: int, figures: Mapping[str, Any] = MappingProxyType({})
) -> tuple[HeadlineRow, ...]:
    """Return the rows of the main results, given by the names of metrics.json.

    Chance is that of guessing evenly among the classes that compete. Where no unseen class has photographs, `figures` have
    what was measured of validation classes, and what is neither measured nor estimated is left out.
    """
    classes = num_seen + num_unseen
    chance = {name: 1 / classes for name in ("acc_seen", "acc_unseen", "harmonic_mean")} | {"acc_zsl": 1 / max(num_unseen, 1)}
    words = {"all": count(classes, "class"), "unseen": count(num_unseen, "unseen class")}
    rows = []
    for name, title, meaning in _MEANINGS:
        estimate, better = estimates[name], "lower" if name == "ece" else "higher"
        if estimate.value is not None or not figures:
            rows.append(HeadlineRow(title, meaning.format(**words), estimate, chance.get(name), better))
        elif figures.get(f"validation_{name}") is not None:
            rows.append(HeadlineRow(f"{title}, validation", _HELD_OUT, Estimate(figures[f"validation_{name}"]), None, better))
    return tuple(rows)


def summary_of(estimates: Mapping[str, Estimate], num_seen: int, num_unseen: int) -> str:
    """Return the main result in words."""
    seen, unseen, zsl = (estimates[name].value for name in ("acc_seen", "acc_unseen", "acc_zsl"))
    all_classes = count(num_seen + num_unseen, "class")
    if seen is None and unseen is None:
        return "There are no test images, so nothing could be measured."
    if unseen is None or zsl is None:
        return (
            f"The network classifies {percent(seen or 0.0)} of the test images of seen classes correctly, when {all_classes} "
            "compete. There is no test image of an unseen class, so the accuracy of unseen classes is not measured."
        )
    first = (
        f"The network classifies {percent(unseen)} of the test images of {count(num_unseen, 'unseen class')} correctly, "
        f"when all {all_classes} compete"
    )
    if num_unseen > 1:
        first += f", and {percent(zsl)} when only those {num_unseen:,} compete (chance: {percent(1 / num_unseen)})"
    first += "."
    return first if seen is None else f"{first} Of the test images of seen classes it classifies {percent(seen)} correctly."


_LONGEST_LINE = 60
# Not the run's own folder: there every stage is up to date, and a run that is moved would keep a page with its old place.
_NEW_RUN = "runs/again"
_RENDERED = {"num_species": "num_species", "images_per_species": "images_per_species", "size": "image_size", "seed": "seed"}


def given_flags(settings: Settings) -> list[str]:
    """Return the flags of what differs from the defaults, as a shell takes them."""
    values = {declared.name: getattr(settings, declared.name) for declared in SETTINGS}
    return [_flag(each.name, values[each.name]) for each in SETTINGS if values[each.name] != each.default]


def reproduction_of(
    settings: Settings,
    versions: Mapping[str, str],
    data: str,
    stages: Sequence[tuple[str, float, str]],
    rendered: Mapping[str, Any] | None = None,
) -> Reproduction:
    """Return how to make the run again, in another folder; `rendered` is what its birds were rendered with, or None."""
    commands = [["niwt run", _flag("run_dir", _NEW_RUN), *given_flags(settings)]]
    if rendered is not None:
        arguments = [_flag(flag, rendered[name]) for name, flag in _RENDERED.items() if name in rendered]
        commands.insert(0, ["niwt render", _flag("data_dir", settings.data_folder), *arguments])
    # One line, or where that is long one a flag.
    lines = ((" " if len(" ".join(parts)) <= _LONGEST_LINE else " \\\n  ").join(parts) for parts in commands)
    return Reproduction(tuple(lines), tuple(versions.items()), data, tuple(stages))


def versions_of(stages: Mapping[str, Mapping[str, str | None]]) -> dict[str, str]:
    """Return what the stages were made with, by name; where they differ, each version with its stages.

    Given are versions by name, by stage. What no stage has is left out.
    """
    users: dict[str, dict[str, list[str]]] = {}
    for stage, versions in stages.items():
        for name, version in versions.items():
            if version:
                users.setdefault(name, {}).setdefault(version, []).append(stage)
    return {
        name: next(iter(found)) if len(found) == 1 else "; ".join(f"{each} ({', '.join(by)})" for each, by in found.items())
        for name, found in users.items()
    }


def _flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{'' if value else 'no'}{name}"
    text = ",".join(str(item) for item in value) if isinstance(value, tuple) else "" if value is None else str(value)
    return f"--{name}={shlex.quote(text) if text else ''}"


def summary_table(metrics: Mapping[str, Any], optimistic: Sequence[str] = ()) -> str:
    """Return the main results as aligned text lines: name, percent with one decimal (or n/a), what it means.

    Args:
        metrics: the contents of metrics.json: acc_seen, acc_unseen, harmonic_mean, acc_zsl, chance_zsl, ausuc as fractions,
            num_seen and num_unseen; a number that is absent, None or NaN is shown as n/a.
        optimistic: reasons why test figures may have had a part in the run's choices. Every test figure is then called so.
    """
    seen, unseen = metrics.get("num_seen"), metrics.get("num_unseen")
    of_all = f"all {seen + unseen} classes" if seen and unseen else "all classes"
    several = f"only the {unseen or ''} unseen classes compete".replace("  ", " ")
    of_unseen = "only the one unseen class competes" if unseen == 1 else several
    rows = (
        ("acc_seen", "acc_seen", f"test images of seen classes, when {of_all} compete"),
        ("acc_unseen", "acc_unseen", f"test images of unseen classes, when {of_all} compete"),
        ("H", "harmonic_mean", "harmonic mean of the two"),
        ("ZSL", "acc_zsl", f"test images of unseen classes, when {of_unseen}"),
        ("chance", "chance_zsl", "ZSL by guessing"),
        ("AUSUC", "ausuc", "area under the curve of seen over unseen accuracy"),
    )
    held_out = {key: metrics.get(f"validation_{key}") for key in ("harmonic_mean", "acc_zsl")}
    if metrics.get("acc_unseen") is None and any(value is not None for value in held_out.values()):
        of_held_out = "an estimate from validation classes; no unseen class has photographs"
        found = [(name, metrics[key], meaning) for name, key, meaning in rows if metrics.get(key) is not None]
        found += [(name, held_out[key], of_held_out) for name, key, _ in rows if held_out.get(key) is not None]
        return "\n".join(f"{name:<10} {percent(value):>7}  {meaning}" for name, value, meaning in found)
    marked, unmarked = (" optimistic", " " * len(" optimistic")) if optimistic else ("", "")
    lines = [
        f"{name:<10} {percent(metrics.get(key)):>7}{unmarked if key == 'chance_zsl' else marked}  {meaning}"
        for name, key, meaning in rows
    ]
    if optimistic:
        lines += textwrap.wrap(f"optimistic: {'; '.join(optimistic)}.", 100)
    return "\n".join(lines)
