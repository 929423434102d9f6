"""The row cache and its tables: what is found again, and every way in which it is not."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from niwt_tf.compute import feature_cache
from niwt_tf.compute.feature_cache import RowCache, RowIndex, RowTable, identities_of
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError
from niwt_tf.files import read_json, write_json

SHAPE = (2, 3)
FROM = {"weights": "a"}


def _identities(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2**63, (count, 2)).astype(np.uint64)


def _rows(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype(np.float32)


def _cache(folder, most=10**9, dtype="float32"):
    return RowCache(folder, most, dtype)


def _filled(folder, count=20, most=10**9, dtype="float32", block=8):
    cache = _cache(folder, most, dtype)
    table = cache.table("maps", SHAPE, FROM)
    identities, rows = _identities(count), _rows(count)
    for start in range(0, count, block):
        cache.store("maps", table, identities[start : start + block], rows[start : start + block], count)
    return cache, table, identities, rows


def _assert_holds(table, identities, rows):
    found = table.find(identities)
    assert (found >= 0).all()
    values, sound = table.read(found)
    assert sound.all()
    np.testing.assert_array_equal(values, rows)


def test_rows_are_found_by_another_process_as_they_were(tmp_path):
    _, table, identities, rows = _filled(tmp_path)
    _assert_holds(table, identities[::-1], rows[::-1])
    again = _cache(tmp_path).table("maps", SHAPE, FROM, make=False)
    _assert_holds(again, identities, rows)
    assert (again.find(_identities(5, seed=9)) == -1).all()
    np.testing.assert_array_equal(again.view(again.find(identities[3:9])), rows[3:9])
    assert again.view(again.find(identities[[1, 0]])) is None


def test_half_precision_is_read_as_float32(tmp_path):
    _, table, identities, rows = _filled(tmp_path, dtype="float16")
    _assert_holds(table, identities, rows.astype(np.float16).astype(np.float32))
    assert table.view(table.find(identities)) is None


@pytest.mark.parametrize("other", [("features", SHAPE, FROM), ("maps", (6,), FROM), ("maps", SHAPE, {"weights": "b"})])
def test_rows_of_something_else_are_not_found(tmp_path, other):
    cache, _, identities, _ = _filled(tmp_path)
    assert cache.table(*other, make=False) is None
    assert (cache.table(*other).find(identities) == -1).all()


def test_a_table_that_says_it_is_another_is_refused_and_made_anew(tmp_path, caplog):
    cache, _, identities, _ = _filled(tmp_path)
    record = tmp_path / cache.key("maps", SHAPE, FROM) / "table.json"
    write_json(record, {**read_json(record), "made_from": {"weights": "other"}})
    table = _cache(tmp_path).table("maps", SHAPE, FROM)
    assert (table.find(identities) == -1).all()
    said = "another network (other fingerprint). They are computed again."
    assert [each.message.split(" by ")[1] for each in caplog.records] == [said]
    assert read_json(record)["made_from"] == FROM
    record.write_text("{")
    caplog.clear()
    assert len(_cache(tmp_path).table("maps", SHAPE, FROM)) == 0
    assert len(caplog.records) == 1


def test_a_file_cut_short_loses_only_the_blocks_that_it_lacks(tmp_path, caplog):
    _, table, identities, rows = _filled(tmp_path)
    file = next(tmp_path.glob("maps-*/rows.bin"))
    os.truncate(file, 17 * table.row_bytes)  # blocks are of 8, 8 and 4 rows
    cache = _cache(tmp_path)
    cut = cache.table("maps", SHAPE, FROM)
    assert [each.message for each in caplog.records if "damaged" in each.message and "4 of its rows" in each.message]
    np.testing.assert_array_equal(cut.find(identities) >= 0, np.arange(20) < 16)
    cache.store("maps", cut, identities, rows, 20)
    _assert_holds(cut, identities, rows)
    caplog.clear()
    _assert_holds(_cache(tmp_path).table("maps", SHAPE, FROM), identities, rows)
    assert not caplog.records


def test_a_changed_byte_is_found_when_its_block_is_read(tmp_path):
    _filled(tmp_path)
    file = next(tmp_path.glob("maps-*/rows.bin"))
    data = bytearray(file.read_bytes())
    data[9 * 24 + 3] ^= 1
    file.write_bytes(data)
    cache = _cache(tmp_path)
    table, identities = cache.table("maps", SHAPE, FROM), _identities(20)
    _, sound = table.read(table.find(identities))
    np.testing.assert_array_equal(sound, (np.arange(20) < 8) | (np.arange(20) >= 16))
    np.testing.assert_array_equal(table.find(identities) >= 0, sound)
    assert table.view(table.find(identities[:8])) is not None


def test_a_torn_record_of_a_killed_process_is_written_over(tmp_path):
    _, _, identities, rows = _filled(tmp_path)
    journal = next(tmp_path.glob("maps-*/index.bin"))
    whole = journal.read_bytes()
    for torn in (whole[:10], whole[: 16 + 50], b"\0" * 40):
        journal.write_bytes(whole + torn)
        table = RowTable(journal.parent, SHAPE, "float32")
        _assert_holds(table, identities, rows)
        table.append(_identities(3, seed=4), _rows(3, seed=4))
        _assert_holds(RowTable(journal.parent, SHAPE, "float32"), _identities(3, seed=4), _rows(3, seed=4))
        journal.write_bytes(whole)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG, errno.EIO])
def test_a_full_disk_is_told_once_and_what_is_there_stays_readable(tmp_path, caplog, monkeypatch, code):
    cache, table, identities, rows = _filled(tmp_path)

    def failing(descriptor, view, offset):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(feature_cache.os, "pwrite", failing)
    for seed in (5, 6):
        assert not cache.store("maps", table, _identities(2, seed=seed), _rows(2), 2)
    assert len(caplog.records) == 1
    assert caplog.records[0].message.endswith(f"cannot be written any more ({os.strerror(code)}). The run goes on without it.")
    assert cache.table("features", (4,), FROM) is None
    _assert_holds(table, identities, rows)


def test_a_folder_that_cannot_be_made_is_told_once(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    cache = _cache(tmp_path / "file" / "cache")
    assert cache.table("maps", SHAPE, FROM) is None
    assert cache.table("features", SHAPE, FROM) is None
    assert len(caplog.records) == 1


def test_a_full_cache_says_what_would_be_needed_and_features_still_fit(tmp_path, caplog):
    cache, table, _, _ = _filled(tmp_path, count=1000, most=16_000, block=100)
    assert 0 < len(table) <= 0.75 * 16_000 / 24
    assert [each.message for each in caplog.records] == [
        "--cache_gb=1.6e-05 is full: the maps of 1000 images would take 2.4e-05 GB. Those that do not fit are computed again "
        "each time they are needed."
    ]
    features = cache.table("features", (4,), FROM)
    assert cache.store("features", features, _identities(100, seed=7), np.ones((100, 4), np.float32), 100)


def test_room_is_made_of_tables_that_nobody_uses(tmp_path, caplog):
    held = _filled(tmp_path, count=400, block=100, most=20_000)
    other = RowCache(tmp_path, 20_000)
    table = other.table("maps", SHAPE, {"weights": "new"})
    assert not other.store("maps", table, _identities(400), _rows(400), 400)
    assert len(held[1]) == 400
    del held
    other = RowCache(tmp_path, 20_000)
    table = other.table("maps", SHAPE, {"weights": "new"})
    assert other.store("maps", table, _identities(400), _rows(400), 400)
    assert len(list(tmp_path.glob("maps-*"))) == 1


def test_nothing_is_kept_of_no_bytes(tmp_path):
    cache = _cache(tmp_path / "cache", most=0)
    assert cache.table("maps", SHAPE, FROM) is None
    assert not (tmp_path / "cache").exists()


def test_another_dtype_is_refused(tmp_path):
    with pytest.raises(InputError, match="cache_dtype must be one of float32, float16"):
        _cache(tmp_path, dtype="float64")


WRITER = """
import sys
import numpy as np
from pathlib import Path
from types import SimpleNamespace
from niwt_tf.compute.feature_cache import RowTable
table = RowTable(Path(sys.argv[1]), (2, 3), "float32")
for start in np.random.default_rng(int(sys.argv[2])).permutation(100):
    names = np.arange(start * 10, start * 10 + 10, dtype=np.uint64)
    table.append(np.stack([names * 7919, names], axis=1), np.repeat(names, 6).reshape(10, 2, 3).astype(np.float32))
