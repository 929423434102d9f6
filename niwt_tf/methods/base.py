"""What every method is to the protocol: candidates, and for each a generator that makes parameters from descriptions.

A method is fitted on a `Task` (one partition: its network, its training images, the descriptions of its classes) and gives a
`Generator`. That takes the descriptions of any classes and gives `Parameters`, which make a network of a network. Nothing here
can reach a test image: a task is made of a partition, and a partition of `SeenData`.

Dimensions: M images, D features, S seen classes, U new classes, C classes, K description entries.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Generator as Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from niwt_tf.config.names import title_of
from niwt_tf.config.options import MethodOptions
from niwt_tf.config.settings import Settings
from niwt_tf.data.schema import Descriptions
from niwt_tf.errors import InputError
from niwt_tf.files import fingerprint
from niwt_tf.methods.few_shot import FewShotPrior
from niwt_tf.methods.formula import ColumnFormula
from niwt_tf.methods.parameters import Parameters
from niwt_tf.methods.task import Task
from niwt_tf.methods.text_evidence import TextEvidence
from niwt_tf.methods.token_table import encoder_of
from niwt_tf.models.network import Network


class Candidate(Protocol):
    """One setting of a method's own parameters: hashable, and equal to others of the same values."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, flat, as selection.json holds it."""


@dataclass(frozen=True)
class Trial:
    """A candidate and what it reached on the validation classes.

    Attributes:
        candidate: what was tried.
        calibration: best constant, in units of `seen_margin` on held-out images.
        harmonic_mean: mean over the folds, at that constant; NaN without folds.
        acc_zsl: mean over the folds, among the validation classes alone; NaN without folds.
        figures: what the method's parameters say of themselves, mean over the folds.
    """

    candidate: Any
    calibration: float
    harmonic_mean: float
    acc_zsl: float
    figures: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, flat."""
        reached = {"harmonic_mean": self.harmonic_mean, "acc_zsl": self.acc_zsl}
        return {**self.candidate.as_dict(), "calibration": self.calibration, **reached, **self.figures}


def best_trial(trials: Sequence[Trial]) -> Trial:
    """Return the trial of the highest mean harmonic mean, the first of equals."""
    return max(trials, key=lambda trial: trial.harmonic_mean)


class Generator(ABC):
    """A fitted method: descriptions of classes in, parameters of a network out."""

    # Whether a class's parameters depend on its own description alone, so that one may be added without touching the others.
    independent: ClassVar[bool] = True

    # Whether it reads the texts of descriptions, so that texts alone are enough for `synthesize`.
    reads_texts: ClassVar[bool] = False

    @abstractmethod
    def generate(self, classes: Descriptions) -> Parameters:
        """Return the parameters for new classes, beside the seen ones that the generator was fitted on."""

    def synthesize(self, classes: Descriptions) -> Parameters:
        """Return the parameters of a network of K classes alone, none of which was seen.

        Raises:
            InputError: there is no class, or the method writes no networks without the seen classes.
        """
        del classes
        raise InputError("--method must be a method that writes a network from texts alone. Received: one that does not.")

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that `Method.generator_of` makes the generator of again, by name; nothing in it is a pickle."""

    @property
    def provenance(self) -> dict[str, str]:
        """What the bundle of a network that it wrote says of where its parameters come from, by name."""
        return {}

    @property
    def formula(self) -> ColumnFormula | None:
        """What makes a class's column without a network; None where that takes one."""
        return None

    @property
    def few_shot(self) -> FewShotPrior | None:
        """What refines a class's column once photographs of it arrive; None where the method has nothing of the kind."""
        return None

    @property
    def importances(self) -> np.ndarray | None:
        """The importance [S, N] of each neuron for each seen class, if the method knows it."""
        return None

    @property
    def figures(self) -> dict[str, float]:
        """What the generator says of itself, by the names of metrics.json."""
        return {}


@dataclass(frozen=True)
class MethodStage:
    """A stage that a method needs before `transfer`, whose result is kept in the run directory.

    Attributes:
        name: of the stage and its folder.
        settings: names of the settings that change it.
        inputs: the stages that it reads.
        write: does it for all tasks and writes the folder; returns shapes and figures for the record. The last argument
            makes and gives a folder that outlives an interruption.
        read: puts what a finished stage has written into the tasks.
        described: whether descriptions change it.
        typical: seconds where training takes 100, of all layers and of the head alone; the time left is told by it.
    """

    name: str
    settings: tuple[str, ...]
    inputs: tuple[str, ...]
    write: Callable[[Settings, Sequence[Task], Path, Callable[[], Path]], tuple[dict[str, Any], dict[str, float]]]
    read: Callable[[Sequence[Task], Path], None]
    described: bool = True
    typical: tuple[float, float] = (50, 50)


