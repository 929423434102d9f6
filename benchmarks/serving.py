"""An exported network in a Session against plain Keras, its first request, a class more in its bundle, and its size."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.birds_run import ROOT, BirdsRun
from benchmarks.harness import Comparison, Goal, Measurement, Series, interleaved, say
from benchmarks.serving_sides import ATTRIBUTES, SEEN, UNSEEN, Exported, export, sides
from niwt_tf.data.descriptions.new_classes import DescribedClass, Description
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.classes.edit import add_classes, write_change
from niwt_tf.serving.predict import opened

SERVING, EXPLAIN, FIRST = Goal(1.10), Goal(4.0), Goal(2.0)
COMPUTATION, WHOLE = Goal(0.05), Goal(10.0)
BATCHES = (1, 8, 32)
PROCESSES = 3
VERSIONS = 3
_AGAINST = (
    ("serving_default", "predict_files", SERVING),
    ("serving_default", "one_function", None),
    ("explain", "predict_files", EXPLAIN),
    ("logits", "predict_pixels", SERVING),
)
_LABELS = {"predict_files": "predict of files", "predict_pixels": "predict of pixels", "one_function": "one function"}


@dataclass(frozen=True)
class ServingCase:
    """A network and how it is measured.

    Attributes:
        backbone: a key of BACKBONES.
        image_sides: height and width of the photographs.
        seconds: that an image takes, about; how often a side is repeated follows from it.
    """

    backbone: str
    image_sides: tuple[int, int]
    seconds: float

    def repetitions(self, batch: int) -> int:
        """Return how often a batch is measured: for about 2 s a side, but 9 to 100 times."""
        return min(100, max(9, round(2 / (self.seconds * batch))))


ANSWERING = (ServingCase("small_vgg", (64, 64), 0.004), ServingCase("mobilenet_v2", (375, 500), 0.02))
CHANGING = "vgg16"


def measure(birds: BirdsRun) -> Measurement:
    """Return seconds of both sides of every figure."""
    rows: list[Comparison] = []
    tail: list[Comparison] = []
    for case in ANSWERING:
        say(f"exporting a random {case.backbone} ...")
        exported = export(case.backbone, birds.scratch / f"serving_{case.backbone}", case.image_sides, max(BATCHES))
        rows += request_rows(case, exported)
        tail += first_rows(case.backbone, exported)
        if case.backbone != "small_vgg":
            tail += class_rows(case.backbone, exported)
        tail += size_rows(case.backbone, exported)
    say(f"exporting a random {CHANGING} ...")
    exported = export(CHANGING, birds.scratch / f"serving_{CHANGING}", (375, 500), 4)
    tail += class_rows(CHANGING, exported) + size_rows(CHANGING, exported)
    notes = [
        f"Random weights, {SEEN} seen and {UNSEEN} unseen classes, {ATTRIBUTES} attributes; JPEG files of 64 x 64 pixels for "
        "small_vgg and of 500 x 375 for the others. Sides take turns in one process; the Session is as `opened` makes it.",
        "predict of files: the same decoder in a `tf.function`, `keras.Model.predict_on_batch`, softmax and the five best by "
        "NumPy. predict of pixels: `predict_on_batch` of what is decoded already, as the signature `logits` takes it.",
        "one function: decoder, Keras model and the best classes traced together, without `predict`.",
        f"First request: after the bundle's warm-up records in {PROCESSES} fresh processes, with one image that is not among "
        "them; against the median of the later ones. Cold is without the records.",
        "A class more: the computation of `add_classes`; opening the bundle with every fingerprint, computing, writing the "
        "next version and comparing the two in a Session; and `niwt add_class` as a process, from its start to its end.",
        "Size: of every file, and of variables/ alone. What lies beside the weights does not grow with them: cards, graph, "
        "warm-up images; the column formula and the rest of the head's last page are among the variables.",
    ]
    return Measurement("Serving", rows + tail, notes)


def request_rows(case: ServingCase, exported: Exported) -> list[Comparison]:
    """Return the rows of requests against Keras."""
    rows = []
    with opened(exported.folder) as servable:
        for batch in BATCHES:
            what = f"{case.backbone}, batch {batch}"
            seconds = interleaved(sides(exported, servable, batch), case.repetitions(batch), warm_ups=3, what=what)
            for name, plain, goal in _AGAINST:
                second = Series(_LABELS[plain], seconds[plain])
                rows.append(Comparison(f"{what}: {name}", Series(name, seconds[name]), second, goal))
    return rows


def first_rows(name: str, exported: Exported) -> list[Comparison]:
    """Return the rows of the first request of each signature."""
    rows = []
    for kind, goal in (("warm", FIRST), ("cold", None)):
        say(f"{PROCESSES} fresh processes with {name}, {kind} ...")
        answers = [_first_request(exported, kind) for _ in range(PROCESSES if goal else 1)]
        for signature in answers[0]:
            first = Series("first", [answer[signature]["first"] for answer in answers])
            later = Series("later", [statistics.median(answer[signature]["later"]) for answer in answers])
            rows.append(Comparison(f"{name}, {kind}: first {signature}", first, later, goal))
    return rows


def _first_request(exported: Exported, kind: str) -> dict[str, dict[str, float]]:
    command = [sys.executable, "-m", "benchmarks.first_request", str(exported.folder), str(exported.images[-1]), kind]
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace", cwd=ROOT)
    if done.returncode != 0:
        raise RuntimeError(f"The first request failed (status {done.returncode}): {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout))


def class_rows(name: str, exported: Exported) -> list[Comparison]:
    """Return the rows of a class more in the bundle."""
    description = np.random.default_rng(1).uniform(0, 100, ATTRIBUTES).astype(np.float32)
    bundle = Bundle.open(exported.folder)
    computing, writing = [], []
    for number in range(VERSIONS):
        begun = time.perf_counter()
        bundle = Bundle.open(bundle.folder)
        change = add_classes(bundle, [DescribedClass(f"new {number}", Description(description))])
        bundle = Bundle.open(write_change(bundle, change), check=False)
        writing.append(time.perf_counter() - begun)
        computing.append(change.milliseconds / 1000)
    process = [added(exported, description, number) for number in range(VERSIONS)]
    return [
        Comparison(f"{name}: a class more, computation", Series("add_classes", computing), goal=COMPUTATION),
        Comparison(f"{name}: a class more, written and compared", Series("write_change", writing), goal=WHOLE),
        Comparison(f"{name}: niwt add_class", Series("process", process), goal=WHOLE),
    ]


def added(exported: Exported, description: np.ndarray, number: int) -> float:
    """Return the seconds of `niwt add_class` as a user calls it."""
    names = Bundle.open(exported.folder, check=False).attribute_names
    file = exported.folder.parent / "description.json"
    file.write_text(json.dumps(dict(zip(names, description.tolist(), strict=True))))
    command = [sys.executable, "-m", "niwt_tf", "add_class", f"--bundle={exported.folder}", f"--name=also new {number}"]
    begun = time.perf_counter()
    subprocess.run([*command, f"--attributes={file}"], check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - begun


def size_rows(name: str, exported: Exported) -> list[Comparison]:
    """Return the rows of the bundle's size against the weights'."""
    weights = Series("weights", [exported.weight_bytes / 1e6], "MB")
    parts = (("variables", exported.bytes_in("variables")), ("whole bundle", exported.bytes_in()))
    return [Comparison(f"{name}: {what}", Series(what, [size / 1e6], "MB"), weights) for what, size in parts]
