"""The jobs of the paper's analyses of a finished run, each a stage of its own: a table, a picture and what they say."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from absl import flags

from niwt_tf.data.readers.loose_images import loose_images
from niwt_tf.errors import InputError
from niwt_tf.experiments.analyses.consistency import consistency, draw_consistency
from niwt_tf.experiments.analyses.lambda_sweep import draw_lambda_sweep, lambda_sweep
from niwt_tf.experiments.analyses.layer_depth import cut_at, depth_layers, draw_layer_depth, layer_depth
from niwt_tf.experiments.analyses.record import AnalysisRecord, marked_caption, table_text, write_record
from niwt_tf.experiments.analyses.rerun import FinishedTransfer, TestFeatures, read_test_features
from niwt_tf.experiments.analyses.support_images import draw_support_images, support_images
from niwt_tf.experiments.analyses.weight_recovery import draw_weight_recovery, weight_recovery
from niwt_tf.files import read_json
from niwt_tf.jobs.app import run_from_flags
from niwt_tf.jobs.fit import no_importance, run_tasks
from niwt_tf.jobs.run_data import RunData, check_has_pixels, load_run_data
from niwt_tf.jobs.table import COMMAND
from niwt_tf.methods.registry import method_of
from niwt_tf.methods.transfer_method import TransferMethod
from niwt_tf.runs.fingerprints import support_fingerprint
from niwt_tf.runs.run import Run

SETTINGS_USED = ("precision", "jit", "cache_dtype", "seed")
Tested = Callable[[], TestFeatures]
Analyse = Callable[[FinishedTransfer, Tested, str], AnalysisRecord]
Draw = Callable[[AnalysisRecord, Path], None]


def lambda_sweep_job() -> None:
    """Draw accuracies over Stage 3's lambda, on test images and on the folds that choose it (Fig. 3b)."""
    grid = tuple(dict.fromkeys(flags.FLAGS.lambda_grid))

    def analyse(finished: FinishedTransfer, tested: Tested, command: str) -> AnalysisRecord:
        return lambda_sweep(finished, tested(), grid, command)

    _analysis_job("lambda_sweep", analyse, draw_lambda_sweep, {"lambda_grid": list(grid)})


def weight_recovery_job() -> None:
    """Recover seen columns from their own importances, exact or noisy (Fig. 3a, Eq. 4)."""
    given = flags.FLAGS
    epsilons, draws, num_images = tuple(dict.fromkeys(given.epsilons)), given.noise_seeds, given.recovery_images

    def analyse(finished: FinishedTransfer, tested: Tested, command: str) -> AnalysisRecord:
        return weight_recovery(finished, tested(), epsilons, draws, num_images, command)

    extra = {"epsilons": list(epsilons), "noise_seeds": draws, "recovery_images": num_images}
    _analysis_job("weight_recovery", analyse, draw_weight_recovery, extra)


def layer_depth_job() -> None:
    """Do NIWT at --layers, or at every block of the network and at its fully connected layers (Section 5.3).

    Raises:
        InputError: a layer that the network cannot be cut at.
    """
    layers = flags.FLAGS.layers

    def analyse(finished: FinishedTransfer, tested: Tested, command: str) -> AnalysisRecord:
        network = finished.main.network
        asked = layers or tuple(depth_layers(network.model, network.layer))
        for name in asked:  # a mistake is told before the minutes that the first layers take
            try:
                cut_at(network.model, name)
            except InputError as error:
                raise InputError(f"--layers: {error}") from None
        return layer_depth(finished, tested(), asked, command)

    _analysis_job("layer_depth", analyse, draw_layer_depth, {"layers": list(layers)}, layers=",".join(layers))


def support_images_job() -> None:
    """Fit new columns on seen training images, on those of --imagenet_dir and on noise (Table 2).

    Raises:
        InputError: the folder holds no images.
    """
    given = flags.FLAGS.imagenet_dir
    folder = None if given is None else os.path.abspath(os.path.expanduser(given))
    if folder is not None:
        check_other_images(folder)

    def analyse(finished: FinishedTransfer, tested: Tested, command: str) -> AnalysisRecord:
        return support_images(finished, tested(), folder, command)

    extra = {"imagenet": None if folder is None else support_fingerprint(folder)["support"]}
    _analysis_job("support_images", analyse, draw_support_images, extra, imagenet_dir="FOLDER" if folder else None)


