from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import pytest

from niwt_tf.data.readers.folder import read_folder
from niwt_tf.errors import InputError


def test_classes_images_and_a_class_that_is_only_described(animals: Path) -> None:
    for junk in ("images/ape/notes.txt", "images/ape/.DS_Store", "images/ape/._0.jpg", "images/readme.md"):
        (animals / junk).touch()
    (animals / "images/.cache").mkdir()
    (animals / "images/cat/deeper.jpg").mkdir()
    data = read_folder(str(animals))
    assert data.class_names == ("ape", "bear", "cat", "dog", "wolf", "unicorn")
    assert len(data.paths) == 20
    assert data.paths[:4] == ("ape/0.jpg", "ape/1.PNG", "ape/2.jpeg", "ape/3.bmp")
    assert data.labels.tolist() == [label for label in range(5) for _ in range(4)]
    assert all((data.root / path).is_file() for path in data.paths)
    assert data.knowledge.groups == ("", "colour", "")
    assert data.class_texts is None


def test_photographs_further_in_are_the_class_s_too(animals: Path) -> None:
    (animals / "images/ape/2024/june").mkdir(parents=True)
    (animals / "images/ape/2024/june/x.JPG").touch()
    data = read_folder(animals)
    assert data.paths[0] == "ape/0.jpg" and "ape/2024/june/x.JPG" in data.paths and len(data.paths) == 21


def test_what_is_passed_over_is_counted_and_named(animals: Path, caplog) -> None:
    for name in ("ape/a.CR2", "ape/b.cr2", "ape/notes", "stray.jpg"):
        (animals / "images" / name).touch()
    read_folder(animals)
    said = (
        "ape, because these are not image files: 2 with .cr2, 1 with no ending ('a.CR2', 'b.cr2', 'notes'). Save raw "
        "photographs"
    )
    assert said in caplog.text
    assert "images, because these are outside the class folders: 1 with .jpg ('stray.jpg')" in caplog.text


def test_a_row_of_totals_is_doubted(animals: Path, caplog) -> None:
    with open(animals / "classes.csv", "a") as table:
        table.write("Total,10,20,30\n")
    read_folder(animals)
    assert "rows count as classes without photographs: 'Total'. Remove them if they are totals." in caplog.text


def test_a_class_whose_files_are_all_passed_over_is_no_class_without_images(animals: Path) -> None:
    (animals / "images/unicorn").mkdir()
    assert len(read_folder(animals).paths) == 20
    (animals / "images/unicorn/a.cr2").touch()
    with pytest.raises(InputError, match=r"unicorn must hold photographs that can be read, .*Received: 'a.cr2' and no image"):
        read_folder(animals)


def test_descriptions_are_optional_by_class(animals: Path) -> None:
    (animals / "descriptions").mkdir()
    (animals / "descriptions/ape.txt").write_text("A large brown animal.\n")
    assert read_folder(animals).class_texts == ("A large brown animal.", "", "", "", "", "")
    (animals / "descriptions/aple.txt").write_text("x")
    with pytest.raises(InputError, match="file in descriptions/.*'aple'. Did you mean 'ape'"):
        read_folder(animals)


def test_what_is_not_read_is_said(animals: Path, caplog) -> None:
    (animals / "classes.xlsx").touch()
    (animals / "descriptions").mkdir()
    for name in ("ape.md", "bear.docx", ".DS_Store"):
        (animals / "descriptions" / name).touch()
    read_folder(animals)
    assert "classes.csv is read, not the classes.xlsx next to it" in caplog.text
    assert "because these are not texts (.txt): 1 with .md, 1 with .docx ('ape.md', 'bear.docx')" in caplog.text
    shutil.rmtree(animals / "descriptions")
    (animals / "descriptions").touch()
    with pytest.raises(InputError, match="descriptions must be a folder with a file <class>.txt"):
        read_folder(animals)
    (animals / "images").rename(animals / "Images")
    with pytest.raises(InputError, match="without it, but with 'Images'"):
        read_folder(animals)
    (animals / "classes.xlsx").unlink()
    (animals / "classes.csv").rename(animals / "classes.csv.txt")
    with pytest.raises(InputError, match="without it, but with 'classes.csv.txt'"):
        read_folder(animals)


def test_a_decomposed_folder_name_is_its_composed_row(animals: Path) -> None:
    with (animals / "classes.csv").open("a", encoding="utf-8") as file:
        file.write("b\u00e4r,1,1,1\n")
    folder = animals / "images" / unicodedata.normalize("NFD", "b\u00e4r")
    folder.mkdir()
    (folder / "0.jpg").touch()
    data = read_folder(animals)
    assert data.class_names[data.labels[data.paths.index(f"{folder.name}/0.jpg")]] == "b\u00e4r"


def test_missing_and_empty_folders(animals: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data_dir must be a folder. Received: .*no such folder"):
        read_folder(tmp_path / "none")
    with pytest.raises(InputError, match=f"no such folder\\). Did you mean '{animals}'?"):
        read_folder(animals.with_name(animals.name[:-1]))
    with pytest.raises(InputError, match="no such folder\\).$"):
        read_folder(animals / "classes.csv" / "inside")
    with pytest.raises(InputError, match="data_dir must be a folder. Received: .*a file"):
        read_folder(animals / "classes.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="must hold classes.csv"):
        read_folder(tmp_path / "empty")
    with pytest.raises(InputError, match=f"must hold classes.csv .* Did you mean '{animals}'"):
        read_folder(animals / "images")
    for name in ("ape", "bear", "cat", "dog", "wolf"):
        shutil.rmtree(animals / "images" / name)
    with pytest.raises(InputError, match="no image"):
        read_folder(animals)
    (animals / "images").rmdir()
    with pytest.raises(InputError, match="must hold images/"):
        read_folder(animals)


def test_a_class_folder_without_a_row(animals: Path) -> None:
    (animals / "images/wolff").mkdir()
    with pytest.raises(InputError, match=r"classes.csv must have a row.*none for 'wolff'. Did you mean 'wolf'"):
        read_folder(animals)


@pytest.mark.real_data
def test_real_photographs(shared_data: Path) -> None:
    data = read_folder(shared_data / "animals")
    assert (len(data.paths), len(data.class_names), data.knowledge.values.shape) == (1383, 19, (19, 51))
    assert 0 <= data.knowledge.values.min() <= data.knowledge.values.max() <= 1


def test_a_class_folder_that_is_called_like_a_hidden_file(animals: Path) -> None:
    """It would be passed over, and its class be one without photographs."""
    table = animals / "classes.csv"
    table.write_text(table.read_text().replace("wolf,", "__wolf,"))
    (animals / "images/wolf").rename(animals / "images/__wolf")
    with pytest.raises(InputError, match="folder of a class as hidden files are.* Received: '__wolf'"):
        read_folder(animals)


def test_a_home_that_nobody_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_folder("~nobody-of-that-name/data")
