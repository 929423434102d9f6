"""The files for KServe and Vertex AI against what their own Python packages declare, which are read and not installed."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

EXPORTS = Path(__file__).resolve().parent.parent / "exports"
pytestmark = pytest.mark.slow
# Messages by name: each field as it is written in a file, and the name of its type or message; "" for a plain value.
Declared = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Return a function that fetches the wheel of a release, or skips the test where there is no package index."""

    def fetch(release: str) -> zipfile.ZipFile:
        folder = tmp_path_factory.mktemp("wheels")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--retries=1", "--dest", folder, release]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{release} cannot be fetched: {done.stderr.strip().splitlines()[-1]}")
        return zipfile.ZipFile(next(folder.glob("*.whl")))

    return fetch


def _classes(archive: zipfile.ZipFile, folder: str) -> list[ast.ClassDef]:
    names = [name for name in archive.namelist() if re.fullmatch(rf"{folder}/[^/]+\.py", name)]
    trees = [ast.parse(archive.read(name)) for name in names]
    inner = [node for tree in trees for top in tree.body for node in ast.walk(top) if isinstance(node, ast.ClassDef)]
    # A message within another may have a name that one of a file's own has, too: that one comes last and is meant.
    return [*inner, *(node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef))]


def _unknown(value: Any, message: str, declared: Declared, where: str) -> list[str]:
    """Return the fields of a file that its messages do not have; what is of a message that is not known is passed over."""
    if message not in declared:
        return []
    if isinstance(value, list):
        return [wrong for number, each in enumerate(value) for wrong in _unknown(each, message, declared, f"{where}[{number}]")]
    if not isinstance(value, dict):
        return [f"{where} is no {message}"]
    wrong = []
    for name, inner in value.items():
        if name not in declared[message]:
            wrong.append(f"{where}.{name} is no field of {message}")
        else:
            wrong += _unknown(inner, declared[message][name], declared, f"{where}.{name}")
    return wrong


def test_kserve_declares_every_field(package):
    with package("kserve==0.21.0") as archive:
        classes = _classes(archive, "kserve/models")
    declared: Declared = {}
    for each in classes:
        tables = {
            node.targets[0].id: ast.literal_eval(node.value) for node in each.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and isinstance(node.targets[0], ast.Name)
        }
        if {"openapi_types", "attribute_map"} <= tables.keys():
            types = {name: re.sub(r"list\[(.*)\]", r"\1", kind) for name, kind in tables["openapi_types"].items()}
            declared[each.name] = {written: types[name] for name, written in tables["attribute_map"].items()}
    service = yaml.safe_load((EXPORTS / "kserve.yaml").read_text())
    assert {"V1beta1InferenceService", "V1beta1PredictorSpec", "V1beta1ModelSpec", "V1beta1ModelFormat"} <= declared.keys()
    assert _unknown(service, "V1beta1InferenceService", declared, "kserve.yaml") == []
    service["spec"]["predictor"]["model"]["storageURI"] = ""
    (wrong,) = _unknown(service, "V1beta1InferenceService", declared, "kserve.yaml")
    assert wrong == "kserve.yaml.spec.predictor.model.storageURI is no field of V1beta1ModelSpec"


def test_vertex_ai_declares_every_field(package):
    with package("google-cloud-aiplatform==2.7.0") as archive:
        classes = _classes(archive, "google/cloud/aiplatform_v1/types")
    declared = {each.name: _proto_fields(each) for each in classes}
    for file, message in (("vertex_model", "UploadModelRequest"), ("vertex_deployment", "DeployModelRequest")):
        request = json.loads((EXPORTS / f"{file}.json").read_text())
        assert _unknown(request, message, declared, file) == []
    request["deployedModel"]["dedicatedResources"]["machine"] = {}
    assert _unknown(request, message, declared, file) == [
        "vertex_deployment.deployedModel.dedicatedResources.machine is no field of DedicatedResources"
    ]


def _proto_fields(message: ast.ClassDef) -> dict[str, str]:
    """Return the fields of a message as JSON names them, with the last part of the name of each one's message."""
    found = {}
    for node in message.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Call):
            first, *rest = node.target.id.split("_")
            of = next((ast.unparse(option.value).strip("'") for option in node.value.keywords if option.arg == "message"), "")
            is_map = "MapField" in ast.unparse(node.value.func)
            found[first + "".join(map(str.capitalize, rest))] = "" if is_map else of.split(".")[-1]
    return found
