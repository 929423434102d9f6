"""Every baseline under NIWT's protocol: the same networks, features, folds of validation classes, calibration and seed.

Nothing here can reach a test image: a `Learner` comes from `SeenData`, which holds none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.data.folds import Fold, Learner
from niwt_tf.data.sampling import balanced_sample, evaluation_sample, held_out_sample
from niwt_tf.data.schema import Images
from niwt_tf.files import finite
from niwt_tf.methods.base import LinearScorer, Method, Sample, Scorer
from niwt_tf.methods.niwt.operators import mean_operators
from niwt_tf.methods.niwt.solving import FoldScores
from niwt_tf.methods.registry import BY_NAME
from niwt_tf.metrics.calibration import choose_calibration, seen_margin
from niwt_tf.metrics.gzsl import CalibrationCurve, calibration_curve
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.metrics.ranks import unit
from niwt_tf.models.network import Network
from niwt_tf.protocol.probabilities import choose_probabilities, held_out_probabilities

Bank = Callable[[Images], np.ndarray]
# More training images than this do not fit in memory; a sample, even over the classes, stands for them.
TRAINING_IMAGES = 50_000


@dataclass(frozen=True)
class BaselineTrial:
    """A candidate and what it reached on the validation classes.

    Attributes:
        features: "unit" (L2-normalised) or "raw".
        descriptions: a normalisation of `DescriptionNormaliser`.
        candidate: the method's own parameters.
        calibration: best constant, in units of `seen_margin` on held-out images.
        harmonic_mean: mean over the folds, at that constant.
        acc_zsl: mean over the folds, among the validation classes alone.
    """

    features: str
    descriptions: str
    candidate: Mapping[str, float]
    calibration: float
    harmonic_mean: float
    acc_zsl: float

    def as_dict(self) -> dict[str, float | str]:
        """Return everything by name, flat."""
        kinds = {"features": self.features, "descriptions": self.descriptions}
        reached = {"harmonic_mean": self.harmonic_mean, "acc_zsl": self.acc_zsl}
        return {**kinds, **self.candidate, "calibration": self.calibration, **reached}


@dataclass(frozen=True)
class Classifier:
    """A method fitted on all classes of a learner, with new classes beside them.

    Attributes:
        features: "unit" or "raw".
        fitted: the method's result.
        seen: normalised descriptions [S, K].
        new: normalised descriptions [U, K] of classes without a training image.
        calibration: what is taken off the seen scores.
    """

    features: str
    fitted: Scorer
    seen: np.ndarray
    new: np.ndarray
    calibration: float

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return scores [M, S + U] before calibration of raw features [M, D]."""
        return self.fitted.scores(scaled(features, self.features), self.seen, self.new)


@dataclass
class Tried:
    """How one candidate does.

    Attributes:
        curves: one a fold.
        margins: each fold's `seen_margin`.
    """

    curves: list[CalibrationCurve]
    margins: list[float]

    def trial(self, features: str, descriptions: str, candidate: Mapping[str, float]) -> BaselineTrial:
        """Return the candidate with the calibration that is best over the folds and what it reaches."""
        calibration, harmonic = choose_calibration(self.curves, self.margins)
        # Where no seen label competes, accuracy on the validation classes is the curve's last point.
        zsl = float(np.mean([curve.acc_unseen[-1] for curve in self.curves]))
        return BaselineTrial(features, descriptions, candidate, calibration, harmonic, zsl)


def choose_baseline(
    settings: Settings, method: Method, folds: Sequence[Fold], banks: Mapping[str, Bank], *, progress: bool = False
) -> tuple[BaselineTrial, list[BaselineTrial]]:
    """Return the best candidate by the folds' mean harmonic mean with calibrated stacking, and all of them.

    Args:
        settings: the seed.
        method: what is fitted.
        folds: validation classes.
        banks: give the features of images under the fold's network, by the fold's name.
        progress: show bars.
    """
    tried: dict[tuple[str, str, tuple[tuple[str, float], ...]], Tried] = {}
    total = len(folds) * len(method.features) * len(method.descriptions) * int(np.prod([len(v) for v in method.grid.values()]))
    with tqdm(total=total, desc=method.name, unit="candidate", delay=5, leave=False, disable=not progress) as bar:
        for fold in folds:
            evaluated = evaluation_sample(settings, fold)
            features, held_out = banks[fold.name](evaluated), evaluated.labels < len(fold.classes)
            for kind, sample in _samples(settings, method, fold, banks[fold.name]):
                compared = scaled(features, kind)
                for how in method.descriptions:
                    seen, new = described(how, fold.training.descriptions, fold.validation_descriptions)
                    for candidate, fitted in method.path(sample, seen, method.grid):
                        scores = fitted.scores(compared, seen, new)
                        found = tried.setdefault((kind, how, tuple(candidate.items())), Tried([], []))
                        found.curves.append(calibration_curve(scores, evaluated.labels, len(seen)))
                        found.margins.append(seen_margin(scores[held_out, : len(seen)], evaluated.labels[held_out]))
                        bar.update()
    trials = [each.trial(kind, how, dict(candidate)) for (kind, how, candidate), each in tried.items()]
    return max(trials, key=lambda trial: trial.harmonic_mean), trials


