from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwt_tf.config.surroundings import child_environment, python_command
from niwt_tf.data.readers.loose_images import image_files
from niwt_tf.errors import InputError
from niwt_tf.jobs.answer_text import CsvText, JsonText, TableText
from niwt_tf.jobs.terminal_text import padded, shown, width
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.backbones import build_network
from niwt_tf.serving.client.answers import Predictions
from niwt_tf.serving.client.records import predicted
from niwt_tf.serving.export.contents import Contents
from niwt_tf.serving.export.savedmodel import export_network
from niwt_tf.serving.loopback.server import loopback
from tests.serving.answers import verified_here
from tests.serving.client.toy_model import save_toy
from tests.shared import further

# A label may hold anything; these would clear the screen, break the line and turn the order of what follows.
LABELS = ("red", "\x1b[2Jgr\neen", "\u202eblue")


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy") / "models" / "1", LABELS, np.eye(3), 2).parent


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    (folder / "inner").mkdir(parents=True)
    for name, colour in (("a.png", (255, 0, 0)), ("b.png", (0, 255, 0)), ("inner/c.png", (0, 0, 255))):
        Image.fromarray(np.full((4, 4, 3), colour, np.uint8)).save(folder / name)
    (folder / "notes.txt").write_text("not an image")
    return folder


def _mistakes(said: str) -> list[str]:
    return [line for line in said.strip().splitlines() if "Skipped in" not in line or "notes.txt" not in line]


def test_a_bundle_in_this_process(niwt, toy, photos):
    done = niwt("classify", f"--bundle={toy}", f"--images={photos}")
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split() == ["image", "label", "score"]
    assert [line.split()[0] for line in lines[1:]] == [str(photos / name) for name in ("a.png", "b.png", "inner/c.png")]
    assert lines[1].split()[1:] == ["red", "1.0000", "seen"] and lines[3].endswith("unseen")
    assert "\x1b" not in done.out and "\u202e" not in done.out and len(lines) == 4
    assert "\\x1b[2Jgr\\neen" in lines[2] and "\\u202eblue" in lines[3]


@pytest.mark.parametrize("protocol", ["grpc", *further("rest")])
def test_a_server_answers_as_the_bundle_does(niwt, toy, photos, protocol):
    of_bundle = niwt("classify", f"--bundle={toy}", f"--images={photos}", "--format=json", "--top=3")
    with loopback(toy, "toy") as server:
        flags = [f"--server={getattr(server, protocol)}", "--name=toy", f"--images={photos}", "--format=json", "--top=3"]
        of_server = niwt("classify", *flags)
    assert of_server.status == 0, of_server.err
    expected, received = json.loads(of_bundle.out), json.loads(of_server.out)
    for one, other in zip(expected, received, strict=True):
        assert one["image"] == other["image"] and len(one["predictions"]) == 3
        assert [best["label"] for best in one["predictions"]] == [best["label"] for best in other["predictions"]]
        assert one["predictions"][0]["score"] == pytest.approx(other["predictions"][0]["score"], rel=1e-5)
    assert [row["version"] for row in expected] == [1, 1, 1]
    assert [row["version"] for row in received] == [1 if protocol == "grpc" else None] * 3


@pytest.mark.slow
def test_bad_images_are_named_and_the_rest_answered(niwt, toy, photos, tmp_path):
    (photos / "bad\x1b[31m.png").write_bytes(b"not an image")
    written = tmp_path / "answers.json"
    done = niwt("classify", f"--bundle={toy}", f"--images={photos}", f"--json={written}")
    assert done.status == 2
    assert "1 of 4 cannot" in done.err and "bad\\x1b[31m.png" in done.err and "\x1b" not in done.err + done.out
    assert sum(line.endswith("seen") for line in done.out.splitlines()) == 3
    assert sum("error: " in line for line in done.out.splitlines()) == 1
    records = json.loads(written.read_text())
    assert ["error" in record for record in records] == [False, False, True, False]
    # The same file may be written again, a photograph may not.
    assert niwt("classify", f"--bundle={toy}", f"--images={photos}", f"--json={written}").err == done.err
    before = (photos / "a.png").read_bytes()
    refused = niwt("classify", f"--bundle={toy}", f"--images={photos / 'a.png'}", f"--json={photos / 'a.png'}")
    assert (refused.status, refused.out) == (2, "") and "--json must be a new file" in refused.err
    assert (photos / "a.png").read_bytes() == before


