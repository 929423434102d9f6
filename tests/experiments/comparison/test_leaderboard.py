from __future__ import annotations

import pytest

from niwt_tf.errors import InputError
from niwt_tf.experiments.comparison.leaderboard import BOUND, FIGURES, Result, tables_of
from niwt_tf.experiments.comparison.plot import plot_leaderboard
from niwt_tf.experiments.comparison.text import PublishedResult, cells, comparison_rows, markdown, notes, problem_rows, terminal


def _result(method, seed, h, dataset="birds", **more):
    figures = dict.fromkeys(FIGURES, h) | {"ausuc": None if h is None else h / 2}
    return Result(dataset, method, ("p", seed), f"runs/{method}_{seed}", figures, **more)


def _results(**by_method):
    return [_result(method, seed, h) for method, scores in by_method.items() for seed, h in enumerate(scores)]


def _rows(table):
    return {row.label: row for row in table.rows}


def test_means_differences_and_ranks_by_hand():
    (table,) = tables_of(_results(ale=[0.4, 0.5, 0.7], niwt=[0.6, 0.5, 0.8], sync=[0.1, 0.2, 0.3]))
    assert [row.label for row in table.rows] == ["niwt", "ale", "sync"]
    ale, niwt = _rows(table)["ale"], _rows(table)["niwt"]
    assert ale.differences["harmonic_mean"].value == pytest.approx(-0.1)
    assert ale.differences["ausuc"].value == pytest.approx(-0.05)
    assert niwt.differences == {} and niwt.p is None
    assert niwt.rank.value == pytest.approx((1 + 1.5 + 1) / 3)
    assert (table.reference, table.shared, table.notes) == ("niwt", 3, ())
    # Both p times their number, the smaller one at least; 4.303 * 0.1 / sqrt(3) is the half width of ale's difference.
    assert ale.differences["harmonic_mean"].half == pytest.approx(0.2484, abs=1e-4)


def test_only_problems_that_all_have_are_paired_and_ranked():
    (table,) = tables_of(_results(niwt=[0.9, 0.1, 0.5], ale=[0.5, 0.4]))
    assert table.shared == 2
    assert _rows(table)["niwt"].problems == 3
    assert _rows(table)["niwt"].figures["harmonic_mean"].value == pytest.approx(0.5)
    assert _rows(table)["ale"].differences["harmonic_mean"].value == pytest.approx(-0.05)
    assert table.notes == ("1 of 3 problems are left out of differences and ranks: ale does not have 1",)


def test_methods_without_a_common_problem_have_no_differences():
    (table,) = tables_of([_result("niwt", 0, 0.5), _result("ale", 1, 0.4)])
    assert all(row.rank is None for row in table.rows)
    assert "no problem is shared by all methods, so there are no differences and ranks" in table.notes
    terminal([table])


def test_one_problem_has_no_interval():
    (table,) = tables_of(_results(niwt=[0.5], ale=[0.4]))
    assert "There is only one problem, so there is no interval." in notes(table)
    assert cells(table)[2][3:] == ["40.0", "40.0", "20.0", "-10.0", "-5.0", "", "2.0", "1"]
    assert "±" not in "".join(sum(cells(table), []))


def test_what_could_not_be_measured_is_left_out():
    (table,) = tables_of(_results(niwt=[0.5, None, 0.6], ale=[0.4, 0.4, 0.2]))
    assert table.shared == 2
    assert "1 problems are left out, because H could not be measured" in table.notes
    (table,) = tables_of(_results(niwt=[None], ale=[None]))
    assert "n/a" in terminal([table])


def test_two_settings_of_a_method_are_two_rows():
    results = [
        _result("niwt", 0, 0.5, choices={"map": "ridge", "map_regularization": [0.1, 1.0]}),
        _result("niwt", 0, 0.6, choices={"map": "cosine", "map_regularization": [0.1, 1.0]}),
        _result("ale", 0, 0.4, choices={"layer": None}),
    ]
    (table,) = tables_of(results)
    assert [row.label for row in table.rows] == ["niwt --map=cosine", "niwt --map=ridge", "ale"]
    assert table.reference == "niwt --map=ridge"
    assert table.notes[0] == "differences are relative to 'niwt --map=ridge'; --reference can name another method"
    assert tables_of(results, "niwt --map=cosine")[0].reference == "niwt --map=cosine"
    with pytest.raises(InputError, match="must name one row: 'niwt --map=ridge' or 'niwt --map=cosine'"):
        tables_of(results, "niwt")


