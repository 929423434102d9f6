from __future__ import annotations

import ast
import csv
import io
from pathlib import Path

import pytest

import niwt_tf
from niwt_tf.data.csv_text import csv_text, text_of_cell

RUN = ("=cmd()", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=HYPERLINK(1).png", "-", "--epochs=2", "＝1", "-1\n", "-nanx")
PLAIN = ("owl", "a=b", " =1", "-1", "+1.5", "-1e-05", "-inf", "1", "", "'", "'tis", "Wren, moss", 'a "b"')


@pytest.mark.parametrize("text", RUN)
def test_what_a_spreadsheet_would_run_is_a_text(text):
    ((cell, number),) = csv.reader(io.StringIO(csv_text([[text, -1.5]]), newline=""))
    assert cell == "'" + text.replace("\r", "\n") and number == "-1.5"
    assert text_of_cell(cell) == cell[1:]


@pytest.mark.parametrize("text", PLAIN)
def test_other_texts_and_numbers_stay(text):
    assert next(csv.reader(io.StringIO(csv_text([[text, "x"]]))))[0] == text == text_of_cell(text)


def test_it_writes_every_csv_of_the_package():
    package = Path(niwt_tf.__file__).parent
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py"))}
    writers = [
        path.relative_to(package).as_posix()
        for path, text in texts.items()
        if "csv" in text and "riter" in text  # to parse them all takes seconds
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and node.attr in ("writer", "DictWriter") and ast.unparse(node.value) == "csv"
    ]
    assert writers == ["data/csv_text.py"]
