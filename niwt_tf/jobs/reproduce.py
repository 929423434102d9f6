"""`niwt reproduce`: rows of the paper's Table 1 from the official archives, our figures beside the paper's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from absl import flags

from niwt_tf.config.names import check_text_features
from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.experiments.sweeps.grid import flags_of
from niwt_tf.experiments.table1.needs import needs_text, parts_needed
from niwt_tf.experiments.table1.paper import TABLE_1, PaperRow
from niwt_tf.experiments.table1.rows import (
    CHOOSING,
    Reproduced,
    changed_flags,
    chosen_rows,
    comparison,
    settings_of,
    table_csv,
    table_markdown,
)
from niwt_tf.files import read_json, replacing
from niwt_tf.jobs.flags import settings_from_flags
from niwt_tf.jobs.options import DEFAULT_FOLDER
from niwt_tf.runs.run import RunDirectory

_PATIENCE_SECONDS = 20.0


def main() -> None:
    """Say what the rows need, run those that are not finished, and print and write the table."""
    values = flags.FLAGS
    if values.table != 1:
        raise InputError(f"--table must be 1, the paper's table of whole runs. Received: {values.table}.")
    if values.strategy == "multiworker":
        raise InputError("--strategy must be none or mirrored for several rows. Received: 'multiworker'.")
    settings, given = settings_from_flags()
    rows = chosen_rows({name: getattr(settings, name) for name in CHOOSING if name in given})
    check_text_features("+".join(sorted({row.settings["knowledge"] for row in rows})), settings.text_features)
    data_dir = os.path.abspath(settings.data_folder)
    changes = {name: getattr(settings, name) for name in given}
    wanted = {row: settings_of(row, data_dir, changes) for row in rows}
    folder = Path(os.path.abspath(os.path.expanduser(values.run_dir or DEFAULT_FOLDER)))
    _check_folder(folder)
    parts = parts_needed(wanted)
    print(needs_text(wanted, parts, folder, values.cache_gb, values.gpu_tflops))
    for row, of_row in wanted.items():
        _tell_changes(row, of_row)
    missing = [name for part in parts for name in part.missing]
    if missing:
        raise InputError(f"All that the rows need must be there. Received: --data_dir={data_dir} without {', '.join(missing)}.")
    if values.dry_run:
        return
    previous = signal.signal(signal.SIGTERM, _interrupted)
    try:
        failed = _run_all(folder, wanted, _more_flags(values, folder))
    finally:
        signal.signal(signal.SIGTERM, previous)
        _write_table(folder)
    print(f"\ntable        {folder / 'table1.md'}\n             {folder / 'table1.csv'}")
    if failed:
        listed = ", ".join(f"{name} (status {status})" for name, status in failed.items())
        raise InputError(f"{len(failed)} of {len(wanted)} rows failed: {listed}; the same command tries them again.")


def run_program() -> list[str]:
    """Return the command that a row's flags are given to."""
    return [sys.executable, "-m", "niwt_tf", "run", "--until=evaluate"]


def reproduced(folder: Path, row: PaperRow) -> Reproduced:
    """Return what the run of a row in `folder` came to, whatever its settings; without metrics if it is not finished."""
    try:
        run = RunDirectory(folder / row.name).reading()
        run.folder("evaluate")
        metrics = read_json(run.path / "metrics.json")
        return Reproduced(row, metrics, changed_flags(row, run.settings), run.optimistic(metrics=metrics))
    except (InputError, OSError, ValueError):
        return Reproduced(row)


def _run_all(folder: Path, wanted: Mapping[PaperRow, Settings], more: list[str]) -> dict[str, int]:
    """Run every row that is not finished with its settings and return the exit status of those that failed."""
    failed = {}
    for row, settings in wanted.items():
        if _finished(folder / row.name, settings):
            print(f"\n{row.name} is finished.")
        else:
            print(f"\n{row.name}:")
            status = run_attached([*run_program(), f"--run_dir={folder / row.name}", *more, *flags_of(settings)])
            if status:
                failed[row.name] = status
                print(f"{row.name} failed with status {status}.")
                continue
        _write_table(folder)
        print(f"\n{comparison(reproduced(folder, row))}")
    return failed


def _finished(folder: Path, settings: Settings) -> bool:
    try:
        run = RunDirectory(folder).reading()
        run.folder("evaluate")
    except InputError:
        return False
    return run.settings == settings and (folder / "metrics.json").exists()


def _write_table(folder: Path) -> None:
    rows = [reproduced(folder, row) for row in TABLE_1]
    if not any(done.metrics for done in rows):
        return
    for name, text in (("table1.csv", table_csv(rows)), ("table1.md", table_markdown(rows))):
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _more_flags(values: flags.FlagValues, folder: Path) -> list[str]:
    """Return the flags of how, and not of what.

    The cache and finished stages are shared by all rows: networks that differ in their knowledge alone are trained once.
    """
    cache = os.path.abspath(os.path.expanduser(values.cache_dir)) if values.cache_dir else folder / ".cache"
    found = [f"--cache_dir={cache}", f"--cache_gb={values.cache_gb}", f"--strategy={values.strategy}"]
    found.append(f"--stage_store={os.path.abspath(os.path.expanduser(values.stage_store or folder / '.stages'))}")
    found += [f"--{'' if values[name].value else 'no'}{name}" for name in ("overwrite", "progress")]
    return found


def _tell_changes(row: PaperRow, settings: Settings) -> None:
    changed = changed_flags(row, settings)
    if changed:
        print(f"{row.name} differs from the paper's row: {' '.join(changed)}")


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--run_dir must be a folder. Received: {str(folder)!r}.")
    if (folder / "config.json").exists():
        raise InputError(f"--run_dir must be a folder of rows, not of one run. Received: {str(folder)!r}, with a config.json.")


def _interrupted(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def run_attached(arguments: Sequence[str]) -> int:
    """Run a command and return its exit status (negative: the signal that killed it).

    Whatever ends this early, an interrupt above all, first interrupts the command and waits for it; if it does not end
    within 20 seconds it is killed.

    Raises:
        OSError: the command cannot be started.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    # A session of its own: the terminal's Ctrl-C reaches this process alone, which hands it on once.
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            _end_in_order(process)


def _end_in_order(process: subprocess.Popen[bytes]) -> None:
    # In the background of a script interrupts are ignored, and processes inherit that.
    deaf = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    _send(process, signal.SIGTERM if deaf else signal.SIGINT)
    try:
        process.wait(_PATIENCE_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        _send(process, signal.SIGKILL)
        process.wait()


def _send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
