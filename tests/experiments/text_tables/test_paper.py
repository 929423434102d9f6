"""The rows of N3's tables: the paper's figures as printed, and settings that can be made."""

from __future__ import annotations

import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.experiments.text_tables.paper import TABLES, TextRow, rows_of

EVERY = [(table, dataset) for table, (_, datasets) in TABLES.items() for dataset in datasets]


def _rows(table: str, dataset: str) -> dict[str, TextRow]:
    return {row.title: row for row in rows_of(table, dataset)}


@pytest.mark.parametrize(
    ("table", "dataset", "title", "method", "figure"),
    [
        ("n3_2", "cub", "cub-50 SS", "n3", 17.6),
        ("n3_2", "cub", "cub-50 PS", "megazsl", 1.8),
        ("n3_2", "awa2", "awa2-10 PS", "n3", 37.5),
        ("n3_2", "awa2", "awa2-10 SS", "pdcnn_conv", 22.6),
        ("n3_2", "nabirds", "nabirds-40 PS", "pdcnn_fc", 7.4),
        ("n3_2", "flowers", "flowers-10 SS", "pdcnn_fc", 13.1),
        ("n3_3", "cub", "gamma 0.99, mu 0.01 at first", "n3", 18.5),
        ("n3_3", "cub", "gamma 0.1, mu 0.9 at first", "n3", 2.1),
        ("n3_4", "cub", "GloVe", "n3", 8.9),
        ("n3_5", "cub", "GoogLeNet", "n3", 21.3),
        ("n3_5", "cub", "SqueezeNet 1.1", "n3", 17.7),
        ("n3_6", "cub", "CUB-2011", "n3", 32.6),
        ("n3_6", "flowers", "Oxford Flowers", "n3", 10.4),
    ],
)
def test_figures_are_those_of_the_paper(table, dataset, title, method, figure):
    assert _rows(table, dataset)[title].paper[method] == figure


@pytest.mark.parametrize(("table", "dataset"), EVERY)
def test_every_row_can_be_run_and_says_what_it_is(table, dataset):
    rows = rows_of(table, dataset)
    assert len({row.name for row in rows}) == len({row.title for row in rows}) == len(rows) > 0
    for row in rows:
        features = row.settings["text_features"].replace("vectors:", "vectors:file").replace("random", "encoder_words:folder")
        settings = Settings.from_dict({**row.settings, "text_features": features})
        assert (settings.method, settings.dataset, settings.num_folds) == ("n3", dataset, 1)
        assert row.note or table == "n3_4"
        if dataset != "birds":  # the paper's classes of validation are as many as those of test
            assert settings.validation_classes == settings.n3_way == (settings.num_unseen or settings.validation_classes)


def test_class_counts_are_those_of_table_1():
    ways = {dataset: rows_of("n3_2", dataset)[0].settings["validation_classes"] for dataset in TABLES["n3_2"][1]}
    assert ways == {"cub": 50, "awa2": 10, "nabirds": 40, "flowers": 10}
    assert [row.settings["split"] for row in rows_of("n3_2", "cub")] == ["ss", "ps"]
    assert [row.settings.get("seed", 0) for row in rows_of("n3_2", "flowers")] == [0, 1]
