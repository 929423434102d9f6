"""Options that methods bring: fields of the settings, read by the method that has them."""

from __future__ import annotations

import dataclasses

import pytest

from niwt_tf.config.names import METHOD_MODULES
from niwt_tf.config.options import MethodOptions, option, with_options_of
from niwt_tf.config.settings import METHOD_OPTIONS, SETTING_NAMES, Settings
from niwt_tf.errors import InputError
from niwt_tf.methods.n3.options import N3Options
from niwt_tf.methods.niwt.options import NiwtOptions
from niwt_tf.methods.registry import method_of


@dataclasses.dataclass(frozen=True)
class Sharp(MethodOptions):
    sharpness: float = option(2.0, "How sharp.", above=0)


def _names(record: type) -> set[str]:
    return {field.name for field in dataclasses.fields(record)}


def test_a_record_has_what_the_settings_have():
    own = N3Options.of(Settings(n3_width=8, n3_prior=True))
    assert (own.n3_width, own.n3_prior, own.n3_steps) == (8, True, 500)
    assert NiwtOptions.of(Settings(seen_head="ridge")) == NiwtOptions(seen_head=("ridge",))


def test_a_rule_between_options_is_checked_when_settings_are_made():
    with pytest.raises(InputError, match=r"^--n3_width must be a multiple of 4\. Received: 6\."):
        Settings(n3_width=6)
    with pytest.raises(InputError, match=r"^--engine must be closed_form or auto if --extra_layers are given"):
        Settings(extra_layers=["a"], engine="tape")


def test_fields_of_a_record_come_behind_the_one_that_is_named():
    @dataclasses.dataclass(frozen=True)
    @with_options_of([Sharp], after="first")
    class Plain:
        first: int = option(1, "One.")
        last: int = option(3, "Three.")

    assert [field.name for field in dataclasses.fields(Plain)] == ["first", "sharpness", "last"]
    assert Sharp.of(Plain(sharpness=5.0)) == Sharp(5.0)


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(InputError, match=r"^An option must have its own name\. Received: 'sharpness' twice\."):
        with_options_of([Sharp, Sharp], after="first")(type("Plain", (), {"__annotations__": {"first": "int"}}))


def test_every_record_is_read_by_a_method_and_common_options_bear_no_method_s_name():
    methods = [method_of(name) for name in METHOD_MODULES]
    assert {record for method in methods for record in method.options} == set(METHOD_OPTIONS)
    common = set(SETTING_NAMES) - {name for record in METHOD_OPTIONS for name in _names(record)}
    assert [name for name in common if name.startswith(tuple(f"{method}_" for method in METHOD_MODULES))] == []


@pytest.mark.parametrize(("name", "record"), [("niwt", NiwtOptions), ("n3", N3Options)])
def test_every_option_of_a_method_changes_a_stage_of_it(name, record):
    method = method_of(name)
    assert record in method.options
    assert _names(record) <= {*method.settings, *(each for stage in method.stages for each in stage.settings)}
