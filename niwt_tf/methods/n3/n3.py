"""N3: "Language to Network: Conditional Parameter Adaptation with Natural Language Descriptions" (Jin, Liu et al., ACL 2020).

A meta-model reads the descriptions of K classes and writes the parameters of a K-way network: the head, and with `n3_adapt`
the layers before it, as Theta' = gamma Theta + mu dTheta (Eq. 6). What differs from the paper is said in `meta_model`
(the form), `adapted` (the unit of mu) and here: the head is trained first, alone, and the number of its steps is chosen by the
accuracy of networks that are written for the folds' validation classes alone. The layers before the head are written only if
networks of validation classes gain more from it than the standard error of the gain (`n3_adapt_if_better`).

Dimensions: K classes, S seen classes, V validation classes of all folds, D features.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.arrays import read_arrays
from niwt_tf.data.folds import Fold
from niwt_tf.data.images.pipeline import image_batches
from niwt_tf.data.sampling import balanced_sample
from niwt_tf.data.schema import Descriptions
from niwt_tf.files import replacing
from niwt_tf.methods.base import Method, MethodStage
from niwt_tf.methods.n3.adapted import targets_of
from niwt_tf.methods.n3.evidence import text_evidence
from niwt_tf.methods.n3.generator import N3Generator, embedded_of
from niwt_tf.methods.n3.meta_model import MetaModel, Target
from niwt_tf.methods.n3.meta_training import Recipe, train_meta
from niwt_tf.methods.n3.options import N3Options
from niwt_tf.methods.n3.prior import LinearPrior
from niwt_tf.methods.standard import Standard
from niwt_tf.methods.task import Task, folds_of
from niwt_tf.methods.text_evidence import TextEvidence
from niwt_tf.methods.text_options import TextOptions
from niwt_tf.methods.token_table import TokenTable, encoder_of, table_of
from niwt_tf.metrics.gzsl import per_class_accuracy
from niwt_tf.models.network import Network

_LOG = logging.getLogger("niwt_tf")
_FEW_CLASSES = 50  # fewer than these do not teach a meta-model what words mean
_MOST_IMAGES = 20_000
_ORDERS = 10  # of the classes of test
_STOPS = 4  # numbers of steps to choose from
_OPTIONS = (
    *("text_features", "n3_form", "n3_adapt", "n3_adapt_if_better", "n3_prior", "n3_way", "n3_steps", "n3_network_steps"),
    *("n3_width", "n3_blocks", "n3_learning_rate", "n3_mu", "n3_gamma", "n3_tokens", "n3_variants", "jit", "seed"),
)


@dataclass(frozen=True)
class N3Candidate:
    """A trained meta-model.

    Attributes:
        steps: of its training.
    """

    steps: int

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, flat."""
        return {"steps": self.steps}


