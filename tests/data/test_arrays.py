"""What a file declares is judged before it is unpacked, and what is damaged is said in a sentence."""

from __future__ import annotations

import io
import pickle
import resource
import warnings
import zipfile

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from niwt_tf.data.arrays import check_archive, check_hdf5, check_keras, read_arrays
from niwt_tf.data.readers import mat73
from niwt_tf.data.readers.spreadsheet import rows_of_workbook
from niwt_tf.data.readers.tables import read_mat
from niwt_tf.errors import InputError
from niwt_tf.models.network import Network


def _header(shape, kind="<f4") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue()


def _zip(path, compression=zipfile.ZIP_STORED, **entries):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy", content)
    return path


def test_arrays_are_read_as_numpy_wrote_them(tmp_path):
    arrays = {"a/b": np.arange(6.0).reshape(2, 3).T, "word": np.array("é"), "none": np.zeros((0, 3), np.float16)}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        found = read_arrays(tmp_path / "a.npz")
        assert list(found) == list(arrays)
        for name, value in arrays.items():
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == value.dtype


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    """For each kind of archive: 200 MB of zeros in 200 kB."""
    bomb = tmp_path / "a.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as file:
        file.write(_header((50_000_000,)))
        for _ in range(200):
            file.write(bytes(1_000_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, read in (("a.npz", read_arrays), ("b.keras", Network.load), ("c.xlsx", rows_of_workbook)):
        path = bomb.rename(tmp_path / name)
        with pytest.raises(InputError, match=rf"{name} must not unpack to more than 100 times its size. Received: \d+ KiB"):
            read(path)
        bomb = path
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_matlab_file_is_judged_by_what_it_declares(tmp_path):
    savemat(tmp_path / "a.mat", {"x": np.zeros((9_000, 9_000), np.uint8)}, do_compression=True)
    with pytest.raises(InputError, match=r"a.mat must not unpack to more .* declare 77 MiB"):
        read_mat(tmp_path / "a.mat", ["x"])


@pytest.mark.parametrize(
    ("shape", "kind", "said"),
    [
        ((2**40,), "<f8", r"a.npy, whose shape \[1099511627776\] is not that of its 140 bytes"),
        ((-1,), "<f4", r"a.npy, whose shape \[-1\]"),
        ((2,), "|O", "a.npy, a pickle, which could run code"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, shape, kind, said):
    path = _zip(tmp_path / "a.npz", a=_header(shape, kind) + b"123456789012")
    with pytest.raises(InputError, match=f"a.npz must hold complete arrays. Received: {said}"):
        read_arrays(path)


def test_a_pickle_is_named(tmp_path):
    (tmp_path / "a.npz").write_bytes(pickle.dumps([1]))
    with pytest.raises(InputError, match="Received: a pickle, which could run code"):
        read_arrays(tmp_path / "a.npz")


def test_no_damage_ends_in_a_traceback(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.arange(50), b=np.ones(3))
    whole, damaged = (tmp_path / "a.npz").read_bytes(), tmp_path / "b.npz"
    for place in range(0, len(whole), 3):
        for changed in (whole[:place], whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :]):
            damaged.write_bytes(changed)
            try:
                read_arrays(damaged)
            except InputError as error:
                assert len(str(error).splitlines()) == 1


def test_weights_lie_in_their_own_file_and_are_as_large_as_it(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("g").create_dataset("w", data=np.ones(5))
        file["g/again"] = h5py.SoftLink("/g")
    check_hdf5(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("w", (2**40,), "f8", chunks=(1024,))
    with pytest.raises(InputError, match="b.h5 must not unpack to more than 100 times its size. Received: .* declare 8 TiB"):
        check_hdf5(tmp_path / "b.h5")
    for name, link in (("c", h5py.ExternalLink("a.h5", "/g/w")), ("d", None)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            if link is None:
                file.create_dataset("w", (5,), "f8", external=[("/etc/passwd", 0, 40)])
            else:
                file["w"] = link
        with pytest.raises(InputError, match="must contain its own weights. Received: '/+w', which is in another file"):
            check_hdf5(tmp_path / f"{name}.h5")


def test_what_is_no_archive_is_said(tmp_path):
    (tmp_path / "a.keras").write_bytes(b"PK\3\4 no")
    with pytest.raises(InputError, match="a.keras must be a complete zip archive. Received: File is not a zip file"):
        check_archive(tmp_path / "a.keras")


def test_two_arrays_of_one_name_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", w=np.ones(3))
    np.save(tmp_path / "w.npy", np.zeros(3))
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.write(tmp_path / "w.npy", "w.npy")
    with pytest.raises(InputError, match=r"a\.npz must hold complete arrays\. Received: 'w' twice\."):
        read_arrays(tmp_path / "a.npz")


def test_an_encrypted_array_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", w=np.ones(3))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1  # the bit that says so
    content[6] |= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz must hold complete arrays\. Received: .*password"):
        read_arrays(tmp_path / "a.npz")


def test_the_weights_in_a_keras_file_are_its_own(tmp_path):
    with h5py.File(tmp_path / "inner.h5", "w") as file:
        file["w"] = h5py.ExternalLink("/etc/passwd", "/w")
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.write(tmp_path / "inner.h5", "model.weights.h5")
    with pytest.raises(InputError, match=r"a\.keras must contain its own weights\. Received: '/+w', which is in another file"):
        check_keras(tmp_path / "a.keras")
    with h5py.File(tmp_path / "inner.h5", "w") as file:
        file["w"] = np.ones(3)
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.write(tmp_path / "inner.h5", "model.weights.h5")
    check_keras(tmp_path / "a.keras")


def test_a_matlab_file_is_judged_by_what_it_unpacks_to(tmp_path):
    cells = np.empty(1, object)
    cells[0] = np.zeros(12_000_000)  # 96 MB, of which the file declares one cell
    savemat(tmp_path / "a.mat", {"names": cells}, do_compression=True)
    with pytest.raises(InputError, match=r"a\.mat must not unpack to more than 100 times its size\. Received: 91 KiB"):
        read_mat(tmp_path / "a.mat", ["names"])
    cells[0] = np.array(["owl"], object)
    for compressed in (True, False):
        savemat(tmp_path / "b.mat", {"names": cells, "labels": np.arange(5000.0)}, do_compression=compressed)
        assert read_mat(tmp_path / "b.mat", ["names", "labels"])["labels"].size == 5000


def test_cells_that_name_one_text_are_read_once(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["text"] = np.frombuffer("owl".encode("utf-16-le"), np.uint16)
        file.create_dataset("names", data=np.array([file["text"].ref] * 1000, h5py.ref_dtype), dtype=h5py.ref_dtype)
    read, text = [], mat73._text
    monkeypatch.setattr(mat73, "_text", lambda held: read.append(1) or text(held))
    found, _ = mat73.read_mat73(tmp_path / "a.mat", ["names"])
    assert found["names"].tolist() == ["owl"] * 1000 and len(read) == 1
