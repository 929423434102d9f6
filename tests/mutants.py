"""Mutation test: changes one thing in a module, as cosmic-ray's operators do, and looks whether a quick test notices.

It works on a copy of the repository. The quick tests are done once on the copy as it is, to record which lines each of them
executes; then each mutant has the tests of its module's own file, then those that execute its statement, fastest first.
TensorFlow is imported once: each round of tests is a fork of this process, which never imports the package.

    make mutants MUTANTS=300 SEED=1
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice
from pathlib import Path
from typing import Any

import parso
import pytest
from cosmic_ray.ast import Visitor, ast_nodes
from cosmic_ray.operators.provider import OperatorProvider

ROOT = Path(__file__).resolve().parent.parent
MODULES = (
    "niwt_tf/methods/niwt/*.py", "niwt_tf/metrics/*.py", "niwt_tf/protocol/*.py", "niwt_tf/data/splits.py", "niwt_tf/runs/*.py",
    "niwt_tf/files.py", "niwt_tf/data/images/files.py",
)  # fmt: skip
# Left out: the variables, which are drawn outside the seed; `is` for `==`, the same for small numbers and short names.
_LEFT_OUT = ("Variable", "_Is", "_IsNot")


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    module: str
    line: int
    operator: str
    source: str
    lines: range | None
    """Those of the statement; None where it is done at import."""

    def difference(self) -> str:
        """Return the lines that differ, before and after."""
        lines = unified_diff((ROOT / self.module).read_text().splitlines(), self.source.splitlines(), lineterm="", n=0)
        return "\n".join(line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---"))


@dataclass(frozen=True)
class Place:
    """Where operators of one family change one thing: their names, and the number of the place among each one's."""

    module: str
    start: tuple[int, int]
    operators: tuple[tuple[str, int], ...]

    def mutant(self, drawn: random.Random) -> Mutant | None:
        """Return one of the mutants, if it is Python and not the same."""
        name, number = drawn.choice(self.operators)
        source = (ROOT / self.module).read_text()
        tree = ast.parse(source)
        try:
            changed = _mutated(source, OperatorProvider()[name](), number)
            if ast.dump(ast.parse(changed)) == ast.dump(tree):
                return None
        except (SyntaxError, AttributeError):  # cosmic-ray does not know `except a.B`
            return None
        inside, lines = min((one for one in _statements(tree) if self.start[0] in one[1]), key=lambda one: len(one[1]))
        return Mutant(self.module, self.start[0], name, changed, lines if inside else None)


def places_of(module: str) -> list[Place]:
    """Return the places of a module that are to be changed."""
    source, found = (ROOT / module).read_text(), {}
    tree, nodes = ast.parse(source), list(ast_nodes(parso.parse(source)))
    skipped, between = list(_skipped(tree)), list(_between_operands(tree))
    for name in OperatorProvider():
        if name.startswith(_LEFT_OUT[0]) or name.endswith(_LEFT_OUT[1:]):
            continue
        operator = OperatorProvider()[name]()
        for number, (start, end) in enumerate(position for node in nodes for position in operator.mutation_positions(node)):
            if not _within(start, skipped) and (not name.startswith("ReplaceBinary") or _within(start, between)):
                found.setdefault((name.split("_")[0], start, end), []).append((name, number))
    return [Place(module, start, tuple(operators)) for (_, start, _), operators in found.items()]


def _mutated(source: str, operator: Any, number: int) -> str:
    class Changing(Visitor):
        count = -1

        def visit(self, node: Any) -> Any:
            for index, _ in enumerate(operator.mutation_positions(node)):
                self.count += 1
                if self.count == number:
                    return operator.mutate(node, index)
            return node

    return Changing().walk(parso.parse(source)).get_code()


def _statements(tree: ast.Module) -> Iterator[tuple[bool, range]]:
    """Yield whether a function holds a statement, and its lines; of a compound one those up to its body."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inside = {inner for node in functions for part in node.body for inner in ast.walk(part)}
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.excepthandler):
            first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
            body = getattr(node, "body", [])
            yield node in inside, range(first, max(node.lineno + 1, body[0].lineno) if body else node.end_lineno + 1)


Span = tuple[tuple[int, int], tuple[int, int]]


def _span(node: Any) -> Span:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _skipped(tree: ast.Module) -> Iterator[Span]:
    """Yield where nothing is changed: types, what an error says, imports for types, overloads."""
    for node in ast.walk(tree):
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(annotation, ast.expr):
                yield _span(annotation)
        if isinstance(node, ast.Raise) or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield _span(node)
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(one) == "overload" for one in node.decorator_list):
            yield (node.decorator_list[0].lineno, 0), _span(node)[1]


def _between_operands(tree: ast.Module) -> Iterator[Span]:
    """Yield where binary operators are: `*` among parameters is none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp):
            yield _span(node.left)[1], _span(node.right)[0]


