"""Whether photographs that their files say are turned are seen upright by a served bundle.

python studies/turned_photographs.py --bundle=exports/mine --images=data/mine/images

Photographs lie in one folder a class. Each is asked as it is, and saved again as a camera that was held sideways or upside down
saves it: with turned pixels and the EXIF orientation that turns them back. Printed are the shares of right answers of each kind
beside the first, and of pixels that are turned with no such mark. A difference within a point is that of the second JPEG.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from niwt_tf.data.class_names import likeness
from niwt_tf.data.images.foreign import read_known
from niwt_tf.data.readers.folder import photographs_below
from niwt_tf.serving import predict

_ORIENTATION = 0x0112
_TURN = Image.Transpose
# What a camera stores, by the mark that says how to turn it back.
STORED = {3: _TURN.ROTATE_180, 6: _TURN.ROTATE_90, 8: _TURN.ROTATE_270}
BATCH = 16


def saved(encoded: bytes, mark: int | None, turn: Image.Transpose | None) -> bytes:
    """Return a photograph as JPEG with its pixels turned, and with a mark that says so."""
    with Image.open(io.BytesIO(encoded)) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    exif = Image.Exif()
    if mark is not None:
        exif[_ORIENTATION] = mark
    stream = io.BytesIO()
    (image if turn is None else image.transpose(turn)).save(stream, "JPEG", quality=95, subsampling=0, exif=exif)
    return stream.getvalue()


def share_right(servable: predict.Servable, files: Sequence[bytes], names: Sequence[str]) -> float:
    """Return the share of photographs whose best class is the one named."""
    right = 0
    for begin in range(0, len(files), BATCH):
        batch = np.array(files[begin : begin + BATCH], object)
        labels = servable.run("serving_default", {"image_bytes": batch})["labels"][:, 0]
        wanted = names[begin : begin + BATCH]
        right += sum(likeness(label.decode()) == likeness(name) for label, name in zip(labels, wanted, strict=True))
    return right / len(files)


def main() -> int:
    """Ask, and print a line for each kind of file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", required=True, help="a bundle, or the folder of its versions")
    parser.add_argument("--images", required=True, help="a folder with one folder of photographs a class")
    parser.add_argument("--per_class", type=int, default=10, help="photographs of each class")
    arguments = parser.parse_args()
    chosen = [
        (folder.name, path)
        for folder in sorted(Path(arguments.images).iterdir())
        if folder.is_dir()
        for path in sorted(photographs_below(folder))[: arguments.per_class]
    ]
    if not chosen:
        parser.error(f"--images must be a folder with one folder of photographs a class. Received: {arguments.images!r}.")
    names, files = [name for name, _ in chosen], [read_known(path) for _, path in chosen]
    kinds: dict[str, list[bytes]] = {"as they are": files, "saved again": [saved(file, None, None) for file in files]}
    for mark, turn in STORED.items():
        kinds[f"turned, mark {mark}"] = [saved(file, mark, turn) for file in files]
    kinds["turned, no mark"] = [saved(file, None, STORED[6]) for file in files]
    print(f"{len(files)} photographs of {len(set(names))} classes")
    with predict.opened(arguments.bundle) as servable:
        for kind, encoded in kinds.items():
            print(f"{kind:18} {100 * share_right(servable, encoded, names):5.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