class N3Method(Method):
    """Networks written from descriptions."""

    name = "n3"
    reads_texts = True
    settings = _OPTIONS
    options = (N3Options, TextOptions)

    def __init__(self) -> None:
        self.stages = (MethodStage("meta", _OPTIONS, ("train",), _write, _read, typical=(100, 250)),)  # type: ignore[misc]

    def orders(self, settings: Settings) -> int:
        """Return 1 for the form that knows no order, and 10 for the others, as in the paper (section 4.2)."""
        return 1 if N3Options.of(settings).n3_form == "equivariant" else _ORDERS

    def prepare(self, settings: Settings, tasks: Sequence[Task]) -> None:
        """Train the meta-models of all tasks: the folds' first, by which the number of steps is chosen."""
        with tempfile.TemporaryDirectory(prefix="niwt_n3_") as work:
            _train_all(settings, tasks, Path(work))

    def candidates(self, settings: Settings, tasks: Sequence[Task]) -> list[N3Candidate]:
        """Return the one whose steps the folds chose."""
        del settings
        return [N3Candidate(_kept(tasks[0]).steps)]

    def fit(self, task: Task, candidate: N3Candidate) -> N3Generator:
        """Return the task's trained meta-model."""
        del candidate
        return _kept(task).generator

    def generator_of(self, settings: Settings, network: Network, arrays: Mapping[str, np.ndarray]) -> N3Generator:
        """Return the generator whose `arrays` are given."""
        base = network.copy()
        for weight in base.model.weights:
            if f"base/{weight.path}" in arrays:
                weight.assign(arrays[f"base/{weight.path}"])
        seen = tuple(arrays["seen_names"].tolist()), arrays["seen_embedded"], arrays["seen_pooled"]
        adapt = N3Options.of(settings).n3_adapt if len(arrays["scales"]) else "head"
        targets = [
            Target(target.path, target.columns, target.size, float(scale))
            for target, scale in zip(targets_of(base, adapt), arrays["scales"], strict=True)
        ]
        prior = LinearPrior.from_arrays(arrays)
        size = arrays["seen_pooled"].shape[1]
        model = _model(settings, targets, len(arrays["mean"]), size, len(seen[0]), prior is not None)
        model.set_weights([arrays[f"meta_{place}"] for place in range(len(model.weights))])
        standard = Standard(arrays["mean"], arrays["deviation"])
        return N3Generator(settings, base, model, standard, prior, *seen, str(arrays["encoder"]))

    def text_evidence(
        self, generator: Any, classes: Descriptions, pixels: np.ndarray, own: str, rival: str, *,
        num_seen: int = 0, calibration: float = 0.0, most: int | None = None
    ) -> TextEvidence:
        """Return which words speak for a class, by gradients."""
        how = {"num_seen": num_seen, "calibration": calibration, "most": most}
        return text_evidence(generator, classes, pixels, own, rival, **how)  # type: ignore[arg-type]

    def candidate_of(self, values: Mapping[str, Any]) -> N3Candidate:
        """Return the candidate whose `as_dict` is given."""
        return N3Candidate(int(values["steps"]))

    def how(self, candidate: N3Candidate) -> str:
        """Return how a class's parameters are made."""
        del candidate
        return "written from the texts of all its classes, by N3"


@dataclass(frozen=True)
class _Kept:
    """What `prepare`, or reading the stage, puts into a task."""

    generator: N3Generator
    steps: int


def _kept(task: Task) -> _Kept:
    def absent() -> _Kept:
        raise RuntimeError("a task of N3 is prepared before it is fitted")

    return task.cached("n3", absent)


def _write(
    settings: Settings, tasks: Sequence[Task], folder: Path, work: Callable[[], Path]
) -> tuple[dict[str, Sequence[int]], dict[str, float]]:
    """Train all tasks' meta-models and write them; of a team's checkpoints the chief's count."""
    kept_between = work()  # every process asks for it, as they wait for each other there
    with tempfile.TemporaryDirectory(prefix="niwt_n3_") as own:
        figures = _train_all(settings, tasks, kept_between if tasks[0].reader.execution.team.is_chief else Path(own))
    for task in tasks:
        kept = _kept(task)
        np.savez(folder / f"{task.partition.name}.npz", steps=np.array(kept.steps), **kept.generator.arrays())  # type: ignore[arg-type]
    return {}, figures


def _read(tasks: Sequence[Task], folder: Path) -> None:
    """Put what `_write` wrote into the tasks."""
    for task in tasks:
        arrays = read_arrays(folder / f"{task.partition.name}.npz")
        generator = METHOD.generator_of(task.settings, task.network, arrays)
        task.keep("n3", _Kept(generator, int(arrays["steps"])))


def _train_all(settings: Settings, tasks: Sequence[Task], work: Path) -> dict[str, float]:
    """Train the folds' meta-models, choose the number of steps, train the main one up to it; put all into the tasks."""
    main, folds = tasks[0], folds_of(tasks)
    if main.num_seen < _FEW_CLASSES and not N3Options.of(settings).n3_prior:
        few = "N3 learns the meaning of words from only %d seen classes. With fewer than %d, use --n3_prior."
        _LOG.warning(few, main.num_seen, _FEW_CLASSES)
    encoder = encoder_of(settings, main.descriptions)
    table = table_of(settings, main.descriptions, encoder, main.reader.execution.progress)
    stops = _stops(settings)
    reached: dict[int, list[np.ndarray]] = {stop: [] for stop in stops}
    fitted = []
    for task in folds:
        trained = _Training(settings, task, table, encoder.identity, work)
        trained.run(stops[-1], stops)
        for stop in stops:
            reached[stop].append(trained.accuracies(stop, table))
        fitted.append(trained)
    measured = {stop: np.concatenate(each, axis=1) for stop, each in reached.items() if each}
    # Machines may round differently: the chief's choice holds for all.
    (agreed,) = main.reader.execution.team.of_chief(np.array([_best(settings, measured)]))
    chosen = int(agreed[0])
    for trained in fitted:
        trained.keep(chosen)
    fitted.clear()  # each has a copy of the tokens of its classes
    trained = _Training(settings, main, table, encoder.identity, work)
    trained.run(chosen, [chosen])
    trained.keep(chosen)
    return {"steps": float(chosen), **({"validation_accuracy": float(measured[chosen][0].mean())} if measured else {})}


