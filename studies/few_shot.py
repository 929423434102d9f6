"""Accuracy on unseen classes once 0, 1, 2, 5, 10 or 20 photographs of each are there, by several ways to use them.

    python studies/few_shot.py [--seeds=0,1,2] [--draws=3] [--scratch] [--runs=runs/few_shot] [-- flags of niwt run]

Every seed is a `niwt run --until=transfer` with a split of its own (one that is up to date is not repeated); what follows
`--` goes to it, by default flags/birds.flags on birds that are rendered first. Of each unseen class up to 20 test images may be
given; all others are scored, the same ones whatever the number given, and nothing is chosen on any of them. The ways:

    refined       the zero-shot column updated as `niwt refine_class` does
    images alone  the same column without a prior (kappa = 0), with the same scale and bias
    logistic      scikit-learn's logistic regression on the same frozen features; for H it is also given 2,048 training images
    scratch       small_vgg trained from random weights on the same images alone (--scratch; one draw a seed)

H is the harmonic mean of seen and unseen accuracy among all classes, "unseen" the accuracy among the unseen classes alone.
Printed are means over the draws and seeds, with the 95 % interval over the seeds (Student's t) where there are several.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from niwt_tf.data.schema import Images
from niwt_tf.methods.few_shot import FewShotPrior
from niwt_tf.metrics.gzsl import class_normalised_accuracy, evaluate_scores
from studies.seeds import interval

COUNTS = (0, 1, 2, 5, 10, 20)
WAYS = ("refined", "images alone", "logistic", "scratch")
_SCRATCH_STEPS = 400


@dataclass(frozen=True)
class SeedFeatures:
    """One seed's network, and the features of all images that are looked at.

    Attributes:
        columns: [D, C], zero-shot for the unseen classes, with `biases` [C].
        num_seen: S.
        calibration: taken off the seen logits.
        prior: refines columns.
        training: [M, D] of seen training images with `training_labels` [M].
        test: [T, D] of the test images.
        images: those T images.
        input_size: in pixels.
    """

    columns: np.ndarray
    biases: np.ndarray
    num_seen: int
    calibration: float
    prior: FewShotPrior
    training: np.ndarray
    training_labels: np.ndarray
    test: np.ndarray
    images: Images
    input_size: int


def seed_features_of(run: Path) -> SeedFeatures:
    """Read a finished run."""
    from benchmarks.birds_run import BirdsRun
    from niwt_tf.compute.features import Reader
    from niwt_tf.data.folds import main_partition
    from niwt_tf.data.sampling import statistics_sample
    from niwt_tf.data.schema import seen_data, test_data

    birds = BirdsRun(run, run)
    network, settings = birds.network(), birds.settings
    sample = statistics_sample(settings, main_partition(seen_data(birds.dataset), settings.seed))
    images, reader = test_data(birds.dataset).images, Reader(network)
    with np.load(run / "transfer" / "few_shot.npz", allow_pickle=False) as file:
        prior = FewShotPrior.from_arrays(dict(file))
    return SeedFeatures(
        network.columns,
        network.biases,
        network.num_seen,
        network.calibration,
        prior,
        reader.features(sample),
        sample.labels,
        reader.features(images),
        images,
        network.input_size,
    )


def draw_of(
    seed_features: SeedFeatures, generator: np.random.Generator, scratch: bool
) -> dict[tuple[str, int], tuple[float, float]]:
    """Return H and the accuracy among unseen classes by way and count, for images that are drawn anew."""
    seen, labels = seed_features.num_seen, seed_features.images.labels
    classes = range(seen, seed_features.columns.shape[1])
    given = [generator.permutation(np.flatnonzero(labels == label))[: max(COUNTS)] for label in classes]
    scored = np.setdiff1d(np.arange(len(labels)), np.concatenate(given))
    found: dict[tuple[str, int], tuple[float, float]] = {}

    def score(way: str, count: int, unseen_scores: np.ndarray, seen_scores: np.ndarray | None) -> None:
        if seen_scores is None:
            of_unseen = labels[scored] >= seen
            hits = unseen_scores[of_unseen].argmax(axis=1)
            accuracy = class_normalised_accuracy(labels[scored][of_unseen] - seen, hits, len(given))
            found[way, count] = found[way, count][0] if (way, count) in found else float("nan"), accuracy
            return
        # Probabilities of a regression are calibrated by themselves.
        constant = 0.0 if way == "logistic" else seed_features.calibration
        scores = np.concatenate([seen_scores, unseen_scores], axis=1)
        result = evaluate_scores(scores, labels[scored], seen, constant)
        found[way, count] = result.harmonic_mean, result.acc_zsl

    logits = seed_features.test[scored] @ seed_features.columns + seed_features.biases
    score("refined", 0, logits[:, seen:], logits[:, :seen])
    for count in COUNTS[1:]:
        few = [chosen[:count] for chosen in given]
        for way in WAYS[:2]:
            columns, biases = refined_columns(seed_features, few, alone=way == "images alone")
            score(way, count, seed_features.test[scored] @ columns + biases, logits[:, :seen])
        everything = np.concatenate(few)
        among_all = logistic(
            np.concatenate([seed_features.training, seed_features.test[everything]]),
            np.concatenate([seed_features.training_labels, labels[everything]]),
            seed_features.test[scored],
        )
        score("logistic", count, among_all[:, seen:], among_all[:, :seen])
        score("logistic", count, logistic(seed_features.test[everything], labels[everything], seed_features.test[scored]), None)
        if scratch:
            score("scratch", count, from_scratch(seed_features, everything, scored), None)
    return found


def refined_columns(seed_features: SeedFeatures, few: list[np.ndarray], alone: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return columns [D, U] and biases [U] after the images `few` of each unseen class."""
    made = []
    for label, chosen in enumerate(few, start=seed_features.num_seen):
        column, bias = seed_features.columns[:, label], float(seed_features.biases[label])
        result = seed_features.prior.refine(column, bias, seed_features.test[chosen])
        if alone:
            # The bias falls as with the prior: that is no matter of what the column is made of.
            lowered = seed_features.prior.surplus * float(seed_features.prior.share(len(chosen)))
            unweighted = replace(seed_features.prior, weight=1e-6, surplus=0.0).refine(column, bias, seed_features.test[chosen])
            result = replace(unweighted, bias=unweighted.bias - lowered)
        made.append((result.column, result.bias))
    return np.stack([column for column, _ in made], axis=1), np.array([bias for _, bias in made])


