"""Mutation test: changes one thing in a module, as cosmic-ray's operators do, and looks whether a quick test notices.

All on a copy of the repository. The quick tests run once, to record the lines that each executes. Then each mutant has those
that execute its statement, its module's own file and the fastest first, and the rest of that file: each run in a fork of this
process, which has imported TensorFlow but never the package.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice
from pathlib import Path
from typing import Any

import coverage
import hypothesis
import parso
import pytest
from cosmic_ray.ast import Visitor, ast_nodes
from cosmic_ray.operators.provider import OperatorProvider
from scipy.stats import binomtest

ROOT = Path(__file__).resolve().parent.parent
MODULES = (
    "niwt_tf/methods/niwt/*.py", "niwt_tf/metrics/*.py", "niwt_tf/protocol/*.py", "niwt_tf/data/splits.py", "niwt_tf/runs/*.py",
    "niwt_tf/files.py", "niwt_tf/data/images/files.py",
)  # fmt: skip
# Not done: those that draw numbers themselves; `is` for `==`, the same for small numbers and short names; and operators of
# bits for those of numbers, a TypeError.
NOT_DONE = re.compile("Variable.*|.*_Is|.*_IsNot|.*_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)_(RShift|LShift|Bit.*)")
# Nor these: without them a mistake of the code, to change a record or to pair lists of other lengths, is not told.
GUARDS = {("dataclass", "frozen=True"), ("zip", "strict=True")}


@dataclass(frozen=True)
class Mutant:
    """One change of one module, and the lines of its statement: None where that is executed at import.

    Whether it changes a constant in capitals or a default goes by the form of the code: mostly another is as right.
    """

    module: str
    name: str
    source: str
    lines: range | None
    is_chosen: bool

    def __str__(self) -> str:
        lines = list(unified_diff(Path(self.module).read_text().splitlines(), self.source.splitlines(), lineterm="", n=0))
        return "\n".join([self.name, *(line for line in lines[2:] if line[:1] in "+-"), ""])


@dataclass(frozen=True)
class Place:
    """Where operators of one family change one thing: their names, and the place's number among each one's."""

    module: str
    line: int
    operators: tuple[tuple[str, int], ...]
    is_chosen: bool

    def mutant(self, drawn: random.Random, tried: str) -> Mutant | None:
        """Return one of the mutants that are not in an output, if it is Python and not the same."""
        operators = list(self.operators)
        while operators:
            operators.remove(operator := drawn.choice(operators))
            mutant = self._mutant(*operator)
            if not mutant or f": {mutant}" not in tried:
                return mutant
        return None

    def _mutant(self, name: str, number: int) -> Mutant | None:
        tree = ast.parse(source := Path(self.module).read_text())
        try:
            changed = _Changing(OperatorProvider()[name](), number).walk(parso.parse(source)).get_code()
            if ast.dump(ast.parse(changed)) == ast.dump(tree):
                return None
        except (SyntaxError, AttributeError):  # cosmic-ray does not know `except a.B`
            return None
        inside, lines = min((one for one in _statements(tree) if self.line in one[1]), key=lambda one: len(one[1]))
        return Mutant(self.module, f"{self.module}:{self.line} {name}", changed, lines if inside else None, self.is_chosen)


class _Changing(Visitor):
    def __init__(self, operator: Any, number: int) -> None:
        self.operator, self.left = operator, number

    def visit(self, node: Any) -> Any:
        for index, _ in enumerate(self.operator.mutation_positions(node)):
            self.left -= 1
            if self.left == -1:
                return self.operator.mutate(node, index)
        return node


def places_of(module: str) -> list[Place]:
    """Return the places of a module that are to be changed."""
    tree, nodes = ast.parse(source := Path(module).read_text()), list(ast_nodes(parso.parse(source)))
    skipped, binary = list(_skipped(tree)), [node for node in ast.walk(tree) if isinstance(node, ast.BinOp)]
    between = [(_span(node.left)[1], _span(node.right)[0]) for node in binary]
    chosen = list(_chosen(tree))
    found: dict[tuple[Any, ...], list[tuple[str, int]]] = {}
    for name in filter(lambda name: not NOT_DONE.fullmatch(name), OperatorProvider()):
        operator = OperatorProvider()[name]()
        for number, (start, end) in enumerate(position for node in nodes for position in operator.mutation_positions(node)):
            is_one = not name.startswith("ReplaceBinary") or any(first <= start < last for first, last in between)
            # cosmic-ray takes the `*` among parameters for a product.
            if is_one and not any(first <= start < last for first, last in skipped):
                found.setdefault((name.split("_")[0], start, end), []).append((name, number))
    return [
        Place(module, start[0], tuple(operators), kind == "NumberReplacer" and any(one <= start < end for one, end in chosen))
        for (kind, start, _), operators in found.items()
    ]


def _statements(tree: ast.Module) -> Iterator[tuple[bool, range]]:
    """Yield whether a function holds a statement, and its lines; of a compound one those up to its body."""
    bodies = [part for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for part in node.body]
    inside = {inner for part in bodies for inner in ast.walk(part)}
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.excepthandler):
            first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
            body = getattr(node, "body", [])
            yield node in inside, range(first, max(node.lineno + 1, body[0].lineno) if body else node.end_lineno + 1)


def _skipped(tree: ast.Module) -> Iterator[Any]:
    """Yield where nothing is changed: types, imports for them, what an error says, and two guards that no answer depends on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            for keyword in node.keywords:
                if (node.func.id, ast.unparse(keyword)) in GUARDS:
                    yield _span(keyword.value)
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(annotation, ast.expr):
                yield _span(annotation)
        if isinstance(node, ast.Raise) or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield _span(node)