@pytest.mark.slow
def test_explanations_are_words(niwt, toy, photos):
    done = niwt("classify", f"--bundle={toy}", f"--images={photos / 'a.png'}", "--explain")
    assert done.status == 0, done.err
    assert "because of red +1, green +0, blue +0" in done.out
    assert "neurons neuron 2 (blue) +1, " in done.out and "rather than " in done.out
    done = niwt("classify", f"--bundle={toy}", f"--images={photos / 'a.png'}", "--explain", "--format=json")
    words = json.loads(done.out)[0]["explanation"]
    assert words["attributes"][0] == {"attribute": "red", "weight": 1.0} and words["speaks_against"][0]["weight"] == -1.0


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--images={photos}"], "Either --server or --bundle must be given. Received: neither."),
        (["--images={photos}", "--server=grpc://localhost:1", "--bundle={toy}"], "Received: both."),
        (["--images={photos}", "--server=grpc://localhost:1"], "--name must be given with --server"),
        (["--images={photos}", "--bundle={toy}", "--name=birds"], "--name must be left out with --bundle"),
        (["--bundle={toy}"], "--images must name image files"),
        (["--images={photos}", "--bundle={photos}"], "--bundle must be an exported SavedModel"),
        (["--images={photos}", "--bundle={toy}", "--explain", "--top=2"], "--top must be left out with --explain"),
        (["--images={photos}", "--bundle={toy}", "--answers=a.csv", "--format=csv"], "--format must be left out"),
        (["--images={photos}", "--bundle={toy}", "--answers=a.csv", "--explain"], "--answers must end in .jsonl"),
        (["--images={photos}", "--bundle={photos}", "--answers={photos}/a.csv"], "--bundle must be an exported SavedModel"),
        (["--images={photos}/none", "--bundle={toy}", "--answers={photos}/a.csv"], "must name files or folders that exist"),
        (["--images={photos}", "--server=localhost", "--name=toy"], "server must be like grpc://localhost:8500"),
        (["--images={photos}", "--server=http://127.0.0.1:1", "--name=toy", "--retries=0"], "must name a server that answers"),
    ],
)
def test_mistakes_are_one_sentence(niwt, toy, photos, flags, sentence):
    done = niwt("classify", *[flag.format(toy=toy, photos=photos) for flag in flags])
    assert done.status == 2 and len(_mistakes(done.err)) == 1
    assert sentence in done.err and done.out == ""


def test_answers_go_into_a_file_and_bad_images_into_another(niwt, toy, photos, tmp_path):
    (photos / "bad.png").write_bytes(b"not an image")
    path = tmp_path / "answers.csv"
    done = niwt("classify", f"--bundle={toy}", f"--images={photos}", f"--answers={path}", "--top=2", "--batch_size=1")
    assert done.status == 2 and done.out.startswith(f"{path}: 3 of 4 images, the last 4 in ")
    assert "1 of 4 cannot: " in done.err and done.err.rstrip().endswith(f"all of them are in {tmp_path / 'answers.bad.csv'}.")
    printed = niwt("classify", f"--bundle={toy}", f"--images={photos}", "--top=2", "--format=csv")
    rows = [line for line in csv.DictReader(io.StringIO(printed.out)) if not line["error"]]
    written = list(csv.DictReader(path.open()))
    assert [line.pop("version") for line in written] == ["1"] * 6 and len(written) == 6
    assert [{**line, "error": ""} for line in written] == rows
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == ["answers.bad.csv", "answers.csv"]
    again = niwt("classify", f"--bundle={toy}", f"--images={photos}", f"--answers={path}")
    assert again.status == 2 and "--answers must be a new file" in again.err


def test_explanations_are_json_lines(niwt, toy, photos, tmp_path):
    path = tmp_path / "answers.jsonl"
    done = niwt("classify", f"--bundle={toy}", f"--images={photos}", f"--answers={path}", "--explain")
    assert done.status == 0, done.err
    assert [json.loads(line)["explanation"]["runner_up"]["label"] != "" for line in path.open()] == [True] * 3


