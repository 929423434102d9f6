"""What was tried to raise NIWT's accuracy, on validation classes alone: a table of every trial over finished runs.

    python studies/trials.py --runs=runs/birds_seeds [--json=trials.json]

Each run below --runs must have its stages train and importance (`niwt run --until=importance`). Every fold of validation
classes is one small problem; no test image is opened. A row is one variation of Stages 1 to 3 with its penalties fixed, so that
rows differ in what their name says. H is at the calibration that the run's own folds choose, ZSL among the validation classes
alone; printed are means over the runs, and the difference of H to the first row with its 95 % interval over the runs
(Student's t). What helped is in the package, the rest only here.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from niwt_tf.compute.execution import Execution
from niwt_tf.compute.feature_cache import RowCache
from niwt_tf.compute.features import readers_of
from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.data.folds import Fold
from niwt_tf.data.load import load_dataset
from niwt_tf.data.schema import seen_data
from niwt_tf.methods.niwt.files import load_operators
from niwt_tf.methods.niwt.mapping import fit_ridge_map
from niwt_tf.methods.niwt.measuring import candidate_heads
from niwt_tf.methods.niwt.transfer_closed_form import Blocks, ClosedForm
from niwt_tf.methods.seen_heads import RidgeMoments, SeenHead
from niwt_tf.metrics.calibration import choose_calibration, logit_statistics, match_logits, seen_margin
from niwt_tf.metrics.gzsl import calibration_curve
from niwt_tf.metrics.ranks import unit
from niwt_tf.protocol.seen_networks import load_networks, partitions_of
from niwt_tf.runs.run import RunDirectory
from studies.seeds import interval

_LAMBDA, _PENALTY = 0.1, 0.1
_PROBLEM = ("split", "unseen", "num_unseen", "knowledge", "text_features", "seed", "missing_images")
Predict = Callable[[np.ndarray], np.ndarray]
FitMap = Callable[[np.ndarray, np.ndarray], Predict]


@dataclass(frozen=True, eq=False)
class FoldProblem:
    """One fold of validation classes.

    Attributes:
        features: [M, D] of training images with `labels` [M]; `held_out` [V, D] of the same classes with `held_labels` [V].
        evaluated: [E, D] with `evaluated_labels` [E], the fold's seen classes first.
        seen: [S, K] raw descriptions, and `new` [U, K] of the validation classes.
        operator: J, [N, D].
        trained: the network's own columns and biases.
    """

    features: np.ndarray
    labels: np.ndarray
    held_out: np.ndarray
    held_labels: np.ndarray
    evaluated: np.ndarray
    evaluated_labels: np.ndarray
    seen: np.ndarray
    new: np.ndarray
    operator: np.ndarray
    trained: SeenHead


def problems_of(run_dir: Path) -> list[FoldProblem]:
    """Return the folds of a finished run."""
    run = RunDirectory(run_dir).reading()
    settings = run.settings
    taken = {name: getattr(settings, name) for name in _PROBLEM}
    dataset = load_dataset(settings.dataset, settings.data_folder, max_bad_images=None, **taken)
    partitions = partitions_of(settings, seen_data(dataset), len(dataset.split.unseen))
    networks, operators = load_networks(run_dir / "train", settings, partitions), load_operators(run_dir / "importance")
    readers = readers_of(settings, networks, Execution(cache=RowCache(run_dir / ".cache", 4 << 30, settings.cache_dtype)))
    found = []
    for fold in partitions:
        if not isinstance(fold, Fold):
            continue
        reader, network = readers[fold.name].features, networks[fold.name]
        parts = [(np.array(reader(images)), images.labels) for images in (fold.training.images, fold.held_out, fold.evaluation)]
        flat = [each for part in parts for each in part]
        trained = SeenHead(0.0, network.columns, network.biases, "softmax")
        own_layer = operators[fold.name][: network.num_neurons].astype(np.float64)
        known = fold.training.descriptions.values, fold.validation_descriptions.values, own_layer
        found.append(FoldProblem(*flat, *known, trained))
    return found


@functools.lru_cache(maxsize=64)
def head_of(settings: object, problem: FoldProblem, kind: str, strength: float) -> SeenHead:
    """Return a seen head as `niwt importance` makes it."""
    moments = RidgeMoments(problem.features.shape[1], np.bincount(problem.labels, minlength=len(problem.seen)))
    moments.add(problem.features, problem.labels)
    asked = settings.replace(seen_head=(kind,), head_regularization=(strength,), lda_shrinkage=(strength,))
    return candidate_heads(asked, problem.trained, moments, problem.held_out, problem.held_labels)[0]


def ridge_map(penalty: float = _PENALTY, how: str = "centred") -> FitMap:
    """Return the linear map of the package with one penalty."""
    return lambda k, a: fit_ridge_map(k, a, regularizations=(penalty,), normalisation=how).predict


def kernel_map(gamma: float, penalty: float) -> FitMap:
    """Return kernel ridge regression with a radial kernel of centred descriptions."""

    def fit(known: np.ndarray, importances: np.ndarray) -> Predict:
        normalise = DescriptionNormaliser.fit(known, "centred")
        x, mean = normalise(known.astype(np.float64)), importances.mean(axis=0)

        def kernel(a: np.ndarray) -> np.ndarray:
            return np.exp(-gamma * ((a[:, None] - x) ** 2).sum(axis=2))

        gram = kernel(x)
        dual = np.linalg.solve(gram + penalty * np.trace(gram) / len(x) * np.eye(len(x)), importances - mean)
        return lambda asked: kernel(normalise(asked.astype(np.float64))) @ dual + mean

    return fit


def logits_of(
    settings: object,
    problem: FoldProblem,
    *,
    kind: str = "ridge",
    strength: float = 10.0,
    fit_map: FitMap | None = None,
    layers: tuple[float, float] = (1.0, 0.0),
    weighting: float = 0.0,
    same_length: bool = False,
) -> np.ndarray:
    """Return logits [E, S + U] of the evaluated images.

    Args:
        settings: of the run.
        problem: the fold.
        kind: of the seen head.
        strength: its penalty or shrinkage.
        fit_map: Stage 2, by default the package's.
        layers: weights of the run's layer and of the features themselves, the last fully connected layer.
        weighting: power of each neuron's correlation between predicted and observed importance, classes left out in turn.
        same_length: whether all columns are brought to the length of the mean seen one.
    """
    head = head_of(settings, problem, kind, strength)
    operator, sizes = problem.operator, (len(problem.operator),)
    if layers[1]:
        operator, sizes = np.concatenate([operator, np.eye(operator.shape[1])]), (*sizes, operator.shape[1])
    blocks = Blocks(sizes, layers[: len(sizes)])
    observed = (operator @ head.columns).T
    observed = observed if head.form is not None else blocks.unit(observed)
    predicted = (fit_map or ridge_map())(problem.seen, observed)(problem.new)
    if weighting:
        weights = _reliability(problem.seen, observed) ** weighting
        operator, predicted = operator * weights[:, None], predicted * weights
    solution = ClosedForm(operator, blocks)
    columns = solution.columns(predicted, head.columns, _LAMBDA, keep_lengths=head.form is not None)
    seen_columns = head.columns
    if same_length:
        length = np.linalg.norm(seen_columns, axis=0).mean()
        columns, seen_columns = length * unit(columns.T).T, length * unit(seen_columns.T).T
    if head.form is not None:
        biases = head.form.biases(columns)
    elif same_length:
        biases = np.full(columns.shape[1], head.biases.mean())
    else:
        statistics = logit_statistics(problem.features, problem.labels, head.columns, head.biases)
        columns, biases = match_logits(columns, problem.features, statistics)
    seen, new = problem.evaluated @ seen_columns + head.biases, problem.evaluated @ columns + biases
    return np.concatenate([seen, new], axis=1)


def _reliability(known: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return [N] how well each neuron's importance is predicted for classes that are left out, from 0.02 to 1."""
    predicted = np.stack([
        ridge_map()(np.delete(known, c, axis=0), np.delete(observed, c, axis=0))(known[c : c + 1])[0] for c in range(len(known))
    ])
    a, b = observed - observed.mean(axis=0), predicted - predicted.mean(axis=0)
    return np.maximum((a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0) + 1e-30), 0.02)


