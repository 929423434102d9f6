"""`niwt check_data`: what may be wrong with a data set, before an hour is spent on it."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from absl import flags

from niwt_tf.compute.quiet_tensorflow import import_quietly
from niwt_tf.data.checks import ERROR, LEVELS, WARNING, ClassSize, Finding, advised_unseen, class_sizes, findings_of
from niwt_tf.data.feature_rows import holds_features
from niwt_tf.data.load import described_dataset
from niwt_tf.data.readers.archives import ARCHIVES, missing_files
from niwt_tf.data.readers.tables import class_table_in, existing_directory
from niwt_tf.data.schema import Dataset, Images
from niwt_tf.errors import InputError
from niwt_tf.files import replacing, write_json
from niwt_tf.jobs.flags import required, result_file
from niwt_tf.jobs.terminal_text import escape_what_cannot_be_shown, padded, shown, width

_MOST_SIZES = 30  # classes that the terminal's table shows
_WIDEST = 140  # columns
_BEGINS = {"json": '{\n  "data_dir"', "page": "<!doctype html"}  # of the files that are written
FOUND = 1  # the exit status where something spoils results


def main() -> None:
    """Check the data set that --data_dir names, print what was found, and end with status 1 where it spoils results.

    Raises:
        InputError: there is no such data set, or it cannot be read at all; a file cannot be written where it is to be.
        SystemExit: with status 1.
    """
    values = flags.FLAGS
    folder = Path(os.path.expanduser(required("data_dir")))
    record_file, page_file = (_writable(flag, begin) for flag, begin in _BEGINS.items())
    name = values.dataset or _told(existing_directory("data_dir", folder))
    with _said_in_reading() as said:
        dataset = described_dataset(
            name, folder, values.split, values.unseen, values.num_unseen, values.knowledge, values.seed,
            values.missing_images, progress=values.progress, text_features=values.text_features,
        )
    import_quietly()
    from niwt_tf.data.images.pipeline import judged_images

    every = Images(dataset.root, dataset.paths, dataset.labels, dataset.class_names)
    judged = {} if holds_features(dataset.root) else judged_images(every, values.progress)
    read = [Finding("reading", WARNING, " ".join(said), "", tuple((message,) for message in said))] if said else []
    found = read + findings_of(dataset, judged)
    found.sort(key=lambda finding: LEVELS.index(finding.level))
    sizes = class_sizes(dataset, judged)
    escape_what_cannot_be_shown()
    sys.stdout.write(as_text(folder, dataset, found, sizes))
    if record_file is not None:
        write_json(record_file, as_record(folder, dataset, found, sizes))
    if page_file is not None:
        from niwt_tf.report.data_page import data_page

        title = folder.resolve().name
        with replacing(page_file) as temporary:
            temporary.write_text(data_page(title, _summary(dataset, found), dataset, found, sizes), encoding="utf-8")
        print(f"page  {page_file}")
    elif any(finding.about == "images" for finding in found):
        print("--page=FILE.html shows the pictures.")
    sys.stdout.flush()
    if any(finding.level == ERROR for finding in found):
        sys.exit(FOUND)


def as_text(folder: Path, dataset: Dataset, found: Sequence[Finding], sizes: Sequence[ClassSize]) -> str:
    """Return what the terminal shows: the findings, the worst first, and the sizes of the classes."""
    columns = min(shutil.get_terminal_size((100, 24)).columns, _WIDEST)
    lines = [f"{shown(str(folder))}: {_summary(dataset, found)}", ""]
    indent = max(map(len, LEVELS)) + 2
    wrapping = textwrap.TextWrapper(max(columns - indent, 40), break_long_words=False, break_on_hyphens=False)
    for finding in found:
        first, *rest = wrapping.wrap(shown(finding.sentence))
        lines += [f"{finding.level:<{indent}}{first}", *(" " * indent + line for line in rest)]
    return "\n".join([*lines, "", *_table(sizes)]) + "\n"


def as_record(folder: Path, dataset: Dataset, found: Sequence[Finding], sizes: Sequence[ClassSize]) -> dict[str, Any]:
    """Return the same for a program; paths are relative to `images`."""
    findings = []
    for finding in found:
        remarks = finding.remarks or (None,) * len(finding.groups)
        groups = [
            {finding.about or "said": list(group)} | ({} if remark is None else {"remark": remark})
            for group, remark in zip(finding.groups, remarks, strict=True)
        ]
        findings.append({"kind": finding.kind, "level": finding.level, "sentence": finding.sentence, "groups": groups})
    counts = Counter(finding.level for finding in found)
    return {
        "data_dir": str(folder),
        "dataset": dataset.name,
        "images": str(dataset.root),
        "status": FOUND if counts[ERROR] else 0,
        "counts": {level: counts[level] for level in LEVELS},
        "photographs": len(dataset.paths),
        "advised_num_unseen": advised_unseen(sum(size.photographs > 0 for size in sizes)),
        "findings": findings,
        "classes": [size._asdict() for size in sizes],
    }


def _summary(dataset: Dataset, found: Sequence[Finding]) -> str:
    counts = Counter(finding.level for finding in found)
    said = [f"{counts[level]} {level}{'' if counts[level] == 1 else 's'}" for level in LEVELS if counts[level]]
    photographs, classes = len(dataset.paths), len(dataset.class_names)
    return f"{photographs:,} photographs, {classes:,} classes: {', '.join(said) or 'nothing found'}."


def _table(sizes: Sequence[ClassSize]) -> list[str]:
    """Return the lines of the table of sizes: of all classes, or of those with the fewest photographs."""
    kept = list(sizes)
    if len(sizes) > _MOST_SIZES:
        kept = sorted((size for size in sizes if size.photographs or size.undecodable), key=lambda size: size.photographs)
        kept = kept[:_MOST_SIZES]
    names = [shown(size.name) for size in kept]
    first = max(map(width, [*names, "class"]))
    lines = [f"{padded('class', first)}  {'role':<9}  photographs  train  test  not decoded"]
    for name, size in zip(names, kept, strict=True):
        numbers = f"{size.photographs:>11}  {size.train:>5}  {size.test:>4}  {size.undecodable:>11}"
        lines.append(f"{padded(name, first)}  {size.role:<9}  {numbers}")
    if len(kept) < len(sizes):
        lines.append(
            f"Classes with the fewest photographs come first. --json and --page list the other {len(sizes) - len(kept):,} "
            "classes."
        )
    return lines


def _told(folder: Path) -> str:
    """Return the data set that a folder holds, as its files tell; where they do not, a folder of one's own is asked for."""
    if not class_table_in(folder).is_file():
        for name, archive in ARCHIVES.items():
            if not all(missing_files(archive, official) for official in (folder / archive.folder, folder)):
                return name
    return "folder"


