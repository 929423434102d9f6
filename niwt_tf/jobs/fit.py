"""The stages that fit: `train`, those that the run's method needs next, and `transfer`, which makes the network of all classes.

`train` is Stage 0, the networks of the seen classes and of the folds. For NIWT the next ones are `importance` (Eq. 1) and `map`
(Eq. 2), and `transfer` is Eq. 3; other methods have stages of their own, or go straight to `transfer`.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from niwt_tf.compute.features import readers_of
from niwt_tf.config.names import TEXTS, has_texts
from niwt_tf.errors import InputError
from niwt_tf.explain.explainer import fit_explainer, importances_of
from niwt_tf.explain.heat_choice import choose_heat
from niwt_tf.explain.neurons import names_of
from niwt_tf.files import write_json
from niwt_tf.jobs.app import run_from_flags
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.methods.base import Method, MethodStage
from niwt_tf.methods.parameters import HeadParameters
from niwt_tf.methods.registry import method_of
from niwt_tf.methods.task import Task, tasks_of
from niwt_tf.metrics.intervals import or_none
from niwt_tf.protocol.probabilities import save_probabilities
from niwt_tf.protocol.seen_networks import has_attribute_loss, load_networks, save_networks, train_partitions
from niwt_tf.protocol.selection import choose, plain
from niwt_tf.runs.fingerprints import method_package, support_fingerprint, weights_fingerprint
from niwt_tf.runs.run import Run

_LOG = logging.getLogger("niwt_tf.jobs")
_TRAINING = (
    "backbone", "preprocessing", "weights", "layer", "input_size", "resize", "finetune", "epochs", "batch_size",
    "learning_rate", "finetune_learning_rate", "weight_decay", "dropout", "attribute_loss", "patience", "num_folds",
    "validation_classes", "precision", "jit", "cache_dtype", "seed",
)
# What metrics.json has of every method; what a method does not say of itself is null.
_FIGURES = ("rank_correlation_within", "rank_correlation_across", "map_rank_correlation", "transfer_cosine")


def train_job() -> None:
    """Train the networks in the run that --run_dir names."""
    with run_from_flags() as run:
        training_stage(run, load_run_data(run))


def own_stage_job(name: str) -> None:
    """Do a stage that one method has between `train` and `transfer`, in the run that --run_dir names.

    Raises:
        InputError: the run's method has no such stage.
    """
    with run_from_flags() as run:
        stages = method_of(run.settings.method).stages
        stage = next((stage for stage in stages if stage.name == name), None)
        if stage is None:
            has = f"has {', '.join(stage.name for stage in stages)}" if stages else "has no stages of its own"
            rule = f"--method must be a method with the stage {name} for niwt {name}"
            raise InputError(f"{rule}. Received: {run.settings.method!r}, which {has}.")
        method_stage(stage, run, load_run_data(run, stage.inputs))


def transfer_job() -> None:
    """Make the network of all classes in the run that --run_dir names."""
    with run_from_flags() as run:
        transfer_stage(run, load_run_data(run, inputs_of(method_of(run.settings.method))))


def inputs_of(method: Method) -> tuple[str, ...]:
    """Return the stages that a method's `transfer` reads."""
    return ("train", *(stage.name for stage in method.stages))


def no_importance(run: Run, what: str) -> InputError:
    """Return the error of a run whose method does not measure importance, which something needs."""
    rule = f"--method must be a method that measures importance for {what}"
    return InputError(f"{rule}. Received: {run.settings.method!r}, which does not.")


def training_stage(run: Run, data: RunData) -> None:
    """Train every partition, or go on where an interrupted training stopped."""
    method, known = method_of(run.settings.method), run.settings.knowledge
    if method.reads_texts and not has_texts(known):
        rule = f"--knowledge must have {' or '.join(TEXTS)} for --method={method.name}, which reads words"
        raise InputError(f"{rule}. Received: {known!r}.")
    initial = weights_fingerprint(run.settings.weights, run.settings.backbone, download=True)
    described = has_attribute_loss(run.settings)
    train = run.stage("train", settings_used=_TRAINING, extra=initial, described=described)
    if train.up_to_date:
        return
    if run.settings.attribute_loss > 0 and not described:
        _LOG.warning("--attribute_loss has no effect with --finetune=head, because no layer that makes features is trained.")
    method.check(run.settings, data.seen.descriptions)
    method.check(run.settings, data.unseen)
    work = train.work
    with train.writing() as folder:
        trained = train_partitions(run.settings, data.partitions, data.execution, work_dir=work)
        save_networks(folder, run.settings, {name: result.network for name, result in trained.items()})
        write_json(folder / "history.json", {name: result.history for name, result in trained.items()})
        for name in trained:
            shutil.copytree(work / name / "logs", folder / "logs" / name)
        main = trained["main"]
        train.record(
            shapes={"columns": main.network.columns.shape, "map": main.network.trunk.output_shape[1:]},
            metrics={"validation_accuracy": main.validation_accuracy} if len(data.partitions[0].held_out) else {},
        )


