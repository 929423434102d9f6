"""MEGAZSL: "A Generative Adversarial Approach for Zero-Shot Learning from Noisy Texts" (GAZSL, Zhu et al., CVPR 2018), adapted.

N3's authors compare with it (section 4.3) without annotations of parts, and with pooled tokens of a sentence encoder in place
of TF-IDF. A generator makes features of a text and noise; a critic tells made ones from real ones and says which class they are
of. They play the Wasserstein game with a gradient penalty, and the generator is also held to the visual pivots: the mean of
what it makes of a class should be the mean of its images' features.

What differs from GAZSL beside that: features are standardised; layers are narrower and training is shorter; the penalty that
makes the text's first layer sparse, which is for words that say nothing, is left out; of a text of several parts, training
reads one at a time; and an image is not of the class of the nearest made features, but of the nearest mean m of a class's.
As -|z - m|^2 = 2 z.m - |m|^2 - |z|^2 that is a head's column 2 m and bias -|m|^2. Seen classes' means are made as well.

Dimensions: M images, D features, S seen classes, U new classes, K classes of a step, B its features, E numbers of a text,
R of a reduced one, Z of noise, H hidden units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from niwt_tf.config.settings import Settings
from niwt_tf.data.sampling import balanced_sample
from niwt_tf.methods.baselines.descent import Adam, uniform
from niwt_tf.methods.baselines.pooled_text import PooledTexts, TextCandidate, TextHead, TextMethod, TextReader, texts_of
from niwt_tf.methods.formula import Columns
from niwt_tf.methods.standard import Standard
from niwt_tf.methods.task import Task
from niwt_tf.models.network import Network

REDUCED, NOISE, HIDDEN = 128, 32, 256  # R, Z and H
STEPS = (300, 100)  # of the generator; the first is taken where nothing can be chosen
CRITICS = 5  # steps of the critic for one of the generator
WAY, EACH = 25, 4  # classes of a step, and features of each
RATE, FIRST, SECOND = 5e-4, 0.5, 0.9  # Adam's
PENALTY, PIVOT = 10.0, 10.0
MADE = 60  # features of a class that its mean is taken of
LEAK = 0.2
MOST_IMAGES = 20_000


@dataclass(frozen=True)
class MEGAZSLGenerator(TextHead):
    """Makes features of texts, and of their means a head.

    Attributes:
        weights: the generator's: [E, R], [R], [R + Z, H], [H], [H, D], [D].
        reader: of texts.
        standard: of features.
        seen: standardised texts of the seen classes, float32 [S, E].
    """

    weights: tuple[np.ndarray, ...]
    reader: TextReader
    standard: Standard
    seen: np.ndarray

    @property
    def text_reader(self) -> TextReader:
        """What makes vectors of texts."""
        return self.reader

    @property
    def seen_texts(self) -> np.ndarray:
        """The seen classes' vectors, [S, E]."""
        return self.seen

    def means(self, texts: np.ndarray) -> np.ndarray:
        """Return the means of standardised features that are made of standardised texts [C, E]: float32 [C, D].

        The noise is the same for every class, so that a class's mean depends on its own text alone.
        """
        noise = np.random.default_rng([self.reader.settings.seed, 43]).normal(size=(MADE, NOISE)).astype(np.float32)
        made = [made_features(self.weights, np.repeat(text[None], MADE, axis=0), noise) for text in texts]
        return np.asarray([each.numpy().mean(axis=0) for each in made], np.float32).reshape(len(texts), -1)

    def head_of(self, texts: np.ndarray) -> Columns:
        """Return columns [D, C] and biases [C] of vectors [C, E]."""
        means = self.means(texts) if len(texts) else np.zeros((0, len(self.standard.mean)), np.float32)
        return self.standard.head(np.concatenate([2 * means, -(means**2).sum(axis=1, keepdims=True)], axis=1))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name."""
        weights = {f"weight_{place}": weight for place, weight in enumerate(self.weights)}
        standard = {"mean": self.standard.mean, "deviation": self.standard.deviation}
        return {**weights, **self.reader.arrays(), **standard, "seen": self.seen}


class MEGAZSL(TextMethod):
    """Its candidates share one training: their steps are stops of it."""

    name = "megazsl"
    steps = STEPS

    def fit(self, task: Task, candidate: TextCandidate) -> MEGAZSLGenerator:
        """Return the generator after the candidate's steps. All of `STEPS` are stops of one training, done once for a task."""
        pooling, stops = candidate.pooling, tuple(sorted({*STEPS, candidate.steps}))
        return task.cached(("megazsl", pooling, stops), lambda: dict(_train(task, pooling, stops)))[candidate.steps]

    def generator_of(self, settings: Settings, network: Network, arrays: Mapping[str, np.ndarray]) -> MEGAZSLGenerator:
        """Return the generator whose `arrays` are given."""
        del network
        weights = tuple(arrays[f"weight_{place}"] for place in range(6))
        standard = Standard(arrays["mean"], arrays["deviation"])
        return MEGAZSLGenerator(weights, TextReader.from_arrays(settings, arrays), standard, arrays["seen"])

    def how(self, candidate: TextCandidate) -> str:
        """Return how a class's parameters are made."""
        return f"the mean of features made of its text, {candidate.pooling}-pooled, by MEGAZSL"


