"""The tutorials: scripts of docs/tutorials/ are executed as notebooks while the site is built, and become pages.

What was executed is kept in .cache/tutorials by the script's text, so that only a changed script is executed again;
a fresh clone has none. All of them work in one scratch folder, one after the other: a later one finds what an earlier made.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[2]
# In this order: the run that the first makes, the others look at.
ORDER = ("birds", "photographs", "texts", "serve", "explain")
LONGEST_CELL = 600  # seconds
# Executed before the rest: a command that fails ends the notebook, which it does not by itself.
CAREFUL = """
def _system(command, shell=get_ipython(), run=type(get_ipython()).system):
    run(shell, command)
    if shell.user_ns["_exit_code"]:
        raise RuntimeError(f"Exit status {shell.user_ns['_exit_code']}: {command}")

get_ipython().system = _system
"""
_OF_TENSORFLOW = re.compile(
    r"WARNING: All log messages|[IWEF]\d{4} |To enable the following|Instructions for updating|Use `tf\."
)
_LOG = logging.getLogger("mkdocs.hooks.notebooks")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page, its pictures and the notebook for each tutorial."""
    folder = Path(config.docs_dir) / "tutorials"
    with tempfile.TemporaryDirectory() as scratch:
        for name in ORDER:
            notebook = executed(folder / f"{name}.py", Path(scratch))
            body, resources = MarkdownExporter().from_notebook_node(notebook, {"unique_key": name})
            note = f"\n\n[Download this page as a notebook]({name}.ipynb), for Jupyter or Colab.\n"
            title, _, rest = body.partition("\n\n")
            files.append(File.generated(config, f"tutorials/{name}.md", content=f"{title}{note}\n{rest}"))
            files.append(File.generated(config, f"tutorials/{name}.ipynb", content=nbformat.writes(notebook)))
            for path, content in resources["outputs"].items():
                files.append(File.generated(config, f"tutorials/{path}", content=content))
    return files


def executed(script: Path, scratch: Path) -> nbformat.NotebookNode:
    """Return a script's notebook with the outputs of its cells.

    Raises:
        CellExecutionError: a cell failed.
    """
    text = script.read_text(encoding="utf-8")
    kept = ROOT / ".cache" / "tutorials" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.ipynb"
    if kept.is_file():
        return nbformat.read(kept, as_version=4)
    notebook = jupytext.reads(text, fmt="py:percent")
    notebook.cells.insert(0, nbformat.v4.new_code_cell(CAREFUL))
    begun = time.perf_counter()
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = {**os.environ, "PYTHONPATH": paths, "PATH": commands}
    variables.pop("TF_CPP_MIN_LOG_LEVEL", None)  # set, it has TensorFlow speak at each start
    place = {"metadata": {"path": str(scratch)}}
    client = NotebookClient(notebook, timeout=LONGEST_CELL, coalesce_streams=True, resources=place)
    client.execute(env=variables)
    del notebook.cells[0]
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "text" in output:
                for folder in (scratch.resolve(), Path(sys.executable).parent):
                    output.text = output.text.replace(f"{folder}/", "")
                output.text = _tidy(output.text)
            if "image/jpeg" in output.get("data", ()):
                del output.data["image/png"]  # the same picture, five times as large
    _LOG.info("Executed %s in %.0f s.", script.name, time.perf_counter() - begun)
    kept.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, kept)
    return notebook


def _tidy(text: str) -> str:
    """Return what a terminal shows in the end, without blank lines and what TensorFlow says of the processor."""
    lines = [line.rstrip().rsplit("\r", 1)[-1] for line in text.replace("\r\n", "\n").split("\n")]
    return "\n".join(line for line in lines if line.strip() and not _OF_TENSORFLOW.match(line)) + "\n"
