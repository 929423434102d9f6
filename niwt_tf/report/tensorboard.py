"""The report's figures, pictures and features for TensorBoard.

Points for its projector are test images by their features, and classes by their columns of the head. Dimensions: M points, D
features, C classes.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from niwt_tf.compute.execution import Execution
from niwt_tf.compute.features import Reader
from niwt_tf.data.sampling import balanced_draw
from niwt_tf.data.schema import TestData
from niwt_tf.files import replacing_directory
from niwt_tf.models.network import Network
from niwt_tf.protocol.scoring import Scored
from niwt_tf.report.gallery import GalleryEntry
from niwt_tf.report.pictures import picture_of

if TYPE_CHECKING:
    from PIL import Image


_MOST_DIMENSIONS = 256  # the projector itself looks at 200 random directions of more
_SPRITE_SIDE = 48  # pixels a picture
_LARGEST_SPRITE = 8192  # pixels, of the whole sprite: what every browser's WebGL can take


def write_tensorboard(
    folder: Path,
    metrics: Mapping[str, Any],
    gallery: Sequence[GalleryEntry],
    plots: Mapping[str, Path],
    embeddings: Sequence[Embedding],
    *,
    progress: bool = False,
) -> None:
    """Write an event file and the projector's files into `folder`, in place of what is there.

    Args:
        folder: what `tensorboard --logdir` is given, or a folder in it.
        metrics: as metrics.json has them: numbers, which keep their names, and under "faithfulness" what becomes
            faithfulness/METRIC/seen and so on. What is None is left out.
        gallery: each becomes an image, the photograph beside its heat map, with the answer as its description.
        plots: PNG files by name, shown as plots/NAME; what does not exist is left out.
        embeddings: shown by the projector; those without points are left out.
        progress: whether to show a bar on standard error when reading their pictures takes long.
    """
    import tensorflow as tf

    with replacing_directory(folder) as temporary:
        writer = tf.summary.create_file_writer(str(temporary))
        with writer.as_default(step=0):
            for tag, value in scalars_of(metrics).items():
                tf.summary.scalar(tag, value)
            for number, entry in enumerate(gallery, start=1):
                role, outcome = "seen" if entry.true_seen else "unseen", "right" if entry.right else "wrong"
                pixels = np.concatenate([_pixels(entry.image), _pixels(entry.heat)], axis=1)
                answer = f"answer: {entry.predicted} ({100 * entry.score:.0f} %)"
                described = f"{entry.path}, of class {entry.true_class}; {answer}. The heat map of the answer is on the right."
                described = described.encode("utf-8", "backslashreplace").decode()  # a file's name may be no text
                tf.summary.image(f"gallery/{number:02d} {role} {outcome}", pixels[None], description=described)
            for name, path in plots.items():
                if path.is_file():
                    tf.summary.image(f"plots/{name}", tf.io.decode_png(path.read_bytes(), channels=3)[None])
        writer.close()
        _write_projector(temporary, [each for each in embeddings if len(each.vectors)], progress)


def scalars_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return figures by tag, those of "faithfulness" as faithfulness/METRIC/SEEN_OR_UNSEEN."""
    figures = {name: value for name, value in metrics.items() if name != "faithfulness"}
    for metric, parts in metrics.get("faithfulness", {}).items():
        figures |= {f"faithfulness/{metric}/{part}": figure["value"] for part, figure in parts.items()}
    return {tag: float(value) for tag, value in figures.items() if isinstance(value, (int, float))}


def sprite(pictures: Sequence[Path], side: int = _SPRITE_SIDE, *, progress: bool = False) -> Image.Image:
    """Return all pictures in one, row by row in a square grid of cells of `side` pixels, each in the middle of its cell.

    Cells are smaller where the whole would be larger than a browser takes. A file that cannot be opened gets a grey square. A
    bar is shown where it takes over five seconds.
    """
    from PIL import Image

    columns = math.ceil(math.sqrt(len(pictures)))
    side = max(1, min(side, _LARGEST_SPRITE // columns))
    whole = Image.new("RGB", (columns * side, columns * side), "white")
    for number, path in enumerate(tqdm(pictures, "projector", disable=not progress, delay=5, leave=False)):
        picture = picture_of(path, side)
        row, column = divmod(number, columns)
        whole.paste(picture, (column * side + (side - picture.width) // 2, row * side + (side - picture.height) // 2))
    return whole


def _write_projector(folder: Path, embeddings: Sequence[Embedding], progress: bool) -> None:
    """Write tensors, metadata and sprites, and projector_config.pbtxt that names them by paths within the folder."""
    from sklearn.decomposition import PCA
    from tensorboard.plugins import projector

    config = projector.ProjectorConfig()
    for each in embeddings:
        info = config.embeddings.add()
        info.tensor_name = each.name
        info.tensor_path, info.metadata_path = f"{each.name}.tsv", f"{each.name}_metadata.tsv"
        vectors = each.vectors
        if vectors.shape[1] > _MOST_DIMENSIONS:
            vectors = PCA(min(_MOST_DIMENSIONS, len(vectors)), random_state=0).fit_transform(vectors)
        info.tensor_shape.extend(vectors.shape)
        np.savetxt(folder / info.tensor_path, vectors, fmt="%.5g", delimiter="\t")
        # The projector splits at tabs and line ends and knows no quotes.
        rows = ([" ".join(text.split()) for text in row] for row in zip(*each.metadata.values(), strict=True))
        lines = ["\t".join(row) + "\n" for row in (each.metadata, *rows)]
        (folder / info.metadata_path).write_text("".join(lines), encoding="utf-8", errors="backslashreplace", newline="")
        if each.pictures:
            image = sprite(each.pictures, progress=progress)
            columns = math.ceil(math.sqrt(len(each.pictures)))
            info.sprite.image_path = f"{each.name}_sprite.jpg"
            info.sprite.single_image_dim.extend([image.width // columns] * 2)
            image.save(folder / info.sprite.image_path, quality=85)
    projector.visualize_embeddings(str(folder), config)


def _pixels(data_uri: str) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(data_uri.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB"))


@dataclass(frozen=True)
class Embedding:
    """Points [M, D] under a name that their files have too, columns of M texts, and M image files or none to show them by."""

    name: str
    vectors: np.ndarray
    metadata: Mapping[str, Sequence[str]]
    pictures: tuple[Path, ...] = ()


def image_embedding(
    network: Network, test: TestData, scored: Scored, execution: Execution, *, most: int = 2000, seed: int = 0
) -> Embedding:
    """Return test images by their features, at most `most`, of each class as many if it has them, drawn with `seed`."""
    every = np.arange(len(test.images))
    chosen = np.sort(balanced_draw(scored.labels, every, most, np.random.default_rng(seed)))
    images, labels = test.images.take(chosen), scored.labels[chosen]
    predicted, known = scored.evaluation.predictions[chosen], class_embedding(network).metadata
    metadata = {name: [known[name][label] for label in labels] for name in ("class", "role")} | {
        "predicted": [network.class_names[label] for label in predicted],
        "right": ["right" if same else "wrong" for same in labels == predicted],
    }
    pictures = tuple(images.root / path for path in images.paths)
    return Embedding("test_images", np.asarray(Reader(network, execution).features(images)), metadata, pictures)


def class_embedding(network: Network) -> Embedding:
    """Return the classes by their columns of the head [C, D]."""
    roles = ["seen" if number < network.num_seen else "unseen" for number in range(len(network.class_names))]
    return Embedding("classes", network.columns.T, {"class": network.class_names, "role": roles})