def _best(settings: Settings, reached: Mapping[int, np.ndarray]) -> int:
    """Return the number of steps that the folds choose.

    Args:
        settings: whether layers before the head are written only if that is better.
        reached: by the number of steps, what `_Training.accuracies` gives, all folds' classes in one array; {} without folds.
    """
    own, stops = N3Options.of(settings), _stops(settings)
    only_head = [stop for stop in stops if stop <= own.n3_steps]
    further = [stop for stop in stops if stop > own.n3_steps]
    if not reached:
        if only_head and further:
            _LOG.warning("There are no validation classes to show that more than the head is better. N3 writes only the head.")
        return (only_head or further)[-1]
    # Both by the network of the validation classes alone: where only the head is written, it is that of --n3_adapt=head.
    best, *others = (
        max(each, key=lambda stop: float(reached[stop][0].mean())) for each in (only_head, further) if each
    )
    if not others:
        return best
    gains = reached[others[0]].mean(axis=0) - reached[best].mean(axis=0)
    gain, error = float(gains.mean()), float(gains.std() / np.sqrt(max(len(gains) - 1, 1)))
    is_better = gain > error
    _LOG.info(
        "To write more than the head gains %.1f points on validation classes (standard error %.1f). N3 writes %s.",
        100 * gain, 100 * error, f"what --n3_adapt={own.n3_adapt} says" if is_better else "only the head",
    )
    return others[0] if is_better else best