def _writable(flag: str, begin: str) -> Path | None:
    """Return the file that a flag names, or None, before the minute that comes first.

    Raises:
        InputError: it is a folder, in no folder, or a file that this job did not write.
    """
    given = flags.FLAGS[flag].value
    if given is None:
        return None
    path = Path(os.path.expanduser(given))
    if path.is_dir() or not path.parent.is_dir():
        received = "a folder" if path.is_dir() else f"{str(path.parent)!r} is not a folder"
        raise InputError(f"--{flag} must be a file in a folder that exists. Received: {given!r} ({received}).")
    return result_file(flag, begin)


@contextmanager
def _said_in_reading() -> Iterator[list[str]]:
    """Yield a list of what is warned of while data are read; where reading fails, that is said as at any other time."""
    logger, said = logging.getLogger("niwt_tf"), list[str]()
    handlers, kept = list(logger.handlers), logging.Handler(logging.WARNING)
    # That columns were brought to one scale is a finding of its own.
    kept.emit = lambda record: None if record.funcName == "on_one_scale" else said.append(record.getMessage())  # type: ignore
    logger.handlers = [kept]
    try:
        yield said
    except BaseException:
        logger.handlers = handlers
        for message in said:
            logger.warning("%s", message)
        raise
    finally:
        logger.handlers = handlers
