"""Words that docs/project/writing.md says to avoid are in no page, help, message, template or caption."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "docs/project/writing.md"
CODE, TEMPLATES = sorted((ROOT / "niwt_tf").rglob("*.py")), sorted((ROOT / "niwt_tf").rglob("*.j2"))
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.py"))
PAGES = [page for page in (*sorted((ROOT / "docs").rglob("*.md")), *TUTORIALS, ROOT / "README.md") if page != RULES]


def avoided() -> list[str]:
    """Return the words of the first column of the first table."""
    table = re.search(r"\| avoid \| write \|\n\|[-|]+\n((?:\|.*\n)+)", RULES.read_text(encoding="utf-8"))
    assert table is not None
    return [word.strip() for row in table[1].splitlines() for word in row.split("|")[1].split(",")]


_AVOIDED = avoided()


def found_in(text: str) -> list[str]:
    """Return the words that a text has, in any case, over ends of lines too."""
    plain = " ".join(text.lower().split())
    return [word for word in _AVOIDED if word in plain and re.search(rf"\b{re.escape(word)}\b", plain)]


def strings_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each string of a program that is no docstring; fields are written as {}."""
    skipped = set()
    for node in ast.walk(ast.parse(source)):  # parents come before what they hold
        if isinstance(node, ast.Expr):
            skipped.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            yield node.lineno, "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def strings_with_them(source: str) -> list[str]:
    """Return the lines of a program whose strings have such words, with the words."""
    joined = re.sub(r"""["']\s*\n\s*[frb]*["']""", "", source)  # strings that are written in several parts
    if not found_in(joined):
        return []  # most files, which need no parsing
    return [f"{line}: {', '.join(said)}" for line, text in strings_of(source) if (said := found_in(text))]


def test_such_words_are_found():
    assert found_in("It Speaks\n for it, so-called.") == ["so-called", "speaks for"]
    source = '"""It speaks for it."""\n# made anew\nx = (\n    f"It is made "\n    f"anew {x}."\n)\n'
    assert strings_with_them(source) == ["4: anew"]
    assert found_in("The besides, the class and the path are there.") == []


@pytest.mark.parametrize("page", [*PAGES, *TEMPLATES], ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_has_them(page: Path):
    assert found_in(page.read_text(encoding="utf-8")) == []


def test_no_text_of_the_program_has_them():
    found = {str(path.relative_to(ROOT)): strings_with_them(path.read_text(encoding="utf-8")) for path in CODE}
    assert {path: lines for path, lines in found.items() if lines} == {}