def _stops(settings: Settings) -> list[int]:
    """Return the numbers of steps to choose from: from half of the head's on, then those in which more is adapted.

    With a prior there are 0 and fewer than half too: what is learnt beside it may be worse than nothing, for few classes.
    """
    own = N3Options.of(settings)
    stops: set[int] = set()
    if own.n3_adapt == "head" or own.n3_adapt_if_better:
        early = {0, own.n3_steps // 8, own.n3_steps // 4} if own.n3_prior else set()
        stops |= early | _between(max(own.n3_steps // 2, 1), own.n3_steps)
    if own.n3_adapt != "head":
        stops |= _between(own.n3_steps, own.n3_steps + own.n3_network_steps) - {own.n3_steps}
    return sorted(stops)


def _between(first: int, last: int) -> set[int]:
    return {int(each) for each in np.linspace(first, last, _STOPS).round()}


class _Training:
    """The training of one task's meta-model, with the weights at each stop in files."""

    def __init__(self, settings: Settings, task: Task, table: TokenTable, identity: str, work: Path) -> None:
        self._settings, self._task, self._identity = settings, task, identity
        own = N3Options.of(settings)
        self._table = table.take([table.names.index(name) for name in task.descriptions.names])
        self._work = work / task.partition.name
        self._work.mkdir(parents=True, exist_ok=True)
        images = balanced_sample(task.partition.training.images, _MOST_IMAGES, settings.seed)
        self._images, features = images, task.features(images)
        self._features, self._standard = features, Standard.of(features)
        self._prior: LinearPrior | None = None
        self._seen_prior: np.ndarray | None = None
        if own.n3_prior:
            standard = self._standard(features)
            means = np.stack([standard[images.labels == c].mean(axis=0) for c in range(task.num_seen)])
            self._prior, self._seen_prior = LinearPrior.fit(self._table.pooled, means)
        size = features.shape[1], table.values.shape[3], task.num_seen, self._prior is not None
        self.model = _model(settings, targets_of(task.network, own.n3_adapt), *size)
        self._only_head = _model(settings, (), *size) if self.model.targets else self.model

    def run(self, until: int, stops: Sequence[int]) -> None:
        """Train up to a number of steps, and write the weights at each stop."""
        if 0 in stops:
            self._write(0)
        settings, own = self._settings, N3Options.of(self._settings)
        recipe = Recipe(
            min(own.n3_way, self._task.num_seen), own.n3_steps, own.n3_network_steps if own.n3_adapt != "head" else 0,
            rate=own.n3_learning_rate, seed=settings.seed
        )
        train_meta(
            self.model, recipe, self._table, self._images.labels, features=self._features, standard=self._standard,
            network=self._task.network, adapt=own.n3_adapt, images=self._pixels, prior=self._seen_prior,
            work=self._work, progress=self._task.reader.execution.progress, jit=settings.jit,
            team=self._task.reader.execution.team, until=until,
            at_stops={stop: partial(self._write, stop) for stop in stops}
        )

    def accuracies(self, stop: int, known: TokenTable) -> np.ndarray:
        """Return accuracies [1, V] or [2, V] of the validation classes that have images, among themselves.

        They are those of the network that is written for them alone and, if it must be better to write more than the head, of
        the network of the seen classes and them. `known` has the tokens of all of them.
        """
        fold = self._task.partition
        assert isinstance(fold, Fold), "only a fold has validation classes"
        num_seen, evaluated = self._task.num_seen, self._task.evaluated
        unseen = np.flatnonzero(evaluated.labels >= num_seen)
        images = evaluated.take(unseen).of_classes(np.arange(num_seen, len(evaluated.class_names)))
        own, generator = N3Options.of(self._settings), replace(self.generator(stop), known=known)
        made = [generator.synthesize(fold.validation_descriptions)]
        if own.n3_adapt != "head" and own.n3_adapt_if_better:
            made.append(generator.generate(fold.validation_descriptions))
        count = len(images.class_names)
        answers = [each.scores(self._task, images)[:, -count:].argmax(axis=1) for each in made]
        found = np.stack([per_class_accuracy(images.labels, each, count) for each in answers])
        return np.asarray(found[:, ~np.isnan(found[0])])

    def keep(self, stop: int) -> None:
        """Put the meta-model of a stop into the task."""
        self._task.keep("n3", _Kept(self.generator(stop), stop))

    def generator(self, stop: int) -> N3Generator:
        """Return the generator with the weights of a stop: of one at which only the head is trained, it writes only that."""
        team, weights = self._task.reader.execution.team, [np.asarray(each) for each in self.model.weights]
        if team.is_chief:
            kept = read_arrays(self._file(stop))
            weights = [kept[f"w{place}"] for place in range(len(weights))]
        self.model.set_weights(team.of_chief(*weights))
        model = self.model
        if stop <= N3Options.of(self._settings).n3_steps:
            model = self._only_head
            model.set_weights(self.model.weights_without_decoders())
        seen = self._table.names, embedded_of(model, self._table), self._table.pooled
        return N3Generator(self._settings, self._task.network, model, self._standard, self._prior, *seen, self._identity)

    def _write(self, stop: int) -> None:
        if not self._task.reader.execution.team.is_chief:
            return
        with replacing(self._file(stop)) as temporary:
            weights = {f"w{place}": np.asarray(each) for place, each in enumerate(self.model.weights)}
            np.savez(temporary, **weights)  # type: ignore[arg-type]

    def _file(self, stop: int) -> Path:
        return self._work / f"weights_{stop}.npz"

    def _pixels(self, rows: np.ndarray) -> np.ndarray:
        taken = self._images.take(rows)
        batch = next(iter(image_batches(taken, self._task.network.input_form, len(rows))))
        return np.asarray(batch[0])


def _model(
    settings: Settings, targets: Sequence[Target], num_features: int, size: int, num_seen: int, prior: bool
) -> MetaModel:
    own = N3Options.of(settings)
    model = MetaModel(
        num_features, targets, width=own.n3_width, blocks=own.n3_blocks, form=own.n3_form, way=min(own.n3_way, num_seen),
        mu=own.n3_mu, gamma=own.n3_gamma, zero=prior, seed=settings.seed
    )
    return model.ready(size)


METHOD = N3Method()
