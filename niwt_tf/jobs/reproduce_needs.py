"""What `niwt reproduce` says beforehand: files, where they come from, gigabytes, GPU hours, and what is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from niwt_tf.data.archive_parts import Part, archive_parts
from niwt_tf.experiments.paper_tables import SOURCE, Row
from niwt_tf.experiments.run_cost import CAPTIONS, IMAGES, SPLITS, WEIGHTS, Download, cache_gigabytes, operations
from niwt_tf.experiments.settings import Settings


def parts_needed(wanted: Mapping[Row, Settings]) -> list[Part]:
    """Return what the rows read, with what of it is not there.

    Args:
        wanted: rows of one data set and their settings.

    Raises:
        InputError: a file that lists images is there and not in order.
    """
    every = list(wanted.values())
    with_texts = any(settings.knowledge in ("captions", "texts") for settings in every)
    first, with_split = every[0], any(settings.split == "ps" for settings in every)
    parts = archive_parts(first.dataset, first.data_folder, with_texts, first.missing_images, with_split)
    files = sorted({settings.weights for settings in every} - {"imagenet", "none"})
    absent = tuple(file for file in files if not Path(file).is_file())
    return [*parts, *([Part("weights", absent)] if files else [])]


def needs_text(wanted: Mapping[Row, Settings], parts: Sequence[Part], folder: Path, cache_gb: float, tflops: float) -> str:
    """Return what is printed before any work.

    Args:
        wanted: rows of one data set and their settings.
        parts: of `parts_needed`.
        folder: where the runs go.
        cache_gb: most gigabytes of the cache.
        tflops: floating point operations, in 10^12 a second, that a device is assumed to do.
    """
    dataset, data_dir = next((settings.dataset, settings.data_folder) for settings in wanted.values())
    lines = [f"Table 1: {len(wanted)} row{'s' * (len(wanted) > 1)}. Paper: {SOURCE}.", f"Read from {data_dir}:"]
    for part in parts:
        state = "MISSING" if part.missing else "there"
        lines.append(f"  {part.name:<10}{state:<10}{_source(part.name, dataset)}{_count(part)}")
    lines += [_weights_line(backbone) for backbone in _published(wanted)]
    size = max(cache_gigabytes(settings) for settings in wanted.values())
    kept = sum(_networks_gigabytes(settings) for settings in wanted.values())
    lines.append(f"Written to {folder}, where {_free(folder):.0f} GB are free:")
    lines.append(f"  networks  about {kept:.1f} GB, all rows together")
    lines.append(
        f"  cache     at most {min(size, cache_gb):.1f} GB (--cache_gb); one network's maps and features are {size:.1f} GB"
    )
    lines.append("GPU hours, at most: not measured, but estimated as the floating point operations of all forward and")
    lines.append(f"backward passes over an assumed {tflops:g} x 10^12 a second (--gpu_tflops); what the")
    lines.append("processor does, decoding images and solving for the ridge head, comes on top:")
    total, trained = 0.0, set()
    for row, settings in wanted.items():
        network = settings.replace(knowledge="attributes")
        needed = operations(settings, trained=network in trained)
        total += needed.hours(tflops)
        with_others = "  (its network is an earlier row's)" if network in trained else ""
        lines.append(f"  {row.name:<36}{needed.hours(tflops):8.2f}{with_others}")
        trained.add(network)
    if len(wanted) > 1:
        lines.append(f"  {'together':<36}{total:8.2f}")
    return "\n".join(lines)


def _count(part: Part) -> str:
    if part.count is None or part.count[0] == part.count[1]:
        return ""
    return f"; {part.count[0]:,} are there, the official archive has {part.count[1]:,}: figures will not be the paper's"


def _source(name: str, dataset: str) -> str:
    if name == "texts" and dataset == "awa2":
        return "descriptions/<class>.txt, a text of yours for each class"
    if name in ("images", "weights"):
        return "in the same file" if name == "images" else "the file of --weights"
    return _sizes({"archive": IMAGES[dataset], "split": SPLITS, "texts": CAPTIONS}[name])


def _sizes(download: Download) -> str:
    packed = f"{download.packed:g} GB" if download.packed is not None else "size not stated"
    return f"{download.what}, {packed} ({download.unpacked:g} GB unpacked): {download.url}"


def _published(wanted: Mapping[Row, Settings]) -> list[str]:
    return list(dict.fromkeys(settings.backbone for settings in wanted.values() if settings.weights == "imagenet"))


def _networks_gigabytes(settings: Settings) -> float:
    # Those of train/, one a fold if all layers are trained, and the one of transfer/.
    return WEIGHTS[settings.backbone].unpacked * (2 + (settings.num_folds if settings.finetune == "all" else 0))


def _weights_line(backbone: str) -> str:
    file = WEIGHTS[backbone]
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    state = "there" if (home / file.what).is_file() else "fetched"
    return f"  {'weights':<10}{state:<10}{file.what}, {file.packed:g} GB, in {home}; Keras fetches it: {file.url}"


def _free(folder: Path) -> float:
    held = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(held).free / 1e9
