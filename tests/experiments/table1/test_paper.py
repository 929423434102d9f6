from __future__ import annotations

import re
from pathlib import Path

import pytest
from absl import flags

from niwt_tf.config.settings import Settings
from niwt_tf.experiments.table1.paper import TABLE_1, PaperRow
from niwt_tf.jobs.flags import define_flags, parse_flags, settings_from_flags
from niwt_tf.jobs.table import JOBS


def test_there_is_a_row_for_every_combination() -> None:
    assert len({row.name for row in TABLE_1}) == len(TABLE_1) == 16
    assert {row.dataset for row in TABLE_1 if not row.in_paper} == {"awa2"}


@pytest.mark.parametrize("row", TABLE_1, ids=lambda row: row.name)
def test_a_rows_settings_are_its_flagfile(repository: Path, row: PaperRow) -> None:
    values = flags.FlagValues()
    define_flags(JOBS["run"], values)
    parse_flags([f"--flagfile={repository / 'flags' / row.name}.flags"], values)
    settings, given = settings_from_flags(values)
    assert settings == Settings.from_dict(row.settings)
    assert given == set(row.settings)


@pytest.mark.parametrize("row", TABLE_1, ids=lambda row: row.name)
def test_a_flagfiles_header_names_itself_and_the_papers_figures(repository: Path, row: PaperRow) -> None:
    text = (repository / "flags" / f"{row.name}.flags").read_text(encoding="utf-8")
    assert f"--flagfile=flags/{row.name}.flags --data_dir=ARCHIVE --run_dir=runs/{row.name}\n" in text
    found = re.search(r"The paper \(Table 1\).*: U ([\d.]+), S ([\d.]+), H ([\d.]+)\.", text)
    paper = row.paper
    if paper is None:
        assert found is None
    else:
        assert found is not None
        assert [float(number) for number in found.groups()] == [paper.acc_unseen, paper.acc_seen, paper.harmonic_mean]
    assert ("The paper has no such row" in text) is not row.in_paper


def test_published_figures_agree_with_themselves() -> None:
    published = [row.paper for row in TABLE_1 if row.paper]
    assert len(published) == 4
    for paper in published:
        harmonic = 2 * paper.acc_unseen * paper.acc_seen / (paper.acc_unseen + paper.acc_seen)
        assert paper.harmonic_mean == pytest.approx(harmonic, abs=0.1)  # of rounded figures
