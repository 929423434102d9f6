"""`niwt baseline`: other methods on the run's own networks and features, under the same protocol."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from absl import flags

from niwt_tf.compute.features import Reader, readers_of
from niwt_tf.config.names import compared_methods, has_texts, title_of
from niwt_tf.data.folds import Fold
from niwt_tf.errors import InputError, OtherFlagsError
from niwt_tf.experiments.comparison.oracle import ORACLE, score_oracle
from niwt_tf.files import fingerprint, read_json, write_json
from niwt_tf.jobs.app import run_from_flags
from niwt_tf.jobs.run_data import RunData, load_run_data, texts_of
from niwt_tf.methods.base import Method
from niwt_tf.methods.registry import method_of
from niwt_tf.methods.task import Task, tasks_of
from niwt_tf.methods.token_table import encoder_of
from niwt_tf.protocol.scoring import metrics_of, save_scores, score_task
from niwt_tf.protocol.seen_networks import load_networks
from niwt_tf.protocol.selection import choose, plain, select
from niwt_tf.runs.fingerprints import method_package
from niwt_tf.runs.run import Run
from niwt_tf.runs.stage import Stage

_LOG = logging.getLogger("niwt_tf.jobs")
# What a method is fitted on: what the head is applied to, or the mean of the conv map that NIWT reads.
SOURCES = {"head": Reader.features, "map": Reader.pooled_maps}
SETTINGS_USED = ("precision", "jit", "cache_dtype", "seed")
_SHOWN = ("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ausuc", "validation_harmonic_mean")


def stage(run: Run, data: RunData, methods: Sequence[str], source: str = "head") -> None:
    """Choose on the folds, fit on the seen classes, score on the test images: a stage `baseline_<method>` for each method.

    Args:
        run: the locked run directory, with its stage `train`.
        data: images and descriptions.
        methods: names of `niwt_tf.config.names`.
        source: a key of `SOURCES`.

    Raises:
        InputError: there are too few seen classes to hold any out, so nothing can be chosen.
    """
    missing = [each for name in methods if not (each := _stage_of(run, data, name, source)).up_to_date]
    if not missing:
        return
    if not any(isinstance(partition, Fold) for partition in data.partitions):
        count = len(data.partitions[0].classes)
        raise InputError(f"A baseline needs enough seen classes to leave some out and keep 4. Received: {count} seen classes.")
    networks = load_networks(run.folder("train"), run.settings, data.partitions)
    readers = readers_of(run.settings, networks, data.execution)
    tasks = tasks_of(run.settings, data.partitions, networks, readers, SOURCES[source])
    for each in missing:
        _write(run, data, each, source, tasks)


def _stage_of(run: Run, data: RunData, name: str, source: str) -> Stage:
    method = _method_of(name)
    of_stages = (name for each in method.stages for name in each.settings)
    used = tuple(dict.fromkeys((*SETTINGS_USED, *method.settings, *of_stages)))
    extra: dict[str, Any] = {"baseline_features": source, **method.identity, **method_package(name)}
    if method.reads_texts:
        extra["texts"] = fingerprint(texts_of(data.seen, data.unseen))
    return run.stage(f"baseline_{name}", settings_used=used, inputs=["train"], extra=extra)


def _method_of(name: str) -> Method:
    return ORACLE if name == ORACLE.name else method_of(name)


def _write(run: Run, data: RunData, stage: Stage, source: str, tasks: Sequence[Task]) -> None:
    name, settings = stage.name.removeprefix("baseline_"), run.settings
    with stage.writing() as folder:
        temperature, used = 1.0, []
        if name == ORACLE.name:
            chosen, trials = select(settings, ORACLE, tasks, progress=data.execution.progress)
            scored = score_oracle(tasks[0], chosen, len(data.unseen), data.test())
            used = ["trained on images of unseen classes"]
        else:
            method = method_of(name)
            method.prepare(settings, tasks)
            found = choose(settings, method, tasks, progress=data.execution.progress)
            chosen, trials, temperature = found.trial, list(found.trials), found.probabilities.temperature
            scored = score_task(tasks[0], found, data.unseen, data.test())
        others = {"validation_harmonic_mean": chosen.harmonic_mean, "validation_acc_zsl": chosen.acc_zsl, "seed": settings.seed}
        metrics = metrics_of(scored, tasks[0].num_seen, others, temperature)
        mark = run.scored_test_images(stage.name, stage.choices, used)
        write_json(folder / "metrics.json", {**metrics, **mark, "method": name, "features": source, "uses_test_labels": used})
        write_json(folder / "chosen.json", {"chosen": plain(chosen), "trials": [plain(trial) for trial in trials]})
        save_scores(folder / "scores.npz", scored)
        stage.record(metrics={key: value for key, value in metrics.items() if value is not None})


def _check_source(run: Run, methods: Sequence[str], source: str, overwrite: bool) -> None:
    """Refuse to replace figures by those of other features: of two looks at test images the better one could be kept.

    A method with stages of its own reads what it reads.
    """
    staged = next((name for name in methods if _method_of(name).stages), None)
    if staged is not None and source != "head":
        raise InputError(f"--baseline_features must be head for --methods={staged}. Received: {source!r}.")
    for name in () if overwrite else methods:
        try:
            made = read_json(run.path / f"baseline_{name}" / "metrics.json")["features"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if made != source:
            raise InputError(
                f"--baseline_features must be {made}, as {name} was scored in {run.path}; with --overwrite its figures are "
                f"replaced, and are optimistic from then on. Received: {source!r}."
            )


def asked_methods(names: Sequence[str]) -> tuple[str, ...]:
    """Return the methods that --methods names, in the order of the tables; all are those that need no stage of their own."""
    return tuple(name for name in compared_methods() if name in names or ("all" in names and not _method_of(name).stages))


def _readable(run: Run, data: RunData, methods: Sequence[str], named: Sequence[str]) -> tuple[str, ...]:
    """Return the methods without those that read texts and find none, which is said, unless they are among the `named`."""
    reading = [name for name in methods if _method_of(name).reads_texts and name not in named]
    why = ""
    if reading and not has_texts(run.settings.knowledge):
        why = f"no part of --knowledge={run.settings.knowledge} is a text."
    elif reading:
        try:
            encoder_of(run.settings, data.seen.descriptions)
        except InputError as error:
            why = str(error)
    if why:
        _LOG.info("%s need texts and are left out: %s", ", ".join(map(title_of, reading)), why)
    return tuple(name for name in methods if not why or name not in reading)


def comparison(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of several methods' figures in percent, a method a row; an optimistic row is called so."""
    titles = [name.removeprefix("acc_").replace("validation_harmonic_mean", "validation") for name in _SHOWN]
    lines = [" ".join([f"{'':<14}", *(f"{title:>14}" for title in titles)])]
    for method, figures in columns.items():
        values = [figures.get(name) for name in _SHOWN]
        cells = [f"{'n/a':>14}" if value is None else f"{100 * value:13.1f}%" for value in values]
        lines.append(" ".join([f"{method:<14}", *cells]) + "  optimistic" * bool(figures.get("optimistic")))
    return "\n".join(lines)


