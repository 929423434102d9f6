"""The rules of the code's shape: what may import what, how long a file may be, and what it may not be called."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from niwt_tf.config.names import METHOD_MODULES

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "niwt_tf"
# A module imports only from its own layer and those before it.
LAYERS = (
    ("errors",),
    ("files",),
    ("config", "metrics"),
    ("data",),
    ("models",),
    ("compute",),
    ("training", "methods", "runs", "plots"),
    ("protocol", "explain"),
    ("experiments", "serving"),
    ("report",),
    ("studio",),
    ("estimator",),
    ("jobs",),
    ("cli",),
    ("__main__",),
)
# Packages of one layer that may not know each other either.
APART = (
    ("config", "metrics"),
    ("training", "methods", "runs", "plots"),
    ("protocol", "explain"),
    ("experiments", "serving"),
)
LONGEST = 500
MOST_MODULES = 323
VAGUE = re.compile(r"(^|_)(utils?|helpers?|common|misc|tools?|stuff)(_|$)")
_OF_ONE_METHOD = re.compile(r"niwt_tf[./]methods[./](niwt|n3|baselines)\b")
HOMES = ("niwt_tf", "tests", "examples", "benchmarks", "studies")


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
EVERY_FILE = [path for home in HOMES for path in sorted((ROOT / home).rglob("*.py"))]


@cache
def _nodes(code: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(code)))


@cache
def _imports(path: Path) -> set[str]:
    """Return the dotted names that a file imports, inside functions and for types alone as well."""
    return _imported(path.read_text(encoding="utf-8"), path)


def _imported(code: str, path: Path) -> set[str]:
    found: set[str] = set()
    for node in _nodes(code):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} must import absolutely."
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _layer(module: str) -> int | None:
    parts = module.split(".")
    if len(parts) < 2 or parts[0] != "niwt_tf":
        return None
    return next((number for number, names in enumerate(LAYERS) if parts[1] in names), None)


def test_every_module_has_a_layer():
    assert [module for module in MODULES if module != "niwt_tf" and _layer(module) is None] == []


def test_imports_go_one_way():
    wrong = []
    for module, path in MODULES.items():
        own = _layer(module)
        if own is None:
            continue
        for imported in _imports(path) & MODULES.keys():
            other = _layer(imported)
            if other is not None and (other > own or (other == own and own == 0 and module != imported)):
                wrong.append(f"{module} imports {imported}")
    assert wrong == []


def test_neighbours_do_not_know_each_other():
    wrong = []
    for module, path in MODULES.items():
        own = module.split(".")[1] if "." in module else ""
        for imported in _imports(path) & MODULES.keys():
            other = imported.split(".")[1] if "." in imported else ""
            if own != other and any(own in group and other in group for group in APART):
                wrong.append(f"{module} imports {imported}")
    assert wrong == []


def _method_of(module: str) -> str:
    """Return the method that a module of methods/ belongs to, "" for what all of them share."""
    parts = module.split(".")
    if parts[:2] != ["niwt_tf", "methods"] or len(parts) < 4:
        return ""
    alone = parts[2] == "baselines" and parts[3] in METHOD_MODULES
    return ".".join(parts[2:4]) if alone else parts[2]


def test_a_method_knows_no_other_method_and_nothing_of_the_protocol():
    wrong = []
    for module, path in MODULES.items():
        if not module.startswith("niwt_tf.methods"):
            continue
        for imported in _imports(path) & MODULES.keys():
            own, other = _method_of(module), _method_of(imported)
            shared = own.startswith("baselines") and other == "baselines"  # what the baselines have in common
            if other and own != other and not shared:
                wrong.append(f"{module} imports {imported}")
            if imported.split(".")[1] in ("protocol", "training", "runs"):
                wrong.append(f"{module} imports {imported}")
    assert wrong == []


def _methods_named(code: str, path: Path) -> list[str]:
    """Return where code names a method: by an import, by its name, or by the path of its module in a text."""
    names = {name for name in METHOD_MODULES if name != "random"}  # which is a split as well
    wrong = [f"{path} imports {each}" for each in sorted(_imported(code, path)) if _method_of(each) and each in MODULES]
    for node in _nodes(code):
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if text in names - {"niwt"} or _OF_ONE_METHOD.search(text):
            wrong.append(f"{path}:{node.lineno}: {text}")
        # "niwt" is the command too: what counts is whether something is compared with it, or looked up by it.
        compared = [*node.comparators, node.left] if isinstance(node, ast.Compare) else []
        for each in [*compared, *(node.keys if isinstance(node, ast.Dict) else [])]:
            if isinstance(each, ast.Constant) and each.value == "niwt":
                wrong.append(f"{path}:{node.lineno}: niwt")
    return wrong


def test_no_name_of_a_method_stands_outside():
    """What asks which method it has would have to be changed for the next one."""
    outside = {
        module: path for module, path in MODULES.items()
        if not module.startswith("niwt_tf.methods") and module != "niwt_tf.config.names"
    }
    assert [found for path in outside.values() for found in _methods_named(path.read_text(encoding="utf-8"), path)] == []


@pytest.mark.parametrize(
    "code",
    [
        "from niwt_tf.methods.niwt.support import support_of",
        "from niwt_tf.methods.niwt import engines",
        "def late():\n    import niwt_tf.methods.n3.n3",
        "from niwt_tf.methods.baselines.linear import LinearMethod",
        "from niwt_tf.methods.baselines import eszsl",
        "module = 'niwt_tf.methods.baselines.eszsl'",
        "import_module(f'niwt_tf.methods.niwt.{name}')",
        "method = 'eszsl'",
        "if method == 'niwt': pass",
        "titles = {'niwt': 1}",
    ],
)
def test_a_name_of_a_method_is_seen(code):
    assert _methods_named(code, Path("planted.py"))


def test_what_all_methods_share_is_no_name_of_a_method():
    code = "from niwt_tf.methods import base\nfrom niwt_tf.methods.importance import class_importance"
    assert _methods_named(code, Path("planted.py")) == []


def test_there_are_no_more_rooms_than_can_be_known():
    assert len([module for module, path in MODULES.items() if path.name != "__init__.py"]) <= MOST_MODULES
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"`niwt_tf/` has at most {MOST_MODULES} modules." in " ".join(contributing.split())


def test_there_is_no_cycle():
    graph = {
        module: _imports(path) & MODULES.keys() - {module, "niwt_tf"} for module, path in MODULES.items()
    }
    graph.pop("niwt_tf")  # its attributes are imported on first use
    finished: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join([*above[above.index(module) :], module])
        if module not in finished:
            for imported in sorted(graph[module]):
                visit(imported, (*above, module))
            finished.add(module)

    for module in graph:
        visit(module, ())


def _reached(graph: dict[str, set[str]], module: str) -> set[str]:
    """Return what a module imports, and what that imports, and so on."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        new = graph[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def test_packages_of_serving_do_not_need_each_other_in_a_circle():
    graph = {module: _imports(path) & MODULES.keys() - {module} for module, path in MODULES.items()}
    graph["niwt_tf"] = set()  # its attributes are imported on first use
    inner = [module for module in MODULES if module.startswith("niwt_tf.serving.") and module.count(".") > 2]
    packages = sorted({".".join(module.split(".")[:3]) for module in inner})
    assert "niwt_tf.serving.client" in packages
    needs = {package: set[str]() for package in packages}
    for module in MODULES:
        package = ".".join(module.split(".")[:3])
        if package in needs:
            reached = {".".join(other.split(".")[:3]) for other in _reached(graph, module)}
            needs[package] |= reached & needs.keys() - {package}
    assert [(one, other) for one in packages for other in needs[one] if one in needs[other]] == []


