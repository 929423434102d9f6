from niwt_tf.explain.faithfulness.table import FIGURES, as_text


def test_the_table_is_aligned_and_leaves_out_what_was_not_measured():
    seen = {"value": 0.8, "low": 0.7, "high": 0.95, "count": 12, "left_out": 3, "chance": 0.25}
    text = as_text({"energy_in_box": {"seen": seen, "unseen": {"value": 0.5, "count": 3}}, "deletion_auc": {"seen": seen}})
    lines = [line.split() for line in text.splitlines()]
    assert lines[1] == ["energy", "in", "the", "box", "seen", "0.800", "0.700", "to", "0.950", "0.250", "higher", "12", "3"]
    assert lines[2] == ["unseen", "0.500", "higher", "3"]  # a single class has no interval
    assert lines[3][:2] == ["deletion", "seen"] and "lower" in lines[3]
    assert len(lines) == 4
    starts = {line.index(better) for line, better in zip(text.splitlines()[1:], ("higher", "higher", "lower"), strict=True)}
    assert len(starts) == 1


def test_every_measure_is_explained_once():
    assert len({figure.name for figure in FIGURES}) == len(FIGURES) == 12
    assert all(figure.meaning.endswith(".") and figure.better in ("higher", "lower") for figure in FIGURES)
    assert not as_text({}).count("\n")
