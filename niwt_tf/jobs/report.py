"""`niwt report`: a run as one HTML file that needs nothing else, and the same for TensorBoard."""

from __future__ import annotations

from pathlib import Path

from niwt_tf.files import fingerprint, read_json, replacing
from niwt_tf.jobs.app import run_from_flags
from niwt_tf.jobs.data_fingerprint import annotation_fingerprint
from niwt_tf.jobs.report_contents import RunFiles, further_stages, report_contents
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.jobs.run_directory import Run
from niwt_tf.report.embeddings import class_embedding, image_embedding
from niwt_tf.report.page import page_sources, render
from niwt_tf.report.tensorboard import write_tensorboard

# The page names the folder of the data.
SETTINGS_USED = ("data_dir", "precision", "jit", "cache_dtype", "seed")
_PAGE = "report.html"
_INPUTS = ("transfer", "evaluate", "faithfulness")


def stage(run: Run, data: RunData) -> None:
    """Write report.html and tensorboard/."""
    extra = {"page": fingerprint(*page_sources()), **annotation_fingerprint(data.dataset), **_further(run)}
    made = run.stage("report", settings_used=SETTINGS_USED, inputs=_INPUTS, extra=extra)
    if made.up_to_date:
        return
    with made.writing() as folder:
        files = RunFiles(run)
        # The features of a team's shares of the images are exchanged; the rest the chief does alone.
        images = image_embedding(files.network, data.test(), files.scored, data.execution, seed=run.settings.seed)
        if not run.team.is_chief:
            return
        contents = report_contents(run, data, files)
        page = render(contents)
        with replacing(folder / _PAGE) as temporary:
            temporary.write_text(page, encoding="utf-8")
        evaluate = run.folder("evaluate")
        write_tensorboard(
            folder / "tensorboard",
            files.metrics,
            contents.gallery,
            {name: evaluate / f"{name}.png" for name in ("ausuc", "confusion", "predictions")},
            [class_embedding(files.network), images],
            progress=data.execution.progress,
        )
        made.record(metrics={"bytes": len(page.encode())})


def _further(run: Run) -> dict[str, dict[str, str]]:
    """Return the identities of what the page shows where it is there: it is made again when one of them is."""
    kinds = {"analyses": "analysis_", "baselines": "baseline_"}
    folders = {kind: further_stages(run, prefix) for kind, prefix in kinds.items()}
    return {
        kind: {name: read_json(folder / "manifest.json")["identity"] for name, folder in found.items()}
        for kind, found in folders.items()
    }


def page_of(run: Run) -> Path:
    """Return the path of the page of the finished stage.

    Raises:
        InputError: the stage was never finished, or is out of date.
    """
    return run.folder("report") / _PAGE


def main(argv: list[str]) -> None:
    """Do the stage in the run that --run_dir names and print the path of the page."""
    del argv
    with run_from_flags() as run:
        stage(run, load_run_data(run, _INPUTS))
        if run.team.is_chief:
            print(page_of(run))
