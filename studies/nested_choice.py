"""How far what is chosen on validation classes can be trusted: NIWT and the nearest class mean, each choosing inside a fold.

    python studies/nested_choice.py --runs=runs/animals_seeds [--choosing=3,9] [--json=nested.json]

Each run below --runs must have its stages train and importance. A fold's validation classes play the unseen classes here, and
each method chooses for itself on groups of the fold's other classes, which play the validation classes: disjoint groups first,
then those of further permutations. So the whole procedure, choice included, is scored without a test image. The fold's network
and mean operator know the images of the classes that are chosen on, for both methods alike (of a frozen backbone: the operator
alone). NIWT chooses among heads, map's penalties and layers with lambda fixed, the class mean among all its candidates. Printed
are means over the runs and the paired difference with its 95 % interval over the runs (Student's t); runs share classes, so the
interval describes more than it proves.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from niwt_tf.config.settings import Settings
from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.baselines.class_mean import METHOD
from niwt_tf.methods.baselines.linear import Sample
from niwt_tf.methods.niwt.measuring import candidate_heads
from niwt_tf.methods.niwt.transfer_closed_form import Blocks, ClosedForm
from niwt_tf.methods.seen_heads import RidgeMoments
from niwt_tf.metrics.calibration import choose_calibration, harmonic_means, logit_statistics, match_logits, seen_margin
from niwt_tf.metrics.gzsl import CalibrationCurve, calibration_curve
from niwt_tf.metrics.ranks import unit
from niwt_tf.runs.run import RunDirectory
from studies.seeds import interval
from studies.trials import FoldProblem, problems_of, ridge_map

_LAMBDA = 0.1
_MAP_PENALTIES = (0.1, 0.3, 1.0)
_STRENGTHS = {"head_regularization": (10.0, 30.0, 100.0), "lda_shrinkage": (10.0, 100.0, 1000.0)}
# A candidate by what distinguishes it, and its curve and `seen_margin` on one problem.
Curves = dict[tuple[object, ...], tuple[CalibrationCurve, float]]
Solutions = Sequence[tuple[np.ndarray, Blocks, ClosedForm]]


def solutions_of(problem: FoldProblem) -> Solutions:
    """Return Eq. 3's solution for the run's layer alone and beside the features, which a fold's inner problems share."""
    both = np.concatenate([problem.operator, np.eye(problem.operator.shape[1])])
    alone, beside = Blocks.single(len(problem.operator)), Blocks((len(problem.operator), problem.operator.shape[1]), (1.0, 1.0))
    return [(each, blocks, ClosedForm(each, blocks)) for each, blocks in ((problem.operator, alone), (both, beside))]


def inner_problems(problem: FoldProblem, count: int, generator: np.random.Generator) -> Iterator[FoldProblem]:
    """Yield a fold's problem without its validation classes: as large a share of the others takes their place."""
    num_seen = len(problem.seen)
    size = max(round(num_seen * len(problem.new) / (num_seen + len(problem.new))), 2)
    permutations = (generator.permutation(num_seen) for _ in itertools.count())
    groups = (order[start : start + size] for order in permutations for start in range(0, num_seen - size + 1, size))
    for group in itertools.islice(groups, count):
        kept = np.setdiff1d(np.arange(num_seen), group)
        place = np.empty(num_seen, np.int64)
        place[np.concatenate([kept, group])] = np.arange(num_seen)
        new = np.isin(problem.labels, group)
        held = np.isin(problem.held_labels, kept)
        yield replace(
            problem,
            features=problem.features[~new],
            labels=place[problem.labels[~new]],
            held_out=problem.held_out[held],
            held_labels=place[problem.held_labels[held]],
            evaluated=np.concatenate([problem.held_out[held], problem.features[new]]),
            evaluated_labels=place[np.concatenate([problem.held_labels[held], problem.labels[new]])],
            seen=problem.seen[kept],
            new=problem.seen[group],
        )


def measured(problem: FoldProblem, logits: np.ndarray) -> tuple[CalibrationCurve, float]:
    """Return the calibration curve of logits [E, S + U] and the unit that its constants are in."""
    num_seen, labels = len(problem.seen), problem.evaluated_labels
    kept = labels < num_seen
    return calibration_curve(logits, labels, num_seen), seen_margin(logits[kept, :num_seen], labels[kept])


