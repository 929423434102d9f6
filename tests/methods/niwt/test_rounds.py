"""What NIWT asks to be tried, a round after the other, against trials whose marks are made up."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.methods.base import Trial
from niwt_tf.methods.niwt.niwt import METHOD
from niwt_tf.methods.niwt.options import NiwtOptions
from niwt_tf.methods.niwt.solving import NiwtCandidate
from niwt_tf.methods.seen_heads import SeenHead

HEADS = (("ridge", 1.0), ("ridge", 10.0), ("lda", 0.1), ("lda", 0.5))
GRIDS = {
    "map": "ridge",
    "transfer_lambda": (1e-3, 1e-2, 1e-1),
    "transfer_learning_rate": (1e-3, 1e-2),
    "transfer_anchor": "mean,zero",
    "map_regularization": (0.1, 1.0, 10.0),
}


class _FoldTask:
    """A task with validation classes, of which the rounds read the heads and the engines alone."""

    def __init__(self, heads, engines):
        nothing = np.zeros((2, 2), np.float32), np.zeros(2, np.float32)
        made = [SimpleNamespace(head=SeenHead(penalty, *nothing, kind)) for kind, penalty in heads]
        self._kept = {"measured": made, "engines": engines}
        self.partition = None

    def cached(self, key, make):
        del make
        return self._kept[key]


def asked(monkeypatch, settings, engines=("closed_form",), mark=lambda candidate: 0.0, heads=HEADS):
    """Return the rounds, and all trials, when each candidate reaches what `mark` says."""
    tasks = [_FoldTask(heads, engines)]
    monkeypatch.setattr("niwt_tf.methods.niwt.niwt.folds_of", lambda tasks: list(tasks))
    found, trials = [], []
    rounds = METHOD.rounds(settings, tasks)
    candidates = next(rounds)
    while candidates is not None:
        found.append(list(candidates))
        trials += [Trial(each, 0.0, mark(each), 0.0) for each in candidates]
        try:
            candidates = rounds.send(trials)
        except StopIteration:
            candidates = None
    return found, trials


def test_heads_first_then_penalties_then_the_rest_in_the_counts_of_before(monkeypatch):
    found, trials = asked(monkeypatch, Settings(engine="closed_form", **GRIDS))
    # 4 heads; 3 penalties for the best head of each of 2 kinds; 3 lambdas and 2 anchors without the one that was tried.
    assert [len(each) for each in found] == [4, 6, 5]
    assert len(trials) == 15
    first, penalties, further = found
    assert [(each.head, each.head_kind, each.head_regularization) for each in first] == [
        (index, *head) for index, head in enumerate(HEADS)
    ]
    assert {(each.regularization, each.learning_rate, each.anchor) for each in first} == {(1e-2, 1e-2, "mean")}
    assert {each.map_regularization for each in first} == {None}
    assert [(each.head, each.map_regularization) for each in penalties] == [(h, p) for h in (0, 2) for p in (0.1, 1.0, 10.0)]
    points = [(each.regularization, each.anchor) for each in further]
    assert points == [(1e-3, "mean"), (1e-3, "zero"), (1e-2, "zero"), (1e-1, "mean"), (1e-1, "zero")]


def test_each_round_goes_on_from_the_best_so_far(monkeypatch):
    def mark(candidate):
        marks = {"head": {1: 2.0, 2: 1.0, 3: 1.5}, "map_regularization": {10.0: 0.5}, "regularization": {1e-1: 0.25}}
        return sum(known.get(getattr(candidate, name), 0.0) for name, known in marks.items())

    found, trials = asked(monkeypatch, Settings(engine="closed_form", **GRIDS), mark=mark)
    _, penalties, further = found
    assert [each.head for each in penalties] == [1] * 3 + [3] * 3  # the best ridge head and the best discriminant
    known = {(each.head, each.map_regularization, each.head_kind, each.head_regularization) for each in further}
    assert known == {(1, 10.0, "ridge", 10.0)}
    best = max(trials, key=lambda trial: trial.harmonic_mean).candidate
    assert best == NiwtCandidate(1, "closed_form", 1e-1, 1e-2, "mean", (1.0,), 10.0, "ridge", 10.0)


def test_of_two_kinds_the_best_is_gone_on_from(monkeypatch):
    found, _ = asked(monkeypatch, Settings(engine="closed_form", **GRIDS), mark=lambda each: each.head_kind == "lda")
    assert {(each.head, each.head_kind, each.map_regularization) for each in found[2]} == {(2, "lda", None)}


@pytest.mark.parametrize(
    ("changes", "engines", "counts"),
    [
        ({"map": "cosine"}, ("closed_form",), [4, 5]),
        ({"map_regularization": (1.0,)}, ("closed_form",), [4, 5]),
        # A descent for each penalty would take too long. The tape has two rates.
        ({}, ("tape",), [4, 3 * 2 * 2 - 1]),
        ({}, ("operator",), [4, 5]),
        ({}, ("closed_form", "operator", "tape"), [4, 6, 5 + 6 + 12]),
        ({}, ("operator", "closed_form"), [4, 5 + 6]),
        ({"transfer_lambda": (1e-2,), "transfer_anchor": "mean"}, ("closed_form",), [4, 6, 0]),
    ],
)
def test_counts_by_settings_and_engines(monkeypatch, changes, engines, counts):
    found, _ = asked(monkeypatch, Settings(**(GRIDS | changes)), engines)
    assert [len(each) for each in found] == counts


def test_a_descent_has_its_rate_and_the_closed_form_none_to_try(monkeypatch):
    found, _ = asked(monkeypatch, Settings(**GRIDS), ("closed_form", "operator", "tape"))
    rates = {
        engine: {each.learning_rate for each in found[2] if each.engine == engine}
        for engine in ("closed_form", "operator", "tape")
    }
    assert rates == {"closed_form": {1e-2}, "operator": {1e-2}, "tape": {1e-3, 1e-2}}


def test_each_further_layer_is_weighted_in_turn_and_may_be_left_out(monkeypatch):
    settings = Settings(extra_layers=("features", "block3_relu"), **GRIDS)

    def mark(candidate):
        weights = candidate.layer_weights
        return {0.0: 0.0, 0.3: 2.0, 1.0: 1.0}[weights[1]] + {0.0: 0.0, 0.3: -1.0, 1.0: -2.0}[weights[2]]

    found, trials = asked(monkeypatch, settings, mark=mark)
    assert [len(each) for each in found] == [4, 6, 5, 2, 2]
    assert {each.layer_weights for each in [*found[0], *found[1], *found[2]]} == {(1.0, 0.0, 0.0)}
    assert [each.layer_weights for each in found[3]] == [(1.0, 0.3, 0.0), (1.0, 1.0, 0.0)]
    assert [each.layer_weights for each in found[4]] == [(1.0, 0.3, 0.3), (1.0, 0.3, 1.0)]
    assert max(trials, key=lambda trial: trial.harmonic_mean).candidate.layer_weights == (1.0, 0.3, 0.0)


def test_no_candidate_is_tried_twice(monkeypatch):
    _, trials = asked(monkeypatch, Settings(**GRIDS), ("closed_form", "operator", "tape"))
    candidates = [trial.candidate for trial in trials]
    assert len(set(candidates)) == len(candidates)


def test_where_nothing_can_be_chosen_the_first_of_each_grid_is_taken():
    (only,) = METHOD.candidates(Settings(**GRIDS), [_FoldTask(HEADS, ("closed_form", "tape"))])
    assert only == NiwtCandidate(0, "closed_form", 1e-3, 1e-3, "mean", (1.0,), None, "ridge", 1.0)


def test_where_all_heads_are_averaged_only_engines_are_chosen_between(monkeypatch):
    found, trials = asked(monkeypatch, Settings(**(GRIDS | {"map": "relevance"})), ("closed_form", "tape"))
    assert list(map(len, found)) == [2] and [trial.candidate.engine for trial in trials] == ["closed_form", "tape"]
    assert {trial.candidate.regularization for trial in trials} == {1e-2}
    assert {trial.candidate.head_kind for trial in trials} == {"lda"}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "relevance"),
        ({"engine": "closed_form"}, "relevance"),
        ({"engine": "tape"}, "ridge"),
        ({"seen_head": "softmax"}, "ridge"),
        ({"importance_over": "own"}, "ridge"),
        ({"map": "cosine"}, "cosine"),
    ],
)
def test_what_the_map_is_by_default(changes, kind):
    assert NiwtOptions.of(Settings(**changes)).map_kind == kind


LONG = {"transfer_lambda": (1.0, 2.0, 3.0, 4.0, 5.0), "transfer_learning_rate": (0.1, 0.2, 0.3, 0.4)}


def test_the_middle_of_a_long_grid_is_held(monkeypatch):
    found, _ = asked(monkeypatch, Settings(**(GRIDS | LONG)), ("tape",))
    assert {(each.regularization, each.learning_rate, each.anchor) for each in found[0]} == {(3.0, 0.3, "mean")}
    assert len(found[1]) == 5 * 4 * 2 - 1
    found, _ = asked(monkeypatch, Settings(**(GRIDS | LONG | {"map": "relevance"})))
    assert [(each.head, each.regularization, each.learning_rate, each.anchor) for each in found[0]] == [(0, 3.0, 0.3, "mean")]


def test_where_all_heads_are_averaged_every_layer_counts_the_same():
    settings = Settings(extra_layers=("features", "block3_relu"), **(GRIDS | {"map": "relevance"}))
    (only,) = METHOD.candidates(settings, [_FoldTask(HEADS, ("closed_form",))])
    assert only == NiwtCandidate(0, "closed_form", 1e-2, 1e-2, "mean", (1.0, 1.0, 1.0), None, "lda", 0.0)


def test_where_nothing_can_be_chosen_further_layers_are_left_out():
    settings = Settings(extra_layers=("features",), **GRIDS)
    (only,) = METHOD.candidates(settings, [_FoldTask(HEADS, ("closed_form",))])
    assert only.layer_weights == (1.0, 0.0)


@pytest.mark.parametrize(
    ("engine", "has_positions", "expected"),
    [("auto", False, ("closed_form",)), ("auto", True, ("auto",)), ("tape", False, ("tape",))],
)
def test_at_a_layer_without_positions_nothing_is_estimated(engine, has_positions, expected):
    made = METHOD.at_layer(Settings(engine=engine), has_positions)
    assert (made.engine, made.extra_layers) == (expected, ())


def test_at_another_layer_no_further_one_is_matched():
    assert METHOD.at_layer(Settings(extra_layers=("features",)), has_positions=True).extra_layers == ()


def test_what_a_run_tells_of_its_stages():
    chosen = {"head_kind": "ridge", "head_regularization": 30.0, "engine": "tape", "regularization": 0.1, "anchor": "zero"}
    settings = Settings(map="ridge", num_support=48, extra_layers=("a", "b"))
    assert dict(METHOD.facts(settings, chosen)) == {
        "Seen head": "ridge regression, penalty 30",
        "Importance averaged over": "a sample of all seen classes",
        "Importance map": "ridge; descriptions centred",
        "New head columns by": "tape, λ 0.1 towards zero",
        "Support images": "48 of seen",
        "Further layers": "a, b",
    }
    averaged = dict(METHOD.facts(Settings(lda_shrinkage=(1.0, 10.0)), {**chosen, "head_kind": "lda"}))
    assert averaged["Seen head"] == "mean of linear discriminants, shrinkage 1, 10"
    assert averaged["Further layers"] == "none"


def test_what_is_asked_for_by_default():
    """The grids that `niwt run --help` and the documentation name."""
    own = NiwtOptions.of(Settings())
    assert (own.head_regularization, own.lda_shrinkage) == ((3.0, 10.0, 30.0, 100.0), (10.0, 100.0))
    assert own.map_regularization == (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)
    assert (own.transfer_lambda, own.transfer_learning_rate) == ((1e-2, 1e-1, 1.0), (1e-2,))
    assert (own.transfer_batch_size, own.transfer_steps, own.fold_importance_images) == (64, 300, 24)
    assert own.extra_layer_weights == (0.3, 1.0)


@pytest.mark.parametrize(
    ("name", "least"),
    [
        *((name, 1) for name in ("transfer_batch_size", "transfer_steps", "fold_importance_images")),
        *((name, 0.25) for name in ("head_regularization", "lda_shrinkage", "map_regularization", "transfer_lambda")),
        *((name, 0.25) for name in ("transfer_learning_rate", "extra_layer_weights")),
    ],
)
def test_the_least_value_of_each_option(name, least):
    value = least if isinstance(least, int) else (least,)
    assert getattr(NiwtOptions.of(Settings(**{name: value})), name) == value
    with pytest.raises(InputError, match=f"--{name} must"):
        Settings(**{name: 0 if isinstance(least, int) else (0.0,)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seen_head": "lda", "importance_over": "own"}, "--importance_over must be shared if --seen_head is only lda"),
        ({"map": "relevance", "seen_head": "ridge"}, "--seen_head must name lda"),
        ({"map": "relevance", "importance_over": "own"}, "--seen_head must name lda"),
        ({"extra_layers": ("a",), "engine": "operator"}, "--engine must be closed_form or auto .* Received: 'operator'"),
        ({"extra_layers": ("a",), "importance_over": "own"}, "--importance_over must be shared if --extra_layers"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(options, message):
    with pytest.raises(InputError, match=message):
        Settings(**options)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"seen_head": "lda"}, "relevance"),
        ({"seen_head": "ridge,lda", "importance_over": "own"}, "ridge"),
        ({"map": "ridge", "seen_head": "ridge", "importance_over": "own"}, "ridge"),
        ({"extra_layers": ("a",), "engine": "auto,closed_form"}, "relevance"),
        ({"engine": "operator", "importance_over": "own"}, "ridge"),
    ],
)
def test_what_goes_together_is_taken(options, kind):
    assert NiwtOptions.of(Settings(**options)).map_kind == kind


@pytest.mark.parametrize(("folds", "classes"), [(0, 1), (2, 4)])
def test_engines_are_estimated_for_the_classes_of_the_first_fold_and_once(monkeypatch, folds, classes):
    asked, kept = [], {}
    reader = SimpleNamespace(execution=SimpleNamespace(team="a team"))
    fold = SimpleNamespace(partition=SimpleNamespace(validation_descriptions=range(4)))
    main = SimpleNamespace(network=SimpleNamespace(tail="a tail"), reader=reader)
    main.cached = lambda key, make: kept[key] if key in kept else kept.setdefault(key, make())
    monkeypatch.setattr("niwt_tf.methods.niwt.niwt.folds_of", lambda tasks: tasks[1:])
    monkeypatch.setattr("niwt_tf.methods.niwt.niwt.engines_of", lambda *given: asked.append(given[1:]) or ("tape",))
    for _ in range(2):
        assert METHOD._engines(Settings(), [main, *[fold] * folds]) == ("tape",)
    assert asked == [("a tail", classes, folds, "a team")]


@pytest.mark.parametrize("engine", ["closed_form", "operator", "tape"])
def test_each_engine_says_how_it_makes_a_column(engine):
    said = METHOD.how(NiwtCandidate(0, engine, 0.1, 0.1))
    assert said.startswith("from its description") and ("descent" in said) == (engine != "closed_form")
