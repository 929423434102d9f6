"""`niwt classify`: ask a server, or an exported bundle in this process, about images."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from absl import flags
from tqdm import tqdm

from niwt_tf.data.folder import IMAGE_SUFFIXES
from niwt_tf.errors import InputError
from niwt_tf.files import write_json
from niwt_tf.jobs.classify_report import Record, as_csv, as_json, as_table, explained, predicted
from niwt_tf.jobs.quiet_tensorflow import import_quietly
from niwt_tf.jobs.terminal_text import escape_what_cannot_be_shown, shown
from niwt_tf.serving.bundle import Bundle
from niwt_tf.serving.client import Client
from niwt_tf.serving.fingerprints import METADATA
from niwt_tf.serving.naming import abstains
from niwt_tf.serving.transports.connecting import connected
from niwt_tf.serving.transports.request_error import RequestError
from niwt_tf.serving.transports.transport import Transport
from niwt_tf.serving.versions import saved_model_folder

_NAMED = 3
_WRITERS = {"csv": as_csv, "json": as_json}


def main(argv: list[str]) -> None:
    """Classify --images and print the answers; images that cannot be answered are named at the end.

    Raises:
        InputError: flags that do not go together, no image, a server that does not answer, or images without an answer.
    """
    del argv
    values = flags.FLAGS
    if values.explain and values.top != 1:
        raise InputError(f"--top must be left out with --explain, which is of the best class. Received: {values.top}.")
    paths = image_files([name.strip() for name in (values.images or "").split(",") if name.strip()])
    with closing(_transport()) as transport:
        records = _records(transport, paths)
    if values.json is not None:
        write_json(os.path.expanduser(values.json), records)
    escape_what_cannot_be_shown()
    sys.stdout.write(as_table(records, _abstains()) if values.format == "table" else _WRITERS[values.format](records))
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
        from niwt_tf.serving.transports.client_local import LocalTransport

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
