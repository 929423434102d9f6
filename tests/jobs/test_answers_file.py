from __future__ import annotations

import json
from pathlib import Path

import pytest

from niwt_tf.errors import InputError
from niwt_tf.jobs import answers_file
from niwt_tf.jobs.answers_file import AnswersFile, read_names, write_names

NAMES = [f"photos/{number}.png" for number in range(7)]
ASKED = {"--top": 1, "--bundle": "exports/birds/1"}


def record(name: str) -> dict:
    if name.endswith(("2.png", "6.png")):
        return {"image": name, "version": 3, "error": "It cannot be read"}
    best = [{"label": "=wren", "score": 0.75, "seen": True}, {"label": "hen", "score": 0.25, "seen": False}]
    return {"image": name, "version": 3, "predictions": best}


def answer(path: Path, most: int = 99, size: int = 2) -> AnswersFile:
    """Answer up to `most` lists, and finish where all are answered; otherwise end as SIGKILL does, without a last note."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers_file, "_COMMIT_SECONDS", 0.0)
        with AnswersFile(path, ASKED, NAMES) as answers:
            for number, names in enumerate(answers.lists(size)):
                if number == most:
                    answers.done_before = answers.done
                    return answers
                answers.append([record(name) for name in names])
            answers.finish()
    return answers


def read(path: Path) -> list[bytes]:
    return [each.read_bytes() for each in (path, path.with_name(f"{path.stem}.bad.csv"))]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_file_goes_on_to_the_same_bytes(tmp_path, form):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    whole = answer(tmp_path / f"whole.{form}")
    assert (whole.count, whole.done, whole.bad) == (7, 7, 2)
    path, work = tmp_path / f"parts.{form}", tmp_path / f"parts.{form}.unfinished"
    answer(path, most=1)
    assert json.loads((work / "progress.json").read_text())["done"] == 2
    for file in (path if form != "parquet" else work / "answers.jsonl", tmp_path / "parts.bad.csv"):
        with open(file, "ab") as torn:  # written after the last note of how far it was
            torn.write(b"photos/99.png,1,half a li")
    answer(path, most=1, size=3)
    assert answer(path, size=1).bad == 2
    assert read(path) == read(tmp_path / f"whole.{form}")
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(
        [f"parts.{form}", "parts.bad.csv", f"whole.{form}", "whole.bad.csv"]
    )


def test_rows_of_each_form(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    answer(tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[:3] == ["image,rank,label,score,seen,version", "photos/0.png,1,'=wren,0.75,1,3", "photos/0.png,2,hen,0.25,0,3"]
    assert len(lines) == 1 + 2 * 5
    assert (tmp_path / "a.bad.csv").read_text().splitlines()[1] == "photos/2.png,It cannot be read"
    answer(tmp_path / "b.jsonl")
    assert [json.loads(line) for line in (tmp_path / "b.jsonl").open()] == [record(NAMES[place]) for place in (0, 1, 3, 4, 5)]
    answer(tmp_path / "c.parquet")
    rows = parquet.read_table(tmp_path / "c.parquet").to_pylist()
    assert rows[0] == {"image": "photos/0.png", "rank": 1, "label": "=wren", "score": 0.75, "seen": True, "version": 3}
    assert len(rows) == 10


def test_without_bad_images_there_is_no_file_of_them(tmp_path):
    with AnswersFile(tmp_path / "a.csv", ASKED, NAMES[:2]) as answers:
        for names in answers.lists(2):
            answers.append([record(name) for name in names])
        answers.finish()
    assert [each.name for each in tmp_path.iterdir()] == ["a.csv"]


def test_where_nothing_was_answered_nothing_is_left(tmp_path):
    with pytest.raises(InputError, match="no server"), AnswersFile(tmp_path / "in/a.csv", ASKED, NAMES):
        raise InputError("no server")
    assert list((tmp_path / "in").iterdir()) == []


def test_mistakes_are_one_sentence(tmp_path, monkeypatch):
    def refused(path: str, match: str, asked: dict = ASKED) -> None:
        with pytest.raises(InputError, match=match), AnswersFile(tmp_path / path, asked, NAMES):
            raise AssertionError

    refused("a.txt", "--answers must end in .csv, .jsonl, .parquet. Received: ")
    (tmp_path / "there.csv").write_text("mine")
    refused("there.csv", "must be a new file, or a file that an interrupted niwt classify began")
    assert (tmp_path / "there.csv").read_text() == "mine"
    (tmp_path / "b.bad.csv").write_text("mine")
    refused("b.csv", "b.bad.csv' exists")
    answer(tmp_path / "c.csv", most=1)
    refused("c.csv", "only with the same input: --top was 1; use another file to start again. Received: 5.", {"--top": 5})
    with AnswersFile(tmp_path / "c.csv", ASKED, NAMES):
        refused("c.csv", "no other process is writing")
    (tmp_path / "c.csv").write_bytes(b"")
    refused("c.csv", "must be unchanged since niwt classify wrote it, [0-9]+ bytes at least; remove .* Received: 0 bytes")
    (tmp_path / "c.csv.unfinished/progress.json").write_text("{}")
    refused("c.csv", "progress.json must be unchanged since niwt classify wrote it; remove ")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    refused("d.parquet", "pip install 'niwt-tf.parquet.'.*Received: no pyarrow")


def test_names_may_hold_anything(tmp_path):
    names = ["a\nb.png", "鳥.png", "\udc80.png", '"q", r.png']
    assert write_names(names, tmp_path / "names") == 4
    assert list(read_names(tmp_path / "names", 1, 2)) == [names[1:3], names[3:]]
    with AnswersFile(tmp_path / "a.csv", ASKED, names) as answers:
        for each in answers.lists(4):
            answers.append([record(name) for name in each])
        answers.finish()
    assert "\\udc80.png" in (tmp_path / "a.csv").read_text()


def test_a_name_as_long_as_a_file_system_allows(tmp_path):
    path = tmp_path / f"{'a' * 251}.csv"
    answer(path, most=1)
    answer(path)
    bad = next(each for each in tmp_path.iterdir() if each != path)
    assert len(path.read_text().splitlines()) == 11 and bad.name.endswith(".bad.csv") and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("file", "old", "new"), [("progress.json", '"done": 2', '"done": 4'), ("images.jsonl", "4.png", "5.png")]
)
def test_a_note_of_how_far_it_is_that_was_changed_leaves_no_image_out(tmp_path, file, old, new):
    path = tmp_path / "a.csv"
    answer(path, most=1)
    changed = tmp_path / "a.csv.unfinished" / file
    text = changed.read_text()
    assert old in text
    changed.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=r"progress\.json must be unchanged since niwt classify wrote it; remove "):
        answer(path)
    changed.write_text(text)
    assert answer(path).done == 7