def logistic(features: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return log-probabilities [T, C] of `asked` [T, D] by a regression on features [M, D] in which classes weigh alike."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LogisticRegression(max_iter=200, class_weight="balanced").fit(scaler.transform(features), labels)
    return np.asarray(fitted.predict_log_proba(scaler.transform(asked)))


def from_scratch(seed_features: SeedFeatures, given: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """Return logits [T, U] of the scored images by small_vgg trained on the given ones alone."""
    from niwt_tf.compute.features import Reader
    from niwt_tf.models.backbones import build_network
    from niwt_tf.training.trainer import train_seen

    unseen = np.arange(seed_features.num_seen, seed_features.columns.shape[1])
    images = seed_features.images.take(given).of_classes(unseen)
    network = build_network("small_vgg", images.class_names, input_size=seed_features.input_size, seed=0)
    epochs = max(_SCRATCH_STEPS // -(-len(images) // 32), 1)
    train_seen(network, images, None, from_scratch=True, epochs=epochs, patience=epochs)
    return Reader(network).logits(seed_features.images.take(scored))


def tables(results: list[dict[tuple[str, int], tuple[float, float]]]) -> str:
    """Return both tables of one dictionary a seed, means over its draws."""
    lines = []
    for index, title in enumerate(("H, all classes", "accuracy, unseen classes alone")):
        lines += [f"| {title} | {' | '.join(f'{count} images' for count in COUNTS)} |", "|---" * (len(COUNTS) + 1) + "|"]
        for way in WAYS:
            cells = []
            for count in COUNTS:
                values = [result[way, count][index] for result in results if (way, count) in result]
                cells.append(interval(values) if values and not np.isnan(values).any() else "")
            if any(cells):
                lines.append(f"| {way} | {' | '.join(cells)} |")
        pairs = [[result["refined", n][index] - result["images alone", n][index] for result in results] for n in COUNTS[1:]]
        lines += [f"| refined - images alone |  | {' | '.join(interval(pair) for pair in pairs)} |", ""]
    return "\n".join(lines)


def mean_of(draws: list[dict[tuple[str, int], tuple[float, float]]]) -> dict[tuple[str, int], tuple[float, float]]:
    """Return the means over those draws that have a value."""
    keys = dict.fromkeys(key for draw in draws for key in draw)
    means = {key: np.mean([draw[key] for draw in draws if key in draw], axis=0) for key in keys}
    return {key: (float(h), float(unseen)) for key, (h, unseen) in means.items()}


def main() -> None:
    """Parse the command line, make the runs, print the tables and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/few_shot"))
    parser.add_argument("--scratch", action="store_true")
    parser.add_argument("flags", nargs="*")
    arguments = parser.parse_args()
    flags, birds = arguments.flags, arguments.runs / "birds"
    if not flags:
        subprocess.run([sys.executable, "-m", "niwt_tf", "render", f"--data_dir={birds}"], check=True, cwd=ROOT)
        flags = [f"--flagfile={ROOT / 'flags' / 'birds.flags'}", f"--data_dir={birds}"]
    results = []
    for seed in (int(text) for text in arguments.seeds.split(",")):
        run = arguments.runs / f"seed_{seed}"
        made = [f"--run_dir={run}", f"--seed={seed}", "--until=transfer", "--noprogress", *flags]
        subprocess.run([sys.executable, "-m", "niwt_tf", "run", *made], check=True, stdout=subprocess.DEVNULL)
        seed_features = seed_features_of(run)
        generator = np.random.default_rng(seed)
        draws = [draw_of(seed_features, generator, arguments.scratch and draw == 0) for draw in range(arguments.draws)]
        results.append(mean_of(draws))
        weight = seed_features.prior.weight
        print(f"seed {seed}: a description weighs as much as {weight:g} images", file=sys.stderr)
    text = tables(results)
    print(text)
    plain = [{f"{way}, {count}": values for (way, count), values in result.items()} for result in results]
    (arguments.runs / "few_shot.json").write_text(json.dumps(plain, indent=2) + "\n")


if __name__ == "__main__":
    main()
