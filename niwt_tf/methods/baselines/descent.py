"""Adam on a few matrices, as one graph for many steps: what the methods that train a small network share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

_EPSILON = 1e-8


class Adam:
    """Kingma and Ba's steps on a few arrays, inside of a graph.

    Args:
        weights: initial values.
        rate: the rate.
        first: how much of the mean gradient is kept at a step.
        second: how much of the mean squared gradient.
    """

    def __init__(self, weights: Sequence[np.ndarray], rate: float, first: float = 0.9, second: float = 0.999) -> None:
        self.variables = [tf.Variable(value, dtype=tf.float32) for value in weights]
        self._moments = [[tf.Variable(tf.zeros_like(each)) for _ in range(2)] for each in self.variables]
        self._powers = [tf.Variable(first), tf.Variable(second)]
        self._rate, self._first, self._second = rate, first, second

    @property
    def weights(self) -> list[np.ndarray]:
        """The present values."""
        return [np.array(each.numpy()) for each in self.variables]

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Take a step along the gradients, one a variable."""
        for variable, moments, gradient in zip(self.variables, self._moments, gradients, strict=True):
            # One fused pass over each array; Keras's optimiser takes ten.
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle, m=moments[0].handle, v=moments[1].handle, beta1_power=self._powers[0],
                beta2_power=self._powers[1], lr=self._rate, beta1=self._first, beta2=self._second, epsilon=_EPSILON,
                grad=gradient
            )
        self._powers[0].assign(self._powers[0] * self._first)
        self._powers[1].assign(self._powers[1] * self._second)


class Descent:
    """Adam with the L2 penalty `weight_decay` / 2 |w|^2 of every matrix added to the loss.

    Args:
        weights: initial values; those of two dimensions are decayed.
        loss: takes the variables and a batch of indices [B], gives a scalar.
        learning_rate: the rate.
        weight_decay: the penalty.
    """

    def __init__(
        self, weights: Sequence[np.ndarray], loss: Callable[[Sequence[tf.Tensor], tf.Tensor], tf.Tensor], *,
        learning_rate: float, weight_decay: float
    ) -> None:
        self._adam, self._loss, self._decay = Adam(weights, learning_rate), loss, weight_decay
        # Traced here, once for this loss: a function that is made anew for each candidate would be warned about.
        self._run = tf.function(self._steps).get_concrete_function(tf.TensorSpec([None, None], tf.int32))

    @property
    def weights(self) -> list[np.ndarray]:
        """The present values."""
        return self._adam.weights

    def run(self, batches: np.ndarray) -> None:
        """Take a step for each row of `batches` [steps, B], the indices that the loss is given."""
        self._run(tf.constant(batches, tf.int32))

    def _steps(self, batches: tf.Tensor) -> None:
        variables = self._adam.variables
        for batch in batches:
            with tf.GradientTape() as tape:
                loss = self._loss(variables, batch)
            gradients = tape.gradient(loss, variables)
            self._adam.apply([
                gradient + self._decay * variable if len(variable.shape) == 2 else gradient
                for variable, gradient in zip(variables, gradients, strict=True)
            ])


def shuffled(generator: np.random.Generator, count: int, batch_size: int) -> np.ndarray:
    """Return the batches [count // B, B] of one pass over `count` images in random order; what is left over stays out."""
    size = min(batch_size, count)
    return generator.permutation(count)[: count // size * size].reshape(-1, size)


def uniform(generator: np.random.Generator, shape: tuple[int, int], variance: float) -> np.ndarray:
    """Return a matrix of uniform entries with mean 0 and the given variance."""
    bound = np.sqrt(3 * variance)
    return generator.uniform(-bound, bound, shape).astype(np.float32)
