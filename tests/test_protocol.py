"""No choice can reach a test image: what chooses takes folds and seen data, and whoever scores test images writes it down."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "niwt_tf"
MODULES = {path.relative_to(PACKAGE).with_suffix("").as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
# What trains, fits or chooses says so by the first word of its name.
CHOICE = re.compile(r"^_?(choose|select|fit|train|tune|best|candidates|grid|rounds|finish|prepare)(_|$)")
# What holds test images, or what was found on them.
TEST_TYPES = {"TestData", "TestFeatures", "Dataset", "RunData", "Scored", "Evaluation"}
TEST_NAMES = {"test", "test_data", "dataset", "test_features"}
# It is given all and takes the seen part: tests/estimator/test_classifier.py fits it with garbage for test images.
GIVEN_ALL = {"estimator/classifier.fit"}
# Readers of data sets part the images in the first place; what a report or a check of serving picks to show is no choice.
DATA = re.compile(r"^(data|report|serving|studio)/")
# These show or check test images of a network whose choices are made: no figures come of them.
LOOK_ONLY = {"jobs/export", "jobs/report", "jobs/run_data"}


@cache
def _trees() -> dict[str, ast.Module]:
    """Return every module as it is parsed: by the tests that ask, not by each process that collects them."""
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def _functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for name, tree in _trees().items():
        if not DATA.match(name):
            yield from ((name, node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _names(node: ast.AST) -> set[str]:
    found = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return found | {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}


def _takes(function: ast.FunctionDef) -> set[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return {name for each in every if each.annotation is not None for name in _names(each.annotation)}


def _choosing() -> list[tuple[str, ast.FunctionDef]]:
    return [(name, function) for name, function in _functions() if CHOICE.match(function.name)]


def test_what_chooses_is_found_at_all():
    known = {function.name for _, function in _choosing()}
    assert known >= {"select", "choose", "best_trial", "choose_calibration", "fit_ridge_map", "train_partitions"}
    assert known >= {"candidates", "rounds", "prepare", "fit", "fit_all", "finish"}  # of a method


def test_no_signature_of_what_chooses_has_room_for_test_images():
    found = {f"{name}.{function.name}": sorted(_takes(function) & TEST_TYPES) for name, function in _choosing()}
    assert {name for name, types in found.items() if types} == GIVEN_ALL


def test_no_call_of_what_chooses_is_given_test_images_or_figures():
    found = []
    for name, tree in _trees().items():
        if DATA.match(name):
            continue
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
            if CHOICE.match(called) and any(_names(argument) & TEST_NAMES for argument in arguments):
                found.append(f"{name}, line {call.lineno}: {called}")
    assert found == []


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("methods/")])
def test_methods_know_nothing_of_data_sets(name):
    assert not _names(_trees()[name]) & {"TestData", "Dataset", "test_data", "RunData", "TestFeatures"}


def test_every_job_that_scores_test_images_writes_it_down():
    scoring = {
        name
        for name, tree in _trees().items()
        if name.startswith("jobs/")
        and any(isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "test" for node in ast.walk(tree))
    }
    assert "jobs/evaluate" in scoring
    assert {name for name in scoring - LOOK_ONLY if "scored_test_images" not in _names(_trees()[name])} == set()
