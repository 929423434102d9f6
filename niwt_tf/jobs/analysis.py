"""What the jobs of the analyses share: what they read, their stage in the run directory and what they print."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from niwt_tf.compute.features import readers_of
from niwt_tf.errors import InputError
from niwt_tf.experiments.analyses.record import AnalysisRecord, marked_caption, table_text, write_record
from niwt_tf.experiments.analyses.rerun import FinishedTransfer, TestFeatures, choice_of, read_test_features
from niwt_tf.files import read_json
from niwt_tf.jobs.run_data import RunData
from niwt_tf.methods.niwt.files import load_maps, load_measured, load_networks, load_operators
from niwt_tf.runs.run import Run

SETTINGS_USED = ("precision", "jit", "cache_dtype", "seed")
Analyse = Callable[[FinishedTransfer, Callable[[], TestFeatures]], AnalysisRecord]
Draw = Callable[[AnalysisRecord, Path], None]


def analysis_stage(
    run: Run, data: RunData, name: str, analyse: Analyse, draw: Draw, extra: Mapping[str, Any] | None = None
) -> None:
    """Write `<name>.csv`, `<name>.json` and `<name>.png` in the stage analysis_<name>, if they are not up to date.

    Args:
        run: it has the stage transfer.
        data: of the run.
        name: of the analysis.
        analyse: makes the table; it is given what reads the test images' features, which is written down as a look at them.
        draw: makes the picture of it.
        extra: what else the table depends on, as JSON: the job's own flags.

    Raises:
        InputError: a stage before it is missing, the head is another method's, or several processes work on the run.
    """
    if run.settings.head != "niwt":
        raise InputError(f"--head must be niwt for an analysis, which looks at Stages 1 to 3. Received: {run.settings.head!r}.")
    if run.team.size > 1:
        raise InputError("--strategy must be none or mirrored for an analysis. Received: 'multiworker'.")
    made = run.stage(f"analysis_{name}", settings_used=SETTINGS_USED, inputs=["transfer"], extra=extra)
    if made.up_to_date:
        return
    finished, marks = finished_transfer(run, data), {}

    def tested() -> TestFeatures:
        # All settings: curves over some of them say how others do, too.
        marks["optimistic"] = run.scored_test_images(made.name)["optimistic"]
        return read_test_features(finished.readers["main"], data.test())

    with made.writing() as folder:
        record = analyse(finished, tested)
        caption = marked_caption(record.caption, marks.get("optimistic", ()))
        record = replace(record, caption=caption, details={**record.details, **marks})
        write_record(folder, name, record)
        draw(record, folder / f"{name}.png")
        made.record(shapes={"rows": (len(record.rows), len(record.columns))})


def finished_transfer(run: Run, data: RunData) -> FinishedTransfer:
    """Return what the run's transfer was made of.

    Raises:
        InputError: a stage is missing or out of date.
    """
    names = [learner.name for learner in data.learners]
    networks = load_networks(run.folder("train"), run.settings, data.learners)
    choice, calibration = choice_of(read_json(run.folder("transfer") / "selection.json"))
    return FinishedTransfer(
        run.settings,
        data.learners,
        networks,
        load_measured(run.folder("importance"), names),
        load_maps(run.folder("map"), names),
        load_operators(run.folder("importance")),
        readers_of(run.settings, networks, data.execution),
        choice,
        calibration,
        data.unseen_names,
        data.unseen_descriptions,
    )


def print_analysis(run: Run, name: str) -> None:
    """Print the table of a finished analysis and the paths of its files."""
    folder = run.folder(f"analysis_{name}")
    record = read_json(folder / f"{name}.json")
    reasons = optimistic_today(run, name, record)
    title = record["title"] + "  optimistic" * bool(reasons)
    print(f"{title}\n{table_text(record)}\n{marked_caption(record['caption'], reasons)}\n")
    print(f"picture  {folder / f'{name}.png'}\ntable    {folder / f'{name}.csv'}")


def optimistic_today(run: Run, name: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return why the figures of a finished analysis (its JSON) are optimistic; nothing where it shows none of test images."""
    return run.optimistic(f"analysis_{name}", record) if "optimistic" in record else ()


def command_of(run: Run, name: str, **flags: Any) -> str:
    """Return the command that makes an analysis again; flags that are None or empty are left out."""
    given = [f"--{flag}={value}" for flag, value in flags.items() if value not in (None, "", ())]
    return " ".join(["niwt", name, f"--run_dir=runs/{run.path.name}", *given])