class Method(ABC):
    """A way from descriptions to parameters, under the protocol that all methods share.

    Attributes:
        name: what --method calls it.
        stages: what it needs before `transfer`, in their order.
        settings: names of the settings that change what `fit` gives, beside those of its stages.
        options: the records of the options that it reads beside the common ones.
        reads_texts: whether it is fitted on the texts of classes, and can do nothing without them.
    """

    name: ClassVar[str]
    reads_texts: ClassVar[bool] = False
    stages: ClassVar[tuple[MethodStage, ...]] = ()
    settings: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[tuple[type[MethodOptions], ...]] = ()

    @property
    def built_in(self) -> Any:
        """What is tried that the code alone says (a grid), as JSON."""
        return None

    @property
    def identity(self) -> dict[str, str]:
        """What results depend on beside settings, inputs and data, by name: those of another grid are out of date."""
        return {} if self.built_in is None else {"grid": fingerprint(self.built_in)}

    @abstractmethod
    def candidates(self, settings: Settings, tasks: Sequence[Task]) -> Sequence[Candidate]:
        """Return what is tried, at least one; the first is taken where there is nothing to choose on.

        `settings` hold the grids; tasks are prepared, main first, then folds.
        """

    @abstractmethod
    def fit(self, task: Task, candidate: Any) -> Generator:
        """Fit one candidate on all classes of a task that was prepared."""

    @abstractmethod
    def generator_of(self, settings: Settings, network: Network, arrays: Mapping[str, np.ndarray]) -> Generator:
        """Return the generator whose `arrays` are given, fitted with `settings`.

        The network is the one that its parameters were applied to; it may have more classes.
        """

    @abstractmethod
    def candidate_of(self, values: Mapping[str, Any]) -> Any:
        """Return the candidate whose `as_dict` is given; other names are passed over."""

    def check(self, settings: Settings, classes: Descriptions) -> None:
        """Check, before anything is trained, that the method can do what it is asked: on the seen classes, then on the unseen.

        Raises:
            InputError: it reads texts, and a class has none, or what `text_features` names is not there; or a file that its
                options name is not there.
        """
        if self.reads_texts:
            encoder_of(settings, classes)

    def check_network(self, settings: Settings, network: Network) -> None:
        """Check, before it is trained, that a network has what the method's options name.

        Raises:
            InputError: it has not.
        """
        del settings, network

    def formula_of(self, arrays: Mapping[str, np.ndarray]) -> ColumnFormula:
        """Return the column formula whose `arrays` are given.

        Raises:
            ValueError: the method has no formulas.
        """
        raise ValueError(f"{self.name} has no column formulas")

    def text_evidence(
        self, generator: Generator, classes: Descriptions, pixels: np.ndarray, own: str, rival: str, *,
        num_seen: int = 0, calibration: float = 0.0, most: int | None = None
    ) -> TextEvidence | None:
        """Return which words of the classes' texts speak for a class of an image; None of a method that reads no words.

        Args:
            generator: what wrote the network.
            classes: the K of the network with their texts, the `num_seen` seen ones first, or none of them seen.
            pixels: float32 [S, S, 3], RGB in 0..255.
            own: the class that is explained.
            rival: what it is compared with.
            num_seen: how many of the classes were seen.
            calibration: what is taken off the seen classes' logits.
            most: how many texts are read word by word; None is all.
        """
        del generator, classes, pixels, own, rival, num_seen, calibration, most
        return None

    def orders(self, settings: Settings) -> int:
        """Return in how many orders of its classes a network of the unseen classes alone is written to be scored.

        One where the order changes nothing; elsewhere the median over them is its figure.
        """
        del settings
        return 1

    def prepare(self, settings: Settings, tasks: Sequence[Task]) -> None:
        """Do for all tasks in one pass what its stages do in a run; main first, then folds."""
        del settings, tasks

    def rounds(self, settings: Settings, tasks: Sequence[Task]) -> Coroutine[Sequence[Candidate], list[Trial], None]:
        """Yield what is tried next, and be sent all trials so far; by default `candidates` at once."""
        yield self.candidates(settings, tasks)

    def fit_all(self, task: Task, candidates: Sequence[Any]) -> Iterator[tuple[Any, Generator]]:
        """Fit several candidates, one after the other: a method whose candidates share work overrides it."""
        for candidate in candidates:
            yield candidate, self.fit(task, candidate)

    def finish(self, generator: Any, tasks: Sequence[Task], trial: Trial, margin: float) -> Generator:
        """Return the chosen generator of the main task with whatever else is chosen on the folds once it stands.

        Tasks are the main one first, then folds; `trial` is the chosen one and `margin` the main task's `seen_margin`.
        """
        del tasks, trial, margin
        return generator

    def facts(self, settings: Settings, chosen: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """Return what a report says of how columns were made, a title and words each; by default nothing of its own.

        `chosen` is the trial as selection.json holds it.
        """
        del settings, chosen
        return ()

    def how(self, candidate: Any) -> str:
        """Return in words how a class's parameters are made, for its card."""
        del candidate
        return f"from its description, by {title_of(self.name)}"
