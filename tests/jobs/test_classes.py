"""The jobs on the classes of a bundle, without a run.

What `niwt refine_class` does to a bundle is tested in tests/serving/test_refining.py; its flags are here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.niwt_formula import NiwtFormula
from niwt_tf.methods.niwt.transfer_closed_form import Blocks
from niwt_tf.metrics.calibration import LogitStatistics
from niwt_tf.models.backbones import build_network
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.classes.rewrite import write_cards, write_metadata
from niwt_tf.serving.client.client import Client
from niwt_tf.serving.client.local_transport import LocalTransport
from niwt_tf.serving.export.contents import Contents
from niwt_tf.serving.export.savedmodel import export_network
from tests.serving.answers import verified_here

ATTRIBUTES = ("black", "stripes", "size::big", "size::small")
CLASSES = ("cat", "dog", "eel", "fox")


@pytest.fixture(scope="session")
def exported(tiny_birds, tmp_path_factory) -> Path:
    """Return the versions of a toy network with 3 seen classes and 1 unseen, and 4 attributes."""
    random = np.random.default_rng(0)
    seen = build_network("small_vgg", CLASSES[:3], input_size=16, seed=3)
    network = seen.with_head(random.standard_normal((seen.num_features, 4)), np.zeros(4), CLASSES, 3)
    neurons, features = network.num_neurons, network.num_features
    normaliser = DescriptionNormaliser("centred", np.full(4, 0.5, np.float32))
    weights, bias = random.standard_normal((neurons, 4)).astype(np.float32), np.zeros(neurons, np.float32)
    basis = random.standard_normal((features, neurons + 1)).astype(np.float32)
    formula = NiwtFormula(
        ImportanceMap(weights, bias, normaliser), Blocks.single(neurons), basis, np.zeros(neurons + 1), np.eye(neurons + 1),
        LogitStatistics(0.0, 1.0), 0.0,
    )  # fmt: skip
    values = np.array([[0, 1, 0, 1], [1, 0, 1, 0], [1, 1, 0, 1], [0, 0, 1, 0]], np.float32)
    contents = Contents(
        Knowledge(values, ATTRIBUTES, ("", "", "size", "size")),
        formula=formula,
        images=(5, 5, 5, 0),
        validation={"validation_acc_zsl": 0.5},
    )
    folder = tmp_path_factory.mktemp("exports") / "toy"
    image = next((tiny_birds / "CUB_200_2011" / "images").rglob("*.jpg"), None) or next(tiny_birds.rglob("*.png"))
    with verified_here():
        export_network(network, folder, contents=contents, check_images=[image])
    return folder


@pytest.fixture
def bundle(exported, tmp_path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "toy"))


def versions(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_from_adding_to_removing(bundle, niwt, tmp_path):
    (tmp_path / "owl.json").write_text('{"black": 0, "stripes": 1, "size::big": 0.25, "size::small": 1}')
    added = niwt("add_class", f"--bundle={bundle}", "--name= owl 🦉 ", f"--attributes={tmp_path}/owl.json")
    assert added.status == 0, added.err
    said = re.fullmatch(r"Added 'owl 🦉': (.+) \(computed in ([\d.]+) ms, ([\d.]+) s in all\)\n", added.out)
    assert said
    assert said[1] == str(bundle / "2")
    text = "A small black bird, no stripes. Small size."
    described = niwt("add_class", f"--bundle={bundle}", "--name=emu", f"--text={text}", "--source=me")
    assert described.status == 0, described.err
    assert "understood black, size::small; denied stripes" in described.err
    assert "every word was understood" in described.err
    assert "'black': black (said)" in described.err
    listed = niwt("list_classes", f"--bundle={bundle}", "--format=json")
    cards = json.loads(listed.out)["classes"]
    assert [card["name"] for card in cards] == [*CLASSES, "owl 🦉", "emu"]
    assert cards[4]["description"] == [0, 1, 0.25, 1]
    assert (cards[4]["source"], cards[5]["source"]) == ("owl.json", "me")
    # Highs and lows of the three seen classes: black 1 and 0, stripes 1 and 0, small 1, big 0.
    assert cards[5]["description"] == [1, 0, 0, 1]
    renamed = niwt("rename_class", f"--bundle={bundle}", "--name=emu", "--new_name=Emu")
    assert renamed.out.startswith(f"Renamed 'emu' to 'Emu': {bundle / '4'} ")
    removed = niwt("remove_class", f"--bundle={bundle}", "--name=owl 🦉")
    assert removed.out.startswith(f"Removed 'owl 🦉': {bundle / '5'} ")
    table = niwt("list_classes", f"--bundle={bundle}").out
    assert [line.split()[0] for line in table.splitlines()] == ["class", *CLASSES, "Emu", "5"]
    assert niwt("list_classes", f"--bundle={bundle / '1'}").out.count("\n") == 6
    assert versions(bundle) == ["1", "2", "3", "4", "5"]


def test_the_list_has_nothing_that_a_terminal_would_obey(bundle, niwt):
    hostile, wide = "\x1b[2Ja\nb\u202e", "鳥"
    version = bundle / "1"
    opened = Bundle.open(version)
    cards = [replace(card, name=name) for card, name in zip(opened.cards, (hostile, wide, "eel", "fox"), strict=True)]
    cards[0] = replace(cards[0], source=hostile, made=hostile, how=hostile)
    write_cards(version, cards)
    names = {"labels": [card.name for card in cards], "seen": [card.name for card in cards[:3]]}
    write_metadata(version, {**opened.metadata, **names})
    listed = niwt("list_classes", f"--bundle={bundle}")
    assert listed.status == 0, listed.err
    header, first, second, third, *rest = listed.out.splitlines()
    assert len(rest) == 2 and "\x1b" not in listed.out and "\u202e" not in listed.out
    assert first.startswith("\\x1b[2Ja\\nb\\u202e  yes") and first.count("\\x1b[2Ja") == 4
    # A wide letter takes two columns, so the next cell begins one character earlier than in the other lines.
    start = header.index("trained on")
    assert (first.index("yes"), second.index("yes"), third.index("yes")) == (start, start - 1, start)
    found = json.loads(niwt("list_classes", f"--bundle={bundle}", "--format=json").out)["classes"][0]
    assert found["name"] == hostile


def test_a_table_of_cards_makes_one_version(bundle, niwt, tmp_path):
    (tmp_path / "new.csv").write_text("class,text,source\nowl,small size and black,a guide\nemu,big size without stripes,\n")
    added = niwt("add_class", f"--bundle={bundle}", f"--cards={tmp_path}/new.csv")
    assert added.status == 0, added.err
    assert added.out.startswith("Added 'owl', 'emu': ")
    assert versions(bundle) == ["1", "2"]
    assert [card.source for card in Bundle.open(bundle).cards[4:]] == ["a guide", "new.csv"]


def test_filling_in_is_told(bundle, niwt, tmp_path):
    (tmp_path / "owl.csv").write_text("attribute,value\nstripes,1\n")
    flags = ["add_class", f"--bundle={bundle}", "--name=owl", f"--attributes={tmp_path}/owl.csv"]
    assert "none for 'black', 'size::big', 'size::small'; with missing=mean they get" in niwt(*flags).err
    added = niwt(*flags, "--missing=mean")
    assert added.status == 0
    assert "owl: 3 attributes get the mean of the seen classes: black, size::big, size::small." in added.err


def _tampered(folder: Path) -> None:
    (folder / "1/assets.extra/cards.json").write_text((folder / "1/assets.extra/cards.json").read_text() + " ")


def _newer(folder: Path) -> None:
    path = folder / "1/niwt.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 3'))


def _without_formula(folder: Path) -> None:
    metadata = {**Bundle.open(folder).metadata, "column_map": None}
    write_metadata(folder / "1", metadata)


def _one_class(folder: Path) -> None:
    bundle = Bundle.open(folder)
    write_cards(folder / "1", bundle.cards[:1])
    write_metadata(folder / "1", {**bundle.metadata, "labels": ["cat"], "seen": ["cat"], "unseen": []})


def _gone(folder: Path) -> None:
    shutil.rmtree(folder / "1")


def _nothing(folder: Path) -> None:
    del folder


B = "--bundle={b}"
ADD = ("add_class", B, "--name=owl")
MISTAKES = {
    "no bundle": (_nothing, ("add_class", "--name=owl", "--text=black"), "--bundle must be given"),
    "an empty folder": (_gone, (*ADD, "--text=black"), "must be an exported SavedModel or hold versions of one"),
    "tampered": (_tampered, (*ADD, "--text=black"), "assets.extra/cards.json, it was changed"),
    "tampered, listed": (_tampered, ("list_classes", B), "assets.extra/cards.json, it was changed"),
    "a newer format": (_newer, (*ADD, "--text=black"), "must have format 2. Received: 3; update niwt-tf"),
    "no column formula": (_without_formula, (*ADD, "--text=black"), "must have a column formula"),
    "no name": (_nothing, ("add_class", B, "--text=black"), "--name must be given"),
    "no description": (_nothing, ADD, "--text_file, --cards must be given to describe the class. Received: none"),
    "an empty text": (_nothing, (*ADD, "--text="), "must be given to describe the class. Received: an empty --text"),
    "two descriptions": (_nothing, (*ADD, "--text=black", "--attributes=x.json"), "Received: --attributes, --text"),
    "a name and cards": (_nothing, (*ADD, "--cards=x.csv"), "--name must not be given with --cards"),
    "a class that is there": (_nothing, ("add_class", B, "--name=cat", "--text=black"), "'cat', which exists. Take"),
    "a name of two lines": (_nothing, ("add_class", B, "--name=a\nb", "--text=black"), "without control characters"),
    "a long name": (_nothing, ("add_class", B, "--name=" + "x" * 201, "--text=black"), "1 to 200 characters"),
    "little understood": (_nothing, (*ADD, "--text=black, warbling, crooning"), "half understood, or give --yes .*33% of what"),
    "nothing understood": (_nothing, (*ADD, "--text=purple"), "text must describe the class in the words .*'black', 'stripes'"),
    "no file": (_nothing, (*ADD, "--attributes={b}/x.json"), "x.json must be a file. Received: no such file"),
    "no text file": (_nothing, (*ADD, "--text_file={b}/x.txt"), "x.txt must be a file. Received: no such file"),
    "no cards": (_nothing, ("add_class", B, "--cards={b}/x.csv"), "x.csv must be a file. Received: no such file"),
    "a choice": (_nothing, (*ADD, "--text=black", "--missing=avg"), "--missing must be one of error, mean. Received: 'avg'"),
    "one bad row": (_nothing, ("add_class", B, "--cards={t}/bad.csv"), "bad.csv, line 3: text must describe"),
    "a row that is there": (_nothing, ("add_class", B, "--cards={t}/cat.csv"), "'cat', which exists"),
    "an unknown class": (_nothing, ("remove_class", B, "--name=dgo"), "Received: 'dgo'. Did you mean 'dog'?"),
    "the only class": (_one_class, ("remove_class", B, "--name=cat"), "the name of the bundle's only class"),
    "remove nothing": (_nothing, ("remove_class", B), "--name must be given"),
    "rename to nothing": (_nothing, ("rename_class", B, "--name=cat"), "--new_name must be given"),
    "rename to another": (_nothing, ("rename_class", B, "--name=cat", "--new_name=dog"), "'dog', which exists"),
    "rename to itself": (_nothing, ("rename_class", B, "--name=cat", "--new_name=cat"), "'cat', which exists"),
    "a format": (_nothing, ("list_classes", B, "--format=xml"), "--format must be one of table, json. Received: 'xml'"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake, bundle, niwt, tmp_path):
    spoil, arguments, sentence = MISTAKES[mistake]
    spoil(bundle)
    (tmp_path / "bad.csv").write_text("class,text\nowl,black\nemu,purple\n")
    (tmp_path / "cat.csv").write_text("class,text\nowl,black\ncat,black\n")
    before = versions(bundle)
    job = niwt(*(argument.replace("{b}", str(bundle)).replace("{t}", str(tmp_path)) for argument in arguments))
    assert job.status == 2
    assert re.search(sentence.replace("?", r"\?"), job.err), job.err
    assert job.err.count("\n") == 1
    assert job.out == ""
    assert versions(bundle) == before


@pytest.mark.slow
def test_an_older_version_that_is_changed_is_warned_of(bundle, niwt):
    assert niwt("rename_class", f"--bundle={bundle}", "--name=cat", "--new_name=Cat").status == 0
    again = niwt("rename_class", f"--bundle={bundle / '1'}", "--name=dog", "--new_name=Dog")
    assert "Version 2 is newer; the new version is made from 1 and does not have its changes." in again.err
    assert Bundle.open(bundle).labels == ("cat", "Dog", "eel", "fox")


def test_nothing_heavy_is_imported_to_list_or_to_refuse(repository):
    code = (
        "import sys, niwt_tf.jobs.classes\n"
        "assert not {'tensorflow', 'keras', 'sklearn', 'scipy', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=repository, check=True)


@pytest.mark.slow
def test_classes_are_changed_without_keras(bundle, repository):
    code = (
        "import sys\nfrom niwt_tf.cli import main\n"
        f"assert main(['rename_class', '--bundle={bundle}', '--name=cat', '--new_name=Cat']) == 0\n"
        "assert 'tensorflow' in sys.modules and not {'keras', 'sklearn'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=repository, check=True)


@pytest.mark.slow
def test_two_at_once_lose_nothing(bundle, repository):
    command = [sys.executable, "-m", "niwt_tf", "add_class", f"--bundle={bundle}", "--text=black"]
    both = [subprocess.Popen([*command, f"--name={name}"], cwd=repository) for name in ("owl", "emu")]
    assert [process.wait() for process in both] == [0, 0]
    assert set(Bundle.open(bundle).labels) == {*CLASSES, "owl", "emu"}
    assert versions(bundle) == ["1", "2", "3"]


@pytest.mark.parametrize("left_out", ["bundle", "name", "images"])
def test_flags_of_a_refinement_that_must_be_given(niwt, tmp_path, left_out):
    (tmp_path / "a.jpg").touch()
    flags = [f"--{name}={tmp_path}" for name in ("bundle", "name", "images") if name != left_out]
    job = niwt("refine_class", *flags)
    assert job.status == 2
    assert job.err.startswith(f"niwt refine_class: --{left_out} must be given") and job.err.count("\n") == 1


def test_a_folder_that_is_no_bundle(niwt, tmp_path):
    (tmp_path / "a.jpg").touch()
    job = niwt("refine_class", f"--bundle={tmp_path}", "--name=owl", f"--images={tmp_path}")
    assert job.status == 2
    assert job.err.count("\n") == 1 and str(tmp_path) in job.err


@pytest.mark.slow
def test_little_understood_is_saved_if_wanted(bundle, niwt, monkeypatch):
    monkeypatch.setattr("niwt_tf.jobs.classes.nearest_word", lambda word, known: None)
    arguments = ("add_class", f"--bundle={bundle}", "--name=owl", "--text=black, warbling, crooning")
    assert niwt(*arguments).status == 2 and versions(bundle) == ["1"]
    assert niwt(*arguments, "--yes").status == 0 and versions(bundle) == ["1", "2"]


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("photos") / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(path)
    return path


@pytest.mark.slow
def test_images_are_compared_with_a_class_that_is_only_described(niwt, exported, photo, tmp_path):
    asked = ["classify", f"--bundle={exported}", f"--images={photo}", "--top=9", "--format=json"]
    job = niwt(*asked, "--describe= gnu: It is black and not small.\nyak: A big striped animal.")
    assert job.status == 0, job.err
    assert "niwt classify: gnu: Of the text, understood black" in job.err
    found = {each["label"]: each for each in json.loads(job.out)[0]["predictions"]}
    assert found.keys() == {*CLASSES, "gnu", "yak"} and os.listdir(exported) == ["1"]
    assert [found[name].get("described", False) for name in ("gnu", "yak", "cat", "fox")] == [True, True, False, False]
    assert found["cat"]["seen"] and not found["fox"]["seen"] and not found["gnu"]["seen"]
    # The same by numbers, and in a table for many.
    cards = tmp_path / "cards.csv"
    cards.write_text("class,text\ngnu,It is black and not small.\nyak,A big striped animal.\n")
    assert niwt(*asked, f"--cards={cards}").out == job.out
    with Client(LocalTransport(exported)) as client:
        texts = {"gnu": "It is black and not small.", "yak": [0.5, 1.0, 1.0, 0.0]}
        answer = client.classify_with([photo], texts)
        assert set(answer.labels[0]) == found.keys()
        scores = dict(zip(answer.labels[0], answer.scores[0].tolist(), strict=True))
        with pytest.raises(InputError, match=r"descriptions must be understood to at least 50%, or .* Received: \d+% of"):
            client.classify_with([photo], {"gnu": "Black, it flies at night and hunts mice."})
        least = client.classify_with([photo], {"gnu": "Black, it flies at night and hunts mice."}, least_understood=0.2)
        assert "gnu" in least.labels[0]
    assert scores.keys() == found.keys()
    shown = niwt(*asked[:3], "--top=1", f"--describe={next(iter(texts))}: It is black and not small.")
    assert shown.status == 0 and shown.out.splitlines()[1].split()[-1] in ("seen", "unseen", "described")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--describe=gnu: Black, it flies at night and hunts mice."], "--describe must be at least half understood, or"),
        (["--describe=gnu: Qwerty."], "'gnu': "),
        (["--describe=black"], "--describe must be a name, a colon and a text, in each line. Received: 'black'."),
        (["--describe=gnu: black\ngnu: small"], "--describe must describe each class once. Received: 'gnu' twice."),
        (["--describe=  "], "--describe must not be empty."),
        (["--describe=CAT: black"], "name must be new. Received: 'CAT'"),
        (["--describe=gnu: black", "--cards=x.csv"], "Either --describe or --cards must be given."),
        (["--describe=gnu: black", "--explain"], "--explain must be left out with --describe"),
        (["--cards=none.csv"], "none.csv"),
    ],
)
def test_what_cannot_be_described_is_one_sentence(niwt, exported, photo, flags, said):
    job = niwt("classify", f"--bundle={exported}", f"--images={photo}", *flags)
    assert (job.status, job.out, job.err.count("\n")) == (2, "", 1)
    assert said in job.err


def test_words_need_a_bundle_that_knows_them(niwt, photo):
    job = niwt("classify", "--server=http://127.0.0.1:1", "--name=x", f"--images={photo}", "--describe=gnu: black")
    assert job.status == 2 and "--bundle must be given with --describe: it knows what the words mean." in job.err
    with pytest.raises(InputError, match="bundle must be the exported version that the server has.*a text for 'gnu'"):
        Client("http://127.0.0.1:1", "x").classify_with([photo], {"gnu": "black"})
