"""`niwt export`, `export_onnx`, `export_litert`: the expanded network as a verified SavedModel, ONNX or LiteRT file.

`niwt check_export`: is a bundle what TensorFlow Serving would take and answer from?
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from niwt_tf.data.images.files import read_one_image
from niwt_tf.data.readers.folder import photographs_below
from niwt_tf.data.readers.loose_images import image_files
from niwt_tf.data.readers.tables import existing_directory
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError, listed, require
from niwt_tf.files import entries_of, read_json, write_json
from niwt_tf.jobs.app import run_from_flags
from niwt_tf.jobs.flags import export_folder, result_file, run_folder
from niwt_tf.jobs.run_data import RunData, TransferFiles, check_has_pixels, load_run_data
from niwt_tf.metrics.probabilities import Probabilities, check_none_is_unknown
from niwt_tf.models.feature_network import check_takes_pixels
from niwt_tf.models.network import Network
from niwt_tf.runs.ledger import DIGEST
from niwt_tf.runs.run import Run
from niwt_tf.serving.bundle.bundle import METADATA, fingerprints
from niwt_tf.serving.bundle.versions import saved_model_folder, versions
from niwt_tf.serving.export.contents import Contents
from niwt_tf.serving.export.litert import export_litert
from niwt_tf.serving.export.onnx import export_onnx
from niwt_tf.serving.export.portable import Portable, of_bundle, of_network
from niwt_tf.serving.export.savedmodel import export_network

_CHECKED = 8
_BEST = 5
_MOST_COMPARED = 200
_RECORD = "export.json"
_LOG = logging.getLogger("niwt_tf.jobs")
_FIGURES = ("validation_harmonic_mean", "validation_acc_zsl")


def export_job() -> None:
    """Export the run that --run_dir names."""
    with run_from_flags() as run:
        check_has_pixels(run, "niwt export")
        stage(run, load_run_data(run, ["transfer"]), abstain=flags.FLAGS.abstain)


def stage(
    run: Run,
    data: RunData,
    export_dir: Path | None = None,
    abstain: bool = False,
    estimates: Mapping[str, Any] | None = None,
) -> None:
    """Export the network of the stage `transfer`, unless what would be written is there already.

    Args:
        run: the locked run directory.
        data: its test images, or its training ones where there are none, check the SavedModel.
        export_dir: folder of the versions; None takes --export_dir.
        abstain: whether the SavedModel answers "unknown" below the threshold that validation classes chose.
        estimates: figures of described classes that another run measured, for niwt.json.

    Raises:
        InputError: the stage `transfer` is not finished, the folder is a file, or `abstain` and a class is called "unknown".
        VerificationError: the SavedModel does not answer as the network does.
    """
    folder = Path(os.path.abspath(export_folder() if export_dir is None else export_dir))
    if run.team.is_chief and (run.path / "export").exists() and exported(run) is None:
        shutil.rmtree(run.path / "export")
        _LOG.info("The SavedModel of this run does not exist any more, or is damaged.")
    metrics = _metrics(run)
    extra = {"export_dir": str(folder), "k": _BEST, "metrics": metrics, "abstain": abstain}
    extra |= {"estimates": dict(estimates)} if estimates is not None else {}
    export = run.stage("export", settings_used=["backbone", "dataset"], inputs=["transfer"], extra=extra)
    if export.up_to_date:
        return
    made = TransferFiles(run.folder("transfer"))
    network = made.network
    if abstain:
        check_none_is_unknown(network.class_names)
    with export.writing() as record:
        if not run.team.is_chief:
            return
        settings = run.settings
        metadata: dict[str, Any] = {"dataset": settings.dataset, "backbone": settings.backbone, "metrics": metrics}
        metadata |= {"estimates": dict(estimates)} if estimates is not None else {}
        contents = _contents(made, data, abstain)
        if abstain:
            _LOG.info("%s", _abstention(contents.probabilities))
        checked = _check_images(data)
        say_other_classes(folder, network.class_names)
        path = export_network(network, folder, contents=contents, k=_BEST, check_images=checked, metadata=metadata)
        sizes = _sizes(path)
        write_json(record / _RECORD, {"path": str(path), "version": int(path.name), "files": sizes})
        export.record(metrics={"bytes": sum(sizes.values())})
    _LOG.info("SavedModel: %s", path)


def say_other_classes(folder: Path, class_names: Sequence[str]) -> None:
    """Warn where the newest version in a folder has classes that the next one lacks: a server changes to that at once."""
    newest = next(reversed(versions(folder).values()), None)
    try:
        labels = [] if newest is None else list(read_json(newest / METADATA)["labels"])
    except (OSError, ValueError, KeyError, TypeError):  # another program's
        return
    gone = [label for label in labels if label not in class_names]
    if newest is not None and gone:
        kept = len(labels) - len(gone)
        shared = f"{kept} of its {len(labels)} are in the new version" if kept else "no class in common"
        _LOG.warning(
            "%s is a model of other classes (%s; it has %s). A server of %s will switch from it to the new version. "
            "Give another --export_dir to keep both.",
            newest, shared, listed(gone), folder,
        )


def _metrics(run: Run) -> dict[str, Any]:
    """Return the figures of the evaluation, and why they are optimistic where they are.

    Those of explanations may be measured after an export, and a later look at test images may be written down: neither
    outdates it.
    """
    found = {} if run.outdated("evaluate") else read_json(run.published("metrics.json", "evaluate"))
    return {name: value for name, value in found.items() if not isinstance(value, dict) and name != DIGEST and value != []}


def _abstention(chosen: Probabilities) -> str:
    shares = ("known_accepted", "unknown_rejected", "new_accepted")
    found = [chosen.figures.get(f"validation_abstain_{name}") for name in shares]
    known, unknown, new = ("?" if share is None else f"{100 * share:.0f} %" for share in found)
    return (
        f"Answers 'unknown' below a probability of {chosen.abstain_below:.3f}: on validation classes {unknown} of unknown "
        f"images, while {known} of known ones, and {new} of those known from a description, are answered."
    )


def exported(run: Run) -> Path | None:
    """Return the SavedModel that the run's last export wrote, or None when it is not there as it was written."""
    try:
        record = read_json(run.path / "export" / _RECORD)
        path = Path(record["path"])
        return path if _sizes(path) == record["files"] and _is_unchanged(path) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_unchanged(folder: Path) -> bool:
    """Return whether every file of a bundle is as its fingerprints say."""
    metadata = read_json(folder / METADATA) if (folder / METADATA).exists() else {}
    present = fingerprints(folder, metadata)
    return all(present.get(name) == digest for name, digest in metadata.get("fingerprint", {}).items())