def _chosen(tree: ast.Module) -> Iterator[Any]:
    """Yield where numbers were chosen: a module's constants in capitals, and defaults of arguments and of fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield from (_span(default) for default in (*node.args.defaults, *node.args.kw_defaults) if default)
        for part in node.body if isinstance(node, ast.ClassDef | ast.Module) else ():
            if isinstance(part, ast.AnnAssign) and part.value and isinstance(node, ast.ClassDef):
                yield _span(part.value.args[0] if isinstance(part.value, ast.Call) and part.value.args else part.value)
            elif isinstance(part, ast.Assign) and ast.unparse(part.targets[0]).isupper():
                yield _span(part.value)


def _span(node: Any) -> Any:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def sampled(count: int, seed: int, only: str, tried: str) -> list[Mutant]:
    """Return mutants that are not in an output; every place has the same chance, and at most one."""
    modules = sorted({path.as_posix() for pattern in MODULES for path in Path().glob(pattern)})
    places = [place for module in modules if module.startswith(only) for place in places_of(module)]
    print(f"{len(places)} places in {len({place.module for place in places})} modules", flush=True)
    drawn = random.Random(seed)
    drawn.shuffle(places)
    return list(islice(filter(None, (place.mutant(drawn, tried) for place in places)), count))


def _forked(arguments: list[str], log: Path, seconds: float, record: Path | None = None) -> int | None:
    """Run pytest in a fork of this process, all of whose processes end with it; return its exit code, None after the time."""
    child = os.fork()
    if not child:
        code = 99
        try:
            os.setsid()
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            own = f"-q -Wignore -p no:cacheprovider --hypothesis-profile=mutants --basetemp={log.parent / 'tmp'}"
            code = int(pytest.main([*own.split(), *arguments], [_Recording(record)] if record else []))
        finally:
            os._exit(code)
    end, ended = time.monotonic() + seconds, None
    try:
        while not ended and time.monotonic() < end:
            ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            time.sleep(0.02)
    finally:
        with suppress(ProcessLookupError):  # it has not begun a group
            os.killpg(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status) if ended else None


class _Recording:
    """A plugin of pytest that writes the lines that each test executes, and how long it takes; those of fixtures apart."""

    def __init__(self, file: Path) -> None:
        self.file, self.context, self.taken, self.failed = file, "", Counter(), set()
        self.fixtures: dict[str, list[str]] = {}
        self.coverage = coverage.Coverage(data_file=None, config_file=False, include=list(MODULES), messages=False)
        self.coverage.start()

    @contextmanager
    def _within(self, context: str) -> Iterator[None]:
        outer, self.context, begun = self.context, context, time.monotonic()
        self.coverage.switch_context(context)
        yield
        seconds = time.monotonic() - begun
        self.taken.update({context: seconds, outer: -seconds})
        self.context = outer
        self.coverage.switch_context(outer)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[Any]:
        used = [one for known in item._fixtureinfo.name2fixturedefs.values() for one in known if one.scope != "function"]
        if os.getcwd() not in item.nodeid:  # else it would have another name in the next copy
            self.fixtures[item.nodeid] = [f"fixture {one.baseid} {one.argname}" for one in used]
        with self._within(item.nodeid):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[Any]:
        many = fixturedef.scope != "function"
        with self._within(f"fixture {fixturedef.baseid} {fixturedef.argname}") if many else nullcontext():
            return (yield)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        data = self.coverage.get_data()
        lines = {os.path.relpath(file): data.contexts_by_lineno(file) for file in data.measured_files()}
        record = {"lines": lines, "taken": self.taken, "fixtures": self.fixtures, "failed": sorted(self.failed)}
        self.file.write_text(json.dumps(record))


def _tests_of(mutant: Mutant, record: dict[str, Any], seconds: float) -> tuple[list[str], float]:
    """Return a mutant's tests and how long they take: all of its module's own file, others for some seconds."""
    lines, taken, used, failed = record["lines"].get(mutant.module, {}), record["taken"], record["fixtures"], record["failed"]
    numbers = lines if mutant.lines is None else [str(line) for line in mutant.lines]
    executing = {context for number in numbers for context in lines.get(number, ())}
    module = Path(mutant.module).relative_to("niwt_tf")
    own = Path("tests", module.with_name(f"test_{module.name}")).as_posix()
    costs = {test: taken[test] + sum(taken.get(one, 0) for one in used[test]) for test in used if test not in failed}
    total, chosen, rest = 0.0, [], []
    for test, cost in sorted(costs.items(), key=lambda one: (not one[0].startswith(f"{own}::"), one[1])):
        is_own = test.startswith(f"{own}::")
        if executing.isdisjoint([test, *used[test]]):
            rest += [test] if is_own else []  # it may execute the statement in another process
        elif is_own or cost <= seconds:
            chosen, total, seconds = [*chosen, test], total + cost, seconds - (0 if is_own else cost)
    return [*chosen, *rest], total + sum(costs[test] for test in rest)


def _looked_at(mutants: list[Mutant], record: dict[str, Any], seconds: float, log: Path, former: str) -> None:
    begun, left, noticing = time.monotonic(), [one for one in mutants if f"\nnoticed: {one}" not in former], set()
    answers = [mutant for mutant in mutants if not mutant.is_chosen]
    noticed, unclear, missed = len(mutants) - len(left), 0, 0
    for number, mutant in enumerate(left):
        arguments, expected = _tests_of(mutant, record, seconds)
        file, started = Path(mutant.module), time.monotonic()
        original = file.read_text()
        file.write_text(mutant.source)
        os.utime(file, (number, number))  # else what was compiled in the same second would be taken for it
        code = _forked(["-x", f"--timeout={20 + 3 * expected:.0f}", *arguments], log, 60 + 3 * expected) if arguments else 5
        file.write_text(original)
        timed_out = code == 1 and "Timeout (>" in log.read_text()
        if code in (2, 3, 4, 99) and _forked(["--collect-only", *arguments], log, 600) != 0:
            sys.exit(f"The record does not fit the tests: {log.read_text()}")
        first = re.search(r"^(?:FAILED|ERROR) (tests/.*?)(?: - .*)?$", log.read_text(), re.MULTILINE) if code == 1 else None
        how = {0: "", None: "too long", 5: "no test executes it"}.get(code, f"pytest's code {code}")
        how = "timed out" if timed_out else first[1] if first else how
        noticing |= {first[1]} if first else set()
        noticed += code not in (0, 5)
        unclear += timed_out or code not in (0, 1, 5)
        missed += code in (0, 5) and not mutant.is_chosen
        outcome = "NOT NOTICED" if code in (0, 5) else "noticed"
        difference = str(mutant).removeprefix(mutant.name)
        how += " (a number that was chosen)" if mutant.is_chosen else ""
        print(f"{outcome}: {mutant.name}, {time.monotonic() - started:.1f} s {how}{difference}", end="", flush=True)
    passing = not noticing or _forked(sorted(noticing), log, 3600) == 0
    print(f"{len(noticing)} tests noticed one; without a mutant they " + ("pass" if passing else f"FAIL: {log.read_text()}"))
    print(f"of these now by tests that took too long or did not end well: {unclear}, which may be the machine's fault")
    print(f"noticed: {_share(noticed, len(mutants))}, in {time.monotonic() - begun:.0f} s")
    print(f"of those that change no chosen number: {_share(len(answers) - missed, len(answers))}")


def _share(noticed: int, count: int) -> str:
    interval = binomtest(noticed, count).proportion_ci(method="wilson")
    share = f"{noticed / count:.1%}, 95 % interval {interval.low:.1%} to {interval.high:.1%}"
    return f"{noticed} of {count} mutants ({share})"


def _read(output: Path | None) -> str:
    return output.read_text(errors="replace") if output else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="how many mutants")
    parser.add_argument("--seed", type=int, default=1, help="which of them")
    parser.add_argument("--only", default="", help="how the paths of modules begin")
    parser.add_argument("--seconds", type=float, default=20, help="of tests for each mutant, besides its module's own file")
    parser.add_argument("--record", type=os.path.abspath, help="where the record of lines is kept; one that exists is used")
    parser.add_argument("--again", type=Path, help="an earlier output: what a test noticed there is not tried again")
    parser.add_argument("--not_in", type=Path, nargs="+", default=(), help="earlier outputs: no mutant of these is tried")
    parser.add_argument("tests", nargs="*", default=["tests"], help="tests to choose from")
    options = parser.parse_args()
    former = re.sub(r"^noticed: (.*), [0-9.]+ s tests/.*", r"noticed: \1", _read(options.again), flags=re.MULTILINE)
    tried = "".join(re.sub(r", [0-9.]+ s .*", "", _read(file)) for file in options.not_in)
    with tempfile.TemporaryDirectory() as folder:
        copy, log, record = Path(folder, "copy"), Path(folder, "log"), Path(folder, options.record or "record.json")
        listed = subprocess.check_output(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, text=True)
        for file in listed.split("\0")[:-1]:
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, copy / file)
        os.chdir(copy)
        sys.path[:] = [str(copy), *(path for path in sys.path if Path(path).resolve() not in (ROOT, ROOT / "tests"))]
        os.environ["PYTHONPATH"] = os.pathsep.join([str(copy), os.environ.get("PYTHONPATH", "")])
        tempfile.tempdir = os.environ["TMPDIR"] = folder  # a fork ends without what it should do at its end
        os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow", "OPENBLAS_NUM_THREADS": "1"}
        mutants = sampled(options.count, options.seed, options.only, tried)
        for name in ("sklearn.linear_model", "tensorflow", "keras"):
            importlib.import_module(name)
        phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]  # an example that fails need not be made small
        hypothesis.settings.register_profile("mutants", deadline=None, derandomize=True, phases=phases)
        # Compiled once and never again: what a test of a full disk compiles may be half a file.
        _forked(["--collect-only", *options.tests], log, 1800)
        sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
        if not record.exists():
            _forked(options.tests, log, 7200, record)
            print(f"recorded: {log.read_text().splitlines()[-1]}", flush=True)
        _looked_at(mutants, json.loads(record.read_text()), options.seconds, log, former)


if __name__ == "__main__":
    main()
