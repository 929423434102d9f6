"""Every choice of every method, made on validation classes: seen classes that a fold's network never saw.

One loop over folds and candidates serves NIWT, the baselines and the oracle. Nothing here can reach a test image: a `Task` is
made of a partition, and a partition of `SeenData`, which holds none.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import Fold
from niwt_tf.data.schema import Descriptions
from niwt_tf.methods.base import Generator, Method, Trial, best_trial
from niwt_tf.methods.parameters import Parameters
from niwt_tf.methods.task import Task, folds_of
from niwt_tf.metrics.calibration import choose_calibration, seen_margin
from niwt_tf.metrics.gzsl import CalibrationCurve, calibration_curve
from niwt_tf.metrics.intervals import or_none
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.network import Network
from niwt_tf.protocol.probabilities import FoldScores, choose_probabilities, held_out_probabilities

_LOG = logging.getLogger("niwt_tf")


@dataclass(frozen=True)
class Chosen:
    """A method as the validation classes chose it, fitted on all seen classes.

    Attributes:
        method: its name.
        generator: makes parameters of classes from their descriptions.
        trial: what was chosen.
        trials: every candidate that was tried; none without validation classes.
        calibration: what is taken off the seen logits: the trial's constant times the main network's `seen_margin`.
        probabilities: what makes probabilities of the calibrated logits, and when to abstain.
    """

    method: str
    generator: Generator
    trial: Trial
    trials: Sequence[Trial]
    calibration: float
    probabilities: Probabilities

    def applied(self, network: Network, classes: Descriptions) -> tuple[Network, Parameters]:
        """Return `network` with parameters for new classes and its calibration set, and those parameters."""
        parameters = self.generator.generate(classes)
        made = parameters.apply(network)
        made.calibration = self.calibration
        return made, parameters


def choose(
    settings: Settings, method: Method, tasks: Sequence[Task], *, progress: bool = False, candidate: Any = None
) -> Chosen:
    """Make every choice on the folds and return the method, fitted on the main task; tasks are prepared, main first.

    With a `candidate`, which another run chose, the folds only say its calibration and probabilities.
    """
    main, folds = tasks[0], folds_of(tasks)
    if candidate is not None:
        tried = _Tried()
        for task in folds:
            tried.add(scores_of(task, method.fit(task, candidate)))
        trial = tried.trial(candidate) if folds else Trial(candidate, 0.0, float("nan"), float("nan"))
        trials = [trial]
    elif folds:
        trial, trials = select(settings, method, tasks, progress=progress)
        # Machines may round differently; exchanges between them depend on the candidate, so the chief's holds for all.
        (agreed,) = main.reader.execution.team.of_chief(np.array([trials.index(trial)]))
        trial = trials[int(agreed[0])]
    else:
        _LOG.warning(
            "There are too few seen classes or images for folds: the first value of each grid is used, without calibration."
        )
        unknown = float("nan")
        trial, trials = Trial(method.candidates(settings, tasks)[0], 0.0, unknown, unknown), []
    generator = method.fit(main, trial.candidate)
    # Classes that nobody described yet are none: what is asked is what the seen ones score.
    nothing = main.descriptions.take(np.arange(0))
    logits = generator.generate(nothing).scores(main, main.held_out)[:, : main.num_seen]
    margin = seen_margin(logits, main.held_out.labels)
    if folds:
        scored = [scores_of(task, method.fit(task, trial.candidate)) for task in folds]
        probabilities = choose_probabilities(scored, trial.calibration, margin)
    else:
        probabilities = held_out_probabilities(logits, main.held_out.labels)
    finished = method.finish(generator, tasks, trial, margin)
    return Chosen(method.name, finished, trial, trials, trial.calibration * margin, probabilities)


def select(settings: Settings, method: Method, tasks: Sequence[Task], *, progress: bool = False) -> tuple[Trial, list[Trial]]:
    """Return the best trial by the folds' mean harmonic mean with calibrated stacking, and all trials.

    The method gives the candidates, a round at a time, and fits them. Tasks are prepared, and at least one of them is a fold.
    """
    folds = folds_of(tasks)
    trials: list[Trial] = []
    rounds = method.rounds(settings, tasks)
    with tqdm(total=0, desc=method.name, unit="candidate", delay=5, leave=False, disable=not progress) as bar:
        candidates = next(rounds, None)
        while candidates is not None:
            bar.total += len(candidates) * len(folds)
            bar.refresh()
            tried: dict[Any, _Tried] = {}
            for task in folds:
                for candidate, generator in method.fit_all(task, candidates):
                    tried.setdefault(candidate, _Tried()).add(scores_of(task, generator))
                    bar.update()
            trials += [each.trial(candidate) for candidate, each in tried.items()]
            bar.set_postfix(best=f"{best_trial(trials).harmonic_mean:.3f}")
            try:
                candidates = rounds.send(trials)
            except StopIteration:
                candidates = None
    return best_trial(trials), trials


def plain(trial: Trial) -> dict[str, Any]:
    """Return a trial's record with None in place of what is not finite, which JSON does not have."""
    return {name: or_none(value) if isinstance(value, float) else value for name, value in trial.as_dict().items()}


@dataclass
class _Tried:
    """How one candidate does: a curve, a seen margin and the figures of each fold."""

    curves: list[CalibrationCurve] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    figures: list[dict[str, float]] = field(default_factory=list)

    def add(self, scores: FoldScores) -> None:
        """Take the scores of another fold."""
        self.curves.append(calibration_curve(scores.logits, scores.labels, scores.num_seen))
        self.margins.append(scores.unit)
        self.figures.append(dict(scores.figures))

    def trial(self, candidate: Any) -> Trial:
        """Return the candidate with the calibration that is best over the folds and what it reaches."""
        calibration, harmonic = choose_calibration(self.curves, self.margins)
        # Where no seen label competes, accuracy on the validation classes is the curve's last point.
        zsl = float(np.mean([curve.acc_unseen[-1] for curve in self.curves]))
        figures = {name: float(np.mean([each[name] for each in self.figures])) for name in self.figures[0]}
        return Trial(candidate, calibration, harmonic, zsl, figures)


def scores_of(task: Task, generator: Generator) -> FoldScores:
    """Score a fold's evaluation images with parameters for its validation classes."""
    assert isinstance(task.partition, Fold), "only a fold has validation classes"
    parameters = generator.generate(task.partition.validation_descriptions)
    logits, labels, num_seen = parameters.scores(task, task.evaluated), task.evaluated.labels, task.num_seen
    held_out = labels < num_seen
    unit = seen_margin(logits[held_out, :num_seen], labels[held_out])
    return FoldScores(logits, labels, num_seen, unit, parameters.figures)