def check_other_images(folder: str) -> None:
    """Refuse an --imagenet_dir that holds no images.

    Raises:
        InputError: it holds none.
    """
    loose_images(Path(folder), "--imagenet_dir must be a folder of images")


def consistency_job() -> None:
    """Compare importances within and across classes by rank (Section 3.2); no test image is looked at."""
    _analysis_job("consistency", lambda finished, _, command: consistency(finished, command), draw_consistency)


def _analysis_job(name: str, analyse: Analyse, draw: Draw, extra: Mapping[str, Any] | None = None, **named: str | None) -> None:
    """Do an analysis of the run that --run_dir names and print its table; see `analysis_stage`."""
    with run_from_flags() as run:
        if name in ("layer_depth", "support_images"):
            check_has_pixels(run, f"niwt {name}")
        analysis_stage(run, load_run_data(run, ["transfer"]), name, analyse, draw, extra, **named)
        folder = run.folder(f"analysis_{name}")
        record = read_json(folder / f"{name}.json")
        reasons = optimistic_today(run, name, record)
        title = record["title"] + "  optimistic" * bool(reasons)
        print(f"{title}\n{table_text(record)}\n{marked_caption(record['caption'], reasons)}\n")
        print(f"picture  {folder / f'{name}.png'}\ntable    {folder / f'{name}.csv'}")


def analysis_stage(
    run: Run, data: RunData, name: str, analyse: Analyse, draw: Draw, extra: Mapping[str, Any] | None = None,
    **named: str | None,
) -> None:
    """Write `<name>.csv`, `<name>.json` and `<name>.png` in the stage analysis_<name>, if they are not up to date.

    Args:
        run: it has the stage transfer.
        data: of the run.
        name: of the analysis.
        analyse: makes the table. It is given what reads the test images' features, which is written down as a look at them, and
            the command that makes the analysis again.
        draw: makes the picture of it.
        extra: what else the table depends on, as JSON: the job's own flags.
        named: the flags that the command names, those of them that are not None or empty.

    Raises:
        InputError: a stage before it is missing, the method measures no importance, or several processes work on the run.
    """
    method = _method(run)
    if run.team.size > 1:
        raise InputError("--strategy must be none or mirrored for an analysis. Received: 'multiworker'.")
    made = run.stage(f"analysis_{name}", settings_used=SETTINGS_USED, inputs=["transfer"], extra=extra)
    if made.up_to_date:
        return
    finished, marks = finished_transfer(run, method, data), {}

    def tested() -> TestFeatures:
        # All settings: curves over some of them say how others do, too.
        marks["optimistic"] = run.scored_test_images(made.name)["optimistic"]
        return read_test_features(finished.main.reader, data.test())

    given = [f"--{flag}={value}" for flag, value in named.items() if value]
    command = " ".join([COMMAND, name, f"--run_dir=runs/{run.path.name}", *given])
    with made.writing() as folder:
        record = analyse(finished, tested, command)
        caption = marked_caption(record.caption, marks.get("optimistic", ()))
        record = replace(record, caption=caption, details={**record.details, **marks})
        write_record(folder, name, record)
        draw(record, folder / f"{name}.png")
        made.record(shapes={"rows": (len(record.rows), len(record.columns))})


def _method(run: Run) -> TransferMethod:
    method = method_of(run.settings.method)
    if not isinstance(method, TransferMethod):
        raise no_importance(run, "an analysis, which studies Stages 1 to 3")
    return method


def finished_transfer(run: Run, method: TransferMethod, data: RunData) -> FinishedTransfer:
    """Return what the run's transfer was made of.

    Raises:
        InputError: a stage is missing or out of date.
    """
    chosen = read_json(run.folder("transfer") / "selection.json")["chosen"]
    calibration = float(chosen["calibration"] or 0.0)
    return FinishedTransfer(method, run_tasks(run, data), method.candidate_of(chosen), calibration, data.unseen)


def optimistic_today(run: Run, name: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return why the figures of a finished analysis (its JSON) are optimistic; nothing where it shows none of test images."""
    return run.optimistic(f"analysis_{name}", record) if "optimistic" in record else ()
