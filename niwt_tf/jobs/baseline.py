"""`niwt baseline`: ESZSL on the run's own networks and features, under the same protocol."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from niwt_tf.errors import InputError
from niwt_tf.experiments.artefacts import load_networks
from niwt_tf.experiments.baseline import choose_eszsl, evaluate_eszsl
from niwt_tf.experiments.folds import Fold
from niwt_tf.experiments.readers import readers_of
from niwt_tf.experiments.scoring import finite
from niwt_tf.files import read_json, write_json
from niwt_tf.jobs.app import run_from_flags, run_job
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.jobs.run_directory import Run
from niwt_tf.method.reader import Reader

# What ESZSL is fitted on: what the head is applied to, or the mean of the conv map.
SOURCES = {"head": Reader.features, "map": Reader.pooled_maps}
_SHOWN = ("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ausuc")


def stage(run: Run, data: RunData) -> None:
    """Choose on the folds, fit on the seen classes, score on the test images, write eszsl.json.

    Raises:
        InputError: there are too few seen classes to hold any out, so nothing can be chosen.
    """
    baseline = run.stage("baseline", settings_used=["precision", "jit", "cache_dtype", "seed"], inputs=["train"])
    if baseline.up_to_date:
        return
    folds = [learner for learner in data.learners if isinstance(learner, Fold)]
    if not folds:
        count = len(data.learners[0].classes)
        raise InputError(f"A baseline needs enough seen classes to hold some out and keep 4. Received: {count} seen classes.")
    networks = load_networks(run.folder("train"), run.settings, data.learners)
    main, readers = data.learners[0], readers_of(run.settings, networks, data.execution)
    with baseline.writing() as folder:
        record: dict[str, dict[str, Any]] = {}
        for source, features_of in SOURCES.items():
            banks = {name: partial(features_of, reader) for name, reader in readers.items()}
            choice = choose_eszsl(folds, banks)
            result = evaluate_eszsl(choice, main, banks["main"], data.unseen_descriptions, data.test())
            metrics = {name: finite(value) for name, value in result.scalars().items()}
            record[source] = {"chosen": choice.as_dict(), "metrics": metrics}
        run.scored_test_images("baseline", baseline.choices)
        write_json(folder / "eszsl.json", record)
        harmonic = {source: each["metrics"]["harmonic_mean"] for source, each in record.items()}
        baseline.record(metrics={f"harmonic_mean_{source}": value for source, value in harmonic.items() if value is not None})


def comparison(columns: Mapping[str, Mapping[str, float | None]]) -> str:
    """Return the table of several methods' figures in percent."""
    lines = [" ".join([f"{'':<14}", *(f"{name:>10}" for name in columns)])]
    for name in _SHOWN:
        values = [figures.get(name) for figures in columns.values()]
        cells = ["       n/a" if value is None else f"{100 * value:9.1f}%" for value in values]
        lines.append(" ".join([f"{name:<14}", *cells]))
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    """Do the stage in the run that --run_dir names and print the comparison."""
    del argv
    with run_from_flags() as run:
        stage(run, load_run_data(run))
        if not run.team.is_chief:
            return
        metrics = run.path / "metrics.json"
        eszsl = read_json(run.folder("baseline") / "eszsl.json")
        columns = {f"ESZSL {source}": eszsl[source]["metrics"] for source in SOURCES}
        print(comparison({"NIWT": read_json(metrics), **columns} if metrics.exists() else columns))
        print("ESZSL head: on what the head is applied to; ESZSL map: on the mean of the conv map that NIWT reads.")


if __name__ == "__main__":
    sys.exit(run_job("baseline", main=main))
