"""The trials of a sweep and the processes that do them.

The journal has what was proposed, a trial's run directory whether it is finished, and its lock whether somebody is at it. What
was proposed and is not finished is taken by whoever gets the lock: a dead worker's trial, one that failed in an earlier
command, one that was made from other data.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from tqdm import tqdm

from niwt_tf.config.surroundings import divided_environment, python_command, start_bound
from niwt_tf.experiments.sweeps.choice import ChosenConfiguration, Outcome, Values
from niwt_tf.experiments.sweeps.folder import SweepFolder
from niwt_tf.experiments.sweeps.grid import SweepTrial, flags_of
from niwt_tf.experiments.sweeps.proposals import Proposals

_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 20.0


class SweepTrials:
    """Trials, and the processes that do them.

    Args:
        folder: the sweep's, which this process has joined.
        trials: all of the grid.
        problems: what is proposed of them.
        parallel: how many this process does at a time.
        more: flags that are none of a trial's settings.
        progress: whether bars are shown.
    """

    def __init__(
        self, folder: SweepFolder, trials: Sequence[SweepTrial], problems: Sequence[Proposals], parallel: int,
        more: Sequence[str], progress: bool,
    ) -> None:
        self.folder = folder
        self._all = trials
        self._problems, self._open = problems, deque(problems)
        self._parallel, self._more, self._progress = parallel, list(more), progress
        self._environment = divided_environment(parallel)
        self._me = str(uuid.uuid4())
        self._before = self._failures()
        self._running: list[SweepTrialProcess] = []
        self._settled: set[str] = set()
        self._scores: dict[str, float | None] = {}
        # Finished trials are believed if one of the same problem, done again, finds the data that they were made of.
        self._data: dict[Values, str] = {}

    @property
    def trials(self) -> list[SweepTrial]:
        """The trials that are or will be done, as far as that is known, in the grid's order."""
        all_will_be = sum(problem.most_trials for problem in self._problems) == len(self._all)
        return list(self._all) if all_will_be else self._proposed()

    @property
    def errors(self) -> dict[str, str]:
        """Why trials failed since this command began, in whatever process, by name."""
        return {name: found[1] for name, found in self._failures().items() if found[1] and found != self._before.get(name)}

    def try_all(self) -> list[Outcome]:
        """Do every trial that is not finished, without a look at a test image, and return what became of all."""
        self._work("trials", "transfer", sum(problem.most_trials for problem in self._problems), self._untried)
        with self.folder.alone():
            for problem in self._problems:
                problem.tell(self._scores)
        errors = self.errors
        return [Outcome(trial, None, None) if trial.name in errors else self.folder.outcome(trial) for trial in self.trials]

    def evaluate(self, choices: Sequence[ChosenConfiguration]) -> None:
        """Score the chosen trials on test images. Only a `ChosenConfiguration`, made of validation figures, leads there."""
        chosen = [outcome.trial for choice in choices for outcome in choice.configuration.outcomes]
        left = [trial for trial in chosen if not self.folder.evaluated(trial)]
        if left:
            self._work("evaluate", "evaluate", len(left), lambda: left)

    def _proposed(self) -> list[SweepTrial]:
        proposed = {trial.name for problem in self._problems for trial in problem.proposed()}
        return [trial for trial in self._all if trial.name in proposed]

    def _failures(self) -> dict[str, list[str]]:
        return {name: found for problem in self._problems for name, found in problem.failures().items()}

    def _untried(self) -> Iterable[SweepTrial]:
        """Yield what was proposed, the unfinished first, and then what more is proposed, of the problems in turn."""
        waiting = [trial for trial in self._proposed() if trial.name not in self._settled]
        yield from sorted(waiting, key=lambda trial: bool(self.folder.manifests(trial)))
        while self._open:
            with self.folder.alone():
                self._open[0].tell(self._scores)
                proposed = self._open[0].propose()
            if proposed:
                # Trials of one problem share stages, and would wait for each other.
                self._open.rotate(-1)
                yield from proposed
            else:
                # With what another process has proposed since `waiting` was read.
                yield from self._open.popleft().proposed()

    def _work(self, label: str, until: str, total: int, candidates: Callable[[], Iterable[SweepTrial]]) -> None:
        """Do trials until every candidate is settled, whoever did it.

        Whatever ends this early, an interrupt above all, first interrupts the processes that are running and waits for them;
        those that do not end within 20 seconds are killed.
        """
        self._settled = set()
        with tqdm(total=total, desc=label, disable=not self._progress) as bar:
            try:
                while self._start_some(until, candidates) or self._running:
                    time.sleep(_POLL_SECONDS)
                    for process in [each for each in self._running if each.popen.poll() is not None]:
                        self._running.remove(process)
                        self._ended(process, until)
                    bar.update(len(self._settled) - bar.n)
            finally:
                end_processes(self._running)

    def _start_some(self, until: str, candidates: Callable[[], Iterable[SweepTrial]]) -> bool:
        """Start as many processes as there is room for, and return whether another process is at what is left."""
        while len(self._running) < self._parallel:
            held = False
            for trial in candidates():
                if trial.name in self._settled:
                    continue
                claim = self.folder.claim(trial)
                if claim is None:
                    held = True
                elif self._is_to_do(trial, until):
                    self._running.append(
                        SweepTrialProcess(trial, self._command(trial, until), self.folder.log(trial), claim, self._environment)
                    )
                    break
                else:
                    claim.close()
            else:
                return held
        return True

    def _is_to_do(self, trial: SweepTrial, until: str) -> bool:
        """Return whether a trial, which this process has claimed, is to be done now; enter it as settled when it never is."""
        if trial.name in self.errors or (until == "evaluate" and self.folder.evaluated(trial)):
            self._settled.add(trial.name)
            return False
        finished, data = bool(self.folder.manifests(trial)), self._data.get(trial.repetition)
        if until == "evaluate" or not finished:
            return True
        if data is None:
            return all(each.trial.repetition != trial.repetition for each in self._running)
        if data in ("", self.folder.data(trial)):
            self._settle(trial)
            return False
        return True

    def _settle(self, trial: SweepTrial) -> None:
        self._settled.add(trial.name)
        self._scores[trial.name] = self.folder.outcome(trial).harmonic_mean

    def _ended(self, process: SweepTrialProcess, until: str) -> None:
        trial, error = process.trial, process.error()
        if error or trial.name in self._failures():
            next(each for each in self._problems if trial in each.proposed()).fail(trial, error, self._me)
        if error or until == "evaluate":
            self._settled.add(trial.name)
        else:
            self._settle(trial)
        # Where not even this one could be done again, the finished ones are believed.
        self._data[trial.repetition] = self._data.get(trial.repetition) or ("" if error else self.folder.data(trial) or "")
        process.close()

    def _command(self, trial: SweepTrial, until: str) -> list[str]:
        command = [*trial_program(), f"--until={until}", f"--run_dir={self.folder.run(trial)}"]
        return [*command, f"--stage_store={self.folder.stages}", "--noprogress", *self._more, *flags_of(trial.settings)]


