"""Why figures of one side are absent."""

from niwt_tf.explain.faithfulness.table import FIGURES
from niwt_tf.report.tables import absent_side_sentences


def test_each_absent_side_has_its_reason():
    measured = {"energy_in_box": {"seen": {}}, "insertion_auc": {"seen": {}, "unseen": {}}, "neuron_name_auc": {"all": {}}}
    few, none = (absent_side_sentences(measured, FIGURES, {"seen": 5, "unseen": count}) for count in (2, 0))
    assert few[:2] == (
        "Not measured for seen classes: AUC of neuron names; none of their images could be measured.",
        "Not measured for unseen classes: energy in the box, AUC of neuron names; none of their images could be measured.",
    )
    assert none[1].endswith("; they have no test images.") and few[2].startswith("All: figures for images")


def test_nothing_is_said_where_nothing_is_absent():
    assert absent_side_sentences({"good_names": dict.fromkeys(("all", "seen", "unseen"), {})}, FIGURES, {"seen": 1}) == ()