"""


def test_two_processes_write_one_table(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "table"), seed]) for seed in "12"]
    assert [writer.wait(300) for writer in writers] == [0, 0]
    table = RowTable(tmp_path / "table", SHAPE, "float32")
    names = np.arange(1000, dtype=np.uint64)
    rows = table.find(np.stack([names * 7919, names], axis=1))
    values, sound = table.read(rows)
    assert sound.all()
    assert len(table) == 1000  # nothing twice
    np.testing.assert_array_equal(values[:, 0, 0], names)


def test_an_open_table_sees_what_others_append(tmp_path):
    reader, writer = RowTable(tmp_path / "t", SHAPE, "float32"), RowTable(tmp_path / "t", SHAPE, "float32")
    writer.append(_identities(5), _rows(5))
    assert (reader.find(_identities(5)) == -1).all()
    reader.refresh()
    _assert_holds(reader, _identities(5), _rows(5))


def test_the_index_does_not_grow_quadratically():
    def seconds(count):
        index, identities = RowIndex(), _identities(count)
        begun = time.process_time()
        for start in range(0, count, 32):
            index.add(identities[start : start + 32], start)
        np.testing.assert_array_equal(index.find(identities), np.arange(count))
        return time.process_time() - begun

    seconds(1000)
    assert seconds(160_000) < 60 * max(seconds(10_000), 0.01)


def test_a_later_row_of_the_same_identity_wins_and_half_an_identity_is_none():
    index, identities = RowIndex(), _identities(10)
    for first in (0, 10, 20):
        index.add(identities, first)
    np.testing.assert_array_equal(index.find(identities), np.arange(20, 30))
    assert index.find(identities + np.array([[0, 1]], np.uint64)).max() == -1


def test_an_identity_is_path_size_and_time(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    images = Images(tmp_path, ("a", "b"), np.zeros(2, np.int32), ("c",))
    before = identities_of(images)
    assert (before[0] != before[1]).any()
    relative = Images(Path(os.path.relpath(tmp_path)), ("a", "b"), images.labels, ("c",))
    np.testing.assert_array_equal(identities_of(relative), before)
    os.utime(tmp_path / "a", ns=(10**18, 10**18 + 1))
    changed = identities_of(images)
    assert (changed[0] != before[0]).any()
    np.testing.assert_array_equal(changed[1], before[1])
    assert identities_of(images.take(np.array([], np.int64))).shape == (0, 2)


@pytest.fixture(autouse=True)
def _listened(caplog):
    caplog.set_level(logging.WARNING, "niwt_tf")


def test_a_link_that_leads_to_another_file_of_the_same_size_and_time_is_another_image(tmp_path, monkeypatch):
    images = Images(tmp_path, ("a.png",), np.zeros(1, np.int32), ("c",))
    stat, found = os.stat, []
    for number in (7, 7, 8):
        led_to = SimpleNamespace(st_ino=number, st_size=1, st_mtime_ns=5, st_ctime_ns=5)

        def stat_of(path, *given, led_to=led_to, **named):
            return led_to if str(path).endswith("a.png") else stat(path, *given, **named)

        monkeypatch.setattr(os, "stat", stat_of)
        found.append(identities_of(images).tolist())
        monkeypatch.undo()
    assert found[0] == found[1] != found[2]
