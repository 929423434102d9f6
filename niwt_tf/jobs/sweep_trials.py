"""The trials of a sweep: which are still to do, and the commands that do them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tqdm import tqdm

from niwt_tf.experiments.sweep_choice import Choice, Outcome, Values
from niwt_tf.experiments.sweep_grid import Trial, flags_of
from niwt_tf.jobs.sweep_folder import SweepFolder
from niwt_tf.jobs.sweep_processes import Command, Ended, run_commands


class SweepTrials:
    """Trials, and the processes that do them."""

    def __init__(
        self, folder: SweepFolder, trials: Sequence[Trial], parallel: int, more: Sequence[str], progress: bool
    ) -> None:
        self.folder = folder
        self.trials = trials
        self.errors: dict[str, str] = {}
        self._parallel = parallel
        self._more = list(more)
        self._progress = progress

    def try_all(self) -> list[Outcome]:
        """Do every trial that is not finished, without a look at a test image, and return what became of all."""
        finished = {trial.name for trial in self.trials if self.folder.manifests(trial)}
        waiting = [trial for trial in self.trials if trial.name not in finished]
        # Finished trials are believed if a trial of the same problem, done again, finds the data that they were made of.
        probes: dict[Values, Trial] = {trial.repetition: trial for trial in waiting}
        for trial in self.trials:
            probes.setdefault(trial.repetition, trial)
        tried = [*waiting, *(trial for trial in probes.values() if trial.name in finished)]
        self._do("trials", tried, "transfer", already=len(self.trials) - len(tried))
        data = {trial.repetition: self.folder.data(trial) for trial in tried if trial.name not in self.errors}
        others = [trial for trial in self.trials if trial.name in finished and trial.repetition in data]
        self._do("other data", [trial for trial in others if self.folder.data(trial) != data[trial.repetition]], "transfer")
        return [self._outcome(trial) for trial in self.trials]

    def evaluate(self, choices: Sequence[Choice]) -> None:
        """Score the chosen trials on test images. Only a `Choice`, made of validation figures, leads there."""
        chosen = [outcome.trial for choice in choices for outcome in choice.configuration.outcomes]
        self._do("evaluate", [trial for trial in chosen if not self.folder.evaluated(trial)], "evaluate")

    def _outcome(self, trial: Trial) -> Outcome:
        return Outcome(trial, None, None) if trial.name in self.errors else self.folder.outcome(trial)

    def _do(self, label: str, trials: Sequence[Trial], until: str, already: int = 0) -> None:
        if not trials:
            return
        commands = [self._command(trial, until) for trial in _spread(trials)]
        with tqdm(total=already + len(commands), initial=already, desc=label, disable=not self._progress) as bar:

            def ended(one: Ended) -> None:
                if one.error:
                    self.errors[one.command.name] = one.error
                    bar.set_postfix(failed=len(self.errors))
                bar.update()

            run_commands(commands, self._parallel, ended)

    def _command(self, trial: Trial, until: str) -> Command:
        arguments = [*trial_program(), f"--until={until}", f"--run_dir={self.folder.run(trial)}"]
        arguments += [f"--stage_store={self.folder.stages}", "--noprogress", *self._more, *flags_of(trial.settings)]
        return Command(trial.name, tuple(arguments), self.folder.log(trial))


def trial_program() -> list[str]:
    """Return the command that a trial's flags are given to."""
    return [sys.executable, "-m", "niwt_tf", "run"]


def _spread(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials with the problems in turn: those of one problem share stages, and would wait for each other."""
    turn: dict[Values, int] = {}
    order = []
    for trial in trials:
        turn[trial.repetition] = turn.get(trial.repetition, -1) + 1
        order.append(turn[trial.repetition])
    return [trial for _, trial in sorted(zip(order, trials, strict=True), key=lambda pair: pair[0])]
