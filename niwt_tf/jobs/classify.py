"""`niwt classify`: ask a server, or an exported bundle in this process, about images."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

from niwt_tf.compute.quiet_tensorflow import import_quietly
from niwt_tf.data.readers.folder import IMAGE_SUFFIXES
from niwt_tf.errors import InputError
from niwt_tf.files import write_json
from niwt_tf.jobs.terminal_text import escape_what_cannot_be_shown, padded, shown, width
from niwt_tf.metrics.probabilities import UNKNOWN
from niwt_tf.serving.bundle.bundle import METADATA, Bundle
from niwt_tf.serving.bundle.versions import saved_model_folder
from niwt_tf.serving.classes.names import abstains
from niwt_tf.serving.client.answers import Explanation, Explanations, Predictions
from niwt_tf.serving.client.client import Client
from niwt_tf.serving.client.connect import connected
from niwt_tf.serving.client.transport import RequestError, Transport

Record = dict[str, Any]
_COLUMNS = ("image", "rank", "label", "score", "seen", "error")
_NAMED = 3


def main() -> None:
    """Classify --images and print the answers; images that cannot be answered are named at the end.

    Raises:
        InputError: flags that do not go together, no image, a server that does not answer, or images without an answer.
    """
    values = flags.FLAGS
    if values.explain and values.top != 1:
        raise InputError(f"--top must be left out with --explain, which is of the best class. Received: {values.top}.")
    paths = image_files([name.strip() for name in (values.images or "").split(",") if name.strip()])
    with closing(_transport()) as transport:
        records = _records(transport, paths)
    if values.json is not None:
        write_json(os.path.expanduser(values.json), records)
    escape_what_cannot_be_shown()
    writers = {"table": lambda found: as_table(found, _abstains()), "csv": as_csv, "json": as_json}
    sys.stdout.write(writers[values.format](records))
    sys.stdout.flush()
    bad = [record for record in records if "error" in record]
    if bad:
        listed = ", ".join(f"'{shown(record['image'])}' ({shown(record['error']).rstrip('.')})" for record in bad[:_NAMED])
        more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        raise InputError(f"--images must be files that can be decoded; {len(bad)} of {len(records)} cannot: {listed}{more}.")


def _abstains() -> bool:
    """Return whether --bundle answers "unknown" of its own; a server does not say, and a class may be called so."""
    given = flags.FLAGS.bundle
    if given is None:
        return False
    folder = saved_model_folder(os.path.expanduser(given))
    return (folder / METADATA).is_file() and abstains(Bundle.open(folder, check=False))


def image_files(names: Sequence[str]) -> list[Path]:
    """Return the files that --images names; of a folder the image files in it and in its folders, sorted.

    Raises:
        InputError: none is named, one is not there, or a folder has none.
    """
    if not names:
        raise InputError("--images must name image files or folders of them, for instance --images=photos.")
    found: list[Path] = []
    for name in names:
        path = Path(os.path.expanduser(name))
        if not path.exists():
            raise InputError(f"--images must name files or folders that are there. Received: {name!r}.")
        if not path.is_dir():
            found.append(path)
            continue
        inside = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
        if not inside:
            raise InputError(f"A folder in --images must hold image files. Received: {name!r}.")
        found += inside
    return found


def _transport() -> Transport:
    values = flags.FLAGS
    if (values.server is None) == (values.bundle is None):
        received = "neither" if values.server is None else "both"
        raise InputError(f"Either --server or --bundle must be given. Received: {received}.")
    if values.bundle is not None:
        given = [name for name in ("name", "model_version") if values[name].value is not None]
        if given:
            rule = f"--{given[0]} must be left out with --bundle; it is of a server."
            raise InputError(f"{rule} Received: {values[given[0]].value!r}.")
        import_quietly()
        from niwt_tf.serving.client.local_transport import LocalTransport

        return LocalTransport(os.path.expanduser(values.bundle))
    if values.name is None:
        raise InputError("--name must be given with --server: what the server calls the model, for instance --name=birds.")
    if values.server.startswith("grpc:"):
        import_quietly()
    version = values.model_version
    return connected(values.server, values.name, int(version) if version and version.isdecimal() else version)


def _records(transport: Transport, paths: Sequence[Path]) -> list[Record]:
    values = flags.FLAGS
    names = [str(path) for path in paths]
    limits = {"timeout": values.timeout, "retries": values.retries, "batch_size": values.batch_size}
    client = Client(transport, **limits)
    bar = tqdm(total=len(paths), desc="classify", unit="image", delay=5, leave=False, disable=not values.progress)
    with bar:
        try:
            if values.explain:
                return explained(names, client.explain(paths, bar.update))
            return predicted(names, client.classify(paths, bar.update), values.top)
        except RequestError as error:
            raise InputError(_sentence(error)) from None


def _sentence(error: RequestError) -> str:
    values = flags.FLAGS
    said = f"{error.code}: {shown(next(iter(error.detail.splitlines()), '')).rstrip('.')}"
    if error.can_be_repeated:
        return f"--server must name a server that answers. Received: {values.server!r} ({said})."
    if error.code == "NOT_FOUND":
        return f"--name and --model_version must name what the server has. Received: {values.name!r} ({said})."
    flag = "--server" if values.server is not None else "--bundle"
    if values.explain and re.search(r"\bexplain\b.*not found", said):
        rule = f"--explain must be left out where {flag} has no explanations, which are exported where descriptions are known."
        return f"{rule} Received: {values.server or values.bundle!r}."
    return f"{flag} must be able to answer this request. Received: {values.server or values.bundle!r} ({said})."


def predicted(names: Sequence[str], predictions: Predictions, top: int) -> list[Record]:
    """Return a record an image: its name, the version that answered, and `predictions` or `error`."""
    records = []
    for place, name in enumerate(names):
        best = zip(predictions.labels[place], predictions.scores[place], predictions.is_seen[place], strict=True)
        classes = [_class(label, float(score), bool(seen)) for label, score, seen in list(best)[:top]]
        records.append(_record(name, predictions.versions[place], classes, predictions.errors.get(place)))
    return records


def explained(names: Sequence[str], explanations: Explanations) -> list[Record]:
    """Return records as `predicted` does, of the best class alone, with `explanation` in words and weights."""
    records = []
    for place, name in enumerate(names):
        row = explanations.rows[place]
        classes = [_class(row.label, row.score, row.is_seen)] if row else []
        record = _record(name, explanations.versions[place], classes, explanations.errors.get(place))
        records.append({**record, "explanation": _explanation_record(row)} if row else record)
    return records


def _record(name: str, version: int | None, classes: list[Record], error: str | None) -> Record:
    outcome: Record = {"predictions": classes} if error is None else {"error": error}
    return {"image": name, "version": version, **outcome}


def _class(label: str, score: float, seen: bool) -> Record:
    return {"label": label, "score": _short(score), "seen": seen}


def _explanation_record(row: Explanation) -> Record:
    def weighted(pairs: Sequence[tuple[str, float]]) -> list[Record]:
        return [{"attribute": name, "weight": _short(weight)} for name, weight in pairs]

    return {
        "attributes": weighted(row.attributes),
        "neurons": [{"neuron": neuron, "name": name, "weight": _short(weight)} for neuron, name, weight in row.neurons],
        "runner_up": {"label": row.runner_up, "score": _short(row.runner_up_score)},
        "speaks_for": weighted(row.speaks_for),
        "speaks_against": weighted(row.speaks_against),
    }


def _short(value: float) -> float:
    """Return a float32 as the shortest number that reads back as it: 0.9, not 0.8999999761581421."""
    return float(str(np.float32(value)))


def as_json(records: Sequence[Record]) -> str:
    """Return records as JSON in ASCII, whatever is in the labels."""
    return json.dumps(records, indent=2) + "\n"


def as_csv(records: Sequence[Record]) -> str:
    """Return records as CSV, one line a class or an error."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for record in records:
        for rank, best in enumerate(record.get("predictions", ()), 1):
            writer.writerow({"image": record["image"], "rank": rank, **best, "seen": int(best["seen"])})
        if "error" in record:
            writer.writerow({"image": record["image"], "error": record["error"]})
    return text.getvalue()


