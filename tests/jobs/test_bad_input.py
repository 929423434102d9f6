"""Every mistake that the command line may be given: exit status 2, one sentence on stderr, nothing half-written."""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path

import keras
import pytest

from niwt_tf import load_dataset
from niwt_tf.config.settings import Settings
from niwt_tf.runs.run import RunDirectory

CSV = "class,size,legs,fur\nant,0,6,0\nbee,1,6,1\ncat,5,4,7\ndog,6,4,8\neel,4,0,0\nfox,5,4,9\n"
CSV_MISTAKES = {
    "a duplicate class": (("ant,0,6,0\n", "ant,0,6,0\nant,0,6,0\n"), r"line 3 .*new class. Received: 'ant', also on line 2"),
    "no class column": (("class,size", "name,size"), r"line 1 must have 'class' as its first column"),
    "only a header": ((CSV.partition("\n")[2], ""), r"must have a row for each class. Received: only a header"),
    "text in a cell": (("cat,5,4,7", "cat,5,four,7"), r"line 4, column 'legs' must be a finite number. Received: 'four'"),
    "a row of blanks": (("cat,5,4,7", "cat,nan,,"), r"line 4 must describe its class .* Received: only empty cells"),
    "inf": (("cat,5,4,7", "cat,5,4,-inf"), r"line 4, column 'fur' must be a finite number. Received: '-inf'"),
    "a spreadsheet's error": (("cat,5,4,7", "cat,5,#REF!,7"), r"column 'legs' must be .* Received: '#REF!', an error of"),
    "a ragged row": (("dog,6,4,8", "dog,6,4"), r"line 5 must have 4 cells like the header. Received: 3"),
    "a number of two meanings": (("cat,5,4,7", 'cat,5,"4,000",7'), r"line 4 must show whether .* Received: '4,000'"),
    "a class of other letters": (("dog,6,4,8", "Cat,6,4,8"), r"line 5 .*new class. Received: 'Cat' and 'cat', nearly the same"),
    "a column twice": (("legs,fur", "legs,legs"), r"each column once. Received: 'legs' twice"),
    "a class folder without a row": (("eel,4,0,0\n", ""), r"row for every class folder in images/. Received: none for 'eel'"),
    "binary junk": (("class", "\0"), r"must be a text file. Received: binary data"),
}


def _csv_mistake(name):
    (old, new), sentence = CSV_MISTAKES[name]

    def spoil(folder: Path) -> None:
        table = folder / "classes.csv"
        text = table.read_text()
        assert old in text
        table.write_text(text.replace(old, new))

    return pytest.param(spoil, [], sentence, id=name)