def test_flags_stop_at_the_jobs():
    below = [module for module in MODULES if (_layer(module) or 0) < _layer("niwt_tf.jobs")]
    readers = [module for module in below if any(name.split(".")[0] == "absl" for name in _imports(MODULES[module]))]
    assert readers == []


@pytest.mark.parametrize("forbidden", ["pickle", "shelve", "dill", "joblib"])
def test_no_pickle_is_read_or_written(forbidden):
    assert [module for module, path in MODULES.items() if forbidden in {name.split(".")[0] for name in _imports(path)}] == []


def _unsafe(call: ast.Call) -> bool:
    called = call.func.id if isinstance(call.func, ast.Name) else ""
    allowed = {"safe_mode": False, "allow_pickle": True}
    options = {option.arg: option.value for option in call.keywords}
    lets = any(isinstance(options.get(name), ast.Constant) and options[name].value is to for name, to in allowed.items())
    return called in ("eval", "exec", "compile") or lets


def test_no_file_can_run_code():
    calls = [
        f"{module}:{node.lineno}"
        for module, path in MODULES.items()
        for node in _nodes(path.read_text(encoding="utf-8"))
        if isinstance(node, ast.Call) and _unsafe(node)
    ]
    assert calls == []


@pytest.mark.parametrize("code", ["eval('1')", "load(p, safe_mode=False)", "np.load(p, allow_pickle=True)"])
def test_calls_that_run_code_are_seen(code):
    assert _unsafe(ast.parse(code, mode="eval").body)


def test_files_are_short_and_named_for_what_they_hold():
    assert [str(path) for path in EVERY_FILE if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST] == []
    assert [str(path) for path in EVERY_FILE if VAGUE.search(path.stem) or VAGUE.search(path.parent.name)] == []


def test_every_test_file_is_collected():
    allowed = {"conftest.py", "__init__.py"}
    lost = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        has_tests = bool(re.search(r"^\s*def test_", path.read_text(encoding="utf-8"), re.MULTILINE))
        if has_tests and not path.name.startswith("test_") and path.name not in allowed:
            lost.append(str(path))
    assert lost == []
