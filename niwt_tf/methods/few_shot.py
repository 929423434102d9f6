"""From zero-shot to few-shot: the column of a described class, updated by its first images, in closed form.

Images of a class are taken to be normal around its mean, with the covariance V that the seen classes share. The column of
such a class is s (V + p I)^-1 (mean - m), m being the mean over all seen images. A zero-shot column is then as good as an
estimate of the class's mean. With a prior of covariance V / kappa around that estimate the most probable mean, after n images
of mean x, is (kappa estimate + n x) / (kappa + n); as the column is affine in the mean, columns combine with the same weights.
kappa counts the images that a description is worth. Only the direction is kept of this: scale and bias are those with which the
new logit has the seen ones' mean and deviation on the seen images, by the moments that are stored here instead of images.

Nothing here belongs to a class, and no training image is needed. Dimensions: M images, D features, S classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from niwt_tf.errors import InputError
from niwt_tf.metrics.calibration import LogitStatistics

RANK = 128


# A covariance of features that stays small: its R leading directions, and the variance of each feature that they leave.


@dataclass(frozen=True)
class Covariance:
    """F F' + diag(d); the diagonal is that of the whole covariance, and with R = min(D, M) nothing is lost.

    Attributes:
        factor: float32 [D, R], F.
        diagonal: float32 [D], d >= 0.
    """

    factor: np.ndarray
    diagonal: np.ndarray

    @classmethod
    def of(cls, residuals: np.ndarray, rank: int = RANK) -> Covariance:
        """Return the covariance of rows [M, D] whose means have been taken off, to at most `rank` directions."""
        rows = residuals.astype(np.float64) / np.sqrt(max(len(residuals), 1))
        tall = rows.shape[0] > rows.shape[1]
        gram = rows.T @ rows if tall else rows @ rows.T
        size = len(gram)
        kept = min(rank, size)
        values, vectors = np.linalg.eigh(gram)
        values, vectors = values[size - kept :], vectors[:, size - kept :]
        factor = vectors * np.sqrt(np.maximum(values, 0.0)) if tall else rows.T @ vectors
        diagonal = np.maximum((rows**2).sum(axis=0) - (factor**2).sum(axis=1), 0.0)
        return cls(factor.astype(np.float32), diagonal.astype(np.float32))

    @property
    def mean_variance(self) -> float:
        """The mean over features of their variances."""
        factor = self.factor.astype(np.float64)
        return float((np.square(factor).sum() + self.diagonal.sum(dtype=np.float64)) / len(self.diagonal))

    def solve(self, vectors: np.ndarray, penalty: float) -> np.ndarray:
        """Return (F F' + diag(d) + penalty I)^-1 times `vectors` [D, U]; `penalty` > 0. Costs R^3 + D R U, not D^3."""
        factor = self.factor.astype(np.float64)
        inverse = 1.0 / (self.diagonal.astype(np.float64) + penalty)
        scaled = inverse[:, None] * factor
        inner = np.eye(factor.shape[1]) + factor.T @ scaled
        halfway = inverse[:, None] * vectors
        return halfway - scaled @ np.linalg.solve(inner, factor.T @ halfway)

    def deviations(self, columns: np.ndarray) -> np.ndarray:
        """Return [U], the standard deviation over the images of their features times each of the columns [D, U]."""
        columns = columns.astype(np.float64)
        along = np.square(self.factor.astype(np.float64).T @ columns).sum(axis=0)
        return np.sqrt(along + self.diagonal.astype(np.float64) @ np.square(columns))

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return both parts as arrays whose names start with `name`; `from_arrays` takes them back."""
        return {f"{name}_factor": self.factor, f"{name}_diagonal": self.diagonal}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], name: str) -> Covariance:
        """Return what `arrays` gave under that name."""
        return cls(arrays[f"{name}_factor"], arrays[f"{name}_diagonal"])


METRICS = ("total", "within")


@dataclass(frozen=True)
class FewShotChoice:
    """What validation classes choose.

    Attributes:
        metric: which covariance is V: "within" classes, or the "total" one, as for a ridge head.
        penalty: p, in units of the mean variance of a feature in V.
        weight: kappa, in images.
        surplus: what a class of endless images is ahead by, in units of `seen_margin`: calibration helps a zero-shot class
            against the seen ones, and the more images there are the less of that it needs.
    """

    metric: str
    penalty: float
    weight: float
    surplus: float


@dataclass(frozen=True)
class Refined:
    """A column that has seen images.

    Attributes:
        column: float32 [D].
        bias: of its logit.
        images: how many it has seen in all.
        scale: what the weighted mean of the columns was multiplied by; further images need it to weigh no more than these.
    """

    column: np.ndarray
    bias: float
    images: int
    scale: float


@dataclass(frozen=True)
class FewShotPrior:
    """All that an update needs: moments of seen training images, and what the validation classes chose.

    Attributes:
        mean: float32 [D], m.
        total: the covariance around m.
        metric: V.
        penalty: p.
        data_scale: s, with which columns of seen class means deviate as much as seen logits do.
        statistics: of the seen logits, which refined ones are matched to.
        weight: kappa.
        surplus: what is taken off the bias of a class of endless images, in the units of logits.
    """

    mean: np.ndarray
    total: Covariance
    metric: Covariance
    penalty: float
    data_scale: float
    statistics: LogitStatistics
    weight: float
    surplus: float

    def data_columns(self, means: np.ndarray) -> np.ndarray:
        """Return the columns float64 [D, U] that feature means [D, U] of images make without a prior."""
        return self.data_scale * self.metric.solve(means - self.mean.astype(np.float64)[:, None], self.penalty)

    def share(self, images: np.ndarray | int) -> np.ndarray:
        """Return what n > 0 images weigh against the description: n / (kappa + n), in [0, 1]."""
        return np.asarray(images / (self.weight + images))

    def scales(self, columns: np.ndarray) -> np.ndarray:
        """Return the factors [U] with which columns [D, U] deviate as much as seen logits do; 1 for a column of zeros."""
        deviations = self.total.deviations(columns)
        return np.divide(self.statistics.deviation, deviations, out=np.ones_like(deviations), where=deviations > 0)

    def combine(
        self, columns: np.ndarray, scales: np.ndarray, arrived: np.ndarray, images: int, added: np.ndarray | int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return columns float32 [D, U], biases float32 [U] and scales [U] after further images.

        Args:
            columns: [D, U], as they were.
            scales: [U], theirs.
            arrived: [D, U], `data_columns` of the further images.
            images: how many each column has seen before.
            added: how many there are more, at least 1; for all columns or [U].
        """
        count = images + added
        combined = ((self.weight + images) * (columns / scales) + added * arrived) / (self.weight + count)
        scales = self.scales(combined)
        refined = (scales * combined).astype(np.float32)
        biases = self.statistics.mean - self.mean.astype(np.float64) @ refined - self.surplus * self.share(count)
        return refined, biases.astype(np.float32), scales

    def refine(
        self, column: np.ndarray, bias: float, features: np.ndarray, *, images: int = 0, scale: float | None = None
    ) -> Refined:
        """Return the column after further images; the same in whatever order and however many calls they come.

        Without images nothing changes.

        Args:
            column: [D], from a description, or of an earlier `Refined`.
            bias: its bias.
            features: [n, D] of the new images.
            images: how many the column has seen before.
            scale: the earlier `Refined.scale`; None takes the column as one that was matched just now.

        Raises:
            InputError: features are not [n, D] or not finite.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean) or not np.isfinite(features).all():
            raise InputError(f"features must be finite and [n, {len(self.mean)}]. Received shape {features.shape}.")
        columns = column.astype(np.float64)[:, None]
        # A column as solved, which was not matched, is taken as if it were.
        scales = 1.0 / self.scales(columns) if scale is None else np.array([scale])
        if not len(features):
            return Refined(column, bias, images, float(scales[0]))
        arrived = self.data_columns(features.mean(axis=0, dtype=np.float64)[:, None])
        refined, biases, scales = self.combine(columns, scales, arrived, images, len(features))
        return Refined(refined[:, 0], float(biases[0]), images + len(features), float(scales[0]))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as float32 arrays by name, for an .npz file; `from_arrays` takes them back."""
        numbers = (self.penalty, self.data_scale, self.statistics.mean, self.statistics.deviation, self.weight, self.surplus)
        moments = {"mean": self.mean, **self.total.arrays("total"), **self.metric.arrays("metric")}
        return {**moments, "numbers": np.array(numbers, np.float32)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> FewShotPrior:
        """Return what `arrays` gave.

        Raises:
            KeyError: an array is absent.
            ValueError: `numbers` holds fewer or more than it should.
        """
        penalty, data_scale, mean, deviation, weight, surplus = (float(value) for value in arrays["numbers"])
        return cls(
            arrays["mean"], Covariance.from_arrays(arrays, "total"), Covariance.from_arrays(arrays, "metric"), penalty,
            data_scale, LogitStatistics(mean, deviation), weight, surplus
        )


@dataclass(frozen=True)
class SeenMoments:
    """What every `FewShotPrior` of one network is made of.

    Attributes:
        mean: float64 [D], over the images.
        class_means: float64 [D, S].
        covariances: by the names in `METRICS`.
        statistics: of the seen logits.
    """

    mean: np.ndarray
    class_means: np.ndarray
    covariances: Mapping[str, Covariance]
    statistics: LogitStatistics

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray, statistics: LogitStatistics, rank: int = RANK) -> SeenMoments:
        """Measure features [M, D] of seen training images with labels [M], to at most `rank` directions a covariance."""
        rows = features.astype(np.float64)
        mean = rows.mean(axis=0)
        present, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
        sums = np.zeros((len(present), rows.shape[1]))
        np.add.at(sums, places, rows)
        class_means = sums / counts[:, None]
        total = Covariance.of(rows - mean, rank)
        within, freedom = total, len(rows) - len(present)
        if freedom > 0:  # else each class has one image, and nothing is known of its spread
            within = Covariance.of((rows - class_means[places]) * np.sqrt(len(rows) / freedom), rank)
        return cls(mean, class_means.T, {"total": total, "within": within}, statistics)

    def prior(self, choice: FewShotChoice, margin: float) -> FewShotPrior:
        """Return the prior for a choice; `margin` is the network's `seen_margin`, the surplus's unit."""
        total, metric = self.covariances["total"], self.covariances[choice.metric]
        # Features without any variance leave the penalty alone.
        penalty = choice.penalty * (metric.mean_variance or total.mean_variance or 1.0)
        mean, surplus = self.mean.astype(np.float32), choice.surplus * margin
        plain = FewShotPrior(mean, total, metric, penalty, 1.0, self.statistics, choice.weight, surplus)
        deviation = float(total.deviations(plain.data_columns(self.class_means)).mean())
        return replace(plain, data_scale=self.statistics.deviation / deviation if deviation > 0 else 1.0)