def _sizes(folder: Path) -> dict[str, int]:
    """Return the size in bytes of each file of the SavedModel; what others put beside them is not looked at."""
    files = [folder / "saved_model.pb", *entries_of(folder / "variables")]
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in files}


def _check_images(data: RunData) -> list[Path]:
    images = data.test().images
    if not len(images):
        images = data.seen.images
    chosen = np.unique(np.linspace(0, len(images) - 1, _CHECKED).round().astype(np.int64))
    return [images.root / images.paths[index] for index in chosen]


def _contents(made: TransferFiles, data: RunData, abstain: bool) -> Contents:
    """Return what goes with the network; with `abstain` unsure answers are "unknown"."""
    figures = {name: made.selection["figures"].get(name) for name in _FIGURES}
    return Contents(
        knowledge=_described(data, made.network),
        probabilities=made.probabilities if abstain else replace(made.probabilities, abstain_below=0.0),
        formula=made.formula,
        explainer=made.explainer,
        few_shot=made.few_shot,
        images=_image_counts(data, made.network),
        validation={name: float(value) for name, value in figures.items() if value is not None},
        how=made.selection["how"],
        method=made.selection["method"],
    )


def _described(data: RunData, network: Network) -> Knowledge:
    known = data.dataset.knowledge
    rows = [data.dataset.class_names.index(name) for name in network.class_names]
    return replace(known, values=known.values[rows])