def method_stage(stage: MethodStage, run: Run, data: RunData) -> None:
    """Do one of the stages that a method needs before `transfer`."""
    extra = method_package(run.settings.method)
    made = run.stage(stage.name, settings_used=stage.settings, inputs=stage.inputs, extra=extra, described=stage.described)
    if made.up_to_date:
        return
    tasks = run_tasks(run, data, stage.inputs)
    with made.writing() as folder:
        shapes, metrics = stage.write(run.settings, tasks, folder, lambda: made.work)
        made.record(shapes=shapes, metrics=metrics)


def transfer_stage(run: Run, data: RunData, chosen_before: Mapping[str, Any] | None = None) -> None:
    """Choose on the folds, generate parameters for the unseen classes, write the network that they make.

    `chosen_before` is what another run chose, which is then not chosen again.
    """
    method, settings = method_of(run.settings.method), run.settings
    extra: dict[str, Any] = support_fingerprint(settings.support) if "support" in method.settings else {}
    extra |= {**method.identity, **method_package(method.name)}
    candidate = None if chosen_before is None else method.candidate_of(chosen_before)
    extra = extra if candidate is None else {**extra, "candidate": candidate.as_dict()}
    used, inputs = ("method", "heat", *method.settings), inputs_of(method)
    transfer = run.stage("transfer", settings_used=used, inputs=inputs, extra=extra)
    if transfer.up_to_date:
        return
    tasks = run_tasks(run, data, inputs)
    with transfer.writing() as folder:
        chosen = choose(settings, method, tasks, progress=data.execution.progress, candidate=candidate)
        network, parameters = chosen.applied(tasks[0].network, data.unseen)
        network.save(folder / "network.keras")
        num_seen, generator = network.num_seen, chosen.generator
        columns, biases = network.columns[:, num_seen:], network.biases[num_seen:]
        losses = parameters.losses if isinstance(parameters, HeadParameters) else np.empty(0, np.float32)
        np.savez(folder / "columns.npz", columns=columns, biases=biases, losses=losses)
        for name, part in (("column_map", generator.formula), ("few_shot", generator.few_shot)):
            if part is not None:
                np.savez(folder / f"{name}.npz", **part.arrays())  # type: ignore[arg-type]
        if generator.reads_texts:
            # It writes networks of other classes, and the unseen ones are scored among themselves by one of their own.
            np.savez(folder / "generator.npz", **generator.arrays())  # type: ignore[arg-type]
            if len(data.unseen):
                generator.synthesize(data.unseen).apply(tasks[0].network).save(folder / "unseen.keras")
        known = data.seen_knowledge
        targets = generator.importances if generator.importances is not None else importances_of(tasks[0], network)
        named = names_of(tasks[0], known.names)
        heat = choose_heat(tasks[0], network, chosen.probabilities.temperature)
        explainer = fit_explainer(
            targets, known.values, known.names, known.groups, named, heat, num_neurons=network.num_neurons
        )
        np.savez(folder / "explainer.npz", **explainer.arrays())  # type: ignore[arg-type]
        np.savez(folder / "descriptions.npz", values=np.concatenate([known.values, data.unseen.values]))
        save_probabilities(folder / "probabilities.json", chosen.probabilities)
        said = {
            **generator.figures,
            **parameters.figures,
            "validation_harmonic_mean": chosen.trial.harmonic_mean,
            "validation_acc_zsl": chosen.trial.acc_zsl,
        }
        figures = {**dict.fromkeys(_FIGURES), **{name: or_none(value) for name, value in said.items()}}
        selection = {
            "method": method.name,
            "how": method.how(chosen.trial.candidate),
            "chosen": plain(chosen.trial),
            "trials": [plain(trial) for trial in chosen.trials],
            "figures": figures,
        }
        write_json(folder / "selection.json", selection)
        metrics = {name: value for name, value in figures.items() if value is not None}
        transfer.record(shapes={"columns": columns.shape}, metrics=metrics)


def run_tasks(run: Run, data: RunData, inputs: Sequence[str] | None = None) -> list[Task]:
    """Return the run's tasks with what the stages among `inputs` have written; None takes all that `transfer` reads.

    Raises:
        InputError: such a stage is missing or out of date.
    """
    read = inputs_of(method_of(run.settings.method)) if inputs is None else inputs
    networks = load_networks(run.folder("train"), run.settings, data.partitions)
    tasks = tasks_of(run.settings, data.partitions, networks, readers_of(run.settings, networks, data.execution))
    for stage in method_of(run.settings.method).stages:
        if stage.name in read:
            stage.read(tasks, run.folder(stage.name))
    return tasks
