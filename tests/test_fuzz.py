"""Foreign bytes: whatever is done to a good file, its reader reads it or says in one sentence what is wrong, soon.

A few seconds of it here; `make fuzz` goes on for ten minutes (FUZZ_EXAMPLES for each reader, drawn anew each time).
"""

from __future__ import annotations

import io
import json
import os
import resource
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from niwt_tf.data.arrays import read_arrays
from niwt_tf.data.descriptions.word_vectors import read_vectors
from niwt_tf.data.images.foreign import as_known
from niwt_tf.data.images.pipeline import _judged
from niwt_tf.data.readers.awa2 import read_awa2
from niwt_tf.data.readers.class_texts import read_class_texts
from niwt_tf.data.readers.cub import read_cub
from niwt_tf.data.readers.spreadsheet import rows_of_workbook
from niwt_tf.data.readers.tables import read_class_table, read_mat
from niwt_tf.data.readers.xlsa17 import read_role_list
from niwt_tf.errors import InputError
from niwt_tf.files import read_json
from niwt_tf.runs.stage import read_manifest
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.bundle.cards import Card, cards_from_json
from niwt_tf.serving.classes import rewrite
from niwt_tf.serving.client.rest_tensors import from_rows
from tests.data.readers.miniature_archives import write_awa2, write_cub

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", 15))
_SECONDS, _KILOBYTES = 2.0, 1_000_000
_PIECES = (
    b"\0", b"\xff", b",", b";", b"\t", b'"', b"\n", b"\r", b"-", b"1e999", b"nan", b"99999999999999999999", b"[" * 2000, b"{",
    b"=",
)  # fmt: skip


def _changed(content: bytes, changes: list[tuple[int, float, int]]) -> bytes:
    """Return content after some changes: of a bit, a cut, a piece put in, a part repeated or taken out."""
    for kind, where, much in changes:
        at = int(where * len(content))
        if kind == 0 and content:
            at = min(at, len(content) - 1)
            content = content[:at] + bytes([content[at] ^ (1 << much % 8)]) + content[at + 1 :]
        elif kind == 1:
            content = content[:at]
        elif kind == 2:
            content = content[:at] + _PIECES[much % len(_PIECES)] + content[at:]
        elif kind == 3:
            content = content[:at] + content[at : at + much] * 3 + content[at + much :]
        else:
            content = content[:at] + content[at + much :]
    return content


CHANGES = st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1), st.integers(0, 300)), min_size=1, max_size=4)


def _bundle(folder: Path) -> Path:
    for name in ("variables", "assets.extra"):
        (folder / name).mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    rewrite.write_cards(folder, [Card("owl", (0.5, 1.0)), Card("wren", None, "a wren")])
    knowledge = {"names": ["p", "q"], "groups": ["", ""], "source": "attributes"}
    names = {"labels": ["owl", "wren"], "seen": [], "unseen": ["owl", "wren"], "knowledge": knowledge}
    rewrite.write_metadata(folder, {"format": 2, "input_size": 16, **names})
    return folder


def _image(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)).save(file, kind, **options)
    return file.getvalue()