def niwt_curves(settings: Settings, problem: FoldProblem, solutions: Solutions) -> Curves:
    """Return what every head, map's penalty and set of layers gives."""
    moments = RidgeMoments(problem.features.shape[1], np.bincount(problem.labels, minlength=len(problem.seen)))
    moments.add(problem.features, problem.labels)
    asked = settings.replace(seen_head=("ridge", "lda"), **_STRENGTHS)
    found: Curves = {}
    for head in candidate_heads(asked, problem.trained, moments, problem.held_out, problem.held_labels):
        for layers, (operator, blocks, solution) in enumerate(solutions):
            observed = (operator @ head.columns).T
            observed = observed if head.form is not None else blocks.unit(observed)
            for penalty in _MAP_PENALTIES:
                predicted = ridge_map(penalty)(problem.seen, observed)(problem.new)
                columns = solution.columns(predicted, head.columns, _LAMBDA, keep_lengths=head.form is not None)
                if head.form is not None:
                    biases = head.form.biases(columns)
                else:
                    statistics = logit_statistics(problem.features, problem.labels, head.columns, head.biases)
                    columns, biases = match_logits(columns, problem.features, statistics)
                parts = problem.evaluated @ head.columns + head.biases, problem.evaluated @ columns + biases
                found[head.kind, head.regularization, layers, penalty] = measured(problem, np.concatenate(parts, axis=1))
    return found


def class_mean_curves(problem: FoldProblem) -> Curves:
    """Return what every candidate of the nearest class mean gives."""
    found: Curves = {}
    for kind, how in itertools.product(METHOD.features, METHOD.descriptions):
        sample, asked = (unit(rows) if kind == "unit" else rows for rows in (problem.features, problem.evaluated))
        normaliser = DescriptionNormaliser.fit(problem.seen, how)
        seen, new = normaliser(problem.seen), normaliser(problem.new)
        for candidate, fitted in METHOD.path(Sample(sample, problem.labels), seen, METHOD.grid):
            heads = fitted.seen_columns(seen), fitted.columns(new)
            logits = np.concatenate([asked @ columns + biases for columns, biases in heads], axis=1)
            found[kind, how, *candidate.values()] = measured(problem, logits)
    return found


def reached(inner: Sequence[Curves], outer: Curves) -> tuple[float, float]:
    """Return H and AUSUC on the outer problem of the candidate and calibration that are best over the inner ones."""
    chosen = {key: choose_calibration(*zip(*(each[key] for each in inner), strict=True)) for key in outer}
    best = max(chosen, key=lambda key: chosen[key][1])
    curve, unit = outer[best]
    return float(harmonic_means(curve, np.array([chosen[best][0] * unit]))[0]), curve.area


def nested(run_dir: Path, choosing: Sequence[int]) -> dict[str, dict[int, tuple[float, float]]]:
    """Return H and AUSUC, means over the folds of a run, by method and by how many inner problems chose."""
    settings = RunDirectory(run_dir).reading().settings
    found: dict[str, dict[int, list[tuple[float, float]]]]
    found = {name: {count: [] for count in choosing} for name in ("niwt", "class_mean")}
    for index, problem in enumerate(problems_of(run_dir)):
        solutions = solutions_of(problem)
        inner = list(inner_problems(problem, max(choosing), np.random.default_rng([settings.seed, index])))
        curves = {
            "niwt": [niwt_curves(settings, each, solutions) for each in (*inner, problem)],
            "class_mean": [class_mean_curves(each) for each in (*inner, problem)],
        }
        for name, (*chosen_on, outer) in curves.items():
            for count in choosing:
                found[name][count].append(reached(chosen_on[:count], outer))
    return {name: {n: tuple(np.mean(v, axis=0).tolist()) for n, v in counts.items()} for name, counts in found.items()}


def table(found: Sequence[dict[str, dict[int, tuple[float, float]]]], choosing: Sequence[int]) -> str:
    """Return Markdown, a row a method and number of inner problems; `found` has a value a run."""
    lines = [f"| {len(found)} runs | chosen on | H | niwt - it | AUSUC | niwt - it |", "|---|---|---|---|---|---|"]
    for count in choosing:
        for name in found[0]:
            cells = []
            for k in range(2):
                apart = [each["niwt"][count][k] - each[name][count][k] for each in found]
                cells += [f"{np.mean([each[name][count][k] for each in found]):.3f}", "" if name == "niwt" else interval(apart)]
            lines.append(f"| {name} | {count} groups of classes | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, choose inside every fold of every run, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--choosing", default="3,9")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    choosing = [int(each) for each in arguments.choosing.split(",")]
    folders = sorted(path.parent for path in arguments.runs.glob("*/config.json"))
    if not folders:
        sys.exit(f"--runs must hold finished runs. Received: {str(arguments.runs)!r}, without one.")
    found = []
    for folder in folders:
        print(folder, file=sys.stderr)
        found.append(nested(folder, choosing))
    print(table(found, choosing))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
