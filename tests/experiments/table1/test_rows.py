from __future__ import annotations

import csv

import pytest

from niwt_tf.errors import InputError
from niwt_tf.experiments.table1.paper import TABLE_1
from niwt_tf.experiments.table1.rows import (
    Reproduced,
    changed_flags,
    chosen_rows,
    comparison,
    settings_of,
    table_csv,
    table_markdown,
)

ROWS = {row.name: row for row in TABLE_1}
PUBLISHED = ROWS["cub_vgg16_attributes_all"]
METRICS = {"acc_unseen": 0.25, "acc_seen": 0.5004, "harmonic_mean": 1 / 3}


def test_what_is_left_out_means_all_of_it() -> None:
    assert len(chosen_rows({"dataset": "cub"})) == 8
    asked = {"dataset": "awa2", "backbone": "vgg16", "finetune": "all", "knowledge": "captions"}
    assert [row.name for row in chosen_rows(asked)] == ["awa2_vgg16_captions_all"]
    assert chosen_rows({**asked, "knowledge": "texts"}) == chosen_rows(asked)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({}, "--dataset must be cub or awa2, the data sets of Table 1. Received: none."),
        ({"dataset": "birds"}, "--dataset must be cub or awa2, .* Received: 'birds'"),
        ({"dataset": "cub", "backbone": "small_vgg"}, "--backbone must be vgg16 or resnet101 in .* Received: 'small_vgg'"),
        ({"dataset": "cub", "knowledge": "texts"}, "--knowledge must be attributes or captions in Table 1. Received: 'texts'"),
    ],
)
def test_rows_that_are_not_in_the_table(asked: dict[str, str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        chosen_rows(asked)


def test_flags_take_the_place_of_the_rows_and_are_told() -> None:
    assert changed_flags(PUBLISHED, settings_of(PUBLISHED, "data")) == ()
    changes = {"epochs": 1, "weights": "none", "transfer_lambda": (0.1, 1.0), "dataset": "awa2", "num_folds": 3}
    settings = settings_of(PUBLISHED, "data", changes)
    assert (settings.dataset, settings.data_dir, settings.epochs) == ("cub", "data", 1)
    told = changed_flags(PUBLISHED, settings)
    assert set(told) == {"--weights=none", "--epochs=1", "--transfer_lambda=0.1,1", "--num_folds=3"}
    vectors = {"text_features": "vectors:v.txt"}
    assert settings_of(PUBLISHED, "data", vectors) == settings_of(PUBLISHED, "data")
    assert settings_of(ROWS["cub_vgg16_captions_all"], "data", vectors).text_features == "vectors:v.txt"


def test_our_figures_stand_beside_the_papers() -> None:
    lines = comparison(Reproduced(PUBLISHED, METRICS, ("--epochs=1",))).splitlines()
    assert lines[0].split() == [PUBLISHED.name, "U", "S", "H"]
    assert [line.split() for line in lines[1:4]] == [
        ["ours", "25.0", "50.0", "33.3"],
        ["paper", "31.5", "44.9", "37.0"],
        ["difference", "-6.5", "+5.1", "-3.7"],
    ]
    assert lines[4] == "  differs from the paper's row: --epochs=1"
    other = comparison(Reproduced(ROWS["cub_vgg16_attributes_head"], METRICS))
    assert other.splitlines()[2].split() == ["paper", "not", "available"] and "difference" not in other
    assert "no such row" in comparison(Reproduced(ROWS["awa2_vgg16_captions_all"], METRICS))


def test_a_run_that_test_figures_may_have_chosen_is_called_optimistic() -> None:
    done = Reproduced(PUBLISHED, METRICS, optimistic=("scored twice",))
    assert comparison(done).splitlines()[-1] == "  optimistic: scored twice"
    (row,) = csv.DictReader(table_csv([done]).splitlines())
    assert row["optimistic"] == "scored twice"
    assert "| 33.3 (optimistic) |" in table_markdown([done]) and "is optimistic: scored twice." in table_markdown([done])
    assert "optimistic" not in table_markdown([Reproduced(PUBLISHED, METRICS)])


def test_rows_that_have_not_run_are_empty_in_both_tables() -> None:
    rows = [Reproduced(PUBLISHED, {**METRICS, "acc_seen": None}, ("--seed=1",)), *(Reproduced(row) for row in TABLE_1[1:3])]
    first, second, third = csv.DictReader(table_csv(rows).splitlines())
    assert (first["row"], first["acc_unseen"], first["acc_seen"]) == (PUBLISHED.name, "25.0", "")
    assert (first["paper_acc_seen"], first["difference_acc_seen"]) == ("44.9", "")
    assert (first["difference_harmonic_mean"], first["changed_flags"], first["paper_row"]) == ("-3.7", "'--seed=1", "published")
    assert second["acc_unseen"] == second["paper_acc_unseen"] == "" and second["paper_row"] == "not available"
    assert third["paper_row"] == "published" and third["harmonic_mean"] == "" and third["paper_harmonic_mean"] == "37.0"
    shown = table_markdown(rows)
    assert f"| {PUBLISHED.name} | 25.0 |  | 33.3 | 31.5 | 44.9 | 37.0 | -3.7 |" in shown
    assert f"{PUBLISHED.name} differs from the paper's row: `--seed=1`." in shown
