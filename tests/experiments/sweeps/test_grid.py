from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.experiments.sweeps.grid import flags_of, grid_of, parse_grid, shown_value, trials_of
from niwt_tf.jobs.flags import define_flags, parse_flags, settings_from_flags

penalties = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=3).map(tuple)
GRIDS = st.fixed_dictionaries(
    {},
    optional={
        "map": st.lists(st.sampled_from(["ridge", "cosine"]), min_size=1, unique=True),
        "transfer_lambda": st.lists(penalties, min_size=1, max_size=3, unique=True),
        "seed": st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True),
        "jit": st.lists(st.booleans(), min_size=1, unique=True),
        "epochs": st.lists(st.one_of(st.none(), st.integers(1, 5)), min_size=1, max_size=3, unique=True),
        "unseen": st.lists(st.lists(st.sampled_from("abc"), min_size=1, unique=True).map(tuple), min_size=1, unique=True),
    },
).filter(bool)


def test_a_grid_is_every_combination_the_last_flag_fastest():
    grid = parse_grid("map=ridge,cosine; transfer_lambda=1e-3|1e-2,1; --seed=0,1;")
    assert grid == {"map": ("ridge", "cosine"), "transfer_lambda": ((0.001, 0.01), (1.0,)), "seed": (0, 1)}
    trials = trials_of(grid, Settings(epochs=7))
    assert [tuple(trial.values.values()) for trial in trials[:3]] == [
        ("ridge", (0.001, 0.01), 0),
        ("ridge", (0.001, 0.01), 1),
        ("ridge", (1.0,), 0),
    ]
    assert len(trials) == 8
    assert trials[1].settings == Settings(epochs=7, map="ridge", transfer_lambda=(0.001, 0.01), seed=1)
    assert trials[1].configuration == (("map", "ridge"), ("transfer_lambda", (0.001, 0.01)))
    assert trials[1].repetition == (("seed", 1),)


def test_a_flag_may_have_its_former_name(caplog):
    assert parse_grid("head=ale,eszsl") == grid_of({"head": ["ale", "eszsl"]}) == {"method": ("ale", "eszsl")}
    assert caplog.messages[0] == "--head is now called --method. The next release accepts only the new name."
    with pytest.raises(InputError, match="must name each flag once. Received: 'method' twice"):
        parse_grid("head=ale;method=eszsl")


@given(GRIDS)
def test_a_grid_survives_its_own_syntax(grid):
    text = ";".join(f"{name}={','.join(map(shown_value, values))}" for name, values in grid.items())
    assert parse_grid(text) == grid_of(grid) == {name: tuple(values) for name, values in grid.items()}


@given(GRIDS)
def test_trials_differ_and_their_flags_make_their_settings(grid):
    from absl import flags as absl_flags

    from niwt_tf.jobs.table import JOBS

    trials = trials_of(grid_of(grid), Settings())
    assert len({trial.name for trial in trials}) == len(trials)
    assert all("/" not in trial.name and len(trial.name) < 100 for trial in trials)
    values = absl_flags.FlagValues()
    define_flags(JOBS["run"], values)
    parse_flags(flags_of(trials[-1].settings), values)
    assert settings_from_flags(values)[0] == trials[-1].settings


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "must be of the form"),
        ("map", "must be of the form flag=value,value;flag=value. Received: 'map'"),
        ("map=ridge;;seed=1", "must be of the form"),
        ("mapp=ridge", "Received: 'mapp'"),
        ("run_dir=a,b", "must consist of flags that change a result. Received: 'run_dir'"),
        ("export_dir=a", "must consist of flags that change a result"),
        ("overwrite=true", "must consist of flags that change a result"),
        ("map=ridge;map=cosine", "must name each flag once. Received: 'map' twice"),
        ("map=", "every value of map, without an empty one"),
        ("seed=0,,1", "every value of seed, without an empty one"),
        ("seed=0,1,0", "each value of seed once. Received: 0 twice"),
        ("layer=None,None", "each value of layer once"),
        ("transfer_lambda=1,1.0", "each value of transfer_lambda once. Received: 1 twice"),
        ("transfer_lambda=1||2", "an empty item in a value of transfer_lambda"),
        ("map=ridge|cosine", "must separate the values of map by commas"),
        ("map=ridge,cosin", "--map must be one of auto, ridge, relevance, cosine. Received: 'cosin'"),
        ("seed=0,-1", "--seed must be at least 0"),
    ],
)
def test_what_a_grid_may_not_be(text, sentence):
    with pytest.raises(InputError) as caught:
        parse_grid(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([1], "one object of lists"),
        ({"seed": 1}, "one object of lists"),
        ({"seed": "1"}, "a list of values of seed"),
        ({"seed": []}, "at least one value of seed"),
        ({}, "at least one flag"),
        ({"seed": [1.5]}, "--seed must be an integer"),
    ],
)
def test_what_a_file_may_not_hold(values, sentence):
    with pytest.raises(InputError, match=sentence):
        grid_of(values)


def test_what_trials_may_not_be():
    with pytest.raises(InputError, match="--seed must be given once"):
        trials_of({"seed": (0,)}, Settings(), frozenset(["seed"]))
    with pytest.raises(InputError, match="at most 10,000 trials. Received: 10,100"):
        trials_of({"seed": tuple(range(101)), "patience": tuple(range(1, 101))}, Settings())
    with pytest.raises(InputError, match="The trial unseen=a of the grid is not possible: --unseen and --num_unseen"):
        trials_of({"unseen": (("a",),)}, Settings(num_unseen=2))
    with pytest.raises(InputError, match="The trial knowledge=attributes of the grid is not possible: --text_features must be"):
        trials_of({"knowledge": ("attributes", "binary")}, Settings(text_features="vectors:v.txt"))
    of_texts, of_attributes = trials_of({"knowledge": ("captions", "attributes")}, Settings(text_features="vectors:v.txt"))
    assert of_texts.settings.text_features == "vectors:v.txt"
    assert of_attributes.settings.text_features == "lsa"
    with pytest.raises(InputError, match="must be a value that can be written as a flag"):
        flags_of(Settings(unseen=("a,b",)))


@pytest.mark.parametrize("grid", ["num_folds=1,2", "validation_classes=2,8"])
def test_the_yardstick_is_the_same_for_all(grid):
    with pytest.raises(InputError, match="must not change the validation classes"):
        parse_grid(grid)
