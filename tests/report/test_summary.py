from __future__ import annotations

from niwt_tf.report.contents import Estimate
from niwt_tf.report.summary import headline_of, summary_table

METRICS = {
    "acc_seen": 0.8125,
    "acc_unseen": 0.5,
    "harmonic_mean": 0.6190476,
    "acc_zsl": 1.0,
    "chance_zsl": 0.1,
    "ausuc": 0.45678,
    "num_seen": 40,
    "num_unseen": 10,
    "calibration": 3.0,
}


def _values(text: str) -> dict[str, str]:
    return {line.split()[0]: line[10:18].strip() for line in text.splitlines()}


def test_percent_with_one_decimal():
    assert _values(summary_table(METRICS)) == {
        "acc_seen": "81.2 %",
        "acc_unseen": "50.0 %",
        "H": "61.9 %",
        "ZSL": "100.0 %",
        "chance": "10.0 %",
        "AUSUC": "45.7 %",
    }


def test_what_competes_is_said():
    text = summary_table(METRICS)
    assert "all 50 classes compete" in text and "only the 10 unseen classes compete" in text
    assert max(map(len, text.splitlines())) <= 100


def test_missing_numbers():
    unknown = {"acc_seen": 0.25, "acc_unseen": None, "acc_zsl": float("nan")}
    values = _values(summary_table(unknown))
    assert values.pop("acc_seen") == "25.0 %"
    assert set(values.values()) == {"n/a"}


def test_every_test_figure_of_an_optimistic_run_is_called_so():
    lines = summary_table(METRICS, ("one reason", "another")).splitlines()
    assert lines[2].startswith("H           61.9 % optimistic  harmonic mean")
    assert [line.split()[0] for line in lines if "optimistic" not in line] == ["chance"]
    assert len({line.index(start) for line, start in zip(lines, ("test", "test", "harm", "test", "ZSL by"), strict=False)}) == 1
    assert lines[-1] == "optimistic: one reason; another."
    assert "optimistic" not in summary_table(METRICS)


def test_validation_stands_for_what_has_no_photographs():
    figures = {**METRICS, **dict.fromkeys(("acc_unseen", "harmonic_mean", "acc_zsl", "ausuc", "chance_zsl"))}
    lines = summary_table({**figures, "validation_harmonic_mean": 0.5, "validation_acc_zsl": 0.625}).splitlines()
    assert [line.split()[:2] for line in lines] == [["acc_seen", "81.2"], ["H", "50.0"], ["ZSL", "62.5"]]
    assert all("an estimate" in line for line in lines[1:])


def test_the_page_has_estimates_where_nothing_was_measured():
    names = ("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ausuc", "ece")
    estimates = {name: Estimate(0.5 if name in ("acc_seen", "ece") else None) for name in names}
    rows = headline_of(estimates, 4, 0, {"validation_harmonic_mean": 0.25, "validation_acc_zsl": 0.75})
    assert [(row.name, row.estimate.value) for row in rows] == [
        ("Seen accuracy", 0.5), ("H, validation", 0.25), ("ZSL, validation", 0.75), ("ECE", 0.5),
    ]  # fmt: skip
    assert len(headline_of(estimates, 4, 0)) == 6