def test_one_problem_twice_is_refused_with_both_folders_unless_it_is_the_same():
    results = _results(niwt=[0.5], ale=[0.4])
    assert len(tables_of([*results, _result("ale", 0, 0.4)])[0].rows) == 2
    other = Result("birds", "ale", ("p", 0), "elsewhere", dict.fromkeys(FIGURES, 0.3))
    with pytest.raises(InputError, match=r"two of ale .* split, seed 0 and flags, in runs/ale_0 and elsewhere\."):
        tables_of([*results, other])


def test_an_unknown_reference_gets_a_suggestion():
    with pytest.raises(InputError, match=r"--reference must be one of niwt, eszsl\. Received: 'ezsl'\. Did you mean 'eszsl'\?"):
        tables_of(_results(niwt=[0.5], eszsl=[0.4]), "ezsl")


def test_each_data_set_has_its_own_table():
    others = [_result("niwt", 0, 0.3, "animals"), _result("dem", 0, 0.2, "animals")]
    tables = tables_of([*_results(niwt=[0.5], ale=[0.4]), *others])
    assert [(table.dataset, [row.label for row in table.rows]) for table in tables] == [
        ("animals", ["niwt", "dem"]),
        ("birds", ["niwt", "ale"]),
    ]
    assert len(list(comparison_rows(tables))) == 1 + 4


def test_optimistic_figures_are_called_so_in_their_cells_and_test_labels_have_no_rank():
    results = [
        *_results(niwt=[0.5, 0.6], ale=[0.4, 0.3]),
        *(_result("oracle", seed, 0.9, optimistic=("it uses test labels: all",), competes=False) for seed in (0, 1)),
    ]
    (table,) = tables_of(results)
    assert [row.label for row in table.rows] == ["niwt", "ale", "oracle"]
    assert [cell.endswith("optimistic") for cell in cells(table)[3]] == [False, *[True] * 7, False, False, False]
    assert not any("optimistic" in cell for line in cells(table)[:3] for cell in line)
    assert [row.rank and row.rank.value for row in table.rows] == [1, 2, None]
    assert "oracle is optimistic: it uses test labels: all." in notes(table)


def test_differences_to_an_optimistic_reference_are_optimistic():
    results = [_result("niwt", 0, 0.5, optimistic=("so",)), _result("niwt", 1, 0.5), *_results(ale=[0.4, 0.3])]
    (table,) = tables_of(results)
    ale = cells(table)[2]
    assert [cell.endswith("optimistic") for cell in ale] == [*[False] * 6, True, True, False, False, False]
    assert "niwt is optimistic: so (1 of 2 problems)." in notes(table)


def test_ties_and_no_variance_leave_no_nan():
    (table,) = tables_of(_results(niwt=[0.5, 0.5], ale=[0.5, 0.5], dem=[0.4, 0.4]))
    text = terminal([table]) + markdown([table]) + str(list(comparison_rows([table])))
    assert "nan" not in text.lower()
    assert [row.rank.value for row in table.rows] == [1.5, 1.5, 3]
    assert _rows(table)["ale"].p == 1.0


def test_published_figures_stand_below_the_line_and_are_never_ranked():
    (table,) = tables_of(_results(niwt=[0.5, 0.6], ale=[0.4, 0.3]))
    figures = {"harmonic_mean": 0.99, "acc_seen": None, "acc_unseen": 0.98}
    other = PublishedResult("Best", figures, "A. Uthor 2020", "fine-tuned")
    lines = terminal([table], (other,)).splitlines()
    assert set(lines[4]) == {"-"}
    assert lines[5].startswith("Best (published, other protocol: A. Uthor 2020, fine-tuned)")
    assert lines[5].split()[-2:] == ["98.0", "99.0"]
    rows = list(comparison_rows([table], (other,)))
    assert len({len(row) for row in rows}) == 1
    assert [row.rank.value for row in table.rows] == [1, 2]


def test_the_bound_is_always_called_optimistic():
    results = [_result("niwt", seed, 0.5) for seed in (0, 1)]
    for result in results:
        result.figures[BOUND] = 0.55
    (table,) = tables_of(results, figures=(*FIGURES, BOUND))
    assert cells(table)[0][6] == "H, calibrated on test images"
    assert cells(table)[1][6] == "55.0 ± 0.0 optimistic"
    assert list(problem_rows([table]))[0][9] == "bound"


def test_a_name_cannot_break_the_markdown_table():
    (table,) = tables_of([_result("niwt", 0, 0.5), _result("a|b", 0, 0.4)])
    assert "a\\|b" in markdown([table])


def test_the_picture(tmp_path):
    from PIL import Image

    others = [_result("niwt", 0, 0.5, "a $1 & <2>"), _result("x", 0, None, "a $1 & <2>")]
    tables = tables_of([*_results(niwt=[0.5, 0.6], ale=[0.4, None]), *others])
    plot_leaderboard(tmp_path / "x.png", tables)
    with Image.open(tmp_path / "x.png") as image:
        assert image.width > 1000
