from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from niwt_tf.data.descriptions.new_classes import read_described_classes, read_description
from niwt_tf.data.readers import tables
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError

SEEN = Knowledge(np.array([[0, 1], [10, 3]], np.float32), ("black", "stripes"), ("", ""))


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_of_attributes_in_any_order(tmp_path):
    path = write(tmp_path, "new.csv", 'stripes,class,source,black\n1,"owl, grey",a guide,2\n3,emu,,4\n')
    owl, emu = read_described_classes(path, SEEN)
    assert (owl.name, owl.source, owl.description.values.tolist()) == ("owl, grey", "a guide", [2, 1])
    assert (emu.name, emu.source, emu.description.values.tolist()) == ("emu", "", [4, 3])


def test_texts(tmp_path):
    path = write(tmp_path, "new.csv", 'class,text\nowl,"black, without stripes"\n')
    (owl,) = read_described_classes(path, SEEN)
    assert owl.description.values.tolist() == [10, 1]
    assert owl.description.text == "black, without stripes"


def test_files_beside_the_table(tmp_path):
    write(tmp_path, "owl.json", '{"black": 1, "stripes": 2}')
    write(tmp_path, "below/emu.csv", "attribute,value\nblack,3\n")
    path = write(tmp_path, "new.csv", "class,attributes\nowl,owl.json\nemu,below/emu.csv\n")
    owl, emu = read_described_classes(path, SEEN, missing="mean")
    assert owl.description.values.tolist() == [1, 2]
    assert emu.description.values.tolist() == [3, 2]
    assert "stripes" in emu.description.notes[0]


def test_an_attribute_may_be_called_text_or_source(tmp_path):
    seen = Knowledge(np.ones((1, 2)), ("text", "source"), ("", ""))
    (owl,) = read_described_classes(write(tmp_path, "new.csv", "class,text,source\nowl,1,2\n"), seen)
    assert owl.description.values.tolist() == [1, 2]