def unit_features(problem: FoldProblem) -> FoldProblem:
    """Return the problem on features of length 1, with the operator's derivative at their mean length."""
    features, held_out, evaluated = (unit(each) for each in (problem.features, problem.held_out, problem.evaluated))
    length = np.linalg.norm(problem.features, axis=1).mean()
    inner = np.eye(features.shape[1]) - features.T @ features / len(features)
    operator = problem.operator @ inner / length
    return replace(problem, features=features, held_out=held_out, evaluated=evaluated, operator=operator)


def trials(settings: object) -> dict[str, Callable[[FoldProblem], np.ndarray]]:
    """Return each trial's logits by name, what NIWT did before them first."""

    def of(**options: object) -> Callable[[FoldProblem], np.ndarray]:
        return lambda problem: logits_of(settings, problem, **options)

    rows = {"ridge head, penalty 10, linear map": of()}
    rows |= {f"ridge head, penalty {strength:g}": of(strength=strength) for strength in (3.0, 30.0, 100.0)}
    rows["softmax head, as trained"] = of(kind="softmax")
    rows |= {f"discriminant, shrinkage {each:g}": of(kind="lda", strength=each) for each in (1.0, 10.0, 100.0, 1000.0)}
    for penalty in (0.03, 0.3, 1.0):
        rows[f"map's penalty {penalty:g}"] = of(fit_map=ridge_map(penalty))
        rows[f"discriminant, shrinkage 100, map's penalty {penalty:g}"] = of(
            kind="lda", strength=100.0, fit_map=ridge_map(penalty)
        )
    rows |= {f"descriptions {how}": of(fit_map=ridge_map(how=how)) for how in ("l2", "raw")}
    rows |= {f"radial kernel map, gamma {gamma:g}": of(fit_map=kernel_map(gamma, 0.01)) for gamma in (0.3, 1.0)}
    rows |= {f"neurons weighted, power {power:g}": of(weighting=power) for power in (0.5, 1.0, 2.0)}
    rows["features' layer beside the convolution"] = of(layers=(1.0, 1.0))
    rows["features' layer alone"] = of(layers=(1e-6, 1.0))
    rows["discriminant, shrinkage 100, features' layer beside"] = of(kind="lda", strength=100.0, layers=(1.0, 1.0))
    rows["columns of one length"] = of(same_length=True)
    rows["features of length 1"] = lambda problem: of()(unit_features(problem))
    return rows


