"""What every test may use. Set before TensorFlow is first imported."""

from __future__ import annotations

import dataclasses
import gc
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.shared import made_once, shortened_grids, unchanged_logging

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # it may end the copies of this process that crash_points.py stops
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads that wait for each other are slower

# A loaded machine is slow at times; what is tested is the answer. The same examples every time, so that a failure is of the
# change at hand; NIWT_TESTS_EXPLORE=1 draws new ones.
settings.register_profile("unhurried", deadline=None, derandomize=not os.environ.get("NIWT_TESTS_EXPLORE"))
settings.load_profile("unhurried")

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave only a share of the tests marked `combination`, where NIWT_TESTS_COMBINATIONS asks for one.

    3/8 is the fourth of eight shares: every eighth of these tests by name.
    """
    share, _, shares = os.environ.get("NIWT_TESTS_COMBINATIONS", "0/1").partition("/")
    numbers: dict[str, int] = {}
    left: list[pytest.Item] = []
    for item in sorted(items, key=lambda item: item.nodeid):
        if item.get_closest_marker("combination"):
            number = numbers[item.nodeid] = len(numbers)
            if number % int(shares) != int(share):
                left.append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what was imported and collected out of every later look for garbage: it stays, and is most of all objects."""
    gc.freeze()


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the folder that holds pyproject.toml."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data, or skip the test (which carries the marker `real_data`)."""
    folder = Path(os.environ.get("NIWT_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"Real data are absent: set NIWT_SHARED_DATA to their folder (looked in {folder}).")
    return folder


# Small enough that the whole pipeline takes seconds; what is tested is that it holds together, not how well it does.
TINY = {
    "input_size": 32,
    "epochs": 2,
    "num_folds": 2,
    "num_support": 16,
    "transfer_steps": 20,
    "map": "ridge",
    "heat": "grad_cam",
    "transfer_lambda": (1e-2,),
    "head_regularization": (10.0, 100.0),
    "seed": 3,
}


@dataclass(frozen=True)
class Finished:
    """How a job ended: its exit status and what it wrote."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class FinishedRun:
    """The folders of a `niwt run` on the tiny birds and how it ended."""

    path: Path
    exports: Path
    job: Finished


@pytest.fixture(scope="session")
def tiny_settings() -> dict[str, Any]:
    """Return settings with which every stage takes a second or two."""
    return dict(TINY)


@pytest.fixture(scope="session")
def tiny_flags() -> list[str]:
    """Return the same settings as flags, without progress bars."""
    values = {name: ",".join(map(str, value)) if isinstance(value, tuple) else value for name, value in TINY.items()}
    return [*(f"--{name}={value}" for name, value in values.items()), "--noprogress"]


@pytest.fixture(scope="session")
def niwt() -> Callable[..., Finished]:
    """Return a function that does `niwt JOB --flags` in this process, which has TensorFlow imported already.

    What a job exports is asked in this process too, or with `apart` as always in a new one, which takes seconds to start.
    """

    def call(*arguments: object, apart: bool = False) -> Finished:
        from niwt_tf.cli import main
        from tests.serving.answers import verified_here

        out, err = io.StringIO(), io.StringIO()
        verified = nullcontext() if apart else verified_here()
        with unchanged_logging(), redirect_stdout(out), redirect_stderr(err), verified:
            status = main([str(argument) for argument in arguments])
        return Finished(status, out.getvalue(), err.getvalue())

    return call


@pytest.fixture(scope="session")
def tiny_birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return rendered birds: 10 species of 10 images, 32 pixels. Copy them to change them."""
    from niwt_tf.data.birds.render import render_birds

    with made_once(tmp_path_factory, "birds") as (folder, first):
        if first:
            render_birds(folder / "birds", num_species=10, images_per_species=10, size=32, seed=0)
    return folder / "birds"


@pytest.fixture(scope="session")
def finished_run(
    tiny_birds: Path, tiny_flags: list[str], niwt: Callable[..., Finished], tmp_path_factory: pytest.TempPathFactory
) -> FinishedRun:
    """Return a whole `niwt run` on the tiny birds, 3 of them unseen. Copy its folder to change it.

    The folder is this worker's own, for jobs lock it; the exports are those of all workers.
    """
    with made_once(tmp_path_factory, "finished") as (folder, first):
        exports = folder / "exports"
        if first:
            flags = [f"--data_dir={tiny_birds}", f"--run_dir={folder / 'run'}", f"--export_dir={exports}", "--num_unseen=3"]
            job = niwt("run", *flags, *tiny_flags, apart=True)
            assert job.status == 0, job.err
            (folder / "job.json").write_text(json.dumps(dataclasses.asdict(job)))
    path = Path(shutil.copytree(folder / "run", tmp_path_factory.mktemp("finished") / "run"))
    return FinishedRun(path, exports, Finished(**json.loads((folder / "job.json").read_text())))


@pytest.fixture(scope="session")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return 5 classes of 5 images of 16 pixels, each of one colour and noise."""
    import numpy as np
    from PIL import Image

    from niwt_tf.data.schema import Images

    folder: Path = tmp_path_factory.mktemp("coloured")
    random = np.random.default_rng(0)
    colours = ((220, 40, 40), (40, 220, 40), (40, 40, 220), (128, 128, 128), (20, 20, 20))
    paths, labels = [], []
    for label, colour in enumerate(colours):
        for number in range(5):
            pixels = np.clip(np.array(colour) + random.normal(0, 30, (16, 16, 3)), 0, 255).astype(np.uint8)
            paths.append(f"{label}_{number}.png")
            Image.fromarray(pixels).save(folder / paths[-1])
            labels.append(label)
    return Images(folder, tuple(paths), np.array(labels, np.int32), ("red", "green", "blue", "grey", "dark"))


@pytest.fixture(scope="session")
def coloured_seen(coloured: Any) -> Any:
    """Return the same as all that training may see, with three attributes a class."""
    import numpy as np

    from niwt_tf.data.schema import Descriptions, SeenData

    values = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5], [0, 0, 0]], np.float32)
    return SeenData(coloured, Descriptions(coloured.class_names, values))


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a BERT of random weights in Hugging Face's form: 2 blocks, 2 heads, 8 numbers a token."""
    import json

    import numpy as np
    from safetensors.numpy import save_file

    folder, rng = tmp_path_factory.mktemp("bert"), np.random.default_rng(5)
    words = (
        "black white red yellow green blue pink brown orange ivory crown wing wings breast tail bill legs head bird striped "
        "spotted solid fan forked long short cone dagger hooked "
        "a the this that is has with and of on whose an , . ##s ##ed ##l un"
    )
    letters = [*"abcdefghijklmnopqrstuvwxyz", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words.split(), *letters]
    vocabulary = list(dict.fromkeys(pieces))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    size, blocks = 8, 2
    config = {"model_type": "bert", "num_attention_heads": 2, "layer_norm_eps": 1e-12, "num_hidden_layers": blocks}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shapes = {
        "embeddings.word_embeddings.weight": (len(vocabulary), size),
        "embeddings.position_embeddings.weight": (64, size),
        "embeddings.token_type_embeddings.weight": (2, size),
        **_normal("embeddings.LayerNorm", size),
    }
    for block in range(blocks):
        prefix = f"encoder.layer.{block}."
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{prefix}{name}.weight": (size, size), f"{prefix}{name}.bias": (size,)}
        shapes |= {f"{prefix}intermediate.dense.weight": (16, size), f"{prefix}intermediate.dense.bias": (16,)}
        shapes |= {f"{prefix}output.dense.weight": (size, 16), f"{prefix}output.dense.bias": (size,)}
        shapes |= {**_normal(f"{prefix}attention.output.LayerNorm", size), **_normal(f"{prefix}output.LayerNorm", size)}
    weights = {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors")
    return folder


def _normal(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


# In place of the first of a grid where that makes a large network or takes many steps.
_SMALL = {"hidden": 16.0, "steps": 5.0, "epochs": 1.0}


@pytest.fixture
def short_grids() -> Iterator[None]:
    """Do a test with `shortened_grids`."""
    with shortened_grids():
        yield