def main() -> None:
    """Do the stages in the run that --run_dir names and print the comparison."""
    named, source = flags.FLAGS.methods, flags.FLAGS.baseline_features
    methods = asked_methods(named)
    with ExitStack() as stack:
        run = _entered(stack)
        _check_source(run, methods, source, flags.FLAGS.overwrite)
        data = load_run_data(run, ["train"])
        methods = _readable(run, data, methods, named)
        stage(run, data, methods, source)
        if not run.team.is_chief:
            return
        rows = {title_of(name): _marked(run, f"baseline_{name}") for name in methods}
        if (run.path / "metrics.json").exists():
            own = title_of(run.settings.method)
            rows = {f"{own} (this run)" if own in rows else own: _marked(run, "evaluate"), **rows}
        print(comparison(rows))
        for title, row in rows.items():
            if row["optimistic"]:
                print(f"{title} is optimistic: {'; '.join(row['optimistic'])}.")


def _entered(stack: ExitStack) -> Run:
    """Return the run that the flags name; if it has another --method, the refusal names --methods as well."""
    try:
        return stack.enter_context(run_from_flags())
    except OtherFlagsError as error:
        if "method" not in error.names:
            raise
        raise InputError(f"{error} The methods to score beside the method of the run are given by --methods.") from None


def _marked(run: Run, name: str) -> dict[str, Any]:
    """Return a stage's metrics.json with all that is known today of why it is optimistic."""
    metrics = read_json(run.folder(name) / "metrics.json")
    return {**metrics, "optimistic": run.optimistic(name, metrics)}
