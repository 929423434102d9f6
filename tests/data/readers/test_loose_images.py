import logging
import os

import pytest

from niwt_tf.data.readers.loose_images import image_files, loose_images
from niwt_tf.errors import InputError


def test_images_of_folders_within_are_found(tmp_path):
    (tmp_path / "b" / "c").mkdir(parents=True)
    for name in ("2.png", "b/1.JPG", "b/c/3.webp", "b/notes.txt"):
        (tmp_path / name).touch()
    found = loose_images(tmp_path, "--f must be a folder of images")
    assert (found.root, found.paths) == (tmp_path, ("2.png", "b/1.JPG", "b/c/3.webp"))
    assert (found.labels.tolist(), found.class_names) == ([0, 0, 0], (tmp_path.name,))


def test_a_folder_without_images_is_refused_by_the_rule(tmp_path):
    for path, received in ((tmp_path, "without an image"), (tmp_path / "none", "not a folder")):
        with pytest.raises(InputError, match=f"^--f must be a folder of images. Received: '{path}', {received}"):
            loose_images(path, "--f must be a folder of images")


def test_a_list_a_folder_and_names_with_commas(tmp_path):
    for name in ("b.png", "a.jpg", "a, b.jpg", "a,b", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in image_files(str(tmp_path))] == ["a, b.jpg", "a.jpg", "b.png"]
    given = f"{tmp_path / 'b.png'}, {tmp_path / 'a.jpg'},{tmp_path / 'a, b.jpg'},"
    assert [path.name for path in image_files(given)] == ["b.png", "a.jpg", "a, b.jpg"]
    assert image_files(str(tmp_path / "a,b")) == [tmp_path / "a,b"]


def test_a_list_of_thousands_is_soon_read(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").touch()
    looked, lexists = [], os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: looked.append(path) or lexists(path))
    assert len(image_files(",".join([str(tmp_path / "a.jpg")] * 1000))) == 1000
    assert len(looked) < 200_000


@pytest.mark.parametrize(
    ("given", "said"),
    [("{0}/empty", "hold image"), ("{0}/none.png", "none.png'"), ("{0}/a.jpg,{0}/none.png", "none.png'"), (" , ", "name")],
)
def test_images_that_are_not_there(tmp_path, given, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.jpg").touch()
    with pytest.raises(InputError, match=said) as error:
        image_files(given.format(tmp_path), "--pictures")
    assert "a.jpg" not in str(error.value) and "--pictures" in str(error.value)


def test_links_are_followed_once_and_litter_is_no_image(tmp_path, caplog):
    (tmp_path / "disk").mkdir()
    (tmp_path / "p" / ".thumbnails").mkdir(parents=True)
    (tmp_path / "p" / "__MACOSX").mkdir()
    for name in ("p/._a.jpg", "p/.thumbnails/a.png", "p/__MACOSX/a.jpg", "p/Thumbs.db", "disk/b.HEIC", "p/c.cr2"):
        (tmp_path / name).touch()
    (tmp_path / "p" / "holiday").symlink_to("../disk")
    (tmp_path / "disk" / "round").symlink_to("../p")
    (tmp_path / "p" / "gone.jpg").symlink_to("nowhere")
    os.mkfifo(tmp_path / "p" / "pipe.jpg")
    with caplog.at_level(logging.WARNING, "niwt_tf"):
        found = [path.relative_to(tmp_path).as_posix() for path in image_files(str(tmp_path / "p"))]
    assert found == ["p/gone.jpg", "p/holiday/b.HEIC"]
    assert "2 with" not in caplog.text and "1 with .cr2, 1 with .jpg ('c.cr2', 'pipe.jpg')" in caplog.text
