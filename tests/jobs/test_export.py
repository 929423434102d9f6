"""The export stage: what it writes, when it is done again, and what it leaves when it cannot be done."""

from __future__ import annotations

import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from niwt_tf.config.settings import Settings
from niwt_tf.data.schema import Images, Knowledge
from niwt_tf.errors import InputError
from niwt_tf.explain.explainer import fit_explainer
from niwt_tf.files import read_json, write_json
from niwt_tf.jobs import export
from niwt_tf.methods.few_shot import FewShotChoice, SeenMoments
from niwt_tf.metrics.calibration import LogitStatistics
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.backbones import build_network
from niwt_tf.protocol.probabilities import save_probabilities
from niwt_tf.runs.run import RunDirectory
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.classes.rewrite import write_cards, write_metadata
from niwt_tf.serving.export import savedmodel
from niwt_tf.serving.export.verification import Verification
from tests.serving.answers import predict, verified_here
from tests.shared import further

NAMES = ("cat", "dog", "eel", "fox")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for i in range(20):
        Image.fromarray(random.integers(0, 255, (16, 16, 3), np.uint8)).save(folder / f"{i:02}.png")
    return Images(folder, tuple(sorted(os.listdir(folder))), np.zeros(20, np.int32), NAMES)


@pytest.fixture
def data(images):
    known = Knowledge(np.eye(4, dtype=np.float32), ("a", "b", "c", "d"), ("",) * 4)
    dataset = SimpleNamespace(knowledge=known, class_names=NAMES[::-1])
    seen = SimpleNamespace(images=images.take(np.arange(2)))
    return SimpleNamespace(test=lambda: SimpleNamespace(images=images), seen=seen, dataset=dataset)


@pytest.fixture
def verified(monkeypatch):
    """Stand in for the fresh process, and keep what would have been checked."""
    asked = []

    def verify(_, network, contents, checked, k):
        asked.append([os.path.basename(path) for path in checked.paths])
        return Verification(len(checked.paths), 0.0)

    monkeypatch.setattr(savedmodel, "verify", verify)
    return asked


def _export(tmp_path, data, seed=0, folder="exports", abstain=False, names=NAMES):
    with RunDirectory(tmp_path / "run").locked(Settings(seed=seed), overwrite=True) as run:
        run.use_data("d")
        transfer = run.stage("transfer", settings_used=["seed"])
        if not transfer.up_to_date:
            with transfer.writing() as written:
                network = build_network("small_vgg", names, input_size=16, seed=seed)
                columns, biases = network.columns, network.biases
                network.with_head(columns, biases, names, 3).save(written / "network.keras")
                how = "from its description, by descent through nested gradients"
                selection = {"method": "niwt", "how": how, "figures": {"validation_acc_zsl": 0.5}}
                (written / "selection.json").write_text(json.dumps(selection))
                save_probabilities(written / "probabilities.json", Probabilities(2.0, 0.5))
                neurons = np.random.default_rng(0).standard_normal((3, network.num_neurons))
                explainer = fit_explainer(neurons, np.eye(4)[:3], ("a", "b", "c", "d"), ("",) * 4)
                np.savez(written / "explainer.npz", **explainer.arrays())
                rows = np.random.default_rng(1).random((12, network.num_features)).astype(np.float32)
                moments = SeenMoments.of(rows, np.arange(12) % 3, LogitStatistics(-1.0, 2.0))
                np.savez(written / "few_shot.npz", **moments.prior(FewShotChoice("within", 0.3, 2.0, 0.5), 1.0).arrays())
        export.stage(run, data, tmp_path / folder, abstain)
        return export.exported(run)


@pytest.mark.slow
def test_the_stage_exports_the_expanded_network(tmp_path, data, images):
    with verified_here():
        path = _export(tmp_path, data)
    assert path == tmp_path / "exports" / "1"
    predictions = predict(path, [images.root / name for name in images.paths])
    assert predictions.scores.shape == (20, 4)
    assert set(predictions.labels[0]) == set(NAMES)
    described = read_json(path / "niwt.json")
    assert (described["seen"], described["unseen"]) == (["cat", "dog", "eel"], ["fox"])
    assert (described["backbone"], described["metrics"]) == ("small_vgg", {})
    assert described["checked"]["images"] == 8
    cards = Bundle.open(path).cards
    assert [card.name for card in cards] == list(NAMES)
    assert cards[0].description == (0.0, 0.0, 0.0, 1.0)  # the data set has the classes in another order
    assert [(card.seen, card.images) for card in cards] == [(True, 2), (True, 0), (True, 0), (False, 0)]
    assert (cards[3].how, cards[3].validation) == (
        "from its description, by descent through nested gradients", {"validation_acc_zsl": 0.5}
    )
    record = read_json(tmp_path / "run" / "export" / "export.json")
    assert (record["path"], record["version"]) == (str(path), 1)
    manifest = read_json(tmp_path / "run" / "export" / "manifest.json")
    assert manifest["metrics"]["bytes"] == sum(record["files"].values()) > 100_000


@pytest.mark.slow
def test_it_is_exported_once(tmp_path, data, verified):
    assert _export(tmp_path, data) == _export(tmp_path, data) == tmp_path / "exports" / "1"
    assert len(verified) == 1


