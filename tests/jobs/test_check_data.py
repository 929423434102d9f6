"""`niwt check_data` on a small folder, in order and spoilt."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from niwt_tf.data.checks import ClassSize
from niwt_tf.jobs.check_data import _table, _told


def test_a_folder_in_order_has_status_0(niwt, own_data):
    job = niwt("check_data", f"--data_dir={own_data}", "--noprogress")
    assert (job.status, job.err) == (0, "")
    assert job.out.startswith(f"{own_data}: 25 photographs, 6 classes: ")
    assert "error " not in job.out and "--num_unseen=2" in job.out
    assert "fox    described            0      0     0            0" in job.out


@pytest.fixture
def spoilt(own_copy):
    """Return a folder with a file that is no image, copies in another class and in another format, and a description twice."""
    images = own_copy / "images"
    (images / "ant/0.png").write_bytes(b"no image")
    shutil.copy(images / "bee/0.png", images / "cat/copy <b>.png")
    for place in range(5):  # whichever is held out
        with Image.open(images / f"dog/{place}.png") as image:
            image.save(images / f"dog/saved again {place}.bmp")
    (images / "notes.txt").touch()
    table = (own_copy / "classes.csv").read_text()
    (own_copy / "classes.csv").write_text(table.replace("fox,5,4,9", "fox,5,4,7"))
    return own_copy


def test_what_spoils_results_has_status_1_and_is_in_every_form(niwt, spoilt, tmp_path):
    record_file, page_file = tmp_path / "found.json", tmp_path / "found.html"
    job = niwt("check_data", f"--data_dir={spoilt}", f"--json={record_file}", f"--page={page_file}", "--noprogress")
    assert (job.status, job.err) == (1, "")
    # It may write them again.
    again = niwt("check_data", f"--data_dir={spoilt}", f"--json={record_file}", f"--page={page_file}", "--noprogress")
    assert (again.status, again.err) == (1, "")
    assert "ant/0.png (The image must be a JPEG" in " ".join(job.out.split())
    assert job.out.endswith(f"page  {page_file}\n")
    record = json.loads(record_file.read_text())
    found = {finding["kind"]: finding for finding in record["findings"]}
    assert record["status"] == 1 and record["counts"]["error"] == len([f for f in found.values() if f["level"] == "error"])
    assert found["undecodable"]["groups"][0]["images"] == ["ant/0.png"]
    assert found["identical_across_classes"]["groups"] == [{"images": ["bee/0.png", "cat/copy <b>.png"]}]
    assert {"images": ["dog/0.png", "dog/saved again 0.bmp"]} in [
        group for finding in found.values() if finding["kind"].startswith("nearly_identical_") for group in finding["groups"]
    ]
    assert found["identical_descriptions"]["groups"] == [{"classes": ["cat", "fox"]}]
    assert "notes.txt" in found["reading"]["sentence"]
    assert {"name": "ant", "role": "seen", "photographs": 4, "undecodable": 1}.items() <= record["classes"][0].items()
    page = page_file.read_text()
    assert "cat/copy &lt;b&gt;.png" in page and "<b>" not in page
    assert page.count("data:image/webp") >= 5 and "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "--data_dir must be given"),
        (("--data_dir=nowhere",), "data_dir must be a folder"),
        (("--data_dir={data}", "--json={data}"), "--json must be a file in a folder that exists"),
        (("--data_dir={data}", "--page={data}/no/page.html"), "--page must be a file in a folder that exists"),
        (("--data_dir={data}", "--json={data}/classes.csv"), "--json must be a new file, or one that this job wrote"),
        (("--data_dir={data}", "--page={data}/classes.csv"), "--page must be a new file, or one that this job wrote"),
        (("--data_dir={data}", "--num_unseen=9"), "num_unseen must be from 0 to 3"),
        (("--data_dir={data}", "--dataset=cub"), "data_dir must be the folder CUB_200_2011"),
    ],
)
def test_what_cannot_be_read_has_status_2_and_one_sentence(niwt, own_data, flags, said):
    job = niwt("check_data", *(flag.format(data=own_data) for flag in flags))
    assert (job.status, job.out, job.err.count("\n")) == (2, "", 1)
    assert said in job.err


def test_what_was_passed_over_is_said_where_reading_fails(niwt, own_copy):
    (own_copy / "images/notes.txt").touch()
    (own_copy / "images/gnu").mkdir()
    job = niwt("check_data", f"--data_dir={own_copy}")
    assert job.status == 2 and "notes.txt" in job.err and "'gnu'" in job.err


def test_the_layout_is_told_by_the_files(own_data, tmp_path):
    assert _told(own_data) == "folder" == _told(tmp_path)
    (tmp_path / "102flowers").mkdir()
    (tmp_path / "102flowers/imagelabels.mat").touch()
    assert _told(tmp_path) == _told(tmp_path / "102flowers") == "flowers"


def test_of_many_classes_the_table_has_those_with_the_fewest_photographs():
    lines = _table([ClassSize(f"c{count}", "seen", count, count, 0, 0) for count in range(100, 0, -1)])
    assert lines[1].startswith("c1 ") and lines[30].startswith("c30 ") and "the other 70 classes" in lines[31]