@pytest.mark.slow
def test_a_job_that_is_killed_goes_on_with_other_workers(toy, photos, tmp_path):
    for number in range(150):
        (photos / f"inner/{number:03d}.png").symlink_to(photos / ("a.png" if number % 3 else "b.png"))
    (photos / "inner/200.png").symlink_to("/nowhere")

    def job(path: Path, workers: int) -> subprocess.Popen:
        flags = [f"--bundle={toy}", f"--images={photos}", f"--answers={path}", f"--workers={workers}", "--batch_size=1"]
        command = [*python_command("niwt_tf"), "classify", *flags]
        return subprocess.Popen(command, env=child_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    whole, path = tmp_path / "whole.csv", tmp_path / "killed.csv"
    assert job(whole, 1).wait() == 2
    for workers in (2, 1):
        process = job(path, workers)
        before = path.stat().st_size if path.exists() else 0
        while process.poll() is None and (path.stat().st_size if path.exists() else 0) <= before:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    last = job(path, 2)
    assert "images already have answers" in last.communicate()[1].decode() or path.stat().st_size
    assert last.returncode == 2 and path.read_bytes() == whole.read_bytes()
    assert (tmp_path / "killed.bad.csv").read_bytes() == (tmp_path / "whole.bad.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["bundle", *further("grpc", "rest")])
def test_explanations_that_are_not_there_are_no_fault_of_the_images(niwt, photos, tmp_path, how):
    network = build_network("small_vgg", ("hen", "wren"), input_size=16, seed=1)
    with verified_here():
        export_network(network, tmp_path / "toy", check_images=[photos / "a.png"])
    flags = [f"--images={photos}", "--explain"]
    with loopback(tmp_path / "toy", "toy") if how != "bundle" else nullcontext() as server:
        place = f"--bundle={tmp_path / 'toy'}" if server is None else f"--server={getattr(server, how)}"
        done = niwt("classify", place, *flags, *([] if server is None else ["--name=toy"]))
    assert done.status == 2 and len(_mistakes(done.err)) == 1 and done.out == ""
    flag = place.partition("=")[0]
    assert f"--explain must be left out if {flag} has no explanations" in done.err


def test_a_model_that_the_server_has_not_is_named(niwt, toy, photos):
    with loopback(toy, "toy") as server:
        done = niwt("classify", f"--server={server.rest}", "--name=birds", f"--images={photos}")
    rule = "--name and --model_version must name a model and a version on the server"
    assert done.status == 2 and f"{rule}. Received: 'birds'" in done.err


def test_folders_give_their_images_and_files_are_taken_as_they_are(photos):
    (photos / "D.JPEG").write_bytes(b"")
    names = [path.relative_to(photos).as_posix() for path in image_files(f"{photos}, {photos / 'notes.txt'}")]
    assert names == ["D.JPEG", "a.png", "b.png", "inner/c.png", "notes.txt"]
    with pytest.raises(InputError, match="files or folders that exist"):
        image_files(str(photos / "missing.png"))
    (photos / "empty").mkdir()
    with pytest.raises(InputError, match="must hold image files"):
        image_files(str(photos / "empty"))


RECORDS = [
    {
        "image": "鳥.png",
        "version": 1,
        "predictions": [
            {"label": "unknown", "score": 0.25, "seen": False},
            {"label": 'a "b", c\n', "score": 0.125, "seen": True},
        ],
    },
    {"image": "b.png", "version": None, "error": "no\x07"},
]


def test_scores_are_written_as_short_as_they_are():
    scores = np.float32([0.9, 0.1])
    found = Predictions((("hen", "wren"),), (scores,), (np.array([True, False]),), (3,), {})
    expected = [{"label": "hen", "score": 0.9, "seen": True}, {"label": "wren", "score": 0.1, "seen": False}]
    assert predicted(["a.png"], found, 5) == [{"image": "a.png", "version": 3, "predictions": expected}]


def test_columns_of_the_table_line_up():
    assert TableText(abstains=True).part(RECORDS) == (
        "image   label       score\n"
        "鳥.png  unknown     0.2500\n"
        '        a "b", c\\n  0.1250  seen\n'
        "b.png   error: no\\x07\n"
    )


def test_a_class_called_unknown_is_a_class_where_nothing_abstains():
    assert "unknown     0.2500  unseen\n" in TableText().part(RECORDS)
    second = [{**RECORDS[0], "predictions": RECORDS[0]["predictions"][::-1]}]
    # Only the first label is an abstention.
    assert TableText(abstains=True).part(second).endswith("unknown     0.2500  unseen\n")


@pytest.mark.slow
@pytest.mark.parametrize(("below", "kind"), [(0.0, "seen"), *further((1.1, ""))])
def test_what_unknown_means_is_read_in_the_bundle(niwt, photos, tmp_path, below, kind):
    names = ("unknown", "wren") if not below else ("hen", "wren")
    network = build_network("small_vgg", names, input_size=16, seed=1)
    network = network.with_head(network.columns, np.array([0.0, -1e6]), names, 1)
    contents = Contents(probabilities=Probabilities(1.0, below))
    with verified_here():
        export_network(network, tmp_path / "export", contents=contents, check_images=[photos / "a.png"])
    done = niwt("classify", f"--bundle={tmp_path / 'export'}", f"--images={photos / 'a.png'}", "--top=1")
    assert done.status == 0, done.err
    assert done.out.splitlines()[1].split()[1:] == ["unknown", "1.0000", *kind.split()]


def test_csv_and_json_keep_every_letter():
    rows = list(csv.DictReader(io.StringIO(CsvText().part(RECORDS))))
    assert [row["label"] for row in rows] == ["unknown", 'a "b", c\n', ""]
    assert [row["rank"] for row in rows] == ["1", "2", ""] and rows[2]["error"] == "no\x07"
    parts = JsonText()
    written = parts.part(RECORDS[:1]) + parts.part(RECORDS[1:]) + parts.end()
    assert written == json.dumps(RECORDS, indent=2) + "\n"
    assert json.loads(written) == RECORDS and written.isascii()


def test_what_a_terminal_would_obey_is_escaped():
    assert shown("\x1b[31m\x07\u202e\u2066\x9b\ud800\t\u2028") == "\\x1b[31m\\x07\\u202e\\u2066\\x9b\\ud800\\t\\u2028"
    for text in ("عنقاء", "👩\u200d🔬", "naïve", "می\u200cخواهم"):
        assert shown(text) == text
    assert (width("鳥"), width("e\u0301"), width("ab")) == (2, 1, 2)
    assert padded("鳥", 4) == "鳥  "