def _nothing(folder: Path) -> None:
    del folder


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def _gone(name: str):
    def spoil(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


def _without_images(folder: Path) -> None:
    for image in (folder / "images").rglob("*.png"):
        image.unlink()


def _one_class(folder: Path) -> None:
    for name in ("bee", "cat", "dog", "eel"):
        shutil.rmtree(folder / "images" / name)


def _torn(folder: Path) -> None:
    (folder / "images" / "ant" / "0.png").write_bytes(b"torn")


def _split(rows: str):
    def spoil(folder: Path) -> None:
        (folder / "split.csv").write_text(rows)

    return spoil


def _texts(**changes: str | None):
    def spoil(folder: Path) -> None:
        (folder / "descriptions").mkdir()
        (folder / "v.txt").write_text("small 1 2 3\nred 1 2\n")
        texts = {name: f"a small {name} that is red" for name in ("ant", "bee", "cat", "dog", "eel", "fox")} | changes
        for name, text in texts.items():
            if text is not None:
                (folder / "descriptions" / f"{name}.txt").write_text(text)

    return spoil


def _not_weights(folder: Path) -> None:
    (folder / "w.weights.h5").write_bytes(b"no weights")


def _other_weights(folder: Path) -> None:
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(folder / "w.weights.h5")


MISTAKES = [
    pytest.param(shutil.rmtree, [], r"data_dir must be .*Received: .*data'", id="missing data folder"),
    pytest.param(_emptied, [], r"data_dir must .*Received", id="empty data folder"),
    pytest.param(_gone("classes.csv"), [], r"data_dir must hold classes.csv", id="no classes.csv"),
    pytest.param(_gone("images"), [], r"data_dir must hold images/", id="no images folder"),
    pytest.param(_without_images, [], r"must hold image files in one folder for each class. Received: no image", id="no image"),
    *(_csv_mistake(name) for name in CSV_MISTAKES),
    pytest.param(
        _one_class, [], r"2 seen classes, with images, and an unseen one. Received: 6 classes, 1 with", id="one seen class"
    ),
    pytest.param(_nothing, ["--unseen=ant,bee,cat,dog"], r"at least 2 seen classes. Received: 1", id="too many unseen"),
    pytest.param(_nothing, ["--num_unseen=4"], r"num_unseen must be from 0 to 3, .*Received: 4", id="num_unseen too high"),
    pytest.param(
        _split("image,role\nant/0.png,train\n"), ["--split={data}/split.csv"], r"at least 2 seen classes", id="one class split"
    ),
    pytest.param(
        _nothing, ["--unseen=dgo"], r"unseen must name classes .*Received: 'dgo'. Did you mean 'dog'\?", id="unseen name"
    ),
    pytest.param(
        _nothing,
        ["--layer=conv9"],
        r"layer must name .*block4_conv.*Received: 'conv9'",
        id="unknown layer",
        marks=(pytest.mark.slow, pytest.mark.combination),  # tests/estimator/test_classifier.py has it too
    ),
    pytest.param(
        _nothing, ["--layer=avg_pool", "--backbone=mobilenet_v2"], r"layer must .*Received: 'avg_pool'", id="not a map"
    ),
    pytest.param(
        _nothing,
        ["--layer=out_relu", "--backbone=mobilenet_v2"],
        r"layer must be followed by more than pooling.*nearest earlier layer that works is '\w+'.*Received: 'out_relu'",
        id="degenerate layer",
        marks=(pytest.mark.slow, pytest.mark.combination),  # tests/models/test_backbones.py has it too
    ),
    pytest.param(_not_weights, ["--weights={data}/w.weights.h5"], r"weights must .*w\.weights\.h5", id="weights unreadable"),
    pytest.param(
        _other_weights, ["--weights={data}/w.weights.h5"], r"weights must fit .*w\.weights\.h5", id="weights do not fit"
    ),
    pytest.param(
        _nothing, ["--weights={data}/none.h5"], r"weights must .*Received: .*none\.h5', not a file", id="no weights file"
    ),
    pytest.param(_nothing, ["--split={data}/none.csv"], r"split must be .*Received: .*none\.csv", id="no split file"),
    pytest.param(
        _split("image,role\nant/0.png,train\nbee/9.png,train\n"),
        ["--split={data}/split.csv"],
        r"split\.csv, line 3 .*Received: 'bee/9\.png'",
        id="a split that names an absent image",
    ),
    pytest.param(
        _split("image,role\nant/0.png,testing\n"),
        ["--split={data}/split.csv"],
        r"split\.csv, line 2: .*'testing'",
        id="split role",
    ),
    pytest.param(
        _nothing,
        ["--knowledge={data}/none.csv"],
        r"--knowledge must be .* the path of a CSV file.* Received: '.*none\.csv', which does not exist\.",
        id="no knowledge file",
    ),
    pytest.param(_nothing, ["--knowledge="], r"--knowledge must be one of .* Received: ''\.", id="empty knowledge"),
    pytest.param(
        _nothing, ["--knowledge=attributes+"], r"without an empty part. Received: 'attributes\+'\.", id="half a knowledge"
    ),
    pytest.param(
        _nothing,
        ["--text_features=vectors:{data}/v.txt"],
        r"--text_features must be lsa if no part of --knowledge is captions or texts.* with --knowledge=attributes\.",
        id="features of no text",
    ),
    pytest.param(_nothing, ["--knowledge=captions"], r"captions", id="no captions"),
    pytest.param(
        _nothing, ["--knowledge=captoins"], r"--knowledge must be one of .*Did you mean 'captions'\?", id="unknown knowledge"
    ),
    pytest.param(_nothing, ["--knowledge=binary+binary"], r"--knowledge must not name anything twice", id="knowledge twice"),
    pytest.param(_nothing, ["--knowledge=sentences"], r"published only for cub", id="sentences of a folder"),
    pytest.param(
        _texts(fox=None), ["--knowledge=texts"], r"needs a text for each of 6 .*none for 1: 'fox'", id="a text absent"
    ),
    pytest.param(
        _texts(fox="лиса рыжая"), ["--knowledge=attributes+texts"], r"none of the 2 words of 'fox'", id="out of vocabulary"
    ),
    pytest.param(
        _texts(),
        ["--knowledge=texts", "--text_features=vectors:{data}/v.txt"],
        r"v\.txt, line 2 must have a word and 3 numbers. Received: 'red 1 2' with 2",
        id="a vector of another dimension",
    ),
    pytest.param(
        _texts(),
        ["--knowledge=texts", "--text_features=vectors:{data}/none.kv"],
        r"must name a file of word vectors. Received: no such file",
        id="no file of vectors",
    ),
    pytest.param(
        _texts(),
        ["--knowledge=texts", "--text_features=hub:{data}/images"],
        r"A hub module must be a SavedModel",
        id="no text module",
    ),
    pytest.param(
        _nothing, ["--text_features=vector:x"], r"--text_features must be one of lsa, encoder, encoder_words or", id="features"
    ),
    pytest.param(_nothing, ["--support={data}/none"], r"support must be seen, noise or a folder of images", id="support"),
    pytest.param(_torn, [], r"1 of 25 images in .* cannot be decoded.*ant/0\.png", id="a torn image"),
    pytest.param(_nothing, ["--validation_classes=4"], r"--validation_classes must leave at least 2 of 5", id="validation"),
    pytest.param(_nothing, ["--split=ps"], r"split=ps is published only for cub and awa2", id="ps of a folder"),
    pytest.param(
        _nothing, ["--sed=1"], r"There is no such flag. Received: '--sed'. Did you mean '--seed'\?", id="unknown flag"
    ),
    pytest.param(_nothing, ["--seed=x"], r"--seed must be an integer. Received: 'x'", id="a flag's value"),
    pytest.param(_nothing, ["--finetune=haed"], r"--finetune must be one of all, head. Received: 'haed'", id="a flag's choice"),
    pytest.param(_nothing, ["seed=1"], r"Options must be flags of the form --name=value. Received: 'seed=1'", id="not a flag"),
    pytest.param(_nothing, ["--flagfile={data}/none.flags"], r"--flagfile must name a file .*none\.flags", id="no flagfile"),
    pytest.param(_nothing, ["--input_size=16", "--backbone=resnet50"], r"input_size must be at least 32", id="input size"),
]


def _listing(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_size) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("spoil", "flags", "sentence"), MISTAKES)
def test_one_sentence_and_nothing_written(own_copy, tmp_path, monkeypatch, niwt, spoil, flags, sentence):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    spoil(own_copy)
    before = _listing(own_copy)
    given = [flag.format(data=own_copy) for flag in flags]
    run_dir = tmp_path / "runs" / "x"
    size = [] if any("--input_size" in flag for flag in flags) else ["--input_size=32"]
    job = niwt("run", "--dataset=folder", f"--data_dir={own_copy}", f"--run_dir={run_dir}", "--noprogress", *size, *given)
    assert job.status == 2
    assert job.out == ""
    assert job.err.count("\n") == 1, job.err
    assert job.err.startswith("niwt run: ")
    assert "Traceback" not in job.err
    assert re.search(sentence, job.err), job.err
    assert not (tmp_path / "runs").exists()
    assert _listing(own_copy) == before


