"""Tables as spreadsheets leave them: read as they were meant, or refused, never misread."""

from __future__ import annotations

import logging
import re
import zipfile

import numpy as np
import pytest

from niwt_tf.data.readers import spreadsheet
from niwt_tf.data.readers.folder import read_folder
from niwt_tf.data.readers.spreadsheet import rows_of_workbook
from niwt_tf.data.readers.tables import read_class_table, read_rows
from niwt_tf.errors import InputError

READ = {
    "semicolons and decimal commas": ("class;a;b\ncat;0,5;1\ndog;1;2,25\n", [[0.5, 1], [1, 2.25]]),
    "tabs": ("class\ta\tb\ncat\t0.5\t1\ndog\t1\t2\n", [[0.5, 1], [1, 2]]),
    "bars": ("class|a\ncat|1\ndog|2\n", [[1], [2]]),
    "what Excel writes first": ("sep=;\r\nclass;a\r\ncat;1\r\ndog;2\r\n", [[1], [2]]),
    "Unicode text": ("class\ta\ncat\t1\ndog\t2\n".encode("utf-16"), [[1], [2]]),
    "a byte order mark": (b"\xef\xbb\xbfclass,a\ncat,1\ndog,2\n", [[1], [2]]),
    "blank columns and rows": ("class,a,,\r\ncat,1,,\r\n,,,\r\ndog,2,,\r\n,,,\r\n", [[1], [2]]),
    "a blank column within": ("class,,a\ncat,,1\ndog,,2\n", [[1], [2]]),
    "rows with blanks after them": ("class,a\ncat,1,,\ndog,2\n", [[1], [2]]),
    "yes and no": ("class,a,b\ncat,yes,TRUE\ndog,No,false\n", [[1, 1], [0, 0]]),
    "yes beside 0": ("class,a\ncat,yes\ndog,0\n", [[1], [0]]),
    "percent": ("class,a\ncat,80%\ndog,5 %\nowl,0\n", [[0.8], [0.05], [0]]),
    "decimal commas in quotes": ('class,a\ncat,"0,5"\ndog,"1,25"\n', [[0.5], [1.25]]),
    "thousands by commas": ('class,a\ncat,"1,200.5"\ndog,"3,400"\n', [[1200.5], [3400]]),
    "thousands by points": ("class;a\ncat;1.200,5\ndog;3.400\n", [[1200.5], [3400]]),
    "millions": ('class,a\ncat,"1,200,300"\ndog,5\n', [[1200300], [5]]),
    "thousands by blanks": ("class,a\ncat,1 200\ndog,3\u202f400.5\n", [[1200], [3400.5]]),
    "thousands by a point to the eye": ("class,a\ncat,1.200\ndog,2\n", [[1.2], [2]]),
    "a minus sign": ("class,a\ncat,\u22121\ndog,2\n", [[-1], [2]]),
    "a unit behind each number": ('class,a,b\ncat,"1,5 kg",3cm\ndog,80 kg,-\n', [[1.5, 3], [80, 3]]),
    "crosses and empty cells": ("class,a,b,c\ncat,x,+,2\ndog,,-,1\n", [[1, 1, 2], [0, 0, 1]]),
    "a cross beside a check is a no": ("class,a,b,c\ncat,✓,✔️,☒\ndog,✗,x,☐\n", [[1, 1, 1], [0, 0, 0]]),
    "yes and no in other languages": ("class,a,b,c\ncat,ja,Oui,WAHR\ndog,nein,non,FALSCH\n", [[1, 1, 1], [0, 0, 0]]),
    "what pandas calls missing": ("class,a,b\ncat,1,0\ndog,3,1\nowl,NaN,1\n", [[1, 0], [3, 1], [2, 1]]),
    "what is missing": ("class,a,b\ncat,1,3\ndog,,5\nowl,3,NA\n", [[1, 3], [2, 5], [3, 4]]),
}


@pytest.mark.parametrize("kind", READ)
def test_read_as_it_was_meant(kind, tmp_path):
    content, values = READ[kind]
    path = tmp_path / "classes.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table = read_class_table(path)
    np.testing.assert_allclose(table.knowledge.values, values, rtol=1e-6)
    assert table.class_names == ("cat", "dog", "owl")[: len(values)]


def test_a_name_in_two_lines_is_one(tmp_path):
    (tmp_path / "classes.csv").write_text('class,"tail\n(cm)"\ncat,1\ndog,2\n')
    assert read_class_table(tmp_path / "classes.csv").knowledge.names == ("tail (cm)",)


