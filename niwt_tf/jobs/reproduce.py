"""`niwt reproduce`: rows of the papers' tables from the official archives, our figures beside the papers'."""

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

from niwt_tf.config.settings import Settings
from niwt_tf.config.surroundings import child_environment, python_command, start_bound
from niwt_tf.errors import InputError
from niwt_tf.experiments.published.table import TABLE, PublishedTable
from niwt_tf.experiments.sweeps.grid import flags_of
from niwt_tf.experiments.table1.rows import Table1
from niwt_tf.experiments.text_tables.table import TextTable
from niwt_tf.files import replacing
from niwt_tf.jobs.flags import settings_from_flags
from niwt_tf.runs.run import RunDirectory

_PATIENCE_SECONDS = 20.0


def main() -> None:
    """Say what the rows need, run those that are not finished, and print and write the table."""
    values = flags.FLAGS
    if values.strategy == "multiworker":
        raise InputError("--strategy must be none or mirrored for several rows. Received: 'multiworker'.")
    settings, given = settings_from_flags()
    changes = {name: getattr(settings, name) for name in given}
    table = _table_of(values, changes)
    rows = table.chosen(changes)
    data_dir = os.path.abspath(settings.data_folder)
    folder = Path(os.path.abspath(os.path.expanduser(values.run_dir or Path("runs", table.name))))
    wanted = {row: table.settings_of(row, data_dir, changes, folder) for row in rows}
    _check_folder(folder)
    said, missing = table.needs(wanted, folder)
    print(said)
    print("".join(f"{sentence}\n" for sentence in table.left_out(changes)), end="")
    for row, of_row in wanted.items():
        changed = table.changed_flags(row, of_row)
        if changed:
            print(f"{row.name} differs from the paper's row: {' '.join(changed)}")
    if missing:
        raise InputError(f"All that the rows need must exist. Received: --data_dir={data_dir} without {', '.join(missing)}.")
    table.check(wanted)
    if values.dry_run:
        return
    table.prepare(wanted, folder)
    previous = signal.signal(signal.SIGTERM, _interrupted)
    try:
        failed = _run_all(folder, table, wanted, _more_flags(values, folder))
    finally:
        signal.signal(signal.SIGTERM, previous)
        _write_table(folder, table)
    for place, name in enumerate(_files_of(folder, table)):
        print(f"{'table' if not place else '':<12} {name}")
    if failed:
        listed = ", ".join(f"{name} (status {status})" for name, status in failed.items())
        raise InputError(f"{len(failed)} of {len(wanted)} rows failed: {listed}; the same command tries them again.")


def _table_of(values: flags.FlagValues, given: Mapping[str, Any]) -> Any:
    """Return the table that --table names."""
    if values.table == "1":
        return Table1(values.cache_gb, values.gpu_tflops)
    if values.table == TABLE:
        return PublishedTable(given.get("dataset"), given.get("data_dir"))
    return TextTable(values.table, given.get("dataset"))


def run_program(job: str) -> list[str]:
    """Return the command that a row's flags are given to."""
    return [*python_command("niwt_tf"), job]


def _run_all(folder: Path, table: Any, wanted: Mapping[Any, Settings], more: list[str]) -> dict[str, int]:
    """Run every row that is not finished with its settings and return the exit status of those that failed."""
    failed = {}
    for row, settings in wanted.items():
        where, status = [f"--run_dir={folder / row.name}", *more], 0
        if _finished(folder / row.name, settings):
            print(f"\n{row.name} is finished.")
        else:
            print(f"\n{row.name}:")
            status = run_attached([*run_program("run"), "--until=evaluate", *where, *flags_of(settings)])
        others = getattr(row, "others", ())
        if not status and others:
            status = run_attached([*run_program("baseline"), f"--methods={','.join(others)}", *where])
        if status:
            failed[row.name] = status
            print(f"{row.name} failed with status {status}.")
            continue
        _write_table(folder, table)
        print(f"\n{table.comparison(table.finished(folder, row))}")
    return failed


def _finished(folder: Path, settings: Settings) -> bool:
    try:
        run = RunDirectory(folder).reading()
        run.folder("evaluate")
    except InputError:
        return False
    return run.settings == settings and (folder / "metrics.json").exists()


def _write_table(folder: Path, table: Any) -> None:
    every = [table.finished(folder, row) for row in table.rows]
    if not any(done.metrics for done in every):
        return
    for ending, text in table.files(every).items():
        with replacing(folder / f"{table.name}.{ending}") as temporary:
            temporary.write_text(text, encoding="utf-8")
    table.draw(every, folder / f"{table.name}.png")


def _files_of(folder: Path, table: Any) -> list[Path]:
    return [path for ending in ("md", "csv", "png") if (path := folder / f"{table.name}.{ending}").is_file()]


def _more_flags(values: flags.FlagValues, folder: Path) -> list[str]:
    """Return the flags of how, and not of what.

    The cache and finished stages are shared by all rows: networks that differ in their knowledge alone are trained once.
    """
    cache = os.path.abspath(os.path.expanduser(values.cache_dir)) if values.cache_dir else folder / ".cache"
    found = [f"--cache_dir={cache}", f"--cache_gb={values.cache_gb}", f"--strategy={values.strategy}"]
    found.append(f"--stage_store={os.path.abspath(os.path.expanduser(values.stage_store or folder / '.stages'))}")
    found += [f"--{'' if values[name].value else 'no'}{name}" for name in ("overwrite", "progress")]
    return found


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
    process = start_bound(arguments, stdin=subprocess.DEVNULL, env=child_environment(), start_new_session=True)
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
