"""What Optuna proposes: configurations to try on one problem, by a grid or by what those before them reached."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from niwt_tf.config.extras import imported
from niwt_tf.errors import InputError
from niwt_tf.experiments.sweeps.grid import SweepTrial
from niwt_tf.files import fingerprint


def open_journal(path: Path) -> Any:
    """Return Optuna's storage in a file, which several processes may share.

    Raises:
        InputError: the file is something else, or damaged, or Optuna is not installed.
    """
    optuna = imported("optuna", "niwt sweep")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    except (ValueError, LookupError, TypeError, AssertionError):
        raise InputError(
            f"{path} must be Optuna's journal of the sweep. Received: a damaged file; remove it, and the same command goes on "
            "from the trials that are finished."
        ) from None


class Proposals:
    """The configurations that are proposed for one problem: a study in the journal, with a trial for each.

    Several processes may hold one; `tell` and `propose` must not be called by two at once.

    Args:
        storage: of `open_journal`.
        trials: every configuration of the grid in every repetition of the problem.
        sampler: "grid" or "tpe".
        most: how many configurations are proposed; None, or more than the grid has, means all.
        seed: of the tree of Parzen estimators.
    """

    def __init__(
        self, storage: Any, trials: Sequence[SweepTrial], sampler: str, most: int | None = None, seed: int = 0
    ) -> None:
        self._optuna, self._storage = imported("optuna", "niwt sweep"), storage
        self._sampler, self._seed = sampler, seed
        # JSON, for tuples are no choices of Optuna's, and to it True is 1.
        self._trials: dict[tuple[str, ...], list[SweepTrial]] = {}
        for trial in trials:
            self._trials.setdefault(tuple(json.dumps(value) for _, value in trial.configuration), []).append(trial)
        names = [name for name, _ in trials[0].configuration]
        self._choices = dict(
            zip(names, (list(dict.fromkeys(column)) for column in zip(*self._trials, strict=True)), strict=True)
        )
        self.most = min(most or len(self._trials), len(self._trials))
        self._name = f"{sampler}-{fingerprint([trial.name for trial in trials])}"
        made = {"study_name": self._name, "direction": "maximize", "load_if_exists": True}
        self._study = self._optuna.create_study(storage=storage, **made)

    @property
    def most_trials(self) -> int:
        """How many trials `most` configurations are."""
        return self.most * len(next(iter(self._trials.values())))

    def proposed(self) -> list[SweepTrial]:
        """Return the trials of the configurations that were proposed so far, by whatever process."""
        return [trial for key in self._keys() for trial in self._trials[key]]

    def propose(self) -> list[SweepTrial]:
        """Return the trials of one more configuration; [] when there are enough."""
        known = self._keys()
        if len(known) >= self.most:
            return []
        space = {name: self._optuna.distributions.CategoricalDistribution(choices) for name, choices in self._choices.items()}
        study = self._optuna.load_study(study_name=self._name, storage=self._storage, sampler=self._new_sampler())
        asked = study.ask(space)
        key = self._key(asked)
        if key in known:
            # TPE proposes what was good again, and an earlier process may have died over a proposal of the grid's.
            self._study.tell(asked.number, state=self._optuna.trial.TrialState.FAIL)
            others = [other for other in self._trials if other not in known]
            distances = {other: sum(ours != theirs for ours, theirs in zip(other, key, strict=True)) for other in others}
            # Of the nearest that whose values were good so far: in their order, first values would always win.
            key = min(others, key=lambda other: (distances[other], -self._promise(other)))
            study.enqueue_trial(dict(zip(self._choices, key, strict=True)))
            study.ask(space)
        return self._trials[key]

    def tell(self, scores: Mapping[str, float | None]) -> None:
        """Enter into the journal how good configurations are: the mean over their trials, where all are known.

        Args:
            scores: validation harmonic mean by name of a trial; None for one that has none.
        """
        for each in self._study.get_trials(deepcopy=False, states=(self._optuna.trial.TrialState.RUNNING,)):
            names = [trial.name for trial in self._trials.get(self._key(each), ())]
            if not names or any(name not in scores for name in names):
                continue
            known = [score for score in map(scores.get, names) if score is not None]
            if len(known) == len(names):
                self._study.tell(each.number, sum(known) / len(known))
            else:
                self._study.tell(each.number, state=self._optuna.trial.TrialState.FAIL)

    def fail(self, trial: SweepTrial, error: str, by: str) -> None:
        """Enter why a trial failed, for all processes; `by` tells one attempt from another."""
        self._study.set_user_attr(trial.name, [by, error])

    def failures(self) -> dict[str, list[str]]:
        """Return what was entered by `fail` last: [by, error] by name of a trial."""
        return self._study.user_attrs

    def _keys(self) -> list[tuple[str, ...]]:
        found = dict.fromkeys(self._key(each) for each in self._study.get_trials(deepcopy=False))
        # Without some parameter is what a process died over, or has not yet entered.
        return [key for key in found if key in self._trials]

    def _promise(self, key: tuple[str, ...]) -> float:
        """Return the sum over a configuration's values of the mean that was reached with each, or of all where it is new."""
        ended = self._study.get_trials(deepcopy=False, states=(self._optuna.trial.TrialState.COMPLETE,))
        reached = [(self._key(each), float(each.value)) for each in ended]
        means = []
        for place, value in enumerate(key):
            ours = [score for other, score in reached if other[place] == value] or [score for _, score in reached] or [0.0]
            means.append(sum(ours) / len(ours))
        return sum(means)

    def _key(self, asked: Any) -> tuple[str, ...]:
        return tuple(asked.params[name] for name in self._choices if name in asked.params)

    def _new_sampler(self) -> Any:
        if self._sampler == "grid":
            return self._optuna.samplers.GridSampler(self._choices)
        # Seeded anew, so that what is proposed depends on what is known and not on how many processes asked.
        number = len(self._study.get_trials(deepcopy=False))
        return self._optuna.samplers.TPESampler(seed=int(fingerprint(self._seed, self._name, number)[:8], 16))
