"""A sweep's tables, results.csv, configurations.csv and what is printed, and the same for TensorBoard's HParams."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from niwt_tf.compute.quiet_tensorflow import import_quietly
from niwt_tf.data.csv_text import csv_text
from niwt_tf.experiments.sweeps.choice import ChosenConfiguration, Outcome, Values, configurations, ranked
from niwt_tf.experiments.sweeps.folder import SweepFolder
from niwt_tf.experiments.sweeps.grid import SweepTrial, shown_value
from niwt_tf.files import read_json, replacing, replacing_directory

TESTED = ("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ausuc")
_PRINTED = 20


@dataclass(frozen=True)
class SweepTrialRecord:
    """What is known of one trial.

    Attributes:
        outcome: by validation classes.
        error: why it failed, or "".
        seconds: of its stages; None when it did not finish.
        validation: figures of training images.
        test: figures of test images, for a trial of a chosen configuration alone; otherwise empty.
    """

    outcome: Outcome
    error: str
    seconds: float | None
    validation: Mapping[str, float | None]
    test: Mapping[str, float | None]

    @property
    def trial(self) -> SweepTrial:
        """The trial."""
        return self.outcome.trial

    @property
    def status(self) -> str:
        """One of done, failed and pending."""
        return "failed" if self.error else "done" if self.outcome.problem is not None else "pending"


def records_of(
    folder: SweepFolder, outcomes: Sequence[Outcome], errors: Mapping[str, str], choices: Sequence[ChosenConfiguration]
) -> list[SweepTrialRecord]:
    """Return a record for each trial. Test figures are read for the trials of `choices` alone.

    Args:
        folder: the sweep's.
        outcomes: of all trials.
        errors: by name, of trials that failed.
        choices: made of the outcomes.
    """
    chosen = _chosen(choices)
    records = []
    for outcome in outcomes:
        trial = outcome.trial
        tested: dict[str, Any] = {}
        if trial.name in chosen and folder.evaluated(trial):
            metrics = read_json(folder.run(trial) / "evaluate" / "metrics.json")  # which its manifest covers
            tested = {name: metrics[name] for name in TESTED}
        error, seconds = errors.get(trial.name, ""), folder.seconds(trial)
        records.append(SweepTrialRecord(outcome, error, seconds, folder.validation(trial), tested))
    return records


def write_results(folder: SweepFolder, records: Sequence[SweepTrialRecord], choices: Sequence[ChosenConfiguration]) -> None:
    """Write results.csv and configurations.csv; nothing where there are no records."""
    if not records:
        return
    chosen = _chosen(choices)
    figures = list(dict.fromkeys(name for record in records for name in record.validation))
    _write(
        folder.results,
        [
            {
                "trial": record.trial.name,
                **_shown(record.trial.values.items()),
                "status": record.status,
                "seconds": record.seconds,
                **{name: record.validation.get(name) for name in figures},
                "chosen": "yes" if record.trial.name in chosen else "no",
                **{f"test_{name}": record.test.get(name) for name in TESTED},
                "error": record.error,
            }
            for record in records
        ],
    )
    by_name = {record.trial.name: record for record in records}
    lines = []
    for each in ranked(configurations([record.outcome for record in records])):
        picked = [by_name[outcome.trial.name] for outcome in each.outcomes if outcome.trial.name in chosen]
        lines.append(
            {
                **_shown(each.values),
                "repetitions": len(each.outcomes),
                "finished": each.finished,
                "validation_harmonic_mean": each.mean,
                "validation_harmonic_mean_sd": each.deviation,
                "chosen_trials": len(picked),
                **{f"test_{name}": _mean([record.test.get(name) for record in picked]) for name in TESTED},
            }
        )
    _write(folder.configurations, lines)


def write_tensorboard(folder: Path, records: Sequence[SweepTrialRecord]) -> None:
    """Write event files of the finished trials into `folder`, in place of what is there.

    A figure's tag is validation/<name>, and test_of_chosen_only/<name> for test images, which only chosen trials have.
    """
    import_quietly()
    import tensorflow as tf
    from tensorboard.plugins.hparams import api

    tags = list(dict.fromkeys(tag for record in records for tag in _tagged(record)))
    columns = {name: _column([record.trial.values[name] for record in records]) for name in records[0].trial.values}
    with replacing_directory(folder) as temporary:
        with tf.summary.create_file_writer(str(temporary)).as_default():
            hparams = [api.HParam(name, api.Discrete(dict.fromkeys(column))) for name, column in columns.items()]
            api.hparams_config(hparams=hparams, metrics=[api.Metric(tag) for tag in tags])
        for number, record in enumerate(records):
            if record.status != "done":
                continue
            writer = tf.summary.create_file_writer(str(temporary / record.trial.name))
            with writer.as_default():
                api.hparams({name: column[number] for name, column in columns.items()}, trial_id=record.trial.name)
                for tag, value in _tagged(record).items():
                    tf.summary.scalar(tag, value, step=0)
            writer.close()


def table(records: Sequence[SweepTrialRecord], choices: Sequence[ChosenConfiguration]) -> str:
    """Return the lines that a sweep ends with: configurations by validation classes, the chosen and what they reached."""
    found = ranked(configurations([record.outcome for record in records]))
    lines = ["validation H   repetitions  configuration"]
    for each in found[:_PRINTED]:
        score = "n/a" if each.mean is None else f"{each.mean:.3f}"
        spread = "" if each.deviation is None else f" ± {each.deviation:.3f}"
        lines.append(f"{score + spread:<13}  {f'{each.finished} of {len(each.outcomes)}':<11}  {_named(each.values)}")
    if len(found) > _PRINTED:
        lines.append(f"and {len(found) - _PRINTED} more, in configurations.csv")
    lines.append("H is the harmonic mean of accuracies; ± is the standard deviation over the repetitions.")
    lines += ["", *_chosen_lines(choices)]
    if len(choices) > 1:
        lines.append("The repetitions have different classes or test images, so each chooses on its own validation classes.")
    tested = [record for record in records if record.test]
    if tested:
        lines.append(f"\non test images, {len(tested)} {'run' if len(tested) == 1 else 'runs'} of the chosen configuration")
        for name in TESTED:
            values = [record.test[name] for record in tested]
            lines.append(f"  {name:<14}{_spread([value for value in values if value is not None])}")
    return "\n".join(lines)


def _chosen_lines(choices: Sequence[ChosenConfiguration]) -> list[str]:
    if not choices:
        return ["nothing was chosen: no configuration has finished with validation figures"]
    problems: dict[Values, list[str]] = {}
    for choice in choices:
        named = [_named(outcome.trial.repetition, "") for outcome in choice.configuration.outcomes]
        problems.setdefault(choice.configuration.values, []).extend(filter(None, named))
    return [f"chosen{' for ' * bool(each)}{'; '.join(each)}: {_named(values)}" for values, each in problems.items()]


def _chosen(choices: Sequence[ChosenConfiguration]) -> set[str]:
    return {outcome.trial.name for choice in choices for outcome in choice.configuration.outcomes}


def _tagged(record: SweepTrialRecord) -> dict[str, float]:
    tagged = {f"validation/{name.removeprefix('validation_')}": value for name, value in record.validation.items()}
    tagged |= {f"test_of_chosen_only/{name}": value for name, value in record.test.items()}
    return {tag: value for tag, value in tagged.items() if value is not None}


def _column(values: Sequence[Any]) -> list[Any]:
    """Return a flag's values as HParams takes them: all of one kind, and no lists."""
    kinds = {type(value) for value in values}
    return list(values) if len(kinds) == 1 and kinds <= {bool, int, float, str} else [shown_value(value) for value in values]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "n/a"
    mean = f"{statistics.fmean(values):.3f}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean


def _named(values: Sequence[tuple[str, Any]], nothing: str = "the flags given") -> str:
    return " ".join(f"--{name}={shown_value(value).replace('|', ',')}" for name, value in values) or nothing


def _shown(values: Iterable[tuple[str, Any]]) -> dict[str, str]:
    return {name: shown_value(value) for name, value in values}


def _write(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    columns = list(lines[0])
    rows = [["" if line[name] != line[name] else line[name] for name in columns] for line in lines]
    with replacing(path) as temporary:
        temporary.write_text(csv_text([columns, *rows]), encoding="utf-8")
