"""`niwt explain`, by a run and by the bundle that was exported from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwt_tf.files import read_json, write_json
from niwt_tf.models.network import Network
from niwt_tf.serving.bundle.bundle import METADATA
from niwt_tf.serving.classes.rewrite import write_metadata


@pytest.fixture(scope="module")
def labels(finished_run) -> tuple[str, ...]:
    return Network.load(finished_run.path / "transfer" / "network.keras").class_names


@pytest.fixture
def photo(tiny_birds, tmp_path) -> Path:
    """Return a bird that is twice as wide as it is high."""
    found = sorted(tiny_birds.rglob("images/*/*.jpg"))[0]
    path = tmp_path / "photo.jpg"
    Image.open(found).resize((64, 32)).save(path)
    return path


def _record(folder: Path, name: str = "photo") -> dict:
    text = (folder / f"{name}.json").read_text(encoding="utf-8")
    assert text.isascii()
    return json.loads(text, parse_constant=pytest.fail)  # NaN and infinity


@pytest.mark.slow
def test_a_run_and_its_bundle_say_the_same(niwt, finished_run, labels, photo, tmp_path):
    out = {"run": tmp_path / "run", "bundle": tmp_path / "bundle"}
    asked = [f"--image={photo}", f"--class={labels[-1]}", f"--rival={labels[0]}"]
    sources = {"run": f"--run_dir={finished_run.path}", "bundle": f"--bundle={finished_run.exports / '1'}"}
    done = {name: niwt("explain", *asked, source, f"--out={out[name]}") for name, source in sources.items()}
    assert [one.status for one in done.values()] == [0, 0], [one.err for one in done.values()]
    ours, theirs = (_record(folder) for folder in out.values())
    assert list(ours) == ["image", "model", "niwt_tf", "class", "best", "speaks_for", "speaks_against", "neurons", "heat_map",
                          "rival", "followed", "cautions"]  # fmt: skip
    assert ours["model"] == {"path": str(finished_run.path), "version": None}
    assert theirs["model"] == {"path": str(finished_run.exports / "1"), "version": 1}
    for record in (ours, theirs):
        assert record["image"] == str(photo)
        assert (record["class"]["label"], record["class"]["seen"]) == (labels[-1], False)
        assert (record["rival"]["label"], record["rival"]["seen"]) == (labels[0], True)
    _alike({**ours, "model": None}, {**theirs, "model": None})
    assert "Why not" in done["run"].out
    assert done["run"].out.splitlines()[:-1] == done["bundle"].out.splitlines()[:-1]
    for folder in out.values():
        with Image.open(folder / "photo.png") as sheet:
            assert sheet.format == "PNG" and min(sheet.size) > 500
        assert sorted(path.name for path in folder.iterdir()) == ["photo.json", "photo.png"]


def _alike(ours, theirs):
    """Compare two records, numbers to what another order of arithmetic changes."""
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        for name in ours:
            _alike(ours[name], theirs[name])
    elif isinstance(ours, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            _alike(one, other)
    elif isinstance(ours, float):
        assert ours == pytest.approx(theirs, rel=1e-2, abs=2e-3)
    else:
        assert ours == theirs


def test_the_best_class_and_the_next_by_default(niwt, finished_run, labels, photo, tmp_path):
    done = niwt("explain", f"--image={photo}", f"--bundle={finished_run.exports}", f"--out={tmp_path / 'out'}")
    assert done.status == 0, done.err
    record = _record(tmp_path / "out")
    assert record["best"] == {**record["class"], "withheld": False} and record["rival"]["label"] != record["class"]["label"]
    assert 0 < record["rival"]["probability"] <= record["class"]["probability"]
    heat = np.array(record["heat_map"])
    assert heat.shape == (4, 4) and heat.min() >= 0 and heat.max() in (0.0, 1.0)
    assert all(neuron["weight"] > 0 and (neuron["auc"] is None) == (neuron["name"] == "") for neuron in record["neurons"])
    assert all(word["weight"] > 0 for word in record["speaks_for"])
    assert all(word["weight"] < 0 for word in record["speaks_against"])
    changed = record["rival"]["counterfactual"]
    assert changed["class"] == record["rival"]["label"]
    if changed["edits"] is not None:
        assert changed["margin_before"] >= 0 > changed["margin_after"]
    for source in (f"--run_dir={finished_run.path}", f"--bundle={finished_run.exports}"):
        done = niwt("explain", f"--image={photo}", source, f"--rival={record['best']['label']}", f"--out={tmp_path / 'other'}")
        assert done.status == 2 and "--rival must not be the best class" in done.err


def test_a_long_name_is_cut(niwt, finished_run, photo):
    done = niwt("explain", f"--image={photo}", f"--run_dir={finished_run.path}", f"--class={'x' * 5000}")
    assert done.status == 2 and len(done.err) < 250


def test_an_image_of_the_same_relative_name_is_another(niwt, finished_run, photo, tmp_path, monkeypatch):
    statuses = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shutil.copy(photo, tmp_path / name)
        monkeypatch.chdir(tmp_path / name)
        flags = ["--image=photo.jpg", f"--run_dir={finished_run.path}", f"--out={tmp_path / 'out'}"]
        statuses.append(niwt("explain", *flags).status)
    assert statuses == [0, 2]
    assert _record(tmp_path / "out")["image"] == str(tmp_path / "one" / "photo.jpg")


@pytest.mark.slow
def test_a_bundle_without_explain_class_explains_the_best_class_alone(niwt, finished_run, photo, tmp_path, monkeypatch):
    from niwt_tf.serving.predict import Servable

    real = Servable.signatures.fget
    monkeypatch.setattr(Servable, "signatures", property(lambda self: tuple(set(real(self)) - {"explain_class"})))
    flags = [f"--image={photo}", f"--bundle={finished_run.exports}", f"--out={tmp_path / 'out'}"]
    assert niwt("explain", *flags).status == 0
    record = _record(tmp_path / "out")
    assert record["speaks_against"] == [] and record["rival"]["heat_map"] is None and record["rival"]["neurons"] == []
    assert {neuron["auc"] for neuron in record["neurons"]} <= {None}
    done = niwt("explain", *flags, f"--class={record['class']['label']}")
    assert done.status == 2 and "export it again" in done.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--run_dir={run}"], "--image must be given"),
        (["--image={photo}"], "Either --run_dir or --bundle must be given. Received: neither."),
        (["--image={photo}", "--run_dir={run}", "--bundle={bundle}"], "Received: both."),
        (["--image={photo}.gone", "--run_dir={run}"], "--image must be a file that can be read. Received: "),
        (["--image={text}", "--run_dir={run}"], "--image must be an image that can be decoded. Received: "),
        (["--image={photo}", "--run_dir={run}", "--class={near}"], "Did you mean '{first}'?"),
        (["--image={photo}", "--bundle={bundle}", "--rival={near}"], "--rival must be one of the network's 10 classes."),
        (["--image={photo}", "--run_dir={run}", "--class={first}", "--rival={first}"], "--rival must not be the same class as"),
        (["--image={photo}", "--run_dir={text}"], "--run_dir must be the folder of a run"),
        (["--image={photo}", "--bundle={empty}"], "--bundle must be an exported SavedModel"),
        (["--image={photo}", "--run_dir={run}", "--out={text}"], "--out must not be a file or be inside a file"),
        (["--image={photo}", "--run_dir={run}", "--class="], "--class must not be empty. Received: ''."),
        (["--image={photo}", "--run_dir={run}", "--rival= "], "--rival must not be empty. Received: ''."),
        (["--image={photo}", "--run_dir={run}", "--out=/proc/x"], "--out must be a folder into which files can be written."),
        (["--image={out}/photo.png", "--run_dir={run}", "--out={out}"], "Received: the image itself of that name."),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(niwt, finished_run, labels, photo, tmp_path, flags, said):
    text, empty, out = tmp_path / "text.jpg", tmp_path / "empty", tmp_path / "out"
    text.write_text("no image")
    empty.mkdir()
    out.mkdir()
    Image.open(photo).save(out / "photo.png")
    before = (out / "photo.png").read_bytes()
    values = {
        "run": finished_run.path, "bundle": finished_run.exports, "photo": photo, "text": text, "empty": empty, "out": out,
        "first": labels[0], "near": labels[0][:-1],
    }  # fmt: skip
    done = niwt("explain", f"--out={tmp_path / 'new'}", *(flag.format(**values) for flag in flags))
    assert done.status == 2 and done.out == ""
    assert said.format(**values) in done.err and done.err.count("\n") == 1
    assert not (tmp_path / "new").exists()
    assert [path.name for path in out.iterdir()] == ["photo.png"] and (out / "photo.png").read_bytes() == before


def test_an_incomplete_run_names_the_job(niwt, finished_run, photo, tmp_path):
    run = shutil.copytree(finished_run.path, tmp_path / "run")
    shutil.rmtree(run / "transfer")
    done = niwt("explain", f"--image={photo}", f"--run_dir={run}", f"--out={tmp_path / 'out'}")
    assert done.status == 2
    assert f"must hold the stage transfer, which is missing: run niwt run --run_dir={run} first, which does" in done.err
    assert not (tmp_path / "out").exists()


def test_nothing_appears_when_the_picture_cannot_be_drawn(niwt, finished_run, photo, tmp_path, monkeypatch):
    from niwt_tf.jobs import explain

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(explain, "write_explanation_sheet", fail)
    done = niwt("explain", f"--image={photo}", f"--run_dir={finished_run.path}", f"--out={tmp_path / 'out'}")
    rule = "--out must be a folder into which files can be written."
    assert done.err == f"niwt explain: {rule} Received: {str(tmp_path / 'out')!r} (No space left on device).\n"
    assert done.status == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_only_the_files_of_the_same_image_are_replaced(niwt, finished_run, photo, tmp_path):
    def explained(image: Path):
        return niwt("explain", f"--image={image}", f"--run_dir={finished_run.path}", f"--out={tmp_path / 'out'}")

    assert explained(photo).status == explained(photo).status == 0
    (tmp_path / "other").mkdir()
    other = Path(shutil.copy(photo, tmp_path / "other"))
    done = explained(other)
    assert done.status == 2 and done.err.count("\n") == 1
    assert "--out must be a folder whose 'photo.png' and 'photo.json', if they exist, belong to the same image" in done.err
    assert _record(tmp_path / "out")["image"] == str(photo)
    write_json(tmp_path / "out" / "photo.json", {"image": str(photo), "label": "a note of the user"})
    assert explained(photo).status == 2
    for name in ("photo.png", "photo.json"):  # whose they are is not known
        (tmp_path / "out" / "photo.json").unlink(missing_ok=True)
        (tmp_path / "out" / name).write_text("[]")
        assert explained(photo).status == 2 and (tmp_path / "out" / name).read_text() == "[]"


def test_a_bundle_that_was_changed_explains_nothing(niwt, finished_run, photo, tmp_path):
    bundle = shutil.copytree(finished_run.exports / "1", tmp_path / "1")
    cards = bundle / "assets.extra" / "cards.json"
    cards.write_text(cards.read_text().replace("0.0", "1.0"))
    done = niwt("explain", f"--image={photo}", f"--bundle={bundle}", f"--out={tmp_path / 'out'}")
    rule = "must be unchanged since it was written"
    assert done.status == 2 and f"{rule}. Received: assets.extra/cards.json, it was changed" in done.err
    assert len(done.err.splitlines()) == 1 and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_bundle_that_abstains_is_said_to(niwt, finished_run, photo, tmp_path):
    bundle = shutil.copytree(finished_run.exports / "1", tmp_path / "1")
    metadata = read_json(bundle / METADATA)
    metadata["probabilities"]["abstain_below"] = 1.0
    write_metadata(bundle, metadata)
    done = niwt("explain", f"--image={photo}", f"--bundle={bundle}", f"--out={tmp_path / 'out'}")
    assert done.status == 0, done.err
    assert done.out.splitlines()[1].startswith('  The answer is "unknown": ')
    assert _record(tmp_path / "out")["best"]["withheld"]


def test_the_run_keeps_its_descriptions(finished_run, labels):
    with np.load(finished_run.path / "transfer" / "descriptions.npz") as file:
        values = file["values"]
    cards = read_json(finished_run.exports / "1" / "assets.extra" / "cards.json")["cards"]
    np.testing.assert_allclose(values, [card["description"] for card in cards], rtol=1e-6)
    assert [card["name"] for card in cards] == list(labels)
