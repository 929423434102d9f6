import pytest

from niwt_tf.data.birds.drawing import PART_NAMES
from niwt_tf.explain.faithfulness.masks import parts_of_group


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("crown_color", {"crown"}),
        ("has_crown_color", {"crown"}),
        ("bill_shape", {"beak"}),
        ("wing_pattern", {"left wing", "right wing"}),
        ("leg_length", {"left leg", "right leg"}),
        ("primary_color", set()),
        ("upperparts_color", set()),
        ("under_tail_color", set()),
        ("", set()),
    ],
)
def test_groups_name_parts(group, expected):
    assert {PART_NAMES[p] for p in parts_of_group(group, PART_NAMES)} == expected


def test_a_data_set_without_the_part_has_none():
    assert parts_of_group("crown_color", ("tail",)) == ()