def _good(folder: Path) -> dict[str, tuple[Path, object]]:
    """Return, by a name, a good file and what reads it."""
    found: dict[str, tuple[Path, object]] = {}

    def add(name, content, read):
        (folder / name).write_bytes(content)
        found[name] = (folder / name, read)

    table = b'class,size::small,size::large,wings\nowl,0.5,1,yes\nwren,0,1.5,no\n"gull, grey",1,,yes\n'
    add("classes.csv", table, read_class_table)
    add("decimal.csv", "class;p;q\nöwl;0,5;1\nwren;1,5;2\n".encode(), read_class_table)
    add("texts.csv", b'class,text\nowl,"An owl\nis grey"\nwren,A small wren\n', read_class_texts)
    add("roles.csv", b"class,image,role\na,b.png,train\n", read_role_list)
    add("vectors.txt", b"2 3\nowl 1 2 3\nwren 0.5 1e-3 4\n", lambda path: read_vectors(path, ["owl", "wren"]))
    add("vectors.bin", b"2 2\nowl " + bytes(8) + b"\nwren " + bytes(8) + b"\n", lambda path: read_vectors(path, ["owl"]))
    file = io.BytesIO()
    np.savez_compressed(file, a=np.arange(6.0), b=np.array("word"))
    add("arrays.npz", file.getvalue(), read_arrays)
    file = io.BytesIO()
    savemat(file, {"x": np.arange(6.0), "names": np.array(["a", "b"], object)}, do_compression=True)
    add("arrays.mat", file.getvalue(), lambda path: read_mat(path, ["x", "names"]))
    cards = json.dumps([{**Card("owl", (0.5,)).__dict__, "validation": {"h": 0.5}}]).encode()
    add("cards.json", cards, lambda path: cards_from_json(_json(path), "cards.json"))
    rows = json.dumps([{"x": [[1, 2.5], [3, 4]], "image_bytes": {"b64": "aGVsbG8="}}]).encode()
    add("rows.json", rows, lambda path: from_rows(_json(path)))
    for kind in ("png", "jpeg", "gif", "bmp", "webp", "tiff"):
        add(f"image.{kind}", _image(kind), lambda path: _sentence(_judged(path).fault))
    add("image.jp2", _image("jpeg2000"), lambda path: as_known(path.read_bytes()))
    try:
        import openpyxl

        book = openpyxl.Workbook()
        book.active.append(["class", "p"])
        book.active.append(["owl", 0.5])
        book.save(folder / "classes.xlsx")
        found["classes.xlsx"] = (folder / "classes.xlsx", rows_of_workbook)
    except ImportError:
        pass
    bundle = _bundle(folder / "bundle" / "1")
    for file in (bundle / "niwt.json", bundle / "assets.extra" / "cards.json"):
        found[f"bundle {file.name}"] = (file, lambda _: Bundle.open(bundle, check=False))
    manifest = folder / "stage" / "manifest.json"
    manifest.parent.mkdir()
    (manifest.parent / "b").write_bytes(b"1")
    told = {"stage": "stage", "settings": {}, "inputs": {}, "data": "d", "extra": {}, "identity": "i", "files": {"b": 1}}
    manifest.write_text(json.dumps({**told, "publishes": ["b"], "seconds": 1, "shapes": {}, "metrics": {}}))
    found["manifest"] = (manifest, lambda path: read_manifest(path.parent))
    for name, write, read in (("cub", write_cub, read_cub), ("awa2", write_awa2, read_awa2)):
        root = write(folder / name)
        for file in sorted(root.rglob("*")):
            if file.suffix in (".txt", ".mat") and "text_c10" not in str(file):
                found[f"{name} {file.relative_to(root).as_posix()}"] = (file, lambda _, root=root, read=read: read(root))
    return found


def _json(path: Path) -> object:
    try:
        return read_json(path)
    except ValueError as error:
        raise InputError(str(error).splitlines()[0]) from None


def _sentence(fault: str) -> None:
    if fault:
        raise InputError(fault)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return _good(tmp_path_factory.mktemp("good"))


NAMES = (
    "classes.csv", "decimal.csv", "texts.csv", "roles.csv", "vectors.txt", "vectors.bin", "arrays.npz", "arrays.mat",
    "cards.json", "rows.json", "image.png", "image.jpeg", "image.gif", "image.bmp", "image.webp", "image.tiff", "image.jp2",
    "classes.xlsx", "bundle niwt.json", "bundle cards.json", "manifest", "cub", "awa2",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_foreign_bytes_are_read_or_refused_in_a_sentence(good, name):
    which = [each for each in good if each == name or each.startswith(f"{name} ")]
    if not which:
        pytest.skip("its reader is not installed")
    count = 0
    for path, read in (good[each] for each in which[:1]):  # what is done once in a process counts for none
        with suppress(InputError):
            read(path)

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize="FUZZ_EXAMPLES" not in os.environ, database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(which), CHANGES)
    def one(which, changes):
        nonlocal count
        count += 1
        path, read = good[which]
        whole, before, begun = path.read_bytes(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        try:
            path.write_bytes(_changed(whole, changes))
            read(path)
        except InputError as error:
            assert len(str(error).splitlines()) == 1 and len(str(error)) < 2000, str(error)
        except ValueError as error:
            assert name == "rows.json", error  # the server makes its sentence of it
        finally:
            path.write_bytes(whole)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < _KILOBYTES
        if "FUZZ_EXAMPLES" in os.environ:  # no default test depends on how fast the machine is
            assert time.process_time() - begun < _SECONDS

    one()
    print(json.dumps({"reader": name, "inputs": count, "tracebacks": 0}))


def test_the_good_files_are_read(good):
    for name, (path, read) in good.items():
        if name not in ("roles.csv", "manifest"):
            read(path)
