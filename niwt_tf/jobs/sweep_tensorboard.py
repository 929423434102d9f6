"""A sweep for TensorBoard's HParams: one run a trial, with validation figures and those of test images apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from niwt_tf.compute.quiet_tensorflow import import_quietly
from niwt_tf.experiments.sweep_grid import shown_value
from niwt_tf.files import replacing_directory
from niwt_tf.jobs.sweep_results import Row

VALIDATION_TAG = "validation/{}"
TEST_TAG = "test_of_chosen_only/{}"


def write_tensorboard(folder: Path, rows: Sequence[Row]) -> None:
    """Write event files of the finished trials into `folder`, in place of what is there.

    A figure's tag is validation/<name>, and test_of_chosen_only/<name> for test images, which only chosen trials have.
    """
    import_quietly()
    import tensorflow as tf
    from tensorboard.plugins.hparams import api

    tags = list(dict.fromkeys(tag for row in rows for tag in figures_of(row)))
    columns = {name: _column([row.trial.values[name] for row in rows]) for name in rows[0].trial.values}
    with replacing_directory(folder) as temporary:
        with tf.summary.create_file_writer(str(temporary)).as_default():
            hparams = [api.HParam(name, api.Discrete(dict.fromkeys(column))) for name, column in columns.items()]
            api.hparams_config(hparams=hparams, metrics=[api.Metric(tag) for tag in tags])
        for number, row in enumerate(rows):
            if row.status != "done":
                continue
            writer = tf.summary.create_file_writer(str(temporary / row.trial.name))
            with writer.as_default():
                api.hparams({name: column[number] for name, column in columns.items()}, trial_id=row.trial.name)
                for tag, value in figures_of(row).items():
                    tf.summary.scalar(tag, value, step=0)
            writer.close()


def figures_of(row: Row) -> dict[str, float]:
    """Return a trial's figures by tag."""
    tagged = {VALIDATION_TAG.format(name.removeprefix("validation_")): value for name, value in row.validation.items()}
    tagged |= {TEST_TAG.format(name): value for name, value in row.test.items()}
    return {tag: value for tag, value in tagged.items() if value is not None}


def _column(values: Sequence[Any]) -> list[Any]:
    """Return a flag's values as HParams takes them: all of one kind, and no lists."""
    kinds = {type(value) for value in values}
    return list(values) if len(kinds) == 1 and kinds <= {bool, int, float, str} else [shown_value(value) for value in values]