def _image_counts(data: RunData, network: Network) -> list[int]:
    images = data.seen.images
    counts = dict(zip(images.class_names, np.bincount(images.labels, minlength=len(images.class_names)), strict=True))
    return [int(counts.get(name, 0)) for name in network.class_names]


def export_onnx_job() -> None:
    """Write the network of the stage `transfer`, or of a bundle, to --path.

    Raises:
        InputError: not one of the two, the stage is not finished, or see `of_bundle` and `export_onnx`.
    """
    source, path = _portable("export_onnx", "onnx")
    difference = export_onnx(source, path)
    _LOG.info("%s: %d classes, differs from the network by at most %.1e.", path, len(source.labels), difference)


def export_litert_job() -> None:
    """Write the network of the stage `transfer`, or of a bundle, to --path.

    Raises:
        InputError: not one of the two, the stage is not finished, --images has no image, or see `of_bundle` and
            `export_litert`.
    """
    folder, images = flags.FLAGS.images, None
    source, path = _portable("export_litert", "tflite")
    if folder is not None:
        photographs = photographs_below(existing_directory("--images", folder))[:_MOST_COMPARED]
        require(photographs, f"--images must be a folder of images. Received: {folder!r}, which has no image.")
        images = np.stack([read_one_image(each, "--images").taken(source.input_form) for each in photographs])
    report = export_litert(source, path, images, flags.FLAGS.weights_as)
    _LOG.info(
        "%s: %d classes, %.1f MB, %.1f ms an image here; %d images: %.1f %% get the same class as from the network, logits "
        "differ by %.1e.",
        path, len(source.labels), report.size / 1e6, report.milliseconds, report.images, 100 * report.same_labels,
        report.difference,
    )


def _portable(job: str, suffix: str) -> tuple[Portable, Path]:
    """Return what is written, and where: by default into exports/, by the name of the run or of the bundle."""
    values = flags.FLAGS
    if (values.run_dir is None) == (values.bundle is None):
        received = "neither" if values.run_dir is None else "both"
        raise InputError(f"Either --run_dir or --bundle must be given. Received: {received}.")
    path = result_file("path")
    require(path is None or path.suffix == f".{suffix}", f"--path must end in .{suffix}. Received: {values.path!r}.")
    if values.bundle is not None:
        folder = saved_model_folder(os.path.expanduser(values.bundle), "--bundle").resolve()
        source = of_bundle(folder)
        name = folder.parent.name if folder.name.isdigit() else folder.name
    else:
        source, name = of_network(_transferred(run_folder(), f"niwt {job}")), run_folder().resolve().name
    return source, Path("exports", f"{name}.{suffix}") if path is None else path


def _transferred(run: Path, job: str) -> Network:
    made = run / "transfer" / "network.keras"
    if not made.is_file():
        raise InputError(f"--run_dir must hold the stage transfer: run niwt run first. Received: {str(run)!r}.")
    network = Network.load(made)
    check_takes_pixels(network.layer, job)
    return network


def check_export_job() -> None:
    """Print a line for each check of a bundle.

    Raises:
        InputError: there is no SavedModel, an image cannot be read, or a check failed.
    """
    from niwt_tf.serving.checks.checking import check_export

    values = flags.FLAGS
    if values.bundle is None:
        raise InputError("--bundle must be given: the folder of a bundle, for instance --bundle=exports/birds.")
    folder = saved_model_folder(os.path.expanduser(values.bundle), "--bundle")
    images = image_files(values.images) if values.images else []
    failed = []
    for check in check_export(folder, images):
        print(f"{check.status:<9}{check.name:<14}{check.detail}", flush=True)
        if check.status == "FAILED":
            failed.append(check.name)
    if failed:
        raise InputError(f"--bundle must name a bundle that passes every check. Received: one that fails {', '.join(failed)}.")