MISTAKES = {
    "no class column": ("name,text\nowl,black\n", "line 1 must have a column 'class'"),
    "only classes": ("class,source\nowl,me\n",
        "must have a column 'text', a column 'attributes' or columns of attributes"),
    "text and attributes": ("class,text,attributes\nowl,black,a.json\n", "Received: 'text', 'attributes'."),
    "text and values": ("class,text,black\nowl,black,1\n", "Received: 'text', 'black'."),
    "a column twice": ("class,black,black\nowl,1,1\n", "line 1 must name each column once. Received: 'black' twice."),
    "no rows": ("class,text\n", "must have a row for each new class"),
    "no name": ("class,text\n,black\n", "line 2 must name its class. Received: an empty cell."),
    "a class twice": ("class,text\nowl,black\nowl,stripes\n", "line 3 must name a new class. Received: 'owl', also on line 2."),
    "no number": ("class,black,stripes\nowl,1,two\n", "line 2, column 'stripes' must be a finite number. Received: 'two'."),
    "percent and number": ("class,black,stripes\nowl,80%,1\nemu,0.3,2\n",
        "line 3, column 'black' must have a %, as on other lines. Received: '0.3'."),
    "yes and number": ("class,black,stripes\nowl,yes,1\nemu,0.3,2\n", "line 3, column 'black' must be yes or no, as on other"),
    "infinity": ("class,black,stripes\nowl,1,inf\n", "line 2, column 'stripes' must be a finite number. Received: 'inf'."),
    "a column missing": ("class,black\nowl,1\n",
        "line 2 must name every one of the bundle's 2 attributes. Received: none for 'str"),
    "a column unknown": ("class,blak,stripes\nowl,1,2\n",
        "line 2 must name one of the bundle's 2 attributes. Received: 'blak'"),
    "nothing understood": ("class,text\nowl,black\nemu,purple\n", "line 3: text must describe the class in the words"),
    "no file": ("class,attributes\nowl,owl.jsn\n",
        "line 2 must name a file that exists. Received: 'owl.jsn'. Did you mean 'owl.json'"),
    "no path": ("class,attributes\nowl,\n", "line 2 must name a file in the folder of the CSV. Received: ''."),
    "an absolute path": ("class,attributes\nowl,{folder}/owl.json\n", "line 2 must name a file in the folder of the CSV."),
    "a path upwards": ("class,attributes\nowl,../secret.json\n",
        "line 2 must name a file in the folder of the CSV. Received: '../sec"),
    "a path up and down": ("class,attributes\nowl,../new/owl.json\n",
        "must name a file in the folder of the CSV. Received: '../new"),
    "a link out": ("class,attributes\nowl,link.json\n",
        "line 2 must name a file in the folder of the CSV. Received: 'link.json'."),
    "a folder link out": ("class,attributes\nowl,up/secret.json\n",
        "must name a file in the folder of the CSV. Received: 'up/sec"),
    "a loop of links": ("class,attributes\nowl,loop.json\n",
        "must name a file in the folder of the CSV. Received: 'loop.json'"),
    "a folder": ("class,attributes\nowl,.\n", "must name a file that exists. Received: '.'"),
    "a mistake in the file": ("class,attributes\nowl,owl.json\n",
        "owl.json, line 1, 'black' must be a finite number. Received: \"no\"."),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(tmp_path, mistake):
    text, sentence = MISTAKES[mistake]
    folder = tmp_path / "new"
    write(tmp_path, "secret.json", '{"black": 1, "stripes": 2}')
    write(folder, "owl.json", '{"black": "no", "stripes": 2}')
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop.json").symlink_to(folder / "loop.json")
    path = write(folder, "new.csv", text.replace("{folder}", str(folder)))
    with pytest.raises(InputError) as raised:
        read_described_classes(path, SEEN)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("table", "values"),
    [("class,black,stripes\nowl,3 kg,x\nemu,4 kg,\n", [[3, 1], [4, 0]]),
     ("Class,black,stripes\nowl,NA,\u2717\nemu,80%,\u2713\n", [[5, 0], [0.8, 1]]),
     ("class,Black,stripes\n", None), ("class,stripes,black\nowl,-,\"1,5\"\nemu,2,0\n", [[1.5, 2], [0, 2]])],
)  # fmt: skip
def test_cards_are_read_as_class_tables_are(tmp_path, table, values):
    path = write(tmp_path, "new.csv", table)
    if values is None:
        with pytest.raises(InputError):
            read_described_classes(path, SEEN)
        return
    assert [each.description.values.tolist() for each in read_described_classes(path, SEEN, missing="mean")] == [
        pytest.approx(row) for row in values
    ]


def test_the_text_of_a_card_may_have_a_capital(tmp_path):
    (owl,) = read_described_classes(write(tmp_path, "new.csv", "CLASS,Text,Source\nowl,black,me\n"), SEEN)
    assert (owl.description.text, owl.source) == ("black", "me")


def test_tables_and_texts_from_a_pipe(tmp_path):
    """The shell's `<(...)` and /dev/stdin, which are read once."""
    for content in (b"attribute,value\nblack,3\nstripes,4\n", b'{"black": 3, "stripes": 4}'):
        ours, theirs = os.pipe()
        os.write(theirs, content)
        os.close(theirs)
        assert read_description(f"/dev/fd/{ours}", SEEN).values.tolist() == [3, 4]
        os.close(ours)
    ours, theirs = os.pipe()
    os.write(theirs, b"class,text\nowl,black\n")
    os.close(theirs)
    assert [each.name for each in read_described_classes(f"/dev/fd/{ours}", SEEN)] == ["owl"]
    os.close(ours)


def test_many_classes_take_no_longer_each(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(tables, "likeness", lambda name: asked.append(name) or name.lower())
    rows = "".join(f"owl {number},1,2\n" for number in range(300))
    assert len(read_described_classes(write(tmp_path, "new.csv", f"class,black,stripes\n{rows}"), SEEN)) == 300
    assert len(asked) < 700
    with pytest.raises(InputError, match="line 3 must name a new class. Received: 'OWL' and 'owl', nearly .* on line 2"):
        read_described_classes(write(tmp_path, "new.csv", "class,black,stripes\nowl,1,2\nOWL,1,2\n"), SEEN)
