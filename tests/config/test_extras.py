"""Packages of extras: one sentence where one is missing, and nothing but their own modules imports them at once."""

from __future__ import annotations

import ast
import importlib.metadata
import logging
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from niwt_tf.config.extras import PACKAGES, check_installed, imported, is_left_out, to_install
from niwt_tf.errors import InputError

# Modules that are imported where one of these packages is about to be used, and what they import at once.
AT_ONCE = {
    "niwt_tf/serving/client/grpc_transport.py": {"grpc", "tensorflow_serving"},
    "niwt_tf/serving/loopback/loopback_grpc.py": {"grpc", "tensorflow_serving"},
    "niwt_tf/serving/loopback/loopback_rest.py": {"tensorflow_serving"},
    "niwt_tf/serving/loopback/server.py": {"grpc", "tensorflow_serving"},
    "niwt_tf/serving/loopback/__main__.py": set(),
    "niwt_tf/studio/page.py": {"streamlit"},
    "niwt_tf/studio/compose_tab.py": {"streamlit"},
    "niwt_tf/studio/explained_view.py": {"streamlit"},
}


def test_a_package_that_is_not_there_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    sentence = "--cluster needs Ray: pip install 'niwt-tf[ray]'. Received: no ray."
    for refused in (imported, check_installed):
        with pytest.raises(InputError) as raised:
            refused("ray", "--cluster")
        assert str(raised.value) == sentence
    with pytest.raises(InputError, match=r"^a\.xlsx needs openpyxl: pip install 'niwt-tf\[excel\]', or save it as CSV\. Rec"):
        monkeypatch.setitem(sys.modules, "openpyxl", None)
        imported("openpyxl", "a.xlsx", "or save it as CSV")


def test_a_part_of_a_package_that_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim", None)
    monkeypatch.delitem(sys.modules, "gensim.models", raising=False)  # another test may have imported it
    with pytest.raises(InputError, match="Received: no gensim"):
        imported("gensim.models", "a.kv")


def test_a_package_that_cannot_be_imported_is_not_said_to_be_absent(monkeypatch, tmp_path):
    (tmp_path / "ray.py").write_text("import no_such_module_of_rays")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    with pytest.raises(InputError, match=r"Received: No module named 'no_such_module_of_rays'\.$"):
        imported("ray", "--cluster")


def test_what_is_left_out_is_a_line_of_the_log(monkeypatch, caplog):
    with caplog.at_level(logging.INFO, "niwt_tf"):
        assert not is_left_out("a.png", "matplotlib")
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        assert is_left_out("a.png", "matplotlib")
    assert caplog.messages == ["Left out: a.png, for want of Matplotlib: pip install 'niwt-tf[plots]'."]


def _extras(repository: Path) -> dict[str, list[str]]:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {extra: [_name(line) for line in lines] for extra, lines in project["optional-dependencies"].items()}
    return {**names, "": [_name(line) for line in project["dependencies"]], "all_of": project["optional-dependencies"]["all"]}


def _name(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def test_every_package_is_in_the_extra_that_is_named(repository):
    extras, distributions = _extras(repository), importlib.metadata.packages_distributions()
    (whole,) = extras["all_of"]
    for module, (_, extra) in PACKAGES.items():
        found = {name.lower().replace("_", "-") for name in distributions.get(module, ())}
        assert not found or found & set(extras[extra]), f"{module} is of {found}, and the extra {extra} brings {extras[extra]}"
        assert not found & set(extras[""]), f"{module} comes with every installation"
        assert extra in re.search(r"\[(.*)\]", whole)[1].split(","), f"the extra all must hold {extra}"


def test_extras_that_documents_and_sentences_name_are_there(repository):
    extras = _extras(repository)
    files = [*repository.glob("*.md"), *(repository / "docs").rglob("*.md"), *(repository / "niwt_tf").rglob("*.py")]
    for path in files:
        for listed in re.findall(r"(?:niwt-tf|'\.|\"\.|\.whl)\[([\w,]+)\]", path.read_text(encoding="utf-8")):
            assert set(listed.split(",")) <= extras.keys(), f"{path} names {listed}"
    assert to_install("matplotlib") == "Matplotlib: pip install 'niwt-tf[plots]'"


def _at_once(path: Path) -> set[str]:
    """Return the packages that importing a file imports: not those inside functions or for types alone."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not _is_for_types(node):
            waiting += ast.iter_child_nodes(node)
    return found


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def test_nothing_else_imports_them_at_once(repository):
    asked = {name.removesuffix(".py").replace("/", ".") for name in AT_ONCE}
    looked_for = re.compile(rf"import .*\b({'|'.join(PACKAGES)})\b|from ({'|'.join(PACKAGES)})\b|{'|'.join(asked)}")
    paths = [path for path in (repository / "niwt_tf").rglob("*.py") if looked_for.search(path.read_text(encoding="utf-8"))]
    files = {path.relative_to(repository).as_posix(): _at_once(path) for path in paths}
    wrong = {}
    for name, modules in files.items():
        found = {module.split(".")[0] for module in modules} & PACKAGES.keys()
        if found - AT_ONCE.get(name, set()):
            wrong[name] = found
    assert wrong == {}
    importers = {name for name, modules in files.items() if modules & asked}
    assert importers <= AT_ONCE.keys(), "they are imported inside functions alone"


@pytest.mark.slow
def test_jobs_are_imported_without_them(repository):
    code = (
        "import sys, importlib; from niwt_tf.config.extras import PACKAGES; from niwt_tf.jobs.table import JOBS\n"
        "sys.modules.update({name: None for name in PACKAGES if name != 'grpc'})\n"
        "import niwt_tf; niwt_tf.Niwt\n"
        "[importlib.import_module(f'niwt_tf.jobs.{job.module or job.name}') for job in JOBS.values()]\n"
        "sys.exit('grpc' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