def made_features(weights: Sequence[Any], texts: Any, noise: Any) -> tf.Tensor:
    """Return what a generator makes of texts [B, E] and noise [B, Z]: [B, D], standardised."""
    reduce, reduce_bias, first, first_bias, last, last_bias = weights
    given = tf.concat([texts @ reduce + reduce_bias, noise], axis=1)
    hidden = tf.nn.leaky_relu(tf.nn.leaky_relu(given, LEAK) @ first + first_bias, LEAK)
    return hidden @ last + last_bias


def judged(weights: Sequence[Any], features: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Return how real a critic takes features [B, D] to be, [B], and the logits [B, S] of their classes."""
    first, first_bias, real, classes, class_bias = weights
    hidden = tf.nn.leaky_relu(features @ first + first_bias, LEAK)
    return tf.squeeze(hidden @ real, axis=1), hidden @ classes + class_bias


def _train(task: Task, pooling: str, stops: Sequence[int]) -> Iterator[tuple[int, MEGAZSLGenerator]]:
    seed = task.settings.seed
    images = balanced_sample(task.partition.training.images, MOST_IMAGES, seed)
    features = task.features(images)
    standard, reader, texts = Standard.of(features), TextReader.of(task, pooling), texts_of(task)
    seen = np.asarray(reader.standard(texts.of_classes(pooling)), np.float32)
    rng = np.random.default_rng([seed, 41])
    game = AdversarialTraining(rng, standard(features), images.labels, texts, np.asarray(reader.standard(texts.parts[pooling])))
    done = 0
    for stop in stops:
        game.run(done, stop)
        done = stop
        yield stop, MEGAZSLGenerator(tuple(game.weights), reader, standard, seen)


class AdversarialTraining:
    """The training of a generator against a critic.

    Args:
        rng: of weights and of what is drawn.
        features: float32 [M, D] of training images, standardised.
        labels: int [M].
        texts: of the S classes.
        parts: float32 [R, E], the texts' parts, standardised.
    """

    def __init__(
        self, rng: np.random.Generator, features: np.ndarray, labels: np.ndarray, texts: PooledTexts, parts: np.ndarray
    ) -> None:
        self._rng, self._labels, self._texts = rng, labels, texts
        self._seed = int(rng.integers(2**31 - 1))  # of the noise
        self._present = np.unique(labels)
        self._way = min(WAY, len(self._present))
        size, entries, count = features.shape[1], parts.shape[1], len(texts.names)
        made, judge = initial_weights(rng, entries, size, count)
        self._made, self._judge = Adam(made, RATE, FIRST, SECOND), Adam(judge, RATE, FIRST, SECOND)
        pivots = np.zeros((count, size), np.float32)
        for label in self._present:
            pivots[label] = features[labels == label].mean(axis=0)
        self._features, self._pivots = tf.constant(features, tf.float32), tf.constant(pivots)
        self._parts = tf.constant(parts, tf.float32)
        width = 2 * self._way + self._way * EACH + 1
        self._run = tf.function(self._steps).get_concrete_function(tf.TensorSpec([None, CRITICS + 1, width], tf.int32))

    @property
    def weights(self) -> list[np.ndarray]:
        """The generator's present weights."""
        return self._made.weights

    def run(self, begin: int, end: int) -> None:
        """Take the generator's steps from one number to another."""
        count = CRITICS + 1
        drawn = [[self._draw(step * count + turn) for turn in range(count)] for step in range(begin, end)]
        if drawn:
            self._run(tf.constant(np.array(drawn), tf.int32))

    def _draw(self, number: int) -> np.ndarray:
        """Return K classes, a part of each one's text, the rows of K * EACH of their images, and the noise's number."""
        rng, classes = self._rng, self._rng.permutation(self._present)[: self._way]
        parts = [rng.choice(np.flatnonzero(self._texts.classes == label)) for label in classes]
        rows = [rng.choice(np.flatnonzero(self._labels == label), EACH) for label in classes]
        return np.concatenate([classes, parts, *rows, [number]])

    def _steps(self, batches: tf.Tensor) -> None:
        for batch in batches:
            for turn in batch[:CRITICS]:
                self._criticise(turn)
            self._make(batch[CRITICS])

    def _read(self, batch: tf.Tensor) -> tuple[tf.Tensor, ...]:
        way = self._way
        classes, texts = batch[:way], tf.repeat(tf.gather(self._parts, batch[way : 2 * way]), EACH, axis=0)
        noise = tf.random.stateless_normal([way * EACH, NOISE], tf.stack([self._seed, batch[-1]]))
        return classes, tf.repeat(classes, EACH), texts, noise, tf.gather(self._features, batch[2 * way : -1])

    def _criticise(self, batch: tf.Tensor) -> None:
        _, labels, texts, noise, real = self._read(batch)
        made = made_features(self._made.variables, texts, noise)
        share = tf.random.stateless_uniform([len(labels), 1], tf.stack([self._seed + 1, batch[-1]]))
        between = share * real + (1 - share) * made
        weights = self._judge.variables
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                inner.watch(between)
                taken, _ = judged(weights, between)
            slopes = tf.sqrt(tf.reduce_sum(inner.gradient(taken, between) ** 2, axis=1) + 1e-12)
            (on_real, real_logits), (on_made, made_logits) = judged(weights, real), judged(weights, made)
            loss = tf.reduce_mean(on_made) - tf.reduce_mean(on_real) + PENALTY * tf.reduce_mean((slopes - 1) ** 2)
            loss += (_cross_entropy(labels, real_logits) + _cross_entropy(labels, made_logits)) / 2
        self._judge.apply(tape.gradient(loss, weights))

    def _make(self, batch: tf.Tensor) -> None:
        classes, labels, texts, noise, _ = self._read(batch)
        weights = self._made.variables
        with tf.GradientTape() as tape:
            made = made_features(weights, texts, noise)
            on_made, logits = judged(self._judge.variables, made)
            means = tf.reduce_mean(tf.reshape(made, [self._way, EACH, -1]), axis=1)
            pivot = tf.reduce_mean((means - tf.gather(self._pivots, classes)) ** 2)
            loss = PIVOT * pivot + _cross_entropy(labels, logits) - tf.reduce_mean(on_made)
        self._made.apply(tape.gradient(loss, weights))


def _cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def initial_weights(
    rng: np.random.Generator, entries: int, features: int, classes: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the weights of generator and critic that training starts from."""
    def zeros(count: int) -> np.ndarray:
        return np.zeros(count, np.float32)

    made = [
        uniform(rng, (entries, REDUCED), 1 / entries), zeros(REDUCED),
        uniform(rng, (REDUCED + NOISE, HIDDEN), 2 / (REDUCED + NOISE)), zeros(HIDDEN),
        uniform(rng, (HIDDEN, features), 1 / HIDDEN), zeros(features)
    ]
    judge = [
        uniform(rng, (features, HIDDEN), 2 / features), zeros(HIDDEN),
        uniform(rng, (HIDDEN, 1), 1 / HIDDEN), uniform(rng, (HIDDEN, classes), 1 / HIDDEN), zeros(classes)
    ]
    return made, judge


METHOD = MEGAZSL()
