"""Pages that are made while the site is built: the command line, the repository's own files, and equations as MathML.

The command line's pages come from the table of jobs and flags, so they cannot fall behind it.
"""

from __future__ import annotations

import re
import sys
from html import escape, unescape
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from niwt_tf.config.options import Option  # noqa: E402
from niwt_tf.config.settings import SETTINGS  # noqa: E402
from niwt_tf.jobs.table import COMMAND, FLAG_FILE_HELP, JOBS, Job, flag_default, flag_form  # noqa: E402

# Files of the repository that are pages of the site too, and the pages that links to them lead to.
FILES = {
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
    "CODE_OF_CONDUCT.md": "project/conduct.md",
    "exports/README.md": "howto/requests.md",
}
COMMANDS = "reference/commands"
_SETTINGS = {each.name: each for each in SETTINGS}
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
# What a browser fetches by itself: no link that a reader follows.
_FETCHED = re.compile(r"""<(?:script|img|iframe|source|video|audio|link)\b[^>]*?(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""")
_STYLED = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""")
_EQUATION = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put pages that the navigation does not name behind those of their section, and the commands under Reference."""
    docs = Path(config.docs_dir)
    for entry in config.nav or ():
        ((title, pages),) = entry.items()
        if title == "How-to":
            named = set(_paths(pages))
            found = (str(path.relative_to(docs)) for path in sorted(docs.glob("howto/*.md")))
            pages += [path for path in found if path not in named]
        if title == "Reference":
            jobs: list[Any] = [{f"{COMMAND} {name}": f"{COMMANDS}/{name}.md"} for name in JOBS]
            overview = [f"{COMMANDS}/index.md", {"Settings of a run": f"{COMMANDS}/settings.md"}]
            pages.append({"Command line": overview + jobs})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {target: _project_page(source) for source, target in FILES.items()}
    pages[f"{COMMANDS}/index.md"] = commands_page()
    pages[f"{COMMANDS}/settings.md"] = settings_page()
    pages |= {f"{COMMANDS}/{job.name}.md": job_page(job) for job in JOBS.values()}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_content(html: str, **_: Any) -> str:
    """Write equations as MathML, which browsers show without a script; an interval stays in one line."""
    html = html.replace(" ± ", "&nbsp;±&nbsp;")
    return _EQUATION.sub(lambda found: _mathml(found[2]), html)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site of which a page asks for something from another machine."""
    found = []
    for path in sorted(Path(config.site_dir).rglob("*")):
        form = {".html": _FETCHED, ".css": _STYLED}.get(path.suffix)
        if form is not None:
            found += [f"{path.name}: {address}" for address in form.findall(path.read_text(encoding="utf-8"))]
    if found:
        raise PluginError(f"Pages must ask nothing of other machines. Received: {', '.join(sorted(set(found))[:10])}.")


def commands_page() -> str:
    """Return the page that lists every job."""
    form = f"Every command has the form `{COMMAND} JOB [--flagfile=FILE] [--flag=value ...]`."
    rest = f"`{COMMAND} JOB --help` prints what these pages say. A flag file holds one flag a line; `#` starts a comment."
    lines = ["# Command line", "", form, rest, "", "| job | what it does |", "|---|---|"]
    return "\n".join([*lines, *(f"| [`{job.name}`]({job.name}.md) | {job.summary} |" for job in JOBS.values())]) + "\n"


def settings_page() -> str:
    """Return the page of the settings that all jobs of a run share."""
    text = "A job of a run takes all of these flags. `Niwt(...)` in Python takes the same names as parameters.\n"
    return "\n".join(["# Settings of a run", "", text, *(_flag(declared) for declared in SETTINGS)])


def job_page(job: Job) -> str:
    """Return the page of one job."""
    lines = [f"# {COMMAND} {job.name}", "", job.summary, ""]
    if job.details:
        lines += ["```text", job.details.rstrip(), "```", ""]
    shared = [declared for declared in job.options if declared == _SETTINGS.get(declared.name)]
    whole = len(shared) == len(SETTINGS)
    own = [declared for declared in job.options if not whole or declared not in shared]
    lines += ["## Flags", "", *(_flag(declared, job.defaults.get(declared.name)) for declared in own)]
    lines += ["`--flagfile=FILE`", f":   {_plain(FLAG_FILE_HELP)}", ""]
    if whole:
        lines += ["", "It also takes every one of the [settings of a run](settings.md).", ""]
    return "\n".join(lines)


def _flag(declared: Option, default: str | None = None) -> str:
    said = f" (default: {default})" if default is not None else flag_default(declared)
    return f"`--{flag_form(declared)}`\n:   {_plain(declared.help + said)}\n"


def _plain(text: str) -> str:
    return re.sub(r"([*_\\])", r"\\\1", escape(text, quote=False))


def _project_page(source: str) -> str:
    """Return a file of the repository with its links turned to pages of the site; what is no page keeps its words alone."""
    text = (ROOT / source).read_text(encoding="utf-8")
    home = Path(FILES[source])

    def link(found: re.Match[str]) -> str:
        path = str((Path(source).parent / found[1]).as_posix())
        target = FILES.get(path, path.removeprefix("docs/") if path.startswith("docs/") else "")
        depth = "../" * (len(home.parts) - 1)
        return f"]({depth}{target}{found[2] or ''})" if target else "](../index.md)"

    text = _LINK.sub(link, text)
    if not text.startswith("# "):  # several parts without a title of their own
        text = "# Requests, roll out, roll back\n\n" + re.sub(r"^(#+ )", r"#\1", text, flags=re.MULTILINE)
    return text


def _paths(pages: list[Any]) -> list[str]:
    found = []
    for page in pages:
        if isinstance(page, str):
            found.append(page)
        else:
            (inside,) = page.values()
            found += _paths(inside) if isinstance(inside, list) else [inside]
    return found


def _mathml(tex: str) -> str:
    text = unescape(tex).strip()
    block = text.startswith(r"\[")
    return convert(text[2:-2], display="block" if block else "inline")
