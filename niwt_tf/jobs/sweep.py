"""`niwt sweep`: a grid of flags, tried in parallel, compared on validation classes, the best evaluated on test images."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from niwt_tf.config.extras import is_left_out
from niwt_tf.config.settings import SETTINGS
from niwt_tf.errors import InputError
from niwt_tf.experiments.sweeps.choice import ChosenConfiguration, Outcome, choose_configurations
from niwt_tf.experiments.sweeps.folder import SweepFolder
from niwt_tf.experiments.sweeps.grid import Grid, SweepTrial, flags_of, grid_of, parse_grid, trials_of
from niwt_tf.experiments.sweeps.proposals import Proposals, open_journal
from niwt_tf.experiments.sweeps.results import SweepTrialRecord, records_of, table, write_results, write_tensorboard
from niwt_tf.experiments.sweeps.trials import SweepTrials
from niwt_tf.jobs.flags import absolute, settings_from_flags


def main() -> None:
    """Do the sweep that --sweep_dir names and print what came of it."""
    values = flags.FLAGS
    settings, given = settings_from_flags()
    grid = _grid(values.grid, values.grid_file)
    trials = trials_of(grid, settings, given)
    for trial in trials:
        flags_of(trial.settings)
    _check(values, trials)
    folder = SweepFolder(values.sweep_dir)
    more = [f"--cache_dir={values.cache_dir or folder.cache}", f"--cache_gb={values.cache_gb}", f"--strategy={values.strategy}"]
    description: dict[str, Any] = {"grid": grid, "fixed": {name: getattr(settings, name) for name in sorted(given)}}
    description |= {"sampler": values.sampler, "num_trials": values.num_trials, "trials": [trial.name for trial in trials]}
    previous = signal.signal(signal.SIGTERM, _interrupted)
    try:
        with folder.joined(description):
            with folder.alone():
                journal = open_journal(folder.journal)
                by_problem: dict[Any, list[SweepTrial]] = {}
                for trial in trials:
                    by_problem.setdefault(trial.flags_of_problem, []).append(trial)
                # What one problem validates on is another's test, so nothing is proposed for one by what another reached.
                chosen_by = values.sampler, values.num_trials, settings.seed
                problems = [Proposals(journal, of_problem, *chosen_by) for of_problem in by_problem.values()]
            _do(SweepTrials(folder, trials, problems, values.parallel, more, values.progress))
    finally:
        signal.signal(signal.SIGTERM, previous)


def _do(sweep: SweepTrials) -> None:
    folder = sweep.folder
    try:
        outcomes = sweep.try_all()
        choices = choose_configurations(outcomes)
        sweep.evaluate(choices)
    except KeyboardInterrupt:
        _write(sweep, [folder.outcome(trial) for trial in sweep.trials], [])
        raise
    records = _write(sweep, outcomes, choices)
    has_board = not is_left_out("tensorboard/", "tensorboard")
    if has_board:
        with folder.alone():
            write_tensorboard(folder.tensorboard, records)
    print(f"\n{table(records, choices)}\n")
    print(f"results      {folder.results}")
    print(f"             {folder.configurations}")
    if has_board:
        print(f"TensorBoard  tensorboard --logdir {folder.tensorboard}")
    errors = [(record.trial.name, record.error) for record in records if record.error]
    if errors:
        of_all = "All" if len(errors) == len(records) else f"{len(errors)} of"
        raise InputError(
            f"{of_all} {len(records)} trials failed, {errors[0][0]} with {errors[0][1]!r}; the logs are in {folder.logs}, and "
            "the same command tries them again."
        )


def _write(sweep: SweepTrials, outcomes: Sequence[Outcome], choices: Sequence[ChosenConfiguration]) -> list[SweepTrialRecord]:
    records = records_of(sweep.folder, outcomes, sweep.errors, choices)
    with sweep.folder.alone():
        write_results(sweep.folder, records, choices)
    return records


def _grid(text: str | None, file: str | None) -> Grid:
    if (text is None) == (file is None):
        received = "neither" if text is None else "both"
        rule = "One of --grid and --grid_file must be given, as --grid='seen_head=ridge,softmax'"
        raise InputError(f"{rule}. Received: {received}.")
    grid = parse_grid(text) if text is not None else grid_of(_read(Path(os.path.expanduser(str(file)))))
    by_name = {declared.name: declared for declared in SETTINGS}
    return {name: tuple(absolute(by_name[name], value) for value in listed) for name, listed in grid.items()}


def _read(path: Path) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"--grid_file must name each flag once. Received: {twice!r} twice.")
        return dict(pairs)

    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    except InputError:
        raise
    except OSError as error:
        reason = f"{str(path)!r} ({error.strerror})"
        raise InputError(f"--grid_file must name a file that can be read. Received: {reason}.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"--grid_file must be JSON in UTF-8. Received: {str(path)!r} ({error}).") from None


def _check(values: flags.FlagValues, trials: Sequence[SweepTrial]) -> None:
    if values.sweep_dir is None:
        raise InputError("--sweep_dir must be given: the folder of the sweep, for instance --sweep_dir=sweeps/birds.")
    if (values.sampler == "tpe") != (values.num_trials is not None):
        received = f"--sampler={values.sampler} and --num_trials={values.num_trials}"
        raise InputError(f"--num_trials must be given with --sampler=tpe, and only then. Received: {received}.")
    if values.strategy == "multiworker":
        raise InputError("--strategy must be none or mirrored in a sweep. Received: 'multiworker'.")
    for folder in dict.fromkeys(trial.settings.data_folder for trial in trials):
        if not Path(folder).is_dir():
            raise InputError(f"--data_dir must name a folder. Received: {folder!r}, which is not a folder.")


def _interrupted(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
