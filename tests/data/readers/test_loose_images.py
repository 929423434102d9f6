import pytest

from niwt_tf.data.readers.loose_images import loose_images
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