def fit_baseline(
    settings: Settings, method: Method, trial: BaselineTrial, learner: Learner, bank: Bank, new_descriptions: np.ndarray
) -> Classifier:
    """Fit the chosen candidate on all classes of a learner, with new classes of raw descriptions [U, K]."""
    ((kind, sample),) = _samples(settings, method, learner, bank, (trial.features,))
    seen, new = described(trial.descriptions, learner.training.descriptions, new_descriptions)
    fitted = method.fit(sample, seen, trial.candidate)
    held_out = held_out_sample(settings, learner)
    scores = fitted.scores(scaled(bank(held_out), kind), seen, new)[:, : len(seen)]
    return Classifier(kind, fitted, seen, new, trial.calibration * seen_margin(scores, held_out.labels))


def finite_values(values: Mapping[str, float | str]) -> dict[str, float | str | None]:
    """Return a trial's record with None in place of what is not finite, which JSON does not have."""
    return {name: value if isinstance(value, str) else finite(value) for name, value in values.items()}


def described(how: str, seen: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return seen [S, K] and new [U, K] descriptions normalised as the seen ones say."""
    normaliser = DescriptionNormaliser.fit(seen, how)
    return normaliser(seen), normaliser(new)


def scaled(features: np.ndarray, kind: str) -> np.ndarray:
    """Return features [M, D] as they are or L2-normalised."""
    return unit(features) if kind == "unit" else features


def _samples(
    settings: Settings, method: Method, learner: Learner, bank: Bank, kinds: Sequence[str] = ()
) -> Iterator[tuple[str, Sample]]:
    images = balanced_sample(learner.training.images, TRAINING_IMAGES, settings.seed)
    features = bank(images)
    for kind in kinds or method.features:
        yield kind, Sample(scaled(features, kind), images.labels, settings.seed)


_LOG = logging.getLogger("niwt_tf")


# The classifier of another method than NIWT as a network: chosen and fitted as `niwt baseline` does it, seen classes too.
#
# Nothing here can reach a test image.


@dataclass(frozen=True)
class MethodHead:
    """A network with the head of another method.

    Attributes:
        network: with columns of that method for seen and unseen classes, and its calibration.
        trial: what the validation classes chose.
        trials: all candidates; none without validation classes.
        probabilities: what makes probabilities of its calibrated logits, and when to abstain.
        targets: float32 [S, N], importances of its seen columns over a sample of training images, of length 1.
    """

    network: Network
    trial: BaselineTrial
    trials: list[BaselineTrial]
    probabilities: Probabilities
    targets: np.ndarray


def make_head(
    settings: Settings,
    learners: Sequence[Learner],
    networks: Mapping[str, Network],
    readers: Mapping[str, Reader],
    names: Sequence[str],
    descriptions: np.ndarray,
) -> MethodHead:
    """Choose on the folds, fit on all seen classes, and return the network.

    Args:
        settings: `head`, and the options of importance.
        learners: main first, then folds.
        networks: by learner.
        readers: by learner; they give the features.
        names: U names of unseen classes.
        descriptions: raw [U, K], theirs.
    """
    main, folds = learners[0], [learner for learner in learners if isinstance(learner, Fold)]
    method, reader = BY_NAME[settings.head], readers["main"]
    banks = {name: each.features for name, each in readers.items()}
    if folds:
        trial, trials = choose_baseline(settings, method, folds, banks, progress=reader.execution.progress)
    else:
        _LOG.warning("Too few seen classes or images to hold any out: the first settings are used and no calibration.")
        first = {name: values[0] for name, values in method.grid.items()}
        trial = BaselineTrial(method.features[0], method.descriptions[0], first, 0.0, float("nan"), float("nan"))
        trials = []
    classifier = fit_baseline(settings, method, trial, main, banks["main"], descriptions)
    fitted = classifier.fitted
    if not isinstance(fitted, LinearScorer):
        raise TypeError(f"A head is linear in the features, and {settings.head} is not.")
    columns, biases = fitted.head(classifier.seen, classifier.new)
    network, num_seen = networks["main"], len(main.classes)
    if classifier.features == "unit":
        network = network.with_unit_features()
    network = network.with_head(columns, biases, (*network.class_names, *names), num_seen)
    network.calibration = classifier.calibration
    scored = [_fold_scores(settings, trial, fold, readers[fold.name]) for fold in folds]
    held_out = held_out_sample(settings, main)
    logits = classifier.scores(banks["main"](held_out))[:, :num_seen]
    if scored:
        probabilities = choose_probabilities(scored, trial.calibration, seen_margin(logits, held_out.labels))
    else:
        probabilities = held_out_probabilities(logits, held_out.labels)
    return MethodHead(network, trial, trials, probabilities, _importances(settings, main, network, reader))


def _fold_scores(settings: Settings, trial: BaselineTrial, fold: Fold, reader: Reader) -> FoldScores:
    classifier: Classifier = fit_baseline(
        settings, BY_NAME[settings.head], trial, fold, reader.features, fold.validation_descriptions
    )
    evaluated, num_seen = evaluation_sample(settings, fold), len(fold.classes)
    logits = classifier.scores(reader.features(evaluated))
    held_out = evaluated.labels < num_seen
    margin = seen_margin(logits[held_out, :num_seen], evaluated.labels[held_out])
    return FoldScores(logits, evaluated.labels, num_seen, margin, float("nan"))


def _importances(settings: Settings, main: Learner, network: Network, reader: Reader) -> np.ndarray:
    """Return the importances of the seen columns over the images that shared importance averages over."""
    images = main.training.images
    sample = balanced_sample(images, max(settings.num_support, len(main.classes)), settings.seed)
    execution, everything = reader.execution, np.ones((1, len(sample)), bool)
    maps = reader.maps(sample)
    (operator,) = mean_operators(
        network.tail, maps, everything, jit=execution.jit, progress=execution.progress, team=execution.team
    )
    return unit((operator @ network.columns[:, : network.num_seen]).T)
