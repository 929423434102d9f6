from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from niwt_tf.config.names import SOURCES
from niwt_tf.data.descriptions.sources import caption_documents, choose_knowledge
from niwt_tf.data.readers.cub import read_cub
from niwt_tf.data.readers.folder import read_folder
from niwt_tf.data.schema import Knowledge, caption_texts, descriptions_of
from niwt_tf.data.splits import named_split
from niwt_tf.errors import InputError


def test_attributes_stay_as_they_were_read(cub: Path) -> None:
    data = read_cub(cub)
    assert choose_knowledge(data) is data


def test_captions_become_topics_of_the_seen_classes_words(cub: Path) -> None:
    data = named_split(read_cub(cub), ["004.Grey_Owl"])
    chosen = choose_knowledge(data, "captions")
    assert chosen.knowledge.source == "captions"
    assert chosen.knowledge.values.shape == (4, 3)
    assert chosen.image_attributes is None
    assert not any("grey" in name for name in chosen.knowledge.names)
    assert any("blue" in name for name in chosen.knowledge.names)
    np.testing.assert_array_equal(chosen.knowledge.values, choose_knowledge(data, "captions").knowledge.values)
    # With as many topics as seen documents nothing is lost: rows have unit length, as TF-IDF's have.
    np.testing.assert_allclose(np.linalg.norm(chosen.knowledge.values[:3], axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(chosen.knowledge.values, choose_knowledge(data, "captions", np.arange(3)).knowledge.values)


def test_an_unseen_classes_words_change_nothing_of_the_seen_ones(cub: Path) -> None:
    before = choose_knowledge(named_split(read_cub(cub), ["004.Grey_Owl"]), "captions").knowledge.values
    for path in (cub / "text_c10/004.Grey_Owl").iterdir():
        path.write_text("blue wings, entirely new words")
    after = choose_knowledge(named_split(read_cub(cub), ["004.Grey_Owl"]), "captions").knowledge.values
    np.testing.assert_array_equal(before[:3], after[:3])
    assert not np.array_equal(before[3], after[3])


def test_captions_of_seen_test_images_are_left_out(cub: Path) -> None:
    data = named_split(read_cub(cub), ["004.Grey_Owl"])
    assert data.split is not None
    held_out = data.paths[data.split.test_seen[0]]
    path = cub / "text_c10" / held_out.replace("Clarks", "Clark").replace(".jpg", ".txt")
    path.write_text("a secret.")
    data = named_split(read_cub(cub), ["004.Grey_Owl"])
    assert not any("secret" in document for document in caption_documents(data))
    assert sum(document.count("grey") for document in caption_documents(data)) == 6


def test_class_texts(animals: Path) -> None:
    (animals / "descriptions").mkdir()
    data = named_split(read_folder(animals), ["wolf"])
    sentence = "needs a text for each of 6 classes. Received: none for 6: 'ape', 'bear', 'cat' and 3 more"
    with pytest.raises(InputError, match=sentence):
        choose_knowledge(data, "captions")
    for name in data.class_names:
        (animals / f"descriptions/{name}.txt").write_text(f"{name} is brown and furry")
    data = named_split(read_folder(animals), ["wolf"])
    assert choose_knowledge(data, "captions").knowledge.values.shape == (6, 4)
    for name in data.class_names:
        (animals / f"descriptions/{name}.txt").write_text("is the and")
    with pytest.raises(InputError, match="needs words"):
        choose_knowledge(named_split(read_folder(animals), ["wolf"]), "captions")
    with pytest.raises(InputError, match="seen must name"):
        choose_knowledge(read_folder(animals), "captions")


def test_a_data_set_without_attributes_needs_texts(animals: Path) -> None:
    known = read_folder(animals)
    nothing = Knowledge(np.zeros((len(known.class_names), 0), np.float32), (), ())
    data = named_split(known.replace(knowledge=nothing, class_texts=None), ["wolf"])
    for knowledge, what in (("attributes", "attributes"), ("binary", "attributes"), ("captions", "captions")):
        sentence = f"--knowledge must be texts or the path of a CSV file for the data set 'folder', which has no {what}."
        with pytest.raises(InputError, match=f"^{sentence} Received: '{knowledge}'.$"):
            choose_knowledge(data, knowledge)
    with pytest.raises(InputError, match="which has no attributes. Received: 'texts.attributes'"):
        choose_knowledge(data, "texts+attributes")
    texts = tuple(f"it is brown, a {name}" for name in data.class_names)
    data = named_split(data.replace(class_texts=texts, split=None), ["wolf"])
    assert choose_knowledge(data, "captions").knowledge.values.shape[0] == 6  # a class's own text stands for captions
    assert choose_knowledge(data, str(animals / "classes.csv")).knowledge.names == known.knowledge.names


def test_a_table_of_the_users(animals: Path) -> None:
    data = read_folder(animals)
    path = animals / "mine.csv"
    path.write_text("class,size::big\n" + "".join(f"{name},{k}\n" for k, name in enumerate((*data.class_names[::-1], "emu"))))
    chosen = choose_knowledge(data, str(path)).knowledge
    assert chosen.values[:, 0].tolist() == [5, 4, 3, 2, 1, 0]
    assert chosen.groups == ("size",)
    path.write_text("class,size\nape,1\n")
    with pytest.raises(InputError, match="none for 'bear', 'cat', 'dog' and 2 more"):
        choose_knowledge(data, str(path))
    with pytest.raises(InputError, match="knowledge must be.*Received: 'atributes'. Did you mean 'attributes'"):
        choose_knowledge(data, "atributes")
    rule = f"--knowledge must be {', '.join(SOURCES)}, the path of a CSV file, or several of these joined by +"
    for text, received in (
        (f"attributes+{animals}/none.csv", f"'{animals}/none.csv', which does not exist."),
        ("none.csv", "'none.csv', which does not exist."),
        (str(animals), f"'{animals}', a folder."),
        ("attributes+", "'attributes+'."),
        ("", "''."),
    ):
        with pytest.raises(InputError) as raised:
            choose_knowledge(data, text)
        assert str(raised.value) == f"{rule}. Received: {received}"


def test_features_of_texts_are_asked_for_only_where_there_are_texts(animals: Path) -> None:
    data = read_folder(animals)
    for knowledge in ("attributes", "attributes+binary", "sentences"):
        received = f"Received: 'vectors:v.txt' with --knowledge={knowledge}."
        with pytest.raises(InputError, match=re.escape(f"is captions or texts. {received}")):
            choose_knowledge(data, knowledge, text_features="vectors:v.txt")
    with pytest.raises(InputError, match=r"needs the folder descriptions"):
        choose_knowledge(named_split(data, ["wolf"]), "attributes+texts", text_features="vectors:v.txt")


@pytest.mark.real_data
def test_real_captions(shared_data: Path) -> None:
    data = named_split(read_cub(shared_data / "cub", "drop"), ["001.Black_footed_Albatross"])
    values = choose_knowledge(data, "captions").knowledge.values
    assert values.shape == (10, 9)
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    assert np.argmax(unit[1:] @ unit[0]) + 1 in (1, 2)  # the nearest to one albatross is another


def test_several_sources(cub: Path, animals: Path) -> None:
    data = named_split(read_cub(cub), ["004.Grey_Owl"])
    table = animals / "with+plus.csv"
    table.write_text("class,size\n" + "".join(f"{name},{k}\n" for k, name in enumerate(data.class_names)))
    assert choose_knowledge(data, str(table)).knowledge.names == ("size",)
    other = table.rename(table.with_name("mine.csv"))
    both = choose_knowledge(data, f"attributes+captions + {other}")
    assert both.knowledge.values.shape == (4, 2 + 3 + 1)
    assert both.knowledge.names[2].startswith("captions: topic 1: ")
    assert both.knowledge.names[-1] == "mine: size"
    assert both.knowledge.groups[:2] == data.knowledge.groups
    assert both.knowledge.words is None
    assert both.image_attributes is None
    alone = choose_knowledge(data, "captions").knowledge.values
    centred = alone - alone[:3].mean(axis=0)
    expected = centred / np.linalg.norm(centred[:3], axis=1).mean()
    np.testing.assert_allclose(both.knowledge.values[:, 2:5], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("knowledge", "sentence"),
    [
        ("attributes+captoins", "Received: 'captoins'. Did you mean 'captions'?"),
        ("captions+attributes+captions", "must name each source once. Received: 'captions' twice."),
        ("attributes+", "Received: 'attributes+'."),
        ("attributes+nowhere.csv", "Received: 'nowhere.csv', which does not exist."),
        ("texts", "needs the folder descriptions with a file <class>.txt for each class"),
    ],
)
def test_sources_that_are_not_there(cub: Path, knowledge: str, sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        choose_knowledge(named_split(read_cub(cub), ["004.Grey_Owl"]), knowledge)
    assert sentence in str(raised.value)


@pytest.mark.parametrize("where", ["", "CUB_200_2011"])
def test_texts_of_classes_near_an_archive(cub: Path, where: str) -> None:
    data = named_split(read_cub(cub), ["004.Grey_Owl"])
    captions = choose_knowledge(data, "captions").knowledge.values
    folder = cub / where / "descriptions"
    folder.mkdir()
    for name in data.class_names[:3]:
        colour = name.split(".")[1].split("_")[0]
        (folder / f"{name}.txt").write_text(f"A {colour} bird with long wings. " * 4_000)  # as long as a page of Wikipedia
    (folder / "004.Gray_Owl.txt").write_text("A grey owl.")
    with pytest.raises(InputError, match="none for 1: '004.Grey_Owl'. Did you mean '004.Gray_Owl'"):
        choose_knowledge(data, "texts")
    (folder / "004.Grey_Owl.txt").write_text("")
    with pytest.raises(InputError, match="none for 1: '004.Grey_Owl'.$"):
        choose_knowledge(data, "texts")
    (folder / "004.Gray_Owl.txt").rename(folder / "004.Grey_Owl.txt")
    with pytest.raises(InputError, match="none of the 2 words of '004.Grey_Owl'"):
        choose_knowledge(data, "texts")
    (folder / "004.Grey_Owl.txt").write_text("A grey owl with long wings.")
    chosen = choose_knowledge(data, "texts").knowledge
    assert (chosen.source, chosen.values.shape) == ("texts", (4, 3))
    np.testing.assert_array_equal(choose_knowledge(data, "captions").knowledge.values, captions)


def test_a_method_that_reads_words_reads_the_texts_that_are_asked_for(cub: Path) -> None:
    data = named_split(read_cub(cub), ["004.Grey_Owl"])
    for name in data.class_names:
        (cub / "descriptions").mkdir(exist_ok=True)
        (cub / "descriptions" / f"{name}.txt").write_text(f"A text of {name}.")
    chosen = choose_knowledge(data, "texts")
    assert chosen.captions is not None
    assert descriptions_of(chosen).texts == tuple(f"A text of {name}." for name in data.class_names)
    assert descriptions_of(choose_knowledge(data, "captions")).texts == caption_texts(data)


def test_captions_of_no_class_at_all(cub: Path) -> None:
    shutil.rmtree(cub / "text_c10")
    with pytest.raises(InputError, match="none for 4: .* Captions of images are read from text_c10, in"):
        choose_knowledge(named_split(read_cub(cub), ["004.Grey_Owl"]), "captions")


def test_captions_of_some_classes_alone(cub: Path) -> None:
    for path in (cub / "text_c10/002.Blue_Wren").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="captions needs a text for each of 4 classes. Received: none for 1: '002.Blue"):
        choose_knowledge(named_split(read_cub(cub), ["004.Grey_Owl"]), "captions")
    # Captions of images that are not there, and images without captions, do no harm.
    (cub / "text_c10/001.Red_Finch/bird_9_99.txt").write_text("a secret")
    next((cub / "text_c10/003.Clark_Tern").iterdir()).unlink()
    (cub / "text_c10/002.Blue_Wren/bird_1_21.txt").write_text("a blue wren")
    (cub / "text_c10/002.Blue_Wren/bird_2_22.txt").write_text("a blue wren")
    chosen = choose_knowledge(named_split(read_cub(cub), ["004.Grey_Owl"]), "captions")
    assert not any("secret" in name for name in chosen.knowledge.names)
