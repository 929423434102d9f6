"""What jobs read of a run: its data, parted by what may be looked at when, and what its transfer wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.compute.execution import Execution
from niwt_tf.config.names import FEATURES
from niwt_tf.data.arrays import arrays_of
from niwt_tf.data.folds import Partition
from niwt_tf.data.load import load_dataset
from niwt_tf.data.schema import Dataset, Descriptions, Knowledge, SeenData, TestData, seen_data, test_data, unseen_descriptions
from niwt_tf.errors import InputError
from niwt_tf.explain.explainer import Explainer
from niwt_tf.files import fingerprint, read_json
from niwt_tf.jobs.context import execution_of, show_progress
from niwt_tf.methods.few_shot import FewShotPrior
from niwt_tf.methods.formula import ColumnFormula
from niwt_tf.methods.registry import method_of
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.feature_network import LAYER, check_takes_pixels
from niwt_tf.models.network import Network
from niwt_tf.protocol.probabilities import load_probabilities
from niwt_tf.protocol.seen_networks import partitions_of
from niwt_tf.runs.fingerprints import data_fingerprint, descriptions_fingerprint, image_fingerprint, problem_fingerprint
from niwt_tf.runs.run import Run
from niwt_tf.runs.stage import stated_manifest


@dataclass(frozen=True)
class RunData:
    """What the stages take.

    Attributes:
        dataset: everything; stages before `evaluate` do not touch it.
        seen: training images and descriptions of the seen classes.
        partitions: the main one and the folds of validation classes, all made of `seen`.
        seen_knowledge: the seen classes' descriptions, with the names of their entries.
        unseen: the descriptions of the unseen classes.
        execution: how networks are run over the images.
    """

    dataset: Dataset
    seen: SeenData
    partitions: list[Partition]
    seen_knowledge: Knowledge
    unseen: Descriptions
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
            f"--data_dir must hold the drawn birds: draw them with niwt render --data_dir={settings.data_folder}. "
            f"Received: {settings.data_folder!r}, which does not exist."
        )
    dataset = load_dataset(
        settings.dataset, settings.data_folder, split=settings.split, unseen=settings.unseen, num_unseen=settings.num_unseen,
        knowledge=settings.knowledge, seed=settings.seed, missing_images=settings.missing_images,
        max_bad_images=settings.max_bad_images, progress=show_progress(), text_features=settings.text_features,
    )
    seen, unseen = seen_data(dataset), unseen_descriptions(dataset)
    described = problem_fingerprint(dataset), descriptions_fingerprint(dataset)
    identity = data_fingerprint(dataset)
    if method_of(settings.method).reads_texts:  # by their words, which the numbers of a description may not tell
        identity = fingerprint(identity, texts_of(seen, unseen))
    run.use_data(identity, *described, images=image_fingerprint(dataset))
    partitions = partitions_of(settings, seen, len(unseen))
    known = replace(dataset.knowledge, values=seen.descriptions.values)
    return RunData(dataset, seen, partitions, known, unseen, execution_of(run))


def check_has_pixels(run: Run, what: str) -> None:
    """Check that a run is on images, for something that needs them.

    Raises:
        InputError: it is on published features.
    """
    check_takes_pixels(LAYER if run.settings.backbone == FEATURES else run.settings.layer, what)


def texts_of(seen: SeenData, unseen: Descriptions) -> list[str]:
    """Return the texts of all classes, seen ones first."""
    return [*(seen.descriptions.texts or ()), *(unseen.texts or ())]


class TransferFiles:
    """What the stage `transfer` wrote. A file is read when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        """Remember the finished stage's folder."""
        self.folder = folder

    @cached_property
    def network(self) -> Network:
        """The expanded one."""
        return Network.load(self.folder / "network.keras")

    @cached_property
    def unseen_network(self) -> Network | None:
        """That of the unseen classes alone, where the method writes one from their descriptions."""
        return Network.load(self.folder / "unseen.keras") if self._has("unseen.keras") else None

    @property
    def generator_arrays(self) -> dict[str, np.ndarray]:
        """What makes the fitted method again, where it writes networks of texts; else nothing."""
        return self._arrays("generator")

    @cached_property
    def explainer(self) -> Explainer:
        """Its inverse map and the names of its neurons."""
        return Explainer.from_arrays(self._arrays("explainer"))

    @cached_property
    def probabilities(self) -> Probabilities:
        """How its logits become probabilities."""
        return load_probabilities(self.folder / "probabilities.json")

    @cached_property
    def selection(self) -> dict[str, Any]:
        """What was chosen, what was tried, and figures: selection.json."""
        return dict(read_json(self.folder / "selection.json"))

    @cached_property
    def descriptions(self) -> np.ndarray:
        """Those of all its classes, float32 [C, K], raw."""
        return self._arrays("descriptions")["values"]

    @cached_property
    def formula(self) -> ColumnFormula | None:
        """What makes columns of later classes; None of a method that needs the network for it."""
        arrays = self._arrays("column_map")
        return method_of(self.selection["method"]).formula_of(arrays) if arrays else None

    @cached_property
    def few_shot(self) -> FewShotPrior | None:
        """What photographs of a described class are weighed by; None of a method that has nothing of the kind."""
        arrays = self._arrays("few_shot")
        return FewShotPrior.from_arrays(arrays) if arrays else None

    def _arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of a file, or none where there is no such file."""
        return arrays_of(self.folder / f"{name}.npz") if self._has(f"{name}.npz") else {}

    def _has(self, name: str) -> bool:
        """Return whether the stage wrote a file: one that was put there since is none of the run's."""
        manifest = stated_manifest(self.folder)
        return (self.folder / name).is_file() and (manifest is None or name in manifest["files"])
