"""A file of answers that grows while images are answered, and goes on after any interruption to the same bytes.

Beside `answers.csv` lies, as long as it is not finished, the folder `answers.csv.unfinished`: the list of images as it was at
the beginning, and `progress.json`, which says how many of them are answered and how long the files were then. What was
written after that is cut off when the work goes on, and is done again. Memory does not grow with the number of images.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from niwt_tf.config.extras import imported
from niwt_tf.data.csv_text import csv_text
from niwt_tf.errors import InputError, require
from niwt_tf.files import digest_of, has_seal, is_sealed, read_json, replacing, sealed, short_name, write_json
from niwt_tf.jobs.answer_text import lines_of
from niwt_tf.runs.store import lock_file
from niwt_tf.serving.client.records import Record

_COLUMNS = ("image", "rank", "label", "score", "seen", "version")
ENDINGS = (".csv", ".jsonl", ".parquet")
_LIST, _PROGRESS, _LINES = "images.jsonl", "progress.json", "answers.jsonl"
_COMMIT_SECONDS = 1.0
_ROWS = 65_536  # of a row group


def write_names(names: Iterable[str], path: Path) -> int:
    """Write names of images to a file, a JSON text a line, and return how many they are."""
    count = 0
    with open(path, "w", encoding="ascii") as file:
        for name in names:
            file.write(json.dumps(name) + "\n")
            count += 1
    return count


def read_names(path: Path, start: int, size: int) -> Iterator[list[str]]:
    """Yield lists of up to `size` of the names that `write_names` wrote, from the one with index `start`."""
    with open(path, encoding="ascii") as file:
        lines = itertools.islice(file, start, None)
        while names := [json.loads(line) for line in itertools.islice(lines, size)]:
            yield names


class AnswersFile:
    """The file that --answers names, and beside it one of the images that cannot be answered. Use it as a context.

    Args:
        path: the file; its ending says the form: .csv, .jsonl or .parquet.
        asked: what is asked, each part by its name in messages, such as --top; an unfinished file goes on only with the same.
        names: of the images; not read where the file goes on.

    Attributes:
        count: how many images there are.
        done: how many of them are answered, bad ones with them.
        bad: how many of these are bad.
        bad_path: the file of the bad images, which is there where there are any.

    Raises:
        InputError: another ending, a file that is there and is no unfinished one, an unfinished one of something else, one
            that another process writes, or pyarrow is missing.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any], names: Iterable[str]) -> None:
        form = path.suffix.lower()
        require(form in ENDINGS, f"--answers must end in {', '.join(ENDINGS)}. Received: {str(path)!r}.")
        if form == ".parquet":
            _pyarrow()
        self.path, self.bad_path = path, path.with_name(f"{short_name(Path(path.stem))}.bad.csv")
        self._form, self._asked, self._names = form, json.loads(json.dumps(asked)), names
        self._work = path.with_name(f"{short_name(path)}.unfinished")
        # A Parquet file is readable when it is whole, and not before; until then its lines are JSON.
        self._lines_path = self._work / _LINES if form == ".parquet" else path
        self._open = ExitStack()
        self._committed = 0.0

    def __enter__(self) -> AnswersFile:
        with self._open:
            self._take()
            self._open = self._open.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the files up; where nothing was answered, nothing is left."""
        if self._lines.closed:  # it is finished
            return
        if self.done > self.done_before:
            self.commit()
        self._open.close()
        if not self.done:
            for path in (self._lines_path, self.bad_path):
                path.unlink(missing_ok=True)
            shutil.rmtree(self._work, ignore_errors=True)

    def _take(self) -> None:
        progress = self._work / _PROGRESS
        if not progress.is_file():
            for path in (self.path, self.bad_path):
                rule = "--answers must be a new file, or a file that an interrupted niwt classify began"
                require(not os.path.lexists(path), f"{rule}. Received: {str(self.path)!r}, and {str(path)!r} exists.")
        self._work.mkdir(parents=True, exist_ok=True)
        self._lock()
        if not progress.is_file():
            with replacing(self._work / _LIST) as temporary:
                count = write_names(self._names, temporary)
            listed = digest_of(self._work / _LIST)
            write_json(progress, sealed({**self._state(count), "asked": self._asked, "list": listed}))
        found = self._read(progress)
        self._listed = found.get("list")
        self.count, self.done, self.bad = found["images"], found["done"], found["bad"]
        self.first_bad: list[list[str]] = found["first_bad"]
        self.done_before = self.done
        self._lines = self._continued(self._lines_path, found["bytes"])
        self._bad_lines = self._continued(self.bad_path, found["bad_bytes"]) if found["bad_bytes"] else None
        if self._bad_lines is None:
            self.bad_path.unlink(missing_ok=True)

    def _lock(self) -> None:
        file = self._open.enter_context(lock_file(self._work / "lock"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            rule = "--answers must be a file that no other process is writing"
            raise InputError(f"{rule}. Received: {str(self.path)!r}, which another niwt classify writes.") from None
        except OSError:  # the file system has no locks
            pass

    def _read(self, progress: Path) -> dict[str, Any]:
        try:
            found = dict(read_json(progress))
            before = dict(found["asked"])
            if not (self._work / _LIST).is_file() or any(not isinstance(found[name], int) for name in self._state(0, True)):
                raise ValueError
            # Another number of answers would leave images out without a word. An earlier version sealed nothing.
            if has_seal(found) and not (is_sealed(found) and found["list"] == digest_of(self._work / _LIST)):
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError):
            rule = (
                f"{progress} must be unchanged since niwt classify wrote it; remove {self._work} and {self.path.name} to "
                "start again"
            )
            raise InputError(f"{rule}. Received: another content.") from None
        for name, value in self._asked.items():
            if before.get(name) != value:
                rule = f"--answers={self.path} goes on only with the same input: {name} was {before.get(name)!r}"
                raise InputError(f"{rule}; use another file to start again. Received: {value!r}.")
        return found

    def _state(self, count: int, numbers: bool = False) -> dict[str, Any]:
        state = {"images": count, "done": 0, "bytes": 0, "bad": 0, "bad_bytes": 0}
        return state if numbers else {**state, "first_bad": []}

    def _continued(self, path: Path, size: int) -> IO[bytes]:
        file = self._open.enter_context(open(path, "ab"))  # noqa: SIM115
        if os.path.getsize(path) < size:
            rule = (
                f"{path} must be unchanged since niwt classify wrote it, {size} bytes at least; remove {self._work} to start "
                "again"
            )
            raise InputError(f"{rule}. Received: {os.path.getsize(path)} bytes.")
        file.truncate(size)
        return file

    def lists(self, size: int) -> Iterator[list[str]]:
        """Yield lists of up to `size` names of the images that are left."""
        return read_names(self._work / _LIST, self.done, size)

    def append(self, records: Sequence[Record]) -> None:
        """Write the records of the next images."""
        good = [record for record in records if "error" not in record]
        bad = [record for record in records if "error" in record]
        self._lines.write(self._text(good, is_first=not self.done).encode("utf-8", "backslashreplace"))
        self._lines.flush()
        if bad:
            if self._bad_lines is None:
                self._bad_lines = self._open.enter_context(open(self.bad_path, "ab"))  # noqa: SIM115
            rows = [[record["image"], record["error"]] for record in bad]
            text = csv_text([*([] if self.bad else [["image", "error"]]), *rows])
            self._bad_lines.write(text.encode("utf-8", "backslashreplace"))
            self._bad_lines.flush()
            self.first_bad += rows[: 3 - len(self.first_bad)]
        self.done += len(records)
        self.bad += len(bad)
        if time.monotonic() - self._committed >= _COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Note how far it is, once everything up to there is on the disk."""
        for file in (self._lines, self._bad_lines):
            if file is not None:
                os.fsync(file.fileno())
        state = {
            "images": self.count, "done": self.done, "bytes": self._lines.tell(), "bad": self.bad,
            "bad_bytes": self._bad_lines.tell() if self._bad_lines else 0, "first_bad": self.first_bad, "asked": self._asked,
            "list": self._listed,
        }
        write_json(self._work / _PROGRESS, sealed(state))
        self._committed = time.monotonic()

    def finish(self) -> None:
        """Make the file whole, when all images are answered, and remove the folder beside it."""
        self.commit()
        if self._form == ".parquet":
            _write_parquet(self._lines_path, self.path)
        self._open.close()
        shutil.rmtree(self._work, ignore_errors=True)

    def _text(self, records: Sequence[Record], is_first: bool) -> str:
        if self._form != ".csv":
            return "".join(json.dumps(record) + "\n" for record in records)
        rows = [[line.get(name, "") for name in _COLUMNS] for line in lines_of(records)]
        return csv_text([*([_COLUMNS] if is_first else []), *rows])


def _pyarrow() -> Any:
    for module in ("pyarrow.parquet", "pyarrow"):
        found = imported(module, "--answers=FILE.parquet", "or end it in .csv or .jsonl")
    return found


def _write_parquet(source: Path, target: Path) -> None:
    """Write the records of a file of JSON lines as a table, a row a class, group by group."""
    arrow = _pyarrow()
    text, number = arrow.string(), arrow.int64()
    types = (text, arrow.int32(), text, arrow.float32(), arrow.bool_(), number)
    schema = arrow.schema(list(zip(_COLUMNS, types, strict=True)))
    with replacing(target) as temporary, open(source, encoding="ascii") as lines:
        rows = (line for text in lines for line in lines_of([json.loads(text)]))
        with arrow.parquet.ParquetWriter(temporary, schema) as writer:
            while group := list(itertools.islice(rows, _ROWS)):
                for row in group:
                    row["seen"], row["version"] = bool(row["seen"]), row["version"] if row["version"] != "" else None
                    row["image"] = row["image"].encode("utf-8", "backslashreplace").decode()
                writer.write_table(arrow.Table.from_pylist(group, schema))
