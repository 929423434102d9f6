from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from niwt_tf.data.readers.archives import drop_missing, present_images
from niwt_tf.data.readers.spreadsheet import is_workbook
from niwt_tf.data.readers.tables import read_mat, read_numbered_names, read_text
from niwt_tf.data.schema import Dataset, no_knowledge
from niwt_tf.errors import InputError


def test_images_that_cannot_be_listed_now_are_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(b"")
    paths = ("a/1.jpg", "a/2.jpg", "b/1.jpg", "a/1.jpg/x.jpg", "c\0/1.jpg")
    assert present_images(tmp_path, paths).tolist() == [True, False, False, False, False]
    listed = Path.iterdir

    def failing(folder):
        if folder.name == "a":
            raise OSError(errno.EIO, "Input/output error", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", failing)
    with pytest.raises(OSError, match="Input/output error"):
        present_images(tmp_path, paths)


def test_a_pipe_in_the_place_of_a_table_is_not_waited_for(tmp_path):
    pipe = tmp_path / "classes.csv"
    os.mkfifo(pipe)
    assert not is_workbook(pipe)
    with pytest.raises(InputError, match=r"classes\.csv must be a readable file\. Received: not a regular file\."):
        read_text(pipe)
    with pytest.raises(InputError, match=r"classes\.csv must be a readable MATLAB file\. Received: Not a regular file\."):
        read_mat(pipe, ["labels"])


@pytest.mark.parametrize("number", ["9" * 19, "9" * 5000])
def test_a_number_that_no_archive_has_is_none(tmp_path, number):
    (tmp_path / "images.txt").write_text(f"1 a.jpg\n{number} b.jpg\n")
    with pytest.raises(InputError, match=r"images\.txt, line 2 must be a number and a name\. Received: '9999"):
        read_numbered_names(tmp_path / "images.txt")


@pytest.mark.parametrize("path", ["../b.jpg", "a/../../b.jpg", "/etc/b.jpg"])
def test_a_list_of_images_does_not_lead_out_of_their_folder(tmp_path, path):
    (tmp_path / "images" / "a").mkdir(parents=True)
    (tmp_path / "b.jpg").write_bytes(b"")
    dataset = Dataset("cub", tmp_path / "images", (path,), np.zeros(1, np.int32), ("a",), no_knowledge(1))
    with pytest.raises(InputError, match=rf"images\.txt must list images in .*images\. Received: '{path}', which leads out"):
        drop_missing(dataset, "error", tmp_path / "images.txt")
