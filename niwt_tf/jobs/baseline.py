"""`niwt baseline`: ESZSL on the run's own networks and features, under the same protocol."""

from __future__ import annotations

import sys

from niwt_tf.errors import InputError
from niwt_tf.experiments.artefacts import load_networks
from niwt_tf.experiments.baseline import choose_eszsl, evaluate_eszsl
from niwt_tf.experiments.folds import Fold
from niwt_tf.experiments.scoring import finite
from niwt_tf.files import read_json, write_json
from niwt_tf.jobs.app import run_from_flags, run_job
from niwt_tf.jobs.run_data import RunData, load_run_data, show_progress
from niwt_tf.jobs.run_directory import Run

_SHOWN = ("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ausuc")


def stage(run: Run, data: RunData) -> None:
    """Choose on the folds, fit on the seen classes, score on the test images, write eszsl.json.

    Raises:
        InputError: there are too few seen classes to hold any out, so nothing can be chosen.
    """
    baseline = run.stage("baseline", settings_used=["seed"], inputs=["train"])
    if baseline.up_to_date:
        return
    folds = [learner for learner in data.learners if isinstance(learner, Fold)]
    if not folds:
        raise InputError(f"A baseline needs at least 4 seen classes. Received: {len(data.learners[0].classes)}.")
    networks = load_networks(run.folder("train"), run.settings, data.learners)
    with baseline.writing() as folder:
        choice = choose_eszsl(run.settings, folds, networks, progress=show_progress())
        main = data.learners[0]
        result = evaluate_eszsl(
            choice, main, networks["main"], data.unseen_descriptions, data.test(), progress=show_progress()
        )
        metrics = {name: finite(value) for name, value in result.scalars().items()}
        write_json(folder / "eszsl.json", {"chosen": choice.as_dict(), "metrics": metrics})
        baseline.record(metrics={name: value for name, value in metrics.items() if value is not None})


def comparison(eszsl: dict[str, float | None], niwt: dict[str, float | None] | None) -> str:
    """Return the table of both methods' figures in percent."""
    columns = {"ESZSL": eszsl} | ({"NIWT": niwt} if niwt else {})
    lines = [" ".join([f"{'':<14}", *(f"{name:>8}" for name in columns)])]
    for name in _SHOWN:
        values = (figures.get(name) for figures in columns.values())
        lines.append(" ".join([f"{name:<14}", *("     n/a" if value is None else f"{100 * value:7.1f}%" for value in values)]))
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    """Do the stage in the run that --run_dir names and print the comparison."""
    del argv
    with run_from_flags() as run:
        stage(run, load_run_data(run))
        metrics = run.path / "metrics.json"
        niwt = read_json(metrics) if metrics.exists() else None
        print(comparison(read_json(run.folder("baseline") / "eszsl.json")["metrics"], niwt))


if __name__ == "__main__":
    sys.exit(run_job("baseline", main=main))
