"""Methods by name: this package's, and what an entry point gives."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from niwt_tf.config import names
from niwt_tf.errors import InputError
from niwt_tf.methods import registry
from niwt_tf.methods.base import Method
from niwt_tf.methods.baselines.class_mean import METHOD as CLASS_MEAN
from niwt_tf.methods.registry import method_of


@pytest.fixture
def adding(monkeypatch):
    """Return a function that adds an entry point by name, as an installed package would."""
    points = {}
    for module in (names, registry):
        monkeypatch.setattr(module, "added", lambda group: points if group == "niwt_tf.methods" else {})
    method_of.cache_clear()

    def add(name, load, value="package.module:METHOD"):
        points[name] = SimpleNamespace(name=name, value=value, load=load)

    yield add
    method_of.cache_clear()


def test_every_name_is_that_of_its_method():
    for name in names.METHOD_MODULES:
        method = method_of(name)
        assert isinstance(method, Method)
        assert method.name == name
        assert method_of(name) is method
        assert tuple(names.METHOD_STAGES.get(name, ())) == tuple(stage.name for stage in method.stages)


@pytest.mark.parametrize(("given", "meant"), [("eszl", "eszsl"), ("NIWT", "niwt"), ("classmean", "class_mean")])
def test_an_unknown_name_suggests_the_nearest(given, meant):
    sentence = rf"--method must be one of niwt, n3, ale, .*Received: '{given}'. Did you mean '{meant}'"
    with pytest.raises(InputError, match=sentence):
        method_of(given)


def test_a_name_that_is_near_to_none_suggests_nothing():
    with pytest.raises(InputError, match=r"Received: 'xxxxxxxx'\.$"):
        method_of("xxxxxxxx")


class _Other(type(CLASS_MEAN)):
    pass


def test_a_package_adds_a_method(adding):
    method = _Other("other", CLASS_MEAN.grid, CLASS_MEAN.path)
    adding("other", lambda: method)
    assert method_of("other") is method
    assert "other" in names.network_methods()
    assert "other" in names.compared_methods()
    with pytest.raises(InputError, match="one of .*random, other. Received: 'othr'. Did you mean 'other'"):
        method_of("othr")


def test_a_package_does_not_take_the_place_of_our_own(adding):
    adding("class_mean", lambda: pytest.fail("the package's own module must be imported"))
    assert method_of("class_mean") is CLASS_MEAN


@pytest.mark.parametrize("given", [3, CLASS_MEAN, type(CLASS_MEAN), "two\nlines", list(range(1000))])
def test_what_is_no_method_of_that_name_is_told_in_one_sentence(adding, given):
    adding("wrong", lambda: given)
    with pytest.raises(InputError) as told:
        method_of("wrong")
    assert str(told.value).startswith("package.module:METHOD must be a Method called 'wrong'. Received: ")
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 200


@pytest.mark.parametrize(
    ("error", "reason"), [(ModuleNotFoundError("No module named 'x'"), "No module named 'x'"), (ValueError("a\nb"), "a")]
)
def test_what_cannot_be_imported_is_told_in_one_sentence(adding, error, reason):
    def load():
        raise error

    adding("torn", load)
    with pytest.raises(InputError) as told:
        method_of("torn")
    assert str(told.value) == f"The method 'torn' must be importable from package.module:METHOD. Received: {reason}."


def test_what_failed_once_may_succeed_later(adding):
    adding("late", lambda: None)
    with pytest.raises(InputError):
        method_of("late")
    method = _Other("late", CLASS_MEAN.grid, CLASS_MEAN.path)
    adding("late", lambda: method)
    assert method_of("late") is method
