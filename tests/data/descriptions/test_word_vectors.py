from __future__ import annotations

import gzip
import io
import pickle
import sys

import numpy as np
import pytest

from niwt_tf.data.descriptions.texts import encoder_from_arrays
from niwt_tf.data.descriptions.tfidf import Words
from niwt_tf.data.descriptions.word_vectors import WordVectors, read_vectors
from niwt_tf.errors import InputError

GLOVE = "the 0 0 0\nred 1 0 2\nblue 0.5 -1 1e-3\nNASA 3 3 3\nрыжий 4 4 4\n"


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("header", ["", "5 3\n"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        str,
        lambda text: text.replace("\n", " \n"),
        lambda text: text.replace(" ", "\t"),
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
    ],
)
def test_vectors_as_text(tmp_path, header, packed, change):
    text = change(header + GLOVE).encode()
    path = write(tmp_path, "v.txt.gz" if packed else "v.vec", gzip.compress(text) if packed else text)
    found = read_vectors(path, {"red", "nasa", "рыжий", "absent"})
    assert {word: vector.tolist() for word, vector in found.items()} == {
        "red": [1, 0, 2],
        "nasa": [3, 3, 3],
        "рыжий": [4, 4, 4],
    }
    assert found["red"].dtype == np.float32


def test_a_word_in_lower_case_goes_before_others_and_the_first_of_two_counts(tmp_path):
    path = write(tmp_path, "v.txt", "Red 1 1\nred 2 2\nRED 3 3\nred 4 4\nBlue 5 5\nBLUE 6 6\n")
    assert {word: vector[0] for word, vector in read_vectors(path, {"red", "blue"}).items()} == {"red": 2, "blue": 5}


def test_a_word_with_blanks_is_passed_over(tmp_path):
    assert read_vectors(write(tmp_path, "v.txt", "red 1 2\n. . . 3 4\nblue 5 6\n"), {"blue"})["blue"].tolist() == [5, 6]