def as_table(records: Sequence[Record], abstains: bool = False) -> str:
    """Return records as a table for people, without a character that a terminal would obey.

    Args:
        records: of any images.
        abstains: whether the first label "unknown" is no class but the answer that no class is likely enough.
    """
    names = [shown(record["image"]) for record in records]
    labels = [shown(best["label"]) for record in records for best in record.get("predictions", ())]
    first = max(map(width, [*names, "image"]))
    second = max(map(width, [*labels, "label"]))
    lines = [f"{padded('image', first)}  {padded('label', second)}  score"]
    for name, record in zip(names, records, strict=True):
        if "error" in record:
            lines.append(f"{padded(name, first)}  error: {shown(record['error'])}")
        for rank, best in enumerate(record.get("predictions", ())):
            is_class = rank or not abstains or best["label"] != UNKNOWN
            kind = ("seen" if best["seen"] else "unseen") if is_class else ""
            start = padded("" if rank else name, first)
            lines.append(f"{start}  {padded(shown(best['label']), second)}  {best['score']:.4f}  {kind}".rstrip())
        # Long lines: a column of their own would begin far to the right.
        lines += [f"    {line}" for line in _explanation_lines(record.get("explanation"))]
    return "\n".join(lines) + "\n"


def _explanation_lines(words: Record | None) -> list[str]:
    if words is None:
        return []

    def listed(items: Sequence[Record]) -> str:
        return ", ".join(f"{shown(item['attribute'])} {item['weight']:+.3g}" for item in items) or "nothing"

    neurons = ", ".join(
        f"{shown(item['neuron'])}{' (' + shown(item['name']) + ')' if item['name'] else ''} {item['weight']:+.3g}"
        for item in words["neurons"]
    )
    rival = words["runner_up"]
    return [
        f"because of {listed(words['attributes'])}",
        f"by {neurons}",
        f"rather than {shown(rival['label'])} ({rival['score']:.4f}) because of {listed(words['speaks_for'])};"
        f" for {shown(rival['label'])} speaks {listed(words['speaks_against'])}",
    ]
