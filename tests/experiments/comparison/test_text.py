from __future__ import annotations

import pytest

from niwt_tf.errors import InputError
from niwt_tf.experiments.comparison.text import read_published

HEADER = "method,H,seen,unseen,source,protocol\n"


def test_figures_with_their_source(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("\ufeff" + HEADER + 'ESZSL,0.12,0.638,,"Xian et al., 2018",ResNet101 features\n', encoding="utf-8")
    (found,) = read_published(path)
    assert found.figures == {"harmonic_mean": 0.12, "acc_seen": 0.638, "acc_unseen": None}
    assert found.source == "Xian et al., 2018"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("method,H\nx,1\n", r"must have the columns method,H,seen,unseen,source,protocol\. Received: 'method,H'"),
        ("", "must have the columns"),
        (HEADER + "x,63.8,,,y,\n", r"line 2, H, must be a fraction from 0 to 1, not percent\. Received: '63\.8'"),
        (HEADER + "x,nan,,,y,\n", "must be a fraction"),
        (HEADER + "x,0.5,,,,\n", "line 2, must name its source"),
        (HEADER + "x,0.5,,,y,z,more\n", r"line 2, must have 6 cells\. Received: 7"),
        (HEADER + 'x,0.5,,,"y\n', "must be a CSV"),
    ],
)
def test_bad_tables_are_named(tmp_path, text, sentence):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_published(path)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_published(tmp_path / "x.csv")
    (tmp_path / "y.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        read_published(tmp_path / "y.csv")
