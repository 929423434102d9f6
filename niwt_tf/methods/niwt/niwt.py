"""NIWT: "Choose Your Neuron: Incorporating Domain Knowledge through Neuron-Importance" (Selvaraju et al., ECCV 2018).

The paper has three stages: the importance of each neuron for each seen class (Eq. 1), a map from a class's description to
its importance (Eq. 2), and a head column for an unseen class whose importance is the predicted one (Eq. 3).

The default run uses none of the three equations as they are printed; each setting in brackets is the paper's form:

- Eq. 1 averages over images of the class itself. By default importance is averaged over the same images for all classes
  (`importance_over="own"`), and its seen head is a discriminant on the features (`seen_head="softmax"`): `measuring`.
- Eq. 2 is a linear map trained with a cosine loss. By default it is a Gaussian process
  (`map="cosine"`): `relevance`, and `mapping` for the linear ones.
- Eq. 3 is solved by descent through a gradient of a gradient. By default the mean operator of the tail makes it linear least
  squares, solved in closed form (`engine="tape"`): `transfer_closed_form`, and `transfer` as printed.

Nor does it choose a head or a map: it takes the mean over all discriminants and kernels (`averaged`). `map="ridge"` or "cosine"
chooses on validation classes.

Dimensions: M images, D features, N neurons, S seen classes, U new classes, K description entries.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator as Coroutine
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.schema import Descriptions
from niwt_tf.methods.base import MethodStage, Trial, best_trial
from niwt_tf.methods.formula import ColumnFormula
from niwt_tf.methods.niwt.averaged import AveragedGenerator
from niwt_tf.methods.niwt.engines import engines_of
from niwt_tf.methods.niwt.few_shot_choice import few_shot_prior
from niwt_tf.methods.niwt.generator import NiwtGenerator
from niwt_tf.methods.niwt.niwt_formula import NiwtFormula
from niwt_tf.methods.niwt.options import NiwtOptions
from niwt_tf.methods.niwt.prepared import (
    map_of,
    margins_of,
    measured_of,
    operator_of,
    prepare,
    read_importance,
    read_maps,
    relevance_of,
    statistics_of,
    support_for,
    write_importance,
    write_maps,
)
from niwt_tf.methods.niwt.solving import NiwtCandidate
from niwt_tf.methods.niwt.support import check_support
from niwt_tf.methods.relevance_formula import RelevanceFormula
from niwt_tf.methods.seen_heads import SeenHead
from niwt_tf.methods.task import Task, folds_of
from niwt_tf.methods.transfer_method import TransferMethod
from niwt_tf.models.network import Network, recut

_HEADS = {
    "ridge": "ridge regression, penalty {:g}", "lda": "linear discriminant, shrinkage {:g}", "softmax": "softmax, as trained"
}
_AVERAGED = {"shared": "a sample of all seen classes", "own": "its own images"}


class NiwtMethod(TransferMethod):
    """Neuron importance-aware weight transfer."""

    name = "niwt"
    options = (NiwtOptions,)
    stages = (
        MethodStage(
            "importance",
            (
                *("seen_head", "head_regularization", "lda_shrinkage", "importance_over", "num_support"),
                *("fold_importance_images", "extra_layers", "precision", "jit", "cache_dtype", "seed"),
            ),
            ("train",),
            write_importance,
            read_importance,
            described=False,
            typical=(7, 145),
        ),
        MethodStage(
            *("map", ("map", "map_regularization", "normalisation", "seed"), ("importance",), write_maps, read_maps),
            typical=(1, 1),
        ),
    )
    settings = (
        *("support", "num_support", "engine", "regularizer", "transfer_anchor", "transfer_lambda"),
        *("transfer_learning_rate", "transfer_batch_size", "transfer_steps", "column_scale", "extra_layer_weights"),
        *("precision", "jit", "cache_dtype", "seed"),
    )

    def check(self, settings: Settings, classes: Descriptions) -> None:
        """Check the support too.

        Raises:
            InputError: neither "seen" nor "noise" nor a folder that holds images.
        """
        super().check(settings, classes)
        check_support(settings.support)

    def check_network(self, settings: Settings, network: Network) -> None:
        """Cut the network at the further layers."""
        recut(network, NiwtOptions.of(settings).extra_layers)

    def prepare(self, settings: Settings, tasks: Sequence[Task]) -> None:
        """Do Stages 1 and 2 for all tasks."""
        prepare(settings, tasks)

    def candidates(self, settings: Settings, tasks: Sequence[Task]) -> list[NiwtCandidate]:
        """Return the first of each grid: what is taken where nothing can be chosen."""
        (engine, *_), head = self._engines(settings, tasks), measured_of(tasks[0])[0].head
        own = NiwtOptions.of(settings)
        if own.map_kind == "relevance":
            return [averaged_candidate(own, engine)]
        firsts = own.transfer_lambda[0], own.transfer_learning_rate[0], own.transfer_anchor[0]
        alone = (1.0, *(0.0 for _ in own.extra_layers))
        return [NiwtCandidate(0, engine, *firsts, alone, None, head.kind, head.regularization)]

    def rounds(self, settings: Settings, tasks: Sequence[Task]) -> Coroutine[Sequence[NiwtCandidate], list[Trial], None]:
        """Yield the candidates of one choice after the other.

        First the head is chosen, with the first engine and anchor and the middle lambda and rate. Where that engine is the
        closed form, the penalty of the ridge map is chosen for the best head of each kind. Then engine, lambda, rate and
        anchor are chosen for the best of all; then the weight of each further layer in turn.
        """
        own, engines = NiwtOptions.of(settings), self._engines(settings, tasks)
        if own.map_kind == "relevance":
            yield [averaged_candidate(own, engine) for engine in engines]
            return
        heads = [each.head for each in measured_of(folds_of(tasks)[0])]
        first, further = grid_of(settings, engines, heads)
        trials = yield first
        if own.map_kind == "ridge" and len(own.map_regularization) > 1 and engines[0] == "closed_form":
            # A descent for each penalty would take longer than everything else.
            bests = [
                best_trial([trial for trial in trials if trial.candidate.head_kind == kind]).candidate
                for kind in dict.fromkeys(head.kind for head in heads)
            ]
            trials = yield [
                replace(best, map_regularization=penalty) for best in bests for penalty in own.map_regularization
            ]
        best = best_trial(trials).candidate
        shared = {name: getattr(best, name) for name in ("head", "map_regularization", "head_kind", "head_regularization")}
        trials = yield [replace(candidate, **shared) for candidate in further]
        for layer in range(1, len(own.extra_layers) + 1):
            best = best_trial(trials).candidate
            trials = yield [
                replace(best, layer_weights=(*best.layer_weights[:layer], weight, *best.layer_weights[layer + 1 :]))
                for weight in own.extra_layer_weights
            ]

    def fit(self, task: Task, candidate: NiwtCandidate) -> NiwtGenerator | AveragedGenerator:
        """Return the generator of a candidate, which solves for columns when it is asked for them."""
        support = support_for(task, candidate.engine)
        if NiwtOptions.of(task.settings).map_kind == "relevance":
            heads = measured_of(task)
            margins = task.cached("margins", lambda: margins_of(task, [each.head for each in heads]))
            averaged = task.settings, task.network, heads, margins, relevance_of(task), candidate, support
            return AveragedGenerator(*averaged, *statistics_of(task))
        known = map_of(task, candidate), candidate, support, *statistics_of(task)
        return NiwtGenerator(task.settings, task.network, measured_of(task)[candidate.head], *known)

    def finish(
        self, generator: NiwtGenerator | AveragedGenerator, tasks: Sequence[Task], trial: Trial, margin: float
    ) -> NiwtGenerator | AveragedGenerator:
        """Return the generator with its column formula and with what refines columns by photographs, chosen on the folds."""
        folds = [(task, self.fit(task, trial.candidate)) for task in folds_of(tasks)]
        prior = few_shot_prior(generator, folds, trial.calibration, margin)
        return replace(generator.with_formula(), prior=prior)

    def head_of(self, task: Task, candidate: NiwtCandidate) -> SeenHead:
        """Return the head that a candidate names."""
        if NiwtOptions.of(task.settings).map_kind == "relevance":
            return self.fit(task, candidate).head.head
        return measured_of(task)[candidate.head].head

    def operator_of(self, task: Task) -> np.ndarray:
        """Return the mean operator of Stage 1, that of all layers."""
        return operator_of(task)

    def lambdas(self, settings: Settings) -> tuple[float, ...]:
        """Return the grid of lambda."""
        return NiwtOptions.of(settings).transfer_lambda

    def further_layers(self, settings: Settings) -> tuple[str, ...]:
        """Return --extra_layers."""
        return NiwtOptions.of(settings).extra_layers

    def at_layer(self, settings: Settings, has_positions: bool) -> Settings:
        """Return the settings without further layers, and without an estimate of engines where it would say nothing.

        A tail without a convolution or kernel is estimated to cost nothing.
        """
        alone = settings.replace(extra_layers=())
        return alone if has_positions or "auto" not in NiwtOptions.of(alone).engine else alone.replace(engine=("closed_form",))

    def generator_of(
        self, settings: Settings, network: Network, arrays: Mapping[str, np.ndarray]
    ) -> NiwtGenerator | AveragedGenerator:
        """Return the generator whose `arrays` are given."""
        if "relevances" in arrays:
            return AveragedGenerator.from_arrays(settings, network, arrays)
        return NiwtGenerator.from_arrays(settings, network, arrays)

    def candidate_of(self, values: Mapping[str, Any]) -> NiwtCandidate:
        """Return the candidate whose `as_dict` is given."""
        return NiwtCandidate.from_dict(values)

    def formula_of(self, arrays: Mapping[str, np.ndarray]) -> ColumnFormula:
        """Return the column formula whose `arrays` are given."""
        if "relevances" in arrays:
            return RelevanceFormula.from_arrays(arrays)
        return NiwtFormula.from_arrays(arrays)

    def how(self, candidate: NiwtCandidate) -> str:
        """Return how the engine makes a column."""
        return {
            "closed_form": "from its description, in closed form",
            "operator": "from its description, by descent on exact operators",
            "tape": "from its description, by descent through nested gradients",
        }[candidate.engine]

    def facts(self, settings: Settings, chosen: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """Return what each stage was done with."""
        own = NiwtOptions.of(settings)
        head = _HEADS[chosen.get("head_kind", "ridge")].format(chosen["head_regularization"])
        if own.map_kind == "relevance":
            head = "mean of linear discriminants, shrinkage " + ", ".join(f"{each:g}" for each in own.lda_shrinkage)
        return (
            ("Seen head", head),
            ("Importance averaged over", _AVERAGED[own.importance_over]),
            ("Importance map", f"{own.map_kind}; descriptions {own.normalisation}"),
            ("New head columns by", f"{chosen['engine']}, λ {chosen['regularization']:g} towards {chosen['anchor']}"),
            ("Support images", f"{settings.num_support} of {settings.support}"),
            ("Further layers", ", ".join(own.extra_layers) or "none"),
        )

    @staticmethod
    def _engines(settings: Settings, tasks: Sequence[Task]) -> tuple[str, ...]:
        folds = folds_of(tasks)

        def decide() -> tuple[str, ...]:
            classes = len(folds[0].partition.validation_descriptions) if folds else 1  # type: ignore[attr-defined]
            team = tasks[0].reader.execution.team
            return engines_of(settings, tasks[0].network.tail, classes, len(folds), team)

        return tasks[0].cached("engines", decide)


def averaged_candidate(own: NiwtOptions, engine: str) -> NiwtCandidate:
    """Return what is done where nothing is chosen: the middle lambda and rate, all layers alike."""
    lambdas, rates = own.transfer_lambda, own.transfer_learning_rate
    held = lambdas[len(lambdas) // 2], rates[len(rates) // 2], own.transfer_anchor[0]
    return NiwtCandidate(0, engine, *held, (1.0,) * (1 + len(own.extra_layers)), None, "lda")


def grid_of(
    settings: Settings, engines: Sequence[str], heads: Sequence[SeenHead]
) -> tuple[list[NiwtCandidate], list[NiwtCandidate]]:
    """Return what is tried first, a candidate a head, and what is then tried for the best head, by the first head.

    The tape has a rate beside lambda and anchor.
    """
    own = NiwtOptions.of(settings)
    lambdas, rates, anchors = own.transfer_lambda, own.transfer_learning_rate, own.transfer_anchor
    middle = lambdas[len(lambdas) // 2], rates[len(rates) // 2], anchors[0]
    alone = (1.0, *(0.0 for _ in own.extra_layers))
    first = [
        NiwtCandidate(index, engines[0], *middle, alone, None, head.kind, head.regularization)
        for index, head in enumerate(heads)
    ]
    further = []
    for engine in engines:
        # The closed form has no rate, and a descent that starts there takes its own from the start.
        for each in itertools.product(lambdas, rates if engine == "tape" else middle[1:2], anchors):
            if engine != engines[0] or each != middle:
                further.append(NiwtCandidate(0, engine, *each, alone))
    return first, further


METHOD = NiwtMethod()
