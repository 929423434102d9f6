"""Training of the meta-model by episodes (section 3.3): K classes, their texts, a batch of their images, cross-entropy.

First the head alone is written, on features that are computed once; then, where other weights are adapted too, gradients go
through the adapted network. Every episode is drawn by the seed and its number, so that an interrupted training goes on exactly.
Processes and devices share the images of an episode; each reads all of its texts, and the gradients are added up.

Dimensions: K classes of an episode, B images, S seen classes, V variants of a text, L tokens, E numbers of a token, D features.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from niwt_tf.compute.distributed import ALONE, Team
from niwt_tf.data.arrays import read_arrays
from niwt_tf.errors import InputError
from niwt_tf.files import replacing
from niwt_tf.methods.n3.adapted import body_of, features_of, weights_of
from niwt_tf.methods.n3.meta_model import MetaModel
from niwt_tf.methods.standard import Standard
from niwt_tf.methods.token_table import TokenTable
from niwt_tf.models.network import Network

_LOG = logging.getLogger("niwt_tf")
_KEPT_EVERY = 50  # steps between checkpoints


@dataclass(frozen=True)
class Recipe:
    """How a meta-model is trained.

    Attributes:
        way: K.
        steps: with the head alone.
        network_steps: after them, with other weights adapted too.
        batch: B of the first; the second have half of it.
        rate: Adam's, falling along a cosine; half of it in the second part.
        seed: of episodes.
    """

    way: int
    steps: int
    network_steps: int = 0
    batch: int = 64
    rate: float = 1e-3
    seed: int = 0

    @property
    def total(self) -> int:
        """All steps."""
        return self.steps + self.network_steps


@dataclass(frozen=True)
class Episode:
    """One task.

    Attributes:
        classes: int [K], of the S.
        variants: int [K], the text that is read of each.
        rows: int [B], images.
        labels: int [B] in 0..K-1.
    """

    classes: np.ndarray
    variants: np.ndarray
    rows: np.ndarray
    labels: np.ndarray


def episode(recipe: Recipe, step: int, members: Sequence[np.ndarray], counts: np.ndarray, batch: int) -> Episode:
    """Draw the task of a step.

    Args:
        recipe: K and the seed.
        step: its number.
        members: the rows of each class's images; a class without images is never drawn.
        counts: how many variants each class's text has.
        batch: B.
    """
    rng = np.random.default_rng([recipe.seed, 31, step])
    present = np.flatnonzero([len(rows) > 0 for rows in members])
    classes = rng.permutation(present)[: recipe.way]
    labels = rng.integers(0, len(classes), batch)
    rows = np.array([members[classes[label]][rng.integers(len(members[classes[label]]))] for label in labels])
    return Episode(classes, rng.integers(0, counts[classes]), rows, labels)


def train_meta(
    model: MetaModel,
    recipe: Recipe,
    table: TokenTable,
    labels: np.ndarray,
    *,
    features: np.ndarray,
    standard: Standard,
    network: Network,
    adapt: str,
    images: Callable[[np.ndarray], np.ndarray],
    prior: np.ndarray | None = None,
    work: Path | None = None,
    progress: bool = False,
    jit: bool = False,
    team: Team = ALONE,
    until: int | None = None,
    at_stops: Mapping[int, Callable[[], None]] | None = None,
) -> list[float]:
    """Train a meta-model on the S seen classes and return the loss of each step since the last checkpoint that was taken up.

    Args:
        model: with all its weights made.
        recipe: steps and rates.
        table: the classes' tokens.
        labels: int [M] of the training images.
        features: float32 [M, D] of them, by the base.
        standard: what standardises features.
        network: the base.
        adapt: what is adapted beside the head, see `targets_of`.
        images: reads rows as float32 [B, S, S, 3].
        prior: [S, D + 1], added to the head's columns times a factor that is trained; None for none.
        work: a folder for checkpoints, from which an interrupted training goes on; of a team the chief's counts.
        progress: show a bar.
        jit: compile the step with XLA.
        team: what shares the images of an episode.
        until: the last step, by default all of the recipe; the rate falls as if there were all.
        at_stops: what is called once a number of steps is done.
    """
    members = [np.flatnonzero(labels == label) for label in range(len(table))]
    trainer = _Trainer(model, recipe, network, adapt, standard, jit, team)
    begun = trainer.resume(work)
    losses: list[float] = []
    end = recipe.total if until is None else until
    with tqdm(total=end, initial=begun, desc="episodes", delay=5, leave=False, disable=not progress) as bar:
        for step in range(begun, end):
            head_alone = step < recipe.steps
            drawn = episode(recipe, step, members, table.counts, recipe.batch if head_alone else recipe.batch // 2)
            tokens = tf.constant(table.values[drawn.classes, drawn.variants])
            valid = tf.constant(table.valid[drawn.classes, drawn.variants])
            added = np.zeros((len(drawn.classes), features.shape[1] + 1), np.float32) if prior is None else prior[drawn.classes]
            own = team.share(len(drawn.rows))
            given = standard(features[drawn.rows[own]]) if head_alone else images(drawn.rows[own])
            read = tokens, valid, tf.constant(added, tf.float32)
            losses.append(trainer.descend(head_alone, read, given, drawn.labels[own], len(drawn.rows)))
            bar.update()
            bar.set_postfix(loss=f"{losses[-1]:.2f}", refresh=False)
            if at_stops and step + 1 in at_stops:
                at_stops[step + 1]()
            if work is not None and team.is_chief and ((step + 1) % _KEPT_EVERY == 0 or step + 1 == end):
                trainer.keep(work, step + 1)
    return losses


class _Trainer:
    """The steps, each traced once, and what is kept of them."""

    def __init__(
        self, model: MetaModel, recipe: Recipe, network: Network, adapt: str, standard: Standard, jit: bool, team: Team
    ) -> None:
        self._model, self._network, self._adapt, self._standard, self._jit = model, network, adapt, standard, jit
        self._team = team
        devices = () if team.strategy is None or team.size > 1 or jit else team.strategy.extended.worker_devices
        self._devices = devices if len(devices) > 1 else (None,)
        self._body = body_of(network)
        rates = {True: (recipe.rate, recipe.steps), False: (recipe.rate / 2, recipe.network_steps)}
        self._optimizers = {
            first: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, max(steps, 1)), global_clipnorm=1.0)
            for first, (rate, steps) in rates.items()
        }
        self._variables = {True: self._of_head(), False: list(model.trainable_variables)}
        for first, optimizer in self._optimizers.items():
            if rates[first][1]:
                optimizer.build(self._variables[first])
        self._steps: dict[tuple[str, bool], Any] = {}

    def _of_head(self) -> list[Any]:
        others = {id(each) for decoder in self._model.decoders for each in decoder.trainable_variables} | {id(self._model.mu)}
        return [each for each in self._model.trainable_variables if id(each) not in others]

    def descend(self, head_alone: bool, read: tuple[Any, Any, Any], given: np.ndarray, labels: np.ndarray, batch: int) -> float:
        """Do a step that writes the head alone, or one that adapts other weights too, and return its loss.

        Args:
            head_alone: which of them.
            read: tokens, where there are any, and the prior's columns of the episode's classes.
            given: features or pixels of this process's share of the images.
            labels: of the share.
            batch: how many images all processes have together.
        """
        share = tf.constant(given, tf.float32), tf.constant(labels), tf.constant(float(batch))
        if self._team.size == 1:
            return float(self._traced(("step", head_alone), lambda *of: self._whole(head_alone, *of))(*read, *share))
        found = self._traced(("gradients", head_alone), lambda *of: self._gradients(head_alone, *of))(*read, *share)
        loss, *gradients = self._team.sum(*(each.numpy() for each in found))
        self._traced(("apply", head_alone), lambda *of: self._apply(head_alone, of))(*map(tf.constant, gradients))
        return float(loss)

    def _traced(self, key: tuple[str, bool], make: Callable[..., Any]) -> Any:
        if key not in self._steps:
            self._steps[key] = tf.function(make, jit_compile=self._jit, reduce_retracing=True, autograph=False)
        return self._steps[key]

    def _whole(self, head_alone: bool, *of: Any) -> Any:
        loss, *gradients = self._gradients(head_alone, *of)
        self._apply(head_alone, gradients)
        return loss

    def _apply(self, head_alone: bool, gradients: Sequence[Any]) -> None:
        self._optimizers[head_alone].apply(list(gradients), self._variables[head_alone])

    def _gradients(
        self, head_alone: bool, tokens: Any, valid: Any, added: Any, given: Any, labels: Any, batch: Any
    ) -> list[Any]:
        """Return the loss of the share and its gradients; devices share its images further."""
        model, parts = self._model, []
        with tf.GradientTape() as tape:
            hidden, queries = model.encode(model.embed(tf.cast(tokens, tf.float32), valid, training=True), training=True)
            columns = model.head_of(hidden, queries) + tf.exp(model.prior) * added
            weights = None if head_alone else self._weights(hidden)
            for place, device in enumerate(self._devices):
                with tf.device(device):
                    rows, answers = given[place :: len(self._devices)], labels[place :: len(self._devices)]
                    if weights is not None:
                        rows = self._standard(features_of(self._body, weights, rows))
                    logits = tf.matmul(rows, columns[:, :-1], transpose_b=True) + columns[:, -1]
                    parts.append(tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(answers, logits)))
            loss = tf.add_n(parts) / batch
        gradients = tape.gradient(loss, self._variables[head_alone], unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [loss, *gradients]

    def _weights(self, hidden: Any) -> Any:
        model = self._model
        return weights_of(self._network, model.targets, model.adaptations(hidden), model.gamma, self._adapt)

    def _state(self) -> list[Any]:
        return [*self._model.variables, *(each for one in self._optimizers.values() for each in one.variables)]

    def keep(self, work: Path, step: int) -> None:
        """Write all that the next steps depend on, whole or not at all."""
        with replacing(work / "meta.npz") as temporary:
            arrays = {f"v{place}": np.asarray(each) for place, each in enumerate(self._state())}
            np.savez(temporary, step=np.array(step), **arrays)  # type: ignore[arg-type]

    def resume(self, work: Path | None) -> int:
        """Take up the last checkpoint and return how many steps are done."""
        path = None if work is None or not self._team.is_chief else work / "meta.npz"
        state, step = [np.asarray(each) for each in self._state()], 0
        if path is not None and path.is_file():
            try:
                kept = read_arrays(path)
                state, step = [kept[f"v{place}"] for place in range(len(state))], int(kept["step"])
            except (InputError, KeyError) as error:
                _LOG.warning("%s cannot be read and is not used: %s", path, error)
        step = int(self._team.of_chief(np.array([step]))[0][0])
        if not step:
            return 0
        for own, each in zip(self._state(), self._team.of_chief(*state), strict=True):
            own.assign(each)
        _LOG.info("Training of the meta-model continues after step %d.", step)
        return step