@pytest.mark.slow
def test_another_network_folder_or_metrics_make_another_version(tmp_path, data, verified):
    _export(tmp_path, data)
    assert _export(tmp_path, data, seed=1) == tmp_path / "exports" / "2"
    with RunDirectory(tmp_path / "run").locked(Settings(seed=1)) as run:
        run.use_data("d")
        with run.stage("evaluate", ["seed"], ["transfer"], publishes=["metrics.json"]).writing() as written:
            (written / "metrics.json").write_text(json.dumps({"acc_seen": 0.5}))
    (tmp_path / "run" / "metrics.json").write_text(json.dumps({"acc_seen": 0.9}))  # of which nothing is believed
    assert read_json(_export(tmp_path, data, seed=1) / "niwt.json")["metrics"] == {"acc_seen": 0.5}
    assert _export(tmp_path, data, seed=1, folder="other") == tmp_path / "other" / "1"
    assert sorted(os.listdir(tmp_path / "exports")) == ["1", "2", "3"]


@pytest.mark.slow
def test_an_abstaining_network_is_another_version(tmp_path, data, verified):
    _export(tmp_path, data)
    assert _export(tmp_path, data, abstain=True) == tmp_path / "exports" / "2"
    assert _export(tmp_path, data, abstain=True) == tmp_path / "exports" / "2"


@pytest.mark.slow
def test_a_class_called_unknown_is_exported_unless_the_network_abstains(tmp_path, data, verified):
    names = ("cat", "dog", "Unknown", "fox")
    data.dataset.class_names = names
    with pytest.raises(InputError, match="--abstain must not be given with a class of the name 'unknown'.*'Unknown'"):
        _export(tmp_path, data, names=names, abstain=True)
    assert not (tmp_path / "exports").exists()
    assert _export(tmp_path, data, names=names) == tmp_path / "exports" / "1"


@pytest.mark.parametrize("lost", ["", *further("saved_model.pb", "variables/variables.index")])
@pytest.mark.slow
def test_an_export_that_vanished_is_made_again(tmp_path, data, verified, lost):
    path = _export(tmp_path, data)
    if lost:
        (path / lost).unlink()
    else:
        shutil.rmtree(tmp_path / "exports")
    again = _export(tmp_path, data)
    assert again == tmp_path / "exports" / ("2" if lost else "1")
    assert (again / "saved_model.pb").is_file()


@pytest.mark.slow
def test_the_check_images_are_spread_over_the_test_images(tmp_path, data, images, verified):
    _export(tmp_path, data)
    assert verified == [[f"{i:02}.png" for i in (0, 3, 5, 8, 11, 14, 16, 19)]]
    data.test = lambda: SimpleNamespace(images=images.take(np.arange(0)))
    _export(tmp_path, data, folder="other")
    assert verified[1] == ["00.png", "01.png"]


def test_without_a_transfer_nothing_is_written(tmp_path, data):
    with (
        pytest.raises(InputError, match="The stage export needs transfer, which is missing"),
        RunDirectory(tmp_path / "run").locked(Settings()) as run,
    ):
        export.stage(run, data, tmp_path / "exports")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_failed_verification_leaves_nothing(tmp_path, data, monkeypatch):
    def verify(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(savedmodel, "verify", verify)
    with pytest.raises(KeyboardInterrupt):
        _export(tmp_path, data)
    assert os.listdir(tmp_path) == ["run"]
    assert not (tmp_path / "run" / "export").exists()


@pytest.mark.parametrize(
    ("labels", "said"),
    [("xyz", "no class in common; it has 'x'"), ("abc", "1 of its 3 are in the new version; it has 'b', 'c'"), ("ad", "")],
)
def test_a_version_of_other_classes_is_warned_of(tmp_path, caplog, labels, said):
    (tmp_path / "m" / "3").mkdir(parents=True)
    (tmp_path / "m" / "3" / "niwt.json").write_text(json.dumps({"labels": list(labels)}))
    export.say_other_classes(tmp_path / "m", ("a", "d", "e"))
    export.say_other_classes(tmp_path / "none", ("a",))
    assert (said in caplog.text and f"{tmp_path / 'm'} will switch from it" in caplog.text) if said else not caplog.text


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.index", "niwt.json", "assets.extra/cards.json"])
def test_a_version_that_was_changed_without_growing_is_no_export_any_more(tmp_path, file):
    version, run = tmp_path / "exports" / "1", SimpleNamespace(path=tmp_path / "run")
    for folder in (version / "variables", version / "assets.extra", run.path / "export"):
        folder.mkdir(parents=True)
    for name in ("saved_model.pb", "variables/variables.index"):
        (version / name).write_bytes(b"content")
    write_cards(version, ())
    write_metadata(version, {"labels": ["a"]})
    sizes = {"saved_model.pb": 7, "variables/variables.index": 7}
    write_json(run.path / "export" / "export.json", {"path": str(version), "version": 1, "files": sizes})
    assert export.exported(run) == version
    content = (version / file).read_bytes()
    (version / file).write_bytes(content[:4] + bytes([content[4] ^ 1]) + content[5:])
    assert export.exported(run) is None
