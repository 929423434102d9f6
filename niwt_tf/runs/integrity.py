"""What of a run directory is whole, what is damaged, and what `niwt run` would make again. Nothing is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from niwt_tf.errors import InputError
from niwt_tf.files import entries_of
from niwt_tf.runs.ledger import FILE, Ledger
from niwt_tf.runs.run import CONFIG, COPY, Run, RunDirectory, config_of, is_replaced
from niwt_tf.runs.stage import Manifest, broken_files, read_manifest, stated_manifest

Status = Literal["whole", "damaged", "missing", "outdated"]


@dataclass(frozen=True)
class Part:
    """A file or stage of a run directory.

    Attributes:
        name: of the file or folder.
        status: "outdated" is whole, but not what the run's settings, data and version ask for.
        again: whether `niwt run` makes it again; None where that follows from how something else comes out.
        detail: what was seen, for people.
        size: bytes of a stage's files that were read.
    """

    name: str
    status: Status
    again: bool | None
    detail: str
    size: int = 0


def check_run(path: str | os.PathLike[str]) -> tuple[Part, ...]:
    """Return the parts of a run directory, stages in the order of their making; every file of them is read.

    Whether its data are what they were is not looked at.

    Raises:
        InputError: there is no such folder, or it is no run's.
    """
    folder = Path(path)
    if not any((folder / name).exists() for name in (CONFIG, COPY)):
        rule = "--run_dir must be the folder of a run (with config.json), which niwt run makes."
        raise InputError(f"{rule} Received: {str(folder)!r}.")
    config = _config(folder)
    try:
        run = RunDirectory(folder).reading()
    except InputError:
        run = None
    return (config, _ledger(folder), *_stages(folder, run), *_published(folder))


def _config(folder: Path) -> Part:
    own, copy = (config_of(folder / name) for name in (CONFIG, COPY))
    if own and (copy is None or own["settings"] == copy["settings"] or is_replaced(own, copy)):
        return Part(CONFIG, "whole", False, "as it was written" if copy else "unchanged; its copy is written again")
    if copy:
        return Part(CONFIG, "damaged", True, f"it was changed; the copy next to it, {COPY}, is complete and is used instead")
    return Part(CONFIG, "damaged", False, "it was changed or is of an earlier version, and has no complete copy")


def _ledger(folder: Path) -> Part:
    ledger = Ledger(folder)
    if ledger.whole:
        return Part(FILE, "whole", False, f"{len(ledger.entries)} entries")
    return Part(FILE, "damaged", False, "entries are missing or were changed: results are optimistic")


def _stages(folder: Path, run: Run | None) -> Iterator[Part]:
    stated = {entry.name: stated_manifest(entry) for entry in entries_of(folder) if entry.is_dir()}
    known = {name: manifest for name, manifest in stated.items() if manifest is not None}
    inputs = {above for manifest in known.values() for above in manifest["inputs"]}
    for name in sorted(stated.keys() | inputs, key=lambda name: (_depth(name, known), name)):
        yield _stage(folder, name, stated, run)


def _depth(name: str, known: dict[str, Manifest]) -> int:
    inputs = known[name]["inputs"] if name in known else ()
    return 1 + max((_depth(above, known) for above in inputs), default=0)


def _stage(folder: Path, name: str, stated: dict[str, Manifest | None], run: Run | None) -> Part:
    if name not in stated:
        return Part(name, "missing", True, "it is missing, and other stages were made from it")
    manifest = stated[name]
    if manifest is None:
        return Part(name, "damaged", True, "its manifest.json is missing or was changed")
    broken = broken_files(folder / name, manifest)
    if broken:
        listed = ", ".join(broken[:3]) + (f" and {len(broken) - 3} more" if len(broken) > 3 else "")
        return Part(name, "damaged", True, f"missing or changed: {listed}")
    count = len(manifest["files"])
    size = sum(manifest["files"].values())
    seen = f"{count} file{'' if count == 1 else 's'} as written"
    above = _damaged_above(folder, manifest)
    if above is not None:
        return Part(name, "whole", None, f"{seen}; it was made from {above}, and is made again if that changes", size)
    reason = "" if run is None else run.outdated(name)
    if reason:
        return Part(name, "outdated", True, f"it {reason}", size)
    return Part(name, "whole", False, seen, size)


def _damaged_above(folder: Path, manifest: Manifest) -> str | None:
    """Return a stage that this one was made from, directly or not, and that is not whole."""
    for name in manifest["inputs"]:
        above = read_manifest(folder / name)
        found = name if above is None else _damaged_above(folder, above)
        if found is not None:
            return found
    return None


def _published(folder: Path) -> Iterator[Part]:
    """Yield the files at the top that are copies of a stage's."""
    whole = {entry.name: read_manifest(entry) for entry in entries_of(folder) if entry.is_dir()}
    owners: dict[str, list[str]] = {}
    for name, manifest in whole.items():
        for published in manifest["publishes"] if manifest is not None else ():
            owners.setdefault(published, []).append(name)
    for published, names in sorted(owners.items()):
        copies = [(folder / name / published).read_bytes() for name in names]
        target = folder / published
        if not target.exists():
            yield Part(published, "missing", True, f"a copy of {' or '.join(names)}'s")
        elif target.read_bytes() in copies:
            yield Part(published, "whole", False, "unchanged since its stage wrote it")
        else:
            yield Part(published, "damaged", True, f"it is not what {' or '.join(names)} wrote")
