"""Any --method from a trained run to a bundle, and what a bundle's owner does with it: new classes, descriptions, reasons."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from niwt_tf.config.names import METHOD_MODULES, network_methods, title_of
from niwt_tf.explain.heat import KINDS
from niwt_tf.files import read_json
from niwt_tf.methods.base import ColumnFormula
from niwt_tf.methods.niwt.niwt_formula import NiwtFormula
from niwt_tf.methods.registry import method_of
from niwt_tf.methods.relevance_formula import RelevanceFormula
from niwt_tf.models.network import Network
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.predict import opened
from tests.shared import further, shortened_grids

pytestmark = pytest.mark.slow

# What reads texts has no formula: tests/jobs/test_synthesize.py has N3.
# One that fits the head of all classes at once has none either.
ANEW = "cvae"
OTHERS = [name for name in network_methods() if not method_of(name).reads_texts and name not in (ANEW, "ale")]
METHODS = ["ale", *further(*OTHERS)]
OWN_STAGES = ("importance", "map")


@dataclass(frozen=True)
class Made:
    """A run of a method up to its export, and the photographs that its bundle is asked about."""

    method: str
    run: Path
    exports: Path
    photos: list[Path]

    @property
    def bundle(self) -> Bundle:
        return Bundle.open(self.exports / "1")


@pytest.fixture(scope="module")
def photos(tiny_birds) -> list[Path]:
    return sorted(tiny_birds.rglob("images/*/*.jpg"))[::25]


@pytest.fixture
def trained(finished_run, tmp_path) -> Path:
    """Return a run of which nothing but the stage `train` is there, which all methods have in common."""
    return _trained(finished_run, tmp_path / "run")


def _trained(finished_run, run: Path) -> Path:
    shutil.copytree(finished_run.path / "train", run / "train")
    config = read_json(finished_run.path / "config.json")
    (run / "config.json").write_text(json.dumps({name: config[name] for name in ("settings", "data", "images")}))
    return run


@pytest.fixture(scope="module")
def made(niwt, finished_run, photos, tmp_path_factory) -> Callable[[str], Made]:
    """Return a function that exports what a method makes of the trained networks, once. Copy the exports to change them.

    """
    kept = {"niwt": Made("niwt", finished_run.path, finished_run.exports, photos)}

    def make(method: str) -> Made:
        if method in kept:
            return kept[method]
        folder = tmp_path_factory.mktemp(method)
        trained, exports = _trained(finished_run, folder / "run"), folder / "exports"
        before = read_json(trained / "train" / "manifest.json")
        flags = [f"--run_dir={trained}", f"--export_dir={exports}", "--overwrite", "--until=export", "--noprogress"]
        with shortened_grids():
            job = niwt("run", f"--method={method}", *flags)
        assert job.status == 0, job.err
        assert "train is up to date." in job.err
        assert read_json(trained / "train" / "manifest.json") == before
        kept[method] = Made(method, trained, exports, photos)
        return kept[method]

    return make


def _logits(folder: Path, photos: list[Path], *questions: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what `classify_with` says of the known classes, [B, C], and of those that each question describes, [B, M]."""
    files, answers = np.array([path.read_bytes() for path in photos], object), []
    with opened(folder) as servable:
        for described in questions:
            rows = np.repeat(described[None].astype(np.float32), len(files), axis=0)
            logits = servable.run("classify_with", {"image_bytes": files, "descriptions": rows})["logits"]
            answers.append((logits[:, : -len(described)], logits[:, -len(described) :]))
    return answers