class SweepTrialProcess:
    """A process, what it writes added to a log. It does not outlive this one, and its trial is claimed while either lives.

    Raises:
        OSError: the log cannot be written or the process cannot be started.
    """

    def __init__(
        self, trial: SweepTrial, command: Sequence[str], log: Path, claim: IO[str], environment: dict[str, str] | None = None
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.trial = trial
        self._claim = claim
        self._path = log
        self._log = open(log, "ab")  # noqa: SIM115
        self._begin = self._log.tell()
        # A session of its own: the terminal's Ctrl-C reaches this process alone, which then ends its children in order.
        self.popen = start_bound(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, env=environment, start_new_session=True,
            pass_fds=[claim.fileno()],
        )

    def error(self) -> str:
        """Return how the process, which has ended, ended: "" is well; otherwise its last line."""
        status = self.popen.returncode
        if status == 0:
            return ""
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        with open(self._path, "rb") as file:
            file.seek(self._begin)
            lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"exit status {status}"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and its children."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, number)

    def close(self) -> None:
        """Give up the claim."""
        self._log.close()
        self._claim.close()


def end_processes(running: Sequence[SweepTrialProcess]) -> None:
    """Interrupt processes and wait for them; kill those that do not end within 20 seconds."""
    # In the background of a script interrupts are ignored, and processes inherit that.
    deaf = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    for each in running:
        each.signal(signal.SIGTERM if deaf else signal.SIGINT)
    limit = time.monotonic() + _PATIENCE_SECONDS
    for each in running:
        try:
            each.popen.wait(max(0.0, limit - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            limit = 0.0
            each.signal(signal.SIGKILL)
            each.popen.wait()
        each.close()


def trial_program() -> list[str]:
    """Return the command that a trial's flags are given to."""
    return [*python_command("niwt_tf"), "run"]