REFUSED = {
    "1.2 or 1200": ('class,a\ncat,"1,200"\ndog,2\n', r"line 2 must show whether it means 1.2 or 1200.*'1,200'"),
    "1.2 or 1200 with semicolons": ("class;a\ncat;1,200\ndog;2\n", "line 2 must show whether it means 1.2 or 1200"),
    "1.2 or 1200 among hundreds": ("class;a;b\ncat;900;0\ndog;1.200;1\n",
        "line 3 must show whether it means 1.2 or 1200: leave the point out, or write another digit. Received: '1.200'"),
    "both marks": ('class,a,b\ncat,0.5,1\ndog,1,"0,5"\n', "line 3 must write fractions as line 2 does, '0.5'. Received: '0,5'"),
    "groups of two": ('class,a\ncat,"1,200.5"\ndog,"12,34.5"\n', "line 3, column 'a' must be a finite number"),
    "an error": ("class,a\ncat,#DIV/0!\ndog,1\n", "Received: '#DIV/0!', an error of the spreadsheet"),
    "not available": ("class,a\ncat,#N/A\ndog,1\n", "'#N/A', an error of the spreadsheet"),
    "a unit once": ("class,a\ncat,12 kg\ndog,1\n", "line 3, column 'a' must be a number in kg, as on line 2. Received: '1'"),
    "two units": ("class,a\ncat,12 kg\ndog,900 g\n", "line 3, column 'a' must be a number in kg.*Received: '900 g'"),
    "a row of blanks": ("class,a,b\ncat,1,2\ndog,,-\n", "line 3 must describe its class .* Received: only empty cells"),
    "a title": ("My animals,,\nclass,a,b\ncat,1,2\n", "line 1 must be the header.*'My animals' alone, above 3 cells"),
    "a comment": ("# mine\nclass,a\ncat,1\n", "line 1 must be the header, with a name for each column. Received: '# mine'"),
    "a header below blank rows": ("\n,\nname,a\ncat,1\n", "line 3 must have 'class' as its first column"),
    "another encoding": (b"class,a\ncat,1\nb\xe4r,2\n", "must be UTF-8 text: save it again as UTF-8 .in Excel.*on line 3"),
    "a date": ("class,a\ncat,3-Jan\ndog,1\n", "must be a finite number"),
    "percent and number": ("class,a\ncat,80%\ndog,0.5\n", "line 3, column 'a' must have a %, as on other lines"),
    "yes and number": ("class,a\ncat,yes\ndog,0.5\n", "line 3, column 'a' must be yes or no, as on other lines, or all num"),
    "no name": ("class,a,\ncat,1,2\ndog,1,\n", "must name every column. Received: an empty name for column 3"),
    "no name within": ("class,,a\ncat,2,1\n", "must name every column. Received: an empty name for column 2"),
    "a column of nothing": ("class,a,b\ncat,1,\ndog,2,\n", "column 'b' must be a finite number in some row"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_in_one_sentence(kind, tmp_path):
    content, sentence = REFUSED[kind]
    path = tmp_path / "classes.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=sentence) as raised:
        read_class_table(path)
    assert "\n" not in str(raised.value)


def test_what_is_filled_in_is_said(tmp_path, caplog):
    path = tmp_path / "classes.csv"
    path.write_text("class,a,b,c\ncat,1,3,0\ndog,,5,0\nowl,NaN,n/a,1\n")
    with caplog.at_level(logging.WARNING, "niwt_tf"):
        read_class_table(path)
    assert "empty cells get the mean of their column: a (2), b (1)." in caplog.text


def test_a_text_may_have_commas_and_lines(tmp_path):
    path = tmp_path / "cards.csv"
    path.write_text('class;text\nowl;"Brown, 1,200 g;\nwhite face"\n')
    assert read_rows(path)[1] == (3, ["owl", "Brown, 1,200 g;\nwhite face"])


def test_a_folder_of_other_case_is_the_class_of_the_row(tmp_path):
    (tmp_path / "classes.csv").write_text("class,a\nPolar Bear,1\nOwl,2\n")
    for name in ("images/polar bear", "images/OWL", "descriptions"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("images/polar bear/a.jpg", "images/OWL/a.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "descriptions/owl.txt").write_text("It has ears.")
    found = read_folder(tmp_path)
    assert [(found.class_names[label], path) for label, path in zip(found.labels, found.paths, strict=True)] == [
        ("Owl", "OWL/a.jpg"),
        ("Polar Bear", "polar bear/a.jpg"),
    ]
    assert found.class_texts == ("", "It has ears.")


@pytest.fixture
def workbook():
    return pytest.importorskip("openpyxl").Workbook()


def test_a_workbook_is_a_table(tmp_path, workbook):
    for row in (
        ["class", "fur", "tail", "wild", None],
        ["cat", 1, 0.25, True, None],
        [None] * 5,
        ["dog", None, 2.0, False, None],
    ):
        workbook.active.append(row)
    workbook.save(tmp_path / "classes.xlsx")
    table = read_class_table(tmp_path / "classes.xlsx")
    assert table.knowledge.names == ("fur", "tail", "wild")
    assert table.knowledge.values.tolist() == [[1, 0.25, 1], [1, 2, 0]]
    (tmp_path / "images/cat").mkdir(parents=True)
    (tmp_path / "images/cat/a.jpg").touch()
    assert read_folder(tmp_path).class_names == ("cat", "dog")


@pytest.mark.parametrize(("cell", "sentence"), [("=1+1", "a formula that was never computed"), (None, "in some row")])
def test_workbooks_that_are_not_in_order(tmp_path, workbook, cell, sentence):
    workbook.active.append(["class", "fur"])
    workbook.active.append(["cat", cell])
    workbook.save(tmp_path / "classes.xlsx")
    with pytest.raises(InputError, match=sentence):
        read_class_table(tmp_path / "classes.xlsx")


def test_dates_of_workbooks(tmp_path, workbook):
    from datetime import date

    workbook.active.append(["class", "fur"])
    workbook.active.append(["cat", date(2026, 1, 3)])
    workbook.save(tmp_path / "classes.xlsx")
    with pytest.raises(InputError, match="line 2, column 2 must be a text or a number. Received: a date"):
        read_class_table(tmp_path / "classes.xlsx")


@pytest.mark.parametrize("content", [b"\xd0\xcf\x11\xe0old", b"PK\x03\x04broken"])
def test_files_that_are_no_workbook(tmp_path, content):
    pytest.importorskip("openpyxl")
    (tmp_path / "classes.xls").write_bytes(content)
    with pytest.raises(InputError, match="must be a workbook that Excel can read"):
        read_class_table(tmp_path / "classes.xls")


def test_other_sheets_are_named(tmp_path, workbook, caplog):
    first = workbook.active
    first.append(["notes"])
    first.sheet_state = "hidden"
    for title, rows in (("Cover", []), ("Birds", [["class", "fur"], ["cat", 1]]), ("Old", [["class"]]), ("Empty", [])):
        sheet = workbook.create_sheet(title)
        for row in rows:
            sheet.append(row)
    workbook.active = 1
    workbook.save(tmp_path / "classes.xlsx")
    (tmp_path / "classes.xlsx").rename(tmp_path / "classes.csv")  # its bytes say what it is
    assert read_class_table(tmp_path / "classes.csv").class_names == ("cat",)
    assert "only the sheet 'Birds' is read, not 'Sheet', 'Old'." in caplog.text


def test_a_size_that_is_written_wrongly_hides_no_row(tmp_path, workbook):
    import zipfile

    for row in (["class", "fur", "tail"], ["cat", 1, 2], ["dog", 3, 4]):
        workbook.active.append(row)
    workbook.save(tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "a.xlsx") as whole, zipfile.ZipFile(tmp_path / "classes.xlsx", "w") as other:
        for name in whole.namelist():
            other.writestr(name, whole.read(name).replace(b'<dimension ref="A1:C3"', b'<dimension ref="A1:B2"'))
    assert read_class_table(tmp_path / "classes.xlsx").knowledge.values.tolist() == [[1, 2], [3, 4]]


def test_a_fraction_of_a_workbook_is_no_thousand(tmp_path, workbook):
    for row in (["class", "fur", "tail"], ["cat", 1.234, "0,5"], ["dog", 2, "1,5"]):
        workbook.active.append(row)
    workbook.save(tmp_path / "classes.xlsx")
    with pytest.raises(InputError, match=r"must write fractions as line 2 does"):
        read_class_table(tmp_path / "classes.xlsx")


def test_a_formula_of_several_cells_that_was_never_computed(tmp_path, workbook):
    from openpyxl.worksheet.formula import ArrayFormula

    workbook.active.append(["class", "fur"])
    workbook.active.append(["cat", None])
    workbook.active["B2"] = ArrayFormula("B2:B2", "=SUM(1,2)")
    workbook.save(tmp_path / "classes.xlsx")
    with pytest.raises(InputError, match="a formula that was never computed"):
        read_class_table(tmp_path / "classes.xlsx")


def _with_sheet(source, target, change):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name.endswith("sheet1.xml") else content)


def test_a_workbook_may_claim_more_cells_than_it_has_but_not_have_too_many(tmp_path, workbook, monkeypatch):
    for row in (["class", "fur", "tail"], ["cat", 1], ["dog", None, 2]):
        workbook.active.append(row)
    workbook.save(tmp_path / "a.xlsx")

    def claims(content):
        return re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1:XFD1048576"', content)

    _with_sheet(tmp_path / "a.xlsx", tmp_path / "b.xlsx", claims)
    rows = [(1, ["class", "fur", "tail"]), (2, ["cat", "1", ""]), (3, ["dog", "", "2"])]
    assert rows_of_workbook(tmp_path / "b.xlsx") == rows
    last = b'<row r="9"><c r="XFD9"><v>1</v></c></row></sheetData>'
    _with_sheet(tmp_path / "a.xlsx", tmp_path / "c.xlsx", lambda content: content.replace(b"</sheetData>", last))
    monkeypatch.setattr(spreadsheet, "_MOST_CELLS", 1000)
    with pytest.raises(InputError, match=r"c\.xlsx must have at most 1000 cells\. Received: more, on line 9\."):
        rows_of_workbook(tmp_path / "c.xlsx")
