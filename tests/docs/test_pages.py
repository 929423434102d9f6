"""The documents: their links, the length of their lines and sentences, and that their commands are commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from niwt_tf import __version__
from niwt_tf.jobs.table import JOBS
from tests.docs.markdown import blocks_of, commands_of, links_of, sentences_of, slugs_of

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
NAMES = ("README.md", "BUILD.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md")
OUTSIDE = [ROOT / name for name in NAMES]
READMES = [ROOT / name / "README.md" for name in ("exports", "benchmarks", "studies")]
EVERY = [*PAGES, *OUTSIDE, *sorted((DOCS / "tutorials").glob("*.py"))]
LONGEST_LINE = 120
MOST_LINES = 150
MOST_WORDS = 18  # a sentence, on average
# The site adds these from the table of jobs, the tutorials and the repository's own files.
MADE = re.compile(
    r"^(reference/commands/\w+|tutorials/\w+|project/(contributing|security|changelog|conduct)|howto/requests)\.md$"
)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", [*PAGES, *OUTSIDE, *READMES], ids=_name)
def test_links_lead_somewhere(page: Path):
    for target, anchor in links_of(page.read_text(encoding="utf-8")):
        path = page if not target else (page.parent / target).resolve()
        made = path.is_relative_to(DOCS) and MADE.match(path.relative_to(DOCS).as_posix())
        if made:
            continue
        assert path.exists(), f"{_name(page)} links to {target}, which is not there."
        if anchor and path.suffix == ".md":
            assert anchor in slugs_of(path.read_text(encoding="utf-8")), f"{_name(page)} links to {target}#{anchor}."


@pytest.mark.parametrize("page", [*EVERY, *READMES], ids=_name)
def test_lines_are_short(page: Path):
    """Rows of tables and pictures in base64 cannot be broken."""
    lines = page.read_text(encoding="utf-8").splitlines()
    over = [number for number, line in enumerate(lines, 1) if len(line) > LONGEST_LINE]
    long = [number for number in over if not re.match(r"[# ]*\||.*\"b64\": ", lines[number - 1])]
    assert not long, f"Lines of more than {LONGEST_LINE} characters in {_name(page)}: {long}."


@pytest.mark.parametrize("name", ["README.md", "BUILD.md"])
def test_first_pages_are_short(name: str):
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((DOCS / "start").glob("*.md"))], ids=_name)
def test_sentences_are_short(page: Path):
    lengths = [len(sentence.split()) for sentence in sentences_of(page.read_text(encoding="utf-8"))]
    assert sum(lengths) / len(lengths) < MOST_WORDS


@pytest.mark.parametrize("page", [*PAGES, *OUTSIDE], ids=_name)
def test_commands_name_jobs_and_flags(page: Path):
    """Each `niwt JOB --flag` in a page is one of the table's."""
    for command in commands_of(page.read_text(encoding="utf-8")):
        words = shlex.split(command, comments=True)
        if len(words) < 2 or words[0] != "niwt" or words[1].startswith("-") or words[1] in ("JOB", "help"):
            continue
        assert words[1] in JOBS, f"{_name(page)}: {command}"
        job = JOBS[words[1]]
        known = {declared.name for declared in job.options} | set(job.synonyms.values()) | {"flagfile", "help"}
        named = [found[1] for word in words[2:] if (found := re.match(r"--(\w+)", word))]
        unknown = [name for name in named if name not in known and name.removeprefix("no") not in known]
        assert not unknown, f"{_name(page)}: {command}"


def test_every_page_of_the_navigation_is_there():
    def paths(entries):
        for entry in entries:
            inside = list(entry.values())[0] if isinstance(entry, dict) else entry
            yield from paths(inside) if isinstance(inside, list) else [inside]

    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = set(paths(site["nav"]))
    there = {page.relative_to(DOCS).as_posix() for page in PAGES}
    assert {path for path in named if not MADE.match(path)} <= there
    # Pages of How-to that the navigation does not name are added to it; of the others none may be missing.
    assert {path for path in there - named if not path.startswith("howto/")} == set()


def test_pages_are_short_of_code_that_is_not_closed():
    for page in PAGES:
        assert page.read_text(encoding="utf-8").count("\n```") % 2 == 0, _name(page)
        assert blocks_of(page.read_text(encoding="utf-8")) is not None


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None and citation["version"] == newest[1] == __version__


@pytest.mark.parametrize("file", [*sorted((ROOT / ".github").rglob("*.yml")), ROOT / ".pre-commit-config.yaml"], ids=_name)
def test_files_of_the_project_can_be_read(file: Path):
    assert yaml.safe_load(file.read_text(encoding="utf-8"))


def test_what_checks_a_commit_is_what_checks_the_whole():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert re.search(r"rev: v(\S+)", hooks)[1] == re.search(r"^ruff==(\S+)", constraints, re.MULTILINE)[1]