def _within(position: tuple[int, int], spans: list[Span]) -> bool:
    return any(start <= position < end for start, end in spans)


def sampled(count: int, seed: int, only: str = "") -> list[Mutant]:
    """Return mutants of all modules, in proportion to their places, at most one of a place."""
    paths = sorted({path for pattern in MODULES for path in ROOT.glob(pattern)})
    modules = [path.relative_to(ROOT).as_posix() for path in paths]
    places = [place for module in modules if module.startswith(only) for place in places_of(module)]
    drawn = random.Random(seed)
    drawn.shuffle(places)
    print(f"{len(places)} places in {len(modules)} modules")
    mutants = list(islice(filter(None, (place.mutant(drawn) for place in places)), count))
    return sorted(mutants, key=lambda mutant: (mutant.module, mutant.line))


def _forked(arguments: list[str], log: Path, seconds: float, plugins: Sequence[object] = ()) -> int | None:
    """Do pytest in a fork of this process, all of whose processes end with it; return its exit code, None after the time."""
    child = os.fork()
    if not child:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        code = 99
        try:
            code = int(pytest.main(["-q", "-p", "no:cacheprovider", f"--basetemp={log.parent / 'tmp'}", *arguments], plugins))
        finally:
            os._exit(code)
    end, ended = time.monotonic() + seconds, (0, 0)
    try:
        while not ended[0] and time.monotonic() < end:
            ended = os.waitpid(child, os.WNOHANG)
            time.sleep(0.02)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        if not ended[0]:
            os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(ended[1]) if ended[0] else None


class Recording:
    """A plugin of pytest that writes which lines each test executes, and how long it takes.

    What a fixture of many tests does and takes goes to each of them.
    """

    def __init__(self, file: Path) -> None:
        import coverage

        self.file, self.context, self.taken, self.failed = file, "", Counter(), set()
        self.fixtures: dict[str, list[str]] = {}
        self.coverage = coverage.Coverage(data_file=None, config_file=False, include=list(MODULES), messages=False)
        self.coverage.start()

    @contextmanager
    def within(self, context: str) -> Iterator[None]:
        """Give lines and time to a context, those of inner ones excepted."""
        outer, self.context, begun = self.context, context, time.monotonic()
        self.coverage.switch_context(context)
        yield
        seconds = time.monotonic() - begun
        self.taken[context] += seconds
        self.taken[outer] -= seconds
        self.context = outer
        self.coverage.switch_context(outer)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[Any]:
        """Record a test."""
        definitions = [one for known in item._fixtureinfo.name2fixturedefs.values() for one in known]
        self.fixtures[item.nodeid] = [_name(one) for one in definitions if one.scope != "function"]
        with self.within(item.nodeid):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[Any]:
        """Record a fixture of many tests."""
        with nullcontext() if fixturedef.scope == "function" else self.within(_name(fixturedef)):
            return (yield)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note what fails without a mutant: it can notice none."""
        if not report.passed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write all of it."""
        self.coverage.stop()
        data = self.coverage.get_data()
        lines = {
            Path(file).relative_to(Path.cwd()).as_posix(): data.contexts_by_lineno(file) for file in data.measured_files()
        }
        record = {"lines": lines, "taken": self.taken, "fixtures": self.fixtures, "failed": sorted(self.failed)}
        self.file.write_text(json.dumps(record))


def _name(fixture: Any) -> str:
    return f"fixture {fixture.baseid} {fixture.argname}"


def main():
    drawn = sampled(int(os.environ.get("COUNT", "20")), 1)
    for m in drawn:
        print(m.module, m.line, m.operator, m.lines)
        print(m.difference())


def record():
    scratch = Path("/tmp/n3/mut_scratch/one")
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch/"copy").mkdir(parents=True)
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout.split("\0")[:-1]
    for file in files:
        (scratch / "copy" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, scratch / "copy" / file)
    os.chdir(scratch / "copy")
    os.environ["PYTHONPATH"] = os.getcwd()
    sys.path.insert(0, os.getcwd())
    import gc, hypothesis, keras, sklearn, tensorflow
    gc.freeze()
    print(os.listdir("/proc/self/task"))
    t=time.time()
    class Late:
        def pytest_configure(self, config):
            config.pluginmanager.register(Recording(scratch/"record.json"))
    print(_forked(sys.argv[2:], scratch / "log", 1e5, [Late()]), time.time()-t)


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"]:
        record()
    else:
        main()