def scores(problems: list[FoldProblem], logits: Callable[[FoldProblem], np.ndarray]) -> tuple[float, float, float]:
    """Return H, ZSL and AUSUC over the folds of one run."""
    curves, units = [], []
    for problem in problems:
        found, num_seen = logits(problem), len(problem.seen)
        curves.append(calibration_curve(found, problem.evaluated_labels, num_seen))
        kept = problem.evaluated_labels < num_seen
        units.append(seen_margin(found[kept, :num_seen], problem.evaluated_labels[kept]))
    _, harmonic = choose_calibration(curves, units)
    return harmonic, float(np.mean([c.acc_unseen[-1] for c in curves])), float(np.mean([c.area for c in curves]))


def table(found: dict[str, list[tuple[float, float, float]]]) -> str:
    """Return the trials as Markdown; `found` has a value a run."""
    first = next(iter(found.values()))
    lines = [f"| trial ({len(first)} runs, validation classes) | H | difference | ZSL | AUSUC |", "|---|---|---|---|---|"]
    for name, values in found.items():
        means = [f"{np.mean([value[k] for value in values]):.3f}" for k in range(3)]
        apart = [value[0] - base[0] for value, base in zip(values, first, strict=True)]
        lines.append(f"| {name} | {means[0]} | {'' if values is first else interval(apart)} | {means[1]} | {means[2]} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, try everything on every run, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    folders = sorted(path.parent for path in arguments.runs.glob("*/config.json"))
    found: dict[str, list[tuple[float, float, float]]] = {}
    for folder in folders:
        print(f"{folder}", file=sys.stderr)
        settings, problems = RunDirectory(folder).reading().settings, problems_of(folder)
        for name, logits in trials(settings).items():
            found.setdefault(name, []).append(scores(problems, logits))
    if not found:
        sys.exit(f"--runs must hold finished runs. Received: {str(arguments.runs)!r}, without one.")
    print(table(found))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
