"""What the report shows, gathered from the run's earlier stages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.data.birds import MARKER
from niwt_tf.data.schema import Dataset
from niwt_tf.errors import InputError
from niwt_tf.experiments.faithfulness_table import FIGURES
from niwt_tf.experiments.probabilities import load_probabilities
from niwt_tf.experiments.scoring import load_scores
from niwt_tf.explain.explainer import Explainer
from niwt_tf.files import read_json
from niwt_tf.jobs.analyses import optimistic_today
from niwt_tf.jobs.run_data import RunData
from niwt_tf.jobs.run_directory import Run
from niwt_tf.jobs.stage import read_manifest
from niwt_tf.models.network import Network
from niwt_tf.report.absent_sides import absent_side_sentences
from niwt_tf.report.analyses import AnalysisFigure, analysis_figures
from niwt_tf.report.baselines import baseline_rows
from niwt_tf.report.contents import ReportContents
from niwt_tf.report.dictionary import dictionary
from niwt_tf.report.faithfulness_rows import faithfulness_rows, missing_annotations, unmeasured_sentences
from niwt_tf.report.gallery import gallery
from niwt_tf.report.intervals import NOTE, headline_estimates
from niwt_tf.report.main_results import headline_of, summary_of
from niwt_tf.report.map_quality import map_figures, trial_rows
from niwt_tf.report.reproduction import reproduction_of, versions_of
from niwt_tf.report.results import results_of
from niwt_tf.report.subject import facts_of, title_of

_STAGES = ("train", "importance", "map", "transfer", "evaluate", "export", "faithfulness")


class RunFiles:
    """The files of a run's stages, read.

    Attributes:
        network: the expanded one.
        explainer: its inverse map and names.
        probabilities: how its logits become probabilities.
        selection: selection.json.
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
        transfer = run.folder("transfer")
        self.network = Network.load(transfer / "network.keras")
        with np.load(transfer / "explainer.npz", allow_pickle=False) as file:
            self.explainer = Explainer.from_arrays(dict(file))
        self.probabilities = load_probabilities(transfer / "probabilities.json")
        self.selection: Mapping[str, Any] = read_json(transfer / "selection.json")
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
        title=title_of(settings, network),
        summary=summary_of(estimates, num_seen, num_unseen),
        facts=facts_of(settings, dataset, network, files.history, files.selection["chosen"], seconds),
        headline=headline_of(estimates, num_seen, num_unseen),
        interval_note=NOTE,
        results=results_of(files.scored, network.class_names, num_seen, temperature),
        map_figures=map_figures(files.selection["figures"], files.explainer),
        trials=trial_rows(files.selection),
        dictionary=dictionary(folder / "neurons.csv", folder / "activating.npz", data.test().images),
        gallery=gallery(
            network, files.explainer, files.probabilities, dataset, files.scored, data.execution, seed=settings.seed
        ),
        own_attributes=dataset.image_attributes is not None,
        faithfulness=faithfulness_rows(measured, FIGURES),
        unmeasured=(
            *absent_side_sentences(measured, FIGURES, _test_images(dataset)),
            *unmeasured_sentences(measured, FIGURES, missing_annotations(dataset)),
        ),
        calibration_chosen=files.selection["chosen"]["harmonic_mean"] is not None,
        reproduction=reproduction_of(settings, _versions(run), run.data or "", stages, _rendered(settings.data_folder)),
        optimistic=optimistic,
        analyses=_analyses(run),
        baselines=baseline_rows(
            {**files.metrics, "optimistic": optimistic}, _baseline_metrics(run), settings.head
        ),
    )


def further_stages(run: Run, prefix: str) -> dict[str, Path]:
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
    folders = further_stages(run, "analysis_")
    records = {name: read_json(folder / f"{name}.json") for name, folder in folders.items()}
    return analysis_figures(folders, {name: optimistic_today(run, name, record) for name, record in records.items()})


def _baseline_metrics(run: Run) -> dict[str, Mapping[str, Any]]:
    files = {name: folder / "metrics.json" for name, folder in further_stages(run, "baseline_").items()}
    found = {name: read_json(file) for name, file in files.items() if file.is_file()}
    return {name: {**each, "optimistic": run.optimistic(f"baseline_{name}", each)} for name, each in found.items()}


def _stages(run: Run) -> list[tuple[str, float, str]]:
    found = ((name, read_manifest(run.path / name)) for name in _STAGES)
    return [(name, float(manifest["seconds"]), str(manifest["identity"])) for name, manifest in found if manifest]


def _versions(run: Run) -> Mapping[str, str]:
    """Return what the stages were made with, which need not be what this process has."""
    manifests = {name: read_manifest(run.path / name) or {} for name in _STAGES}
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