MISTAKES = {
    "fewer numbers": ("red 1 2 3\nblue 1 2\n", "line 2 must have a word and 3 numbers. Received: 'blue 1 2' with 2."),
    "fewer than announced": ("1 3\nblue 1 2\n", "line 2 must have a word and 3 numbers"),
    "more numbers": ("red 1 2\nblue 1 2 3\n", "line 2 must have a word and 2 numbers. Received: 'blue 1 2 3' with 3."),
    "no number": ("red 1 x\n", "line 1 must have numbers after its word. Received: 'red 1 x'."),
    "not finite": ("red 1 nan\n", "must hold finite numbers. Received: other values for 'red'."),
    "too large": ("red 1 1e60\n", "must hold finite numbers"),
    "cut short": ("3 2\nred 1 2\n", "must have the 3 words that its first line counts. Received: 1."),
    "words alone": ("red\nblue\n", "line 1 must have a word and its numbers"),
    "more than announced": ("1 2\nred 1 2\nblue 1 2\n", "must have the 1 words that its first line counts. Received: 2."),
    "another size announced": ("2 3\nred 1 2\nblue 1 2\n", "line 2 must have a word and 3 numbers"),
    "a smaller size announced": (
        "2 1\nred 1 2\nblue 1 2\n",
        "line 2 must have a word and 1 numbers. Received: 'red 1 2'",
    ),
    "a negative count": ("-2 2\nred 1 2\n", "line 1 must count words and the numbers of each, from 1 to 100,000"),
    "a negative size": ("2 -2\nred 1 2\n", "line 1 must count words and the numbers of each, from 1 to 100,000"),
    "nothing announced": ("0 0\n", "line 1 must count words"),
    "an absurd size": ("2 999999999999\nred 1 2\n", "line 1 must count words"),
    "a count of too many digits": ("9" * 5000 + " 2\nred 1 2\n", "line 1 must count words"),
    "an absurd count": ("999999999999999 2\nred 1 2\n", "must have the 999999999999999 words that its first line counts"),
    "a line without an end": ("red" + " 1" * (1 << 23), " and no end of the line."),
    "empty": ("", "must name a file of word vectors. Received: an empty file."),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_text(tmp_path, mistake):
    text, sentence = MISTAKES[mistake]
    with np.errstate(over="ignore"), pytest.raises(InputError) as raised:
        read_vectors(write(tmp_path, "v.txt", text), {"red", "blue"})
    assert sentence in str(raised.value)
    assert str(tmp_path / "v.txt") in str(raised.value)


def test_no_file_a_folder_and_a_damaged_archive(tmp_path):
    with pytest.raises(InputError, match="Received: no such file"):
        read_vectors(tmp_path / "v.kv", {"red"})
    with pytest.raises(InputError, match="Received: a folder"):
        read_vectors(tmp_path, {"red"})
    whole = gzip.compress(GLOVE.encode() * 500)
    for spoilt in (b"red 1 2\n", whole[:-20], whole[:30] + b"xxxxxx" + whole[36:]):
        with pytest.raises(InputError, match="must be a readable file of word vectors"):
            read_vectors(write(tmp_path, "v.txt.gz", spoilt), {"red"})


def test_gensim_is_named_where_it_is_needed_and_not_there(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim", None)
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(InputError, match=r"needs gensim: pip install 'niwt-tf\[text\]', or give .* Received: no gensim"):
        read_vectors(write(tmp_path, "v.kv", pickle.dumps([])), {"red"})
    assert read_vectors(write(tmp_path, "v.txt", GLOVE), {"red"})
    assert read_vectors(write(tmp_path, "v.bin", b"1 1\nred \0\0\0\0"), {"red"})


def _binary(header: str, words: str = "red Blue grey red", size: int = 2, end: str = "") -> bytes:
    rows = enumerate(words.split())
    return f"{header}\n".encode() + b"".join(
        f"{word} ".encode() + np.full(size, place, "<f4").tobytes() + end.encode() for place, word in rows
    )


@pytest.mark.parametrize("end", ["", "\n"])
def test_vectors_in_binary_form_need_no_more_than_the_wanted_ones(tmp_path, end, monkeypatch):
    monkeypatch.setattr("niwt_tf.data.descriptions.word_vectors._CHUNK", 5)  # pieces that end anywhere
    data = _binary("4 2", end=end)
    for name, written in (("v.bin", data), ("v.bin.gz", gzip.compress(data))):
        found = read_vectors(write(tmp_path, name, written), {"red", "blue", "absent"})
        assert {word: vector.tolist() for word, vector in found.items()} == {"red": [0, 0], "blue": [1, 1]}
        assert found["red"].dtype == np.float32


BINARY_MISTAKES = {
    "more announced": ("5 2", "must have the 5 vectors of 2 numbers that its first line counts. Received: 4."),
    "fewer announced": ("3 2", "must have the 3 vectors of 2 numbers that its first line counts. Received: more after them."),
    "a larger size": ("4 3", "must have the 4 vectors of 3 numbers that its first line counts. Received: "),
    "a smaller size": ("4 1", "must have the 4 vectors of 1 numbers that its first line counts. Received: "),
    "an absurd count": ("999999999999999999 2", "numbers that its first line counts. Received: 4."),
    "an absurd size": ("4 999999999999", "line 1 must count words and the numbers of each, from 1 to 100,000"),
    "a negative count": ("-4 2", "line 1 must count words"),
    "a negative size": ("4 -2", "line 1 must count words"),
    "none": ("0 2", "line 1 must count words"),
    "too many digits": ("9" * 5000 + " 2", "line 1 must count words"),
    "no counts": ("red", "line 1 must count words and the numbers of each, from 1 to 100,000. Received: 'red'."),
}


@pytest.mark.parametrize("mistake", BINARY_MISTAKES)
@pytest.mark.parametrize("packed", [False, True])
def test_a_binary_file_whose_first_line_lies(tmp_path, mistake, packed):
    header, sentence = BINARY_MISTAKES[mistake]
    data = _binary(header)
    path = write(tmp_path, "v.bin.gz" if packed else "v.bin", gzip.compress(data) if packed else data)
    with pytest.raises(InputError) as raised:
        read_vectors(path, {"red"})
    assert sentence in str(raised.value) and str(path) in str(raised.value)


def test_a_binary_file_that_is_cut_short_or_without_words(tmp_path):
    data = _binary("4 2")
    for cut in range(4, len(data)):
        with pytest.raises(InputError, match="must have the 4 vectors of 2 numbers that its first line counts. Received: "):
            read_vectors(write(tmp_path, "v.bin", data[:cut]), {"red"})
    with pytest.raises(InputError, match="that its first line counts. Received: 0."):
        read_vectors(write(tmp_path, "v.bin", b"4 2\n" + b"x" * 9_000_000), {"red"})
    with pytest.raises(InputError, match="must be a readable file of word vectors"):
        read_vectors(write(tmp_path, "v.bin.gz", gzip.compress(data * 99)[:-9]), {"red"})


def test_a_kv_file_that_would_run_code_is_not_loaded(tmp_path):
    pytest.importorskip("gensim")

    class Harmful:
        def __reduce__(self):
            return print, ("it ran",)

    for protocol in range(6):
        with pytest.raises(InputError, match="must hold only KeyedVectors.* Received: (__)?builtin"):
            read_vectors(write(tmp_path, "v.kv", pickle.dumps({"vectors": [Harmful()]}, protocol)), {"red"})
    # The names taken from the memo, and from the stack some other way.
    for code in (
        b"\x80\x04\x8c\x08builtins\x94\x8c\x05print\x940h\x00h\x01\x93.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x8c\x05numpy0\x93.",
    ):
        with pytest.raises(InputError, match="must hold only KeyedVectors"):
            read_vectors(write(tmp_path, "v.kv", code), {"red"})
    with pytest.raises(InputError, match="must hold only KeyedVectors that gensim saved"):
        read_vectors(write(tmp_path, "v.kv", b"red 1 2 3\n"), {"red"})


def test_a_kv_file_with_a_part_that_is_another_pickle_is_not_loaded(tmp_path):
    models = pytest.importorskip("gensim.models")
    ran = tmp_path / "ran"

    class Harmful:
        def __reduce__(self):
            return ran.touch, ()

    for part in ("__scipys", "__recursive_saveloads"):
        vectors = models.KeyedVectors(2)
        vectors.add_vectors(["red"], np.zeros((1, 2), np.float32))
        vectors.__dict__[part] = ["more"]
        if part == "__recursive_saveloads":
            vectors.more = models.KeyedVectors(2)
            vectors.more.__dict__["__scipys"] = ["more"]
        path = write(tmp_path, "v.kv", pickle.dumps(vectors))
        for name in ("v.kv.more.npy", "v.kv.more.more.npy"):
            write(tmp_path, name, pickle.dumps(Harmful()))
        with pytest.raises(InputError, match="must hold only KeyedVectors.* Received: another object"):
            read_vectors(path, {"red"})
        assert not ran.exists()


def test_a_kv_file_whose_class_names_such_a_part_is_not_loaded(tmp_path, monkeypatch):
    models = pytest.importorskip("gensim.models")
    monkeypatch.setattr(models.KeyedVectors, "__scipys", [], raising=False)  # to have it as before
    name = b"cgensim.models.keyedvectors\nKeyedVectors\n"
    code = b"\x80\x02" + name + b"N}V__scipys\n]Vmore\nas\x86b0" + name + b")\x81."
    with pytest.raises(InputError, match="must hold only KeyedVectors.* Received: another object"):
        read_vectors(write(tmp_path, "v.kv", code), {"red"})
    assert getattr(models.KeyedVectors, "__scipys") == ["more"]  # noqa: B009 - a name in the class would be another


def test_files_of_gensim(tmp_path):
    models = pytest.importorskip("gensim.models")
    vectors = models.KeyedVectors(2)
    vectors.add_vectors(["Red", "рыжий", "blue"], np.arange(6, dtype=np.float32).reshape(3, 2))
    vectors.save(str(tmp_path / "whole.kv"))
    vectors.save(str(tmp_path / "parted.kv"), sep_limit=1)
    vectors.save_word2vec_format(str(tmp_path / "v.bin"), binary=True)
    vectors.save_word2vec_format(str(tmp_path / "v.txt"), binary=False)
    (tmp_path / "w.bin.gz").write_bytes(gzip.compress((tmp_path / "v.bin").read_bytes()))
    for name in ("whole.kv", "parted.kv", "v.bin", "w.bin.gz", "v.txt"):
        found = read_vectors(tmp_path / name, {"red", "рыжий", "grey"})
        assert {word: vector.tolist() for word, vector in found.items()} == {"red": [0, 1], "рыжий": [2, 3]}, name
    (tmp_path / "parted.kv.vectors.npy").unlink()
    (tmp_path / "whole.kv").write_bytes((tmp_path / "whole.kv").read_bytes()[:-9])
    for name in ("parted.kv", "whole.kv"):
        with pytest.raises(InputError, match="must hold only KeyedVectors that gensim saved"):
            read_vectors(tmp_path / name, {"red"})
    (tmp_path / "v.bin").write_bytes((793712314).to_bytes(4, "little") + bytes(40))
    with pytest.raises(InputError, match="Received: the binary form of fastText; give its .vec file"):
        read_vectors(tmp_path / "v.bin", {"red"})
    models.Word2Vec([["red", "blue"]], vector_size=2, min_count=1, workers=1, epochs=1).save(str(tmp_path / "model.kv"))
    with pytest.raises(InputError, match="must hold only KeyedVectors that gensim saved .for a model, save its wv."):
        read_vectors(tmp_path / "model.kv", {"red"})


def test_a_bar_is_shown_only_where_it_is_asked_for(tmp_path, monkeypatch):
    error = io.StringIO()
    monkeypatch.setattr("sys.stderr", error)
    read_vectors(write(tmp_path, "v.txt", "".join(f"w{k} 1 2\n" for k in range(20_001))), {"w1"}, progress=True)
    assert error.getvalue() == ""  # under five seconds


VECTORS = "red 1 0\nblue 0 1\nbird 2 2\nthe 9 9\nкрасная 4 0\n"


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text(VECTORS)
    return WordVectors.read(path, ["The red bird.", "красная blue птица"])


def test_the_mean_of_sentences_of_the_mean_of_words(words):
    assert words.vocabulary == ("bird", "blue", "red", "красная")
    texts = ["The RED bird.", "red bird. Blue!\nred red blue zebra", "nothing", "Красная"]
    # Sentences (1.5, 1), (0, 1) and (2/3, 1/3).
    expected = [[1.5, 1], [(1.5 + 0 + 2 / 3) / 3, (1 + 1 + 1 / 3) / 3], [0, 0], [4, 0]]
    np.testing.assert_allclose(words(texts), expected, rtol=1e-6)
    assert words(texts).dtype == np.float32
    assert words.known("Red птица, red") == (["red"], ["птица"])
    assert words.names == ("dimension 1", "dimension 2")


def test_arrays_bring_it_back(words, tmp_path):
    np.savez(tmp_path / "words.npz", **words.arrays())
    with np.load(tmp_path / "words.npz", allow_pickle=False) as file:
        again = encoder_from_arrays(dict(file))
    assert isinstance(again, WordVectors)
    assert again.vocabulary == words.vocabulary
    np.testing.assert_array_equal(again(["red bird"]), words(["red bird"]))
    topics = Words.fit(["a red bird", "a blue owl"], 2)
    assert isinstance(encoder_from_arrays(topics.arrays()), Words)


@pytest.mark.parametrize("spoil", ["missing", "short", "nan", "flat"])
def test_arrays_that_do_not_belong_together(words, spoil):
    arrays = words.arrays()
    arrays = {
        "missing": {"vectors": arrays["vectors"]},
        "short": {**arrays, "vectors": arrays["vectors"][:-1]},
        "nan": {**arrays, "vectors": arrays["vectors"] * np.nan},
        "flat": {**arrays, "vectors": arrays["vectors"][:, 0]},
    }[spoil]
    with pytest.raises(InputError, match="words.npz must hold a vocabulary and a vector"):
        encoder_from_arrays(arrays)


def test_a_file_with_none_of_the_words(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text(VECTORS)
    with pytest.raises(InputError, match="v.txt must have vectors of words that the texts use. Received: none of 2 words."):
        WordVectors.read(path, ["the grey owl"])
