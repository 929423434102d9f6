"""`niwt report`: a run as one HTML file that needs nothing else, and the same for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from niwt_tf.config.extras import is_left_out
from niwt_tf.data.birds.render import MARKER
from niwt_tf.data.schema import Dataset
from niwt_tf.errors import InputError
from niwt_tf.explain.faithfulness.table import FIGURES
from niwt_tf.explain.sentences import followed_attributes
from niwt_tf.files import fingerprint, read_json, replacing
from niwt_tf.jobs.analyses import optimistic_today
from niwt_tf.jobs.app import run_from_flags
from niwt_tf.jobs.fit import inputs_of
from niwt_tf.jobs.run_data import RunData, TransferFiles, check_has_pixels, load_run_data
from niwt_tf.methods.registry import method_of
from niwt_tf.protocol.scoring import load_scores
from niwt_tf.report.comparisons import AnalysisFigure, analysis_figures, baseline_rows
from niwt_tf.report.contents import Followed, ReportContents
from niwt_tf.report.gallery import gallery
from niwt_tf.report.headline_intervals import NOTE, headline_estimates
from niwt_tf.report.map_quality import map_figures, trial_rows
from niwt_tf.report.neuron_dictionary import dictionary
from niwt_tf.report.page import page_sources, render
from niwt_tf.report.summary import facts_of, headline_of, reproduction_of, subject_of, summary_of, versions_of
from niwt_tf.report.tables import (
    absent_side_sentences,
    faithfulness_rows,
    missing_annotations,
    results_of,
    unmeasured_sentences,
)
from niwt_tf.report.tensorboard import class_embedding, image_embedding, write_tensorboard
from niwt_tf.runs.fingerprints import annotation_fingerprint
from niwt_tf.runs.run import Run
from niwt_tf.runs.stage import read_manifest

# The page names the folder of the data.
SETTINGS_USED = ("data_dir", "precision", "jit", "cache_dtype", "seed")
_PAGE = "report.html"
_INPUTS = ("transfer", "evaluate", "faithfulness")


def main() -> None:
    """Do the stage in the run that --run_dir names and print the path of the page."""
    with run_from_flags() as run:
        check_has_pixels(run, "niwt report")
        stage(run, load_run_data(run, _INPUTS))
        if run.team.is_chief:
            print(page_of(run))


def stage(run: Run, data: RunData) -> None:
    """Write report.html, and tensorboard/ where TensorBoard is there."""
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
        if not is_left_out("tensorboard/", "tensorboard"):
            evaluate = run.folder("evaluate")
            write_tensorboard(
                folder / "tensorboard", files.metrics, contents.gallery,
                {name: evaluate / f"{name}.png" for name in ("ausuc", "confusion", "predictions")},
                [class_embedding(files.network), images], progress=data.execution.progress,
            )
        made.record(metrics={"bytes": len(page.encode())})


def _further(run: Run) -> dict[str, dict[str, str]]:
    """Return the identities of what the page shows where it is there: it is made again when one of them is."""
    kinds = {"analyses": "analysis_", "baselines": "baseline_"}
    folders = {kind: _further_stages(run, prefix) for kind, prefix in kinds.items()}
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


class RunFiles(TransferFiles):
    """The files of a run's stages, read.

    Attributes:
        history: of the training.
        scored: the answers on the test images.
        metrics: metrics.json with the entry "faithfulness".
        faithfulness: folder of that stage.
    """

    def __init__(self, run: Run) -> None:
        """Read them.

        Args:
            run: whose stages are finished.

        Raises:
            InputError: a stage is not there or out of date.
        """
        super().__init__(run.folder("transfer"))
        self.history: Mapping[str, Any] = read_json(run.folder("train") / "history.json")
        scores = run.folder("evaluate") / "scores.npz"
        self.scored = load_scores(scores, self.network.num_seen, self.network.calibration)
        self.faithfulness = run.folder("faithfulness")
        self.metrics: Mapping[str, Any] = read_json(self.faithfulness / "metrics.json")


def report_contents(run: Run, data: RunData, files: RunFiles) -> ReportContents:
    """Return everything that the page shows; the pictures are read from the data set."""
    settings, dataset, network = run.settings, data.dataset, files.network
    num_seen, num_unseen = network.num_seen, len(network.class_names) - network.num_seen
    temperature, measured = files.probabilities.temperature, files.metrics["faithfulness"]
    estimates = headline_estimates(files.scored, num_seen, temperature, settings.seed)
    stages = _stages(run)
    seconds = {name: took for name, took, _ in stages}
    folder, optimistic = files.faithfulness, run.optimistic(metrics=files.metrics)
    return ReportContents(
        title=run.path.resolve().name,
        subject=subject_of(settings, network),
        summary=summary_of(estimates, num_seen, num_unseen),
        facts=facts_of(settings, dataset, network, files.history, files.selection["chosen"], seconds),
        headline=headline_of(estimates, num_seen, num_unseen, files.selection["figures"]),
        interval_note=NOTE,
        results=results_of(files.scored, network.class_names, num_seen, temperature),
        map_figures=map_figures(files.selection["figures"], files.explainer),
        trials=trial_rows(files.selection),
        dictionary=dictionary(folder / "neurons.csv", folder / "activating.npz", data.test().images, resize=settings.resize),
        gallery=gallery(
            network, files.explainer, files.probabilities, dataset, files.scored, data.execution, seed=settings.seed
        ),
        own_attributes=dataset.image_attributes is not None,
        faithfulness=faithfulness_rows(measured, FIGURES),
        unmeasured=(
            *absent_side_sentences(measured, FIGURES, _test_images(dataset)),
            *unmeasured_sentences(measured, FIGURES, missing_annotations(dataset)),
        ),
        cautions=files.explainer.cautions,
        followed=_followed(files),
        calibration_chosen=files.selection["chosen"]["harmonic_mean"] is not None,
        reproduction=reproduction_of(settings, _versions(run), run.data or "", stages, _rendered(settings.data_folder)),
        optimistic=optimistic,
        analyses=_analyses(run),
        baselines=baseline_rows({**files.metrics, "optimistic": optimistic}, _baseline_metrics(run), settings.method),
    )


def _followed(files: RunFiles) -> Followed | None:
    """Return which attributes the network follows, or None where that was not learnt."""
    shares = None if files.formula is None else files.formula.followed
    return None if shares is None else Followed(*followed_attributes(shares, files.explainer.attribute_names))


def _further_stages(run: Run, prefix: str) -> dict[str, Path]:
    """Return the folders of finished stages that the page shows where they are there, by what follows `prefix` in the name.

    One that is out of date is left out.
    """
    found = {}
    for entry in sorted(run.path.glob(f"{prefix}*")):
        try:
            found[entry.name.removeprefix(prefix)] = run.folder(entry.name)
        except InputError:
            continue
    return found


def _analyses(run: Run) -> tuple[AnalysisFigure, ...]:
    folders = _further_stages(run, "analysis_")
    records = {name: read_json(folder / f"{name}.json") for name, folder in folders.items()}
    return analysis_figures(folders, {name: optimistic_today(run, name, record) for name, record in records.items()})


def _baseline_metrics(run: Run) -> dict[str, Mapping[str, Any]]:
    files = {name: folder / "metrics.json" for name, folder in _further_stages(run, "baseline_").items()}
    found = {name: read_json(file) for name, file in files.items() if file.is_file()}
    return {name: {**each, "optimistic": run.optimistic(f"baseline_{name}", each)} for name, each in found.items()}


def _stage_names(run: Run) -> tuple[str, ...]:
    return (*inputs_of(method_of(run.settings.method)), "transfer", "evaluate", "export", "faithfulness")


def _stages(run: Run) -> list[tuple[str, float, str]]:
    found = ((name, read_manifest(run.path / name)) for name in _stage_names(run))
    return [(name, float(manifest["seconds"]), str(manifest["identity"])) for name, manifest in found if manifest]


def _versions(run: Run) -> Mapping[str, str]:
    """Return what the stages were made with, which need not be what this process has."""
    manifests = {name: read_manifest(run.path / name) or {} for name in _stage_names(run)}
    return versions_of({name: manifest.get("versions", {}) for name, manifest in manifests.items()})


def _test_images(dataset: Dataset) -> Mapping[str, int]:
    assert dataset.split is not None
    return {"seen": len(dataset.split.test_seen), "unseen": len(dataset.split.test_unseen)}


def _rendered(folder: str) -> Mapping[str, Any] | None:
    """Return what the data set was rendered with, or None where it was not."""
    try:
        record = read_json(Path(folder) / MARKER)
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None
