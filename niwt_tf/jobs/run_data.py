"""The data of a run, parted by what may be looked at when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from niwt_tf.data.load import load_dataset
from niwt_tf.data.schema import Dataset, Knowledge, SeenData, TestData, seen_data, test_data, unseen_descriptions
from niwt_tf.errors import InputError
from niwt_tf.experiments.folds import Learner
from niwt_tf.experiments.training import learners_of
from niwt_tf.jobs.context import execution_of, show_progress
from niwt_tf.jobs.data_fingerprint import (
    data_fingerprint,
    descriptions_fingerprint,
    image_fingerprint,
    problem_fingerprint,
)
from niwt_tf.jobs.run_directory import Run
from niwt_tf.method.execution import Execution


@dataclass(frozen=True)
class RunData:
    """What the stages take.

    Attributes:
        dataset: everything; stages before `evaluate` do not touch it.
        seen: training images and descriptions of the seen classes.
        learners: the main one and the folds of validation classes, all made of `seen`.
        seen_knowledge: the seen classes' descriptions, with the names of their entries.
        unseen_names: U names.
        unseen_descriptions: float32 [U, K], raw.
        execution: how networks are run over the images.
    """

    dataset: Dataset
    seen: SeenData
    learners: list[Learner]
    seen_knowledge: Knowledge
    unseen_names: tuple[str, ...]
    unseen_descriptions: np.ndarray
    execution: Execution

    def test(self) -> TestData:
        """Return the test images, for `evaluate`, the check of an export and a baseline's last step."""
        return test_data(self.dataset)


def load_run_data(run: Run, needs: Sequence[str] = ()) -> RunData:
    """Read the data that the run's settings name and tell the run what they are.

    Args:
        run: the locked run directory.
        needs: stages that it must have. Looked for first: of a misspelt --run_dir, not even the data set is known.

    Raises:
        InputError: such a stage is missing, or whatever is wrong with the data, in one sentence.
    """
    for stage in needs:
        run.folder(stage)
    settings = run.settings
    if settings.dataset == "birds" and not Path(settings.data_folder).exists():
        raise InputError(
            f"--data_dir must hold the rendered birds: make them with niwt render --data_dir={settings.data_folder}. "
            f"Received: {settings.data_folder!r}, which does not exist."
        )
    dataset = load_dataset(
        settings.dataset,
        settings.data_folder,
        split=settings.split,
        unseen=settings.unseen,
        num_unseen=settings.num_unseen,
        knowledge=settings.knowledge,
        seed=settings.seed,
        missing_images=settings.missing_images,
        max_bad_images=settings.max_bad_images,
        progress=show_progress(),
        text_features=settings.text_features,
    )
    described = problem_fingerprint(dataset), descriptions_fingerprint(dataset)
    run.use_data(data_fingerprint(dataset), *described, images=image_fingerprint(dataset))
    seen = seen_data(dataset)
    names, descriptions = unseen_descriptions(dataset)
    learners, known = learners_of(settings, seen, len(names)), replace(dataset.knowledge, values=seen.descriptions)
    return RunData(dataset, seen, learners, known, names, descriptions, execution_of(run))