def test_no_run_dir_and_unknown_jobs(niwt, own_data):
    job = niwt("train", "--dataset=folder", f"--data_dir={own_data}")
    assert (job.status, job.err.count("\n")) == (2, 1)
    assert "--run_dir must be given" in job.err
    assert niwt("trian").err.endswith("Did you mean 'train'?\n")


def test_birds_that_were_never_rendered(niwt, tmp_path):
    job = niwt("run", f"--data_dir={tmp_path}/birds", f"--run_dir={tmp_path}/run")
    assert (job.status, job.err.count("\n")) == (2, 1)
    assert "draw them with niwt render" in job.err
    assert os.listdir(tmp_path) == []


def test_an_archive_that_lists_images_it_does_not_hold(niwt, tiny_birds, tmp_path):
    data = Path(shutil.copytree(tiny_birds, tmp_path / "birds"))
    images = data / "CUB_200_2011" / "images"
    first = sorted(images.iterdir())[0]
    next(first.iterdir()).unlink()
    job = niwt("run", f"--data_dir={data}", f"--run_dir={tmp_path}/run", "--noprogress")
    assert (job.status, job.err.count("\n")) == (2, 1)
    assert "1 of 100 missing" in job.err
    assert sorted(os.listdir(tmp_path)) == ["birds"]


def test_a_folder_that_is_in_use(niwt, own_data, tmp_path):
    with RunDirectory(tmp_path / "run").locked(Settings()):
        job = niwt("run", "--dataset=folder", f"--data_dir={own_data}", f"--run_dir={tmp_path}/run")
    assert (job.status, job.err.count("\n")) == (2, 1)
    assert f"process {os.getpid()} is working in" in job.err


def test_a_byte_order_mark_and_constant_attributes_are_no_mistakes(own_copy):
    """A BOM is passed over; an attribute that never varies is warned of."""
    table = own_copy / "classes.csv"
    text = "".join(line + (",same\n" if number == 0 else ",1\n") for number, line in enumerate(table.read_text().splitlines()))
    table.write_bytes(b"\xef\xbb\xbf" + text.encode())
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("niwt_tf")
    logger.addHandler(handler)
    try:
        dataset = load_dataset("folder", own_copy, max_bad_images=None)
    finally:
        logger.removeHandler(handler)
    assert dataset.knowledge.names == ("size", "legs", "fur", "same")
    assert said == ["1 of 4 attributes have the same value for all seen classes and cannot be learnt: same."]