def _near(found: np.ndarray, expected: np.ndarray) -> None:
    """Compare logits that another order of float32 arithmetic made, whatever the method's scale."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4 * (np.abs(expected).max() + np.ptp(expected)))


@pytest.mark.parametrize("method", METHODS)
def test_a_bundle_of_the_method_takes_classes_and_gives_reasons(niwt, made, tmp_path, method):
    model = made(method)
    exports = Path(shutil.copytree(model.exports, tmp_path / "exports"))
    bundle = Bundle.open(exports / "1")
    selection = read_json(model.run / "transfer" / "selection.json")
    assert (selection["method"], bundle.metadata["column_map"]["method"]) == (method, method)
    assert [name for name in OWN_STAGES if (model.run / name).exists()] == list(OWN_STAGES if method == "niwt" else ())
    formula = bundle.formula()
    assert isinstance(formula, ColumnFormula)
    if method in METHOD_MODULES:
        assert isinstance(formula, NiwtFormula if method == "niwt" else method_of(method).formulas)
    network = Network.load(model.run / "transfer" / "network.keras")
    assert bundle.labels == network.class_names
    described = np.array([card.description for card in bundle.cards], np.float32)
    num_seen = network.num_seen

    # The bundle makes of an unseen class's description the column that the run made of it.
    columns, biases = formula(described[num_seen:])
    np.testing.assert_allclose(columns, network.columns[:, num_seen:], rtol=0, atol=1e-4 * np.abs(network.columns).max())
    np.testing.assert_allclose(biases, network.biases[num_seen:], rtol=0, atol=1e-4 * (1 + np.abs(network.biases).max()))
    new = (described[0] + described[-1]) / 2
    (known, asked), (_, at_first) = _logits(bundle.folder, model.photos, described[num_seen:], new[None])
    _near(asked, known[:, num_seen:])
    assert np.ptp(known) > 0

    # A class between two others, which no run has ever seen.
    values = dict(zip(bundle.attribute_names, new.tolist(), strict=True))
    (tmp_path / "newcomer.json").write_text(json.dumps(values))
    job = niwt("add_class", f"--bundle={exports}", "--name=newcomer", f"--attributes={tmp_path}/newcomer.json")
    assert job.status == 0, job.err
    added = Bundle.open(exports)
    assert added.folder.name == "2" and added.labels == (*bundle.labels, "newcomer")
    ((after, again),) = _logits(added.folder, model.photos, new[None])
    np.testing.assert_array_equal(after[:, :-1], known)
    _near(again, after[:, -1:])
    np.testing.assert_array_equal(at_first, again)

    # Which attributes would have to be others for the new class to win over, or to lose.
    out = tmp_path / "out"
    asked_for = [f"--image={model.photos[0]}", "--class=newcomer", f"--rival={bundle.labels[0]}"]
    job = niwt("explain", f"--bundle={exports}", *asked_for, f"--out={out}")
    assert job.status == 0, job.err
    record = json.loads((out / f"{model.photos[0].stem}.json").read_text())
    assert record["class"]["label"] == "newcomer"
    changed = record["rival"]["counterfactual"]
    assert "only be made by running the network" not in json.dumps(changed)
    assert np.isfinite(np.array(record["heat_map"])).all()

    job = niwt("list_classes", f"--bundle={exports}", "--format=json")
    card = json.loads(job.out)["classes"][-1]
    assert (card["name"], card["seen"]) == ("newcomer", False)
    by = title_of(method)
    assert card["how"].startswith(f"from its description, by {by} (nearest class ")


@pytest.mark.parametrize("method", METHODS)
def test_a_run_explains_as_its_bundle_does(niwt, made, tmp_path, method):
    model = made(method)
    labels, photo, records = model.bundle.labels, model.photos[0], []
    for source in (f"--run_dir={model.run}", f"--bundle={model.exports}"):
        asked = [f"--image={photo}", f"--class={labels[-1]}", f"--rival={labels[0]}"]
        job = niwt("explain", source, *asked, f"--out={tmp_path / 'out'}")
        assert job.status == 0, job.err
        records.append(json.loads((tmp_path / "out" / f"{photo.stem}.json").read_text()))
    ours, theirs = (record["rival"].pop("counterfactual") for record in records)
    assert ours.keys() == theirs.keys()
    for name in ("class", "best", "rival"):
        assert records[0][name]["label"] == records[1][name]["label"]
        assert records[0][name]["probability"] == pytest.approx(records[1][name]["probability"], abs=1e-3)
    assert [[word["attribute"] for word in record["speaks_for"]] for record in records[:1]] == [
        [word["attribute"] for word in record["speaks_for"]] for record in records[1:]
    ]


@pytest.mark.combination
def test_a_bundle_of_a_head_that_is_fitted_at_once_gives_reasons_and_takes_no_classes(niwt, made, tmp_path):
    model = made(ANEW)
    assert model.bundle.metadata["column_map"] is None
    asked = [f"--image={model.photos[0]}", f"--class={model.bundle.labels[-1]}", f"--out={tmp_path / 'out'}"]
    job = niwt("explain", f"--bundle={model.exports}", *asked)
    assert job.status == 0, job.err
    record = json.loads((tmp_path / "out" / f"{model.photos[0].stem}.json").read_text())
    assert "a method that makes whole heads or networks" in record["rival"]["counterfactual"]["reason"]
    values = dict.fromkeys(model.bundle.attribute_names, 0.5)
    (tmp_path / "newcomer.json").write_text(json.dumps(values))
    job = niwt("add_class", f"--bundle={model.exports}", "--name=newcomer", f"--attributes={tmp_path}/newcomer.json")
    assert (job.status, job.err.count("\n")) == (2, 1), job.err
    assert "a method that makes whole heads or networks). Received: a bundle without it." in job.err
    assert [path.name for path in model.exports.iterdir() if path.name.isdigit()] == ["1"]


def test_the_former_flag_makes_the_same_and_says_so_once(niwt, trained):
    flags = [f"--run_dir={trained}", "--overwrite", "--until=transfer", "--noprogress"]
    job = niwt("run", "--head=class_mean", *flags)
    assert job.status == 0, job.err
    assert job.err.count("--head is now called --method") == 1
    assert read_json(trained / "transfer" / "selection.json")["method"] == "class_mean"
    settings = read_json(trained / "config.json")["settings"]
    assert settings["method"] == "class_mean" and "head" not in settings
    job = niwt("run", "--method=class_mean", *flags)
    assert job.status == 0, job.err
    assert "transfer is up to date." in job.err and "is now called" not in job.err


@pytest.mark.parametrize("stage", OWN_STAGES)
def test_stages_that_the_method_has_not_are_refused(niwt, trained, stage):
    job = niwt(stage, f"--run_dir={trained}", "--method=class_mean", "--overwrite", "--noprogress")
    assert (job.status, job.err.count("\n")) == (2, 1), job.err
    assert f"--method must be a method with the stage {stage} for niwt {stage}. Received: 'class_mean'" in job.err
    assert not (trained / stage).exists()
    assert read_json(trained / "config.json")["settings"]["method"] == "niwt"


def _of_an_earlier_version(path):
    kept = {name: value for name, value in read_json(path).items() if name not in ("seal", "digests")}
    path.write_text(json.dumps({**kept, "extra": {"format": 5}}))


@pytest.mark.parametrize("job_name", ["run", "evaluate", "export", "baseline", "report", "explain", "faithfulness"])
def test_a_run_of_the_last_version_is_one_sentence(niwt, trained, photos, job_name):
    """What it wrote is read by no job, and stays as it was."""
    config = read_json(trained / "config.json")
    config["settings"]["head"] = config["settings"].pop("method")
    (trained / "config.json").write_text(json.dumps({name: value for name, value in config.items() if name != "seal"}))
    (trained / ".config.json").unlink(missing_ok=True)
    _of_an_earlier_version(trained / "train" / "manifest.json")
    files = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file() and path.name != ".lock"}
    flags = [f"--image={photos[0]}"] if job_name == "explain" else ["--noprogress"]
    job = niwt(job_name, f"--run_dir={trained}", *flags)
    assert (job.status, job.err.count("\n")) == (2, 1), job.err
    assert f"--run_dir {trained} must be a run of this version of niwt-tf." in job.err
    assert "Received: a run of another version, with the setting 'head'; give another --run_dir." in job.err
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file() and path.name != ".lock"} == files


def test_stages_of_the_last_format_are_named(niwt, trained):
    """Where the settings have today's names and a stage has another version's form."""
    _of_an_earlier_version(trained / "train" / "manifest.json")
    job = niwt("transfer", f"--run_dir={trained}", "--method=class_mean", "--overwrite", "--noprogress")
    assert (job.status, job.err.count("\n")) == (2, 1), job.err
    assert "train, which was written by another version of niwt-tf: run niwt run" in job.err


@pytest.mark.combination
def test_the_mean_of_all_heads_and_kernels_takes_classes_and_gives_reasons(niwt, finished_run, photos, tmp_path):
    run, exports = _trained(finished_run, tmp_path / "run"), tmp_path / "exports"
    flags = [f"--run_dir={run}", f"--export_dir={exports}", "--overwrite", "--until=faithfulness", "--noprogress"]
    assert (done := niwt("run", "--map=relevance", "--heat=auto", *flags)).status == 0, done.err
    bundle = Bundle.open(exports / "1")
    formula = bundle.formula()
    assert isinstance(formula, RelevanceFormula) and bundle.metadata["explanations"]["heat"]["kind"] in KINDS
    assert [len(read_json(run / "transfer" / "selection.json")["trials"])] == [1]
    described = np.array([card.description for card in bundle.cards], np.float32)
    network = Network.load(run / "transfer" / "network.keras")
    columns, biases = formula(described[network.num_seen :])
    _near(columns, network.columns[:, network.num_seen :])
    _near(biases, network.biases[network.num_seen :])
    new = described[-1:].copy()
    new[0, 0] += 0.5
    ((before, asked),) = _logits(exports / "1", photos, new)
    row = ",".join(map(str, new[0]))
    (tmp_path / "new.csv").write_text(",".join(["class", *bundle.metadata["knowledge"]["names"]]) + f"\nnew,{row}\n")
    done = niwt("add_class", f"--bundle={exports}", f"--cards={tmp_path / 'new.csv'}")
    assert done.status == 0, done.err
    ((after, _),) = _logits(exports / "2", photos, new)
    np.testing.assert_array_equal(after[:, :-1], before)
    _near(after[:, -1:], asked)
    done = niwt("explain", f"--image={photos[0]}", f"--bundle={exports}", f"--out={tmp_path / 'why'}")
    assert done.status == 0, done.err
