"""The flags of `niwt refine_class`; what it does to a bundle is tested in tests/serving/test_refining.py."""

from __future__ import annotations

import pytest

from niwt_tf.errors import InputError
from niwt_tf.jobs.refine_class import image_paths


def test_a_folder_its_files_and_a_name_with_a_comma(tmp_path):
    for name in ("b.png", "a.jpg", "a, b.jpg", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in image_paths(str(tmp_path))] == ["a, b.jpg", "a.jpg", "b.png"]
    given = f"{tmp_path / 'b.png'}, {tmp_path / 'a.jpg'}"
    assert [path.name for path in image_paths(given)] == ["b.png", "a.jpg"]
    assert image_paths(str(tmp_path / "a, b.jpg")) == [tmp_path / "a, b.jpg"]


@pytest.mark.parametrize("given", ["{0}/empty", "{0}/none.png", "{0}/a.jpg,{0}/none.png", " , "])
def test_images_that_are_not_there(tmp_path, given):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.jpg").touch()
    with pytest.raises(InputError, match=r"--images must be image files or a folder of them\. Received: ") as error:
        image_paths(given.format(tmp_path))
    assert "a.jpg" not in str(error.value)


@pytest.mark.parametrize("left_out", ["bundle", "name", "images"])
def test_flags_that_must_be_given(niwt, tmp_path, left_out):
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
