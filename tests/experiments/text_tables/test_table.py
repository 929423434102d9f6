"""Our figures beside the paper's: rows, needs, and the table's files."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from niwt_tf.data.descriptions import bert
from niwt_tf.errors import InputError
from niwt_tf.experiments.text_tables.paper import TABLES
from niwt_tf.experiments.text_tables.table import Finished, TextTable
from niwt_tf.files import read_json
from tests.data.readers import miniature_archives as miniature


def test_a_table_knows_its_data_sets():
    with pytest.raises(InputError, match=r"--dataset must be cub or birds for --table=n3_3. Received: 'awa2'."):
        TextTable("n3_3", "awa2")
    with pytest.raises(InputError, match=r"--dataset must be cub, awa2, nabirds or flowers for --table=n3_2. Received: none."):
        TextTable("n3_2", None)


def test_rows_are_chosen_by_their_split_and_by_what_can_be_run():
    table = TextTable("n3_2", "cub")
    assert [row.name for row in table.chosen({})] == ["cub_ss", "cub_ps"]
    assert [row.name for row in table.chosen({"split": "ps"})] == ["cub_ps"]
    with pytest.raises(InputError, match="--split must be ss or ps in this table. Received: 'random'."):
        table.chosen({"split": "random"})
    drawn = TextTable("n3_2", "flowers")
    (row,) = drawn.chosen({"split": "ps"})
    assert row.name == "flowers_ps" and drawn.settings_of(row, "data", {"split": "ps"}, Path()).split == "random"
    words = TextTable("n3_4", "birds")
    assert [row.name for row in words.chosen({})] == ["birds_encoder", "birds_words", "birds_random"]
    assert words.left_out({}) == ["birds_vectors is left out: it needs --text_features=vectors:FILE."]
    given = {"text_features": "vectors:some.txt"}
    assert len(words.chosen(given)) == 4 and not words.left_out(given)


def test_what_rows_say_themselves_is_refused():
    with pytest.raises(InputError, match="--method must be left out for --table=n3_2, .* Received: 'eszsl'."):
        TextTable("n3_2", "cub").chosen({"method": "eszsl"})
    with pytest.raises(InputError, match="--text_features must be vectors:FILE for --table=n3_4. Received: 'lsa'."):
        TextTable("n3_4", "cub").chosen({"text_features": "lsa"})


def test_a_figure_of_other_classes_is_not_compared():
    table = TextTable("n3_2", "flowers")
    all_of_them = {"n3": {"acc_alone": 0.5, "num_seen": 92, "num_unseen": 10}}
    done = Finished(table.rows[0], all_of_them)
    assert done.difference("n3") is None and done.other_classes == "102 classes, the paper's data set has 55"
    assert "102 classes, the paper's data set has 55" in table.comparison(done)
    files = table.files([done])
    assert all("102 classes, the paper's data set has 55" in text for text in files.values())
    assert "MiniLM replaces BERT" in files["md"]
    species = Finished(table.rows[0], {"n3": {"acc_alone": 0.5, "num_seen": 45, "num_unseen": 10}})
    assert species.difference("n3") == pytest.approx(50 - 16.4) and species.other_classes == ""
    (whole,) = TextTable("n3_6", "flowers").rows
    assert Finished(whole, all_of_them).difference("n3") == pytest.approx(50 - 10.4)


def test_a_module_of_the_hub_needs_no_weights_of_keras(tmp_path):
    miniature.write_cub(tmp_path / "cub")
    table = TextTable("n3_2", "cub")
    wanted = {row: table.settings_of(row, str(tmp_path / "cub"), {"backbone": "hub:some"}, tmp_path) for row in table.rows}
    assert "Keras fetches" not in table.needs(wanted, tmp_path)[0]


def test_settings_are_the_rows_with_what_is_given_in_their_place(tmp_path):
    words = TextTable("n3_4", "birds")
    given = {"text_features": "vectors:some.txt", "n3_steps": 7, "dataset": "birds"}
    made = {row.name: words.settings_of(row, "data", given, tmp_path) for row in words.chosen(given)}
    assert {settings.n3_steps for settings in made.values()} == {7}
    assert [settings.text_features for settings in made.values()] == [
        "encoder", "encoder_words", "vectors:some.txt", f"encoder_words:{tmp_path / 'random_vectors'}"
    ]
    for row, settings in zip(words.rows, made.values(), strict=True):
        assert words.changed_flags(row, settings) == ("--n3_steps=7",)


def test_what_is_missing_is_named(tmp_path, tiny_bert, monkeypatch):
    monkeypatch.setattr(bert, "_MODULE", "no_such_module")
    table = TextTable("n3_2", "cub")
    miniature.write_cub(tmp_path / "cub")

    def needed(folder):
        wanted = {row: table.settings_of(row, str(folder), {}, tmp_path) for row in table.chosen({})}
        return table.needs(wanted, tmp_path / "runs")

    said, missing = needed(tmp_path / "cub")
    assert "2 rows" in said and "cub_ss: ResNet50 for ResNet-18." in said and "resnet50" in said
    assert "archive   found" in said and "texts     MISSING" in said and "encoder   MISSING" in said
    assert any("descriptions" in name for name in missing) and any("pip install" in name for name in missing)
    (tmp_path / "cub" / "descriptions").mkdir()
    assert not any("descriptions" in name for name in needed(tmp_path / "cub")[1])
    said, missing = needed(tmp_path / "none")
    assert said.count("MISSING") == 5 and any("images.txt" in name for name in missing)
    assert "CUB_200_2011.tgz: https://" in said and "xlsa17.zip" in said
    assert "0 exist, the official archive has 11,788" in said


@pytest.mark.parametrize(("table", "dataset"), [(table, dataset) for table, (_, every) in TABLES.items() for dataset in every])
def test_every_table_says_where_its_data_come_from(table, dataset, tmp_path):
    made = TextTable(table, dataset)
    wanted = {row: made.settings_of(row, str(tmp_path / "none"), {}, tmp_path) for row in made.chosen({})}
    said, missing = made.needs(wanted, tmp_path / "runs")
    assert ("https://" in said) or "niwt render" in said
    assert missing and f"{len(wanted)} row" in said


def test_what_is_there_and_not_in_order_is_one_sentence_before_any_work(tmp_path):
    table = TextTable("n3_2", "flowers")
    folder = miniature.write_flowers(tmp_path / "102flowers")
    (folder / "descriptions").mkdir()
    given = {"num_unseen": 1}
    wanted = {row: table.settings_of(row, str(folder), given, tmp_path) for row in table.rows}
    with pytest.raises(InputError, match="knowledge=texts needs a text for each of 4 classes. Received: none for 4: 'pink"):
        table.check(wanted)
    for name in ("pink primrose", "colt's foot", "sunflower", "blackberry lily"):
        (folder / "descriptions" / f"{name}.txt").write_text(f"A flower called {name}.")
    table.check(wanted)


def test_figures_stand_beside_the_papers(tmp_path):
    table = TextTable("n3_2", "awa2")
    first, second = table.rows
    metrics = {
        "n3": {"acc_alone": 0.4, "acc_zsl": 0.3, "harmonic_mean": 0.25}, "pdcnn_fc": {"acc_zsl": 0.125, "harmonic_mean": 0.0}
    }
    every = [Finished(first, metrics, ("--n3_steps=7",), ("seen before",)), Finished(second)]
    files = table.files(every)
    rows = list(csv.DictReader(io.StringIO(files["csv"])))
    assert len(rows) == 8
    assert (rows[0]["row"], rows[0]["method"], rows[0]["accuracy"], rows[0]["paper"]) == ("awa2_ss", "n3", "40.0", "34.0")
    assert (rows[0]["difference"], rows[0]["harmonic_mean"], rows[1]["accuracy"]) == ("6.0", "25.0", "12.5")
    assert (rows[4]["accuracy"], rows[4]["paper"], rows[4]["difference"]) == ("", "37.5", "")
    assert "| awa2-10 SS | N3 | 40.0 (optimistic) | 34.0 | +6.0 | 25.0 |" in files["md"]
    assert "`--n3_steps=7`" in files["md"] and "seen before" in files["md"] and "ResNet50 for ResNet-18" in files["md"]
    assert table.comparison(every[0]).splitlines()[1].split() == ["N3", "40.0", "34.0", "25.0"]
    table.draw(every, tmp_path / "table.png")
    assert (tmp_path / "table.png").stat().st_size > 5000
    drawn = TextTable("n3_adapt", "birds")
    (line,) = [each for each in drawn.files([Finished(drawn.rows[0], metrics)])["md"].splitlines() if "| every layer |" in each]
    assert line == "| every layer | N3 | 40.0 | 17.6 |  | 25.0 |"  # no difference: the paper's figure is of photographs
    assert "ELMo (paragraph) | N3 | not available | 4.1" in TextTable("n3_4", "cub").files([])["md"]


def test_a_random_encoder_has_the_same_words_and_drawn_numbers(tmp_path, tiny_bert, monkeypatch):
    monkeypatch.setattr(bert, "encoder_folder", lambda place="": tiny_bert if not place else tmp_path)
    bert.write_random_encoder(tmp_path / "drawn")
    drawn, own = bert.Bert(tmp_path / "drawn", words_alone=True), bert.Bert(tiny_bert, words_alone=True)
    (mine,), (theirs,) = drawn.tokens(["a red bird"]), own.tokens(["a red bird"])
    assert mine.words == theirs.words and abs(mine.values - theirs.values).max() > 0.01
    assert drawn.identity != own.identity and read_json(tmp_path / "drawn" / "config.json")["model_type"] == "bert"
    bert.write_random_encoder(tmp_path / "again")
    assert bert.Bert(tmp_path / "again", words_alone=True).identity == drawn.identity


def test_average_precision_stands_where_the_paper_has_it():
    table = TextTable("n3_6", "cub")
    (row,) = table.rows
    assert row.paper_precision == {"n3": 27.0, "pdcnn_fc": 11.0, "pdcnn_conv": 13.0}
    metrics = {"n3": {"acc_alone": 0.4, "ap_alone": 0.35, "ap_zsl": 0.3}, "pdcnn_fc": {"acc_zsl": 0.125, "ap_zsl": 0.1}}
    done = Finished(row, metrics)
    files = table.files([done])
    rows = {each["method"]: each for each in csv.DictReader(io.StringIO(files["csv"]))}
    figures = {name: (each["average_precision"], each["paper_average_precision"]) for name, each in rows.items()}
    assert figures == {"n3": ("35.0", "27.0"), "pdcnn_fc": ("10.0", "11.0"), "pdcnn_conv": ("", "13.0"), "megazsl": ("", "")}
    lines = files["md"].splitlines()
    assert lines[0].endswith("| A.P. (ours) | A.P. (paper) |") and lines[2].endswith("| 35.0 | 27.0 |")
    assert {line.count("|") for line in lines if line.startswith("|")} == {9}
    assert "A.P." in files["md"].split("\n\n")[1] and table.comparison(done).splitlines()[1].split()[-2:] == ["35.0", "27.0"]
    assert "A.P." not in TextTable("n3_2", "awa2").files([])["md"]
