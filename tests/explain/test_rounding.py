import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from niwt_tf.explain.words import shortest, shown_weight, varied


def test_what_rounding_alone_makes_differ_does_not_vary():
    values = np.array([[1.0, 1.0, 0.0, 1e-9], [1.0 + 1e-8, 1.1, 0.0, 2e-9]])
    np.testing.assert_array_equal(varied(values), [False, True, False, True])


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_shortest_number_reads_back(value):
    assert np.float32(shortest(np.float32(value))) == np.float32(value)


def test_it_is_short():
    assert shortest(np.float32(0.9)) == 0.9


def test_a_weight_is_never_shown_as_nothing():
    shown = {0.5: "+0.50", -12.345: "-12.35", 0.0999: "+0.10", 0.01: "+0.010", -0.00042: "-0.00042", 4.2e-7: "+4.2e-07"}
    assert {value: shown_weight(value) for value in shown} == shown
    assert shown_weight(np.float32(0.004)) == "+0.0040" and shown_weight(0.0) == "+0.00"
