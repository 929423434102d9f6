"""What would have to be said of class B for it to win over class A: the smallest change of B's description that does it.

B's logit under a changed description d' is its logit plus x . (w(d') - w(d)) + b(d') - b(d), with (w, b) the column formula and
x the image's features. For a class that was made from its description that is exact; for one learnt from photographs it is the
change that the column formula sees. Dimensions: K attributes, D features, C known classes, E edits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from niwt_tf.explain.words import shortest
from niwt_tf.methods.formula import ColumnFormula, EditedLogit

MOST_EDITS = 8
_MOST_PAIRS = 20_000
_MOST_PRODUCTS = 5e10  # in trying pairs: some two seconds on two cores
_MOST_ADDED = 1_000
_MOST_SHRUNK = 512
_HALVINGS = 20
_PAST = 1e-3  # by how much, in parts of itself, an edit is made larger than it must be
_CLEAR = 1e-3  # by how much B must win, in parts of the largest of the logits at stake and 1: far above float32's rounding


@dataclass(frozen=True)
class Edit:
    """One attribute of a description, before and after.

    Where one takes another's place there are two, of which each names the `group` that they share; alone it has none.
    """

    attribute: str
    before: float
    after: float
    group: str = ""


@dataclass(frozen=True)
class Counterfactual:
    """A changed description of class B with which it wins over class A.

    Its edits come in the order of the attributes; `description` is float32 [K]. A margin is A's logit minus B's, after the
    change below 0.
    """

    edits: tuple[Edit, ...]
    description: np.ndarray
    margin_before: float
    margin_after: float


@dataclass(frozen=True)
class NoCounterfactual:
    """Why there is no changed description, in one sentence."""

    reason: str


@dataclass(frozen=True)
class _Chosen:
    """Edits by their places, and which part of each is made."""

    places: tuple[int, ...]
    parts: tuple[float, ...]


def counterfactual(
    features: np.ndarray,
    formula: ColumnFormula,
    description: np.ndarray,
    margin: float,
    known: np.ndarray,
    names: Sequence[str],
    groups: Sequence[str],
) -> Counterfactual | NoCounterfactual:
    """Return the smallest change of B's description, raw [K], with which it wins.

    Fewest edits first, then the smallest sum of |change| / range over the known classes. All single edits are tried, and all
    pairs of them (of more than some 20,000 pairs, or 5e10 / N^2 where the map has N > 1,581 neurons, those of the edits that
    help most alone). More than two are found greedily: of the thousand edits that help most alone the one that helps most now
    is added until B wins, at most eight, and those that turn out not to be needed are dropped. An edit of an attribute with
    more than two values is made only as large as it must be.

    Features are x, [D]; the margin is A's calibrated logit minus B's; the known classes' raw descriptions [C, K] give the range
    of each attribute. Attributes have names [K], and groups [K], "" for none.
    """
    description = np.asarray(description, np.float32)
    if margin < 0:
        return NoCounterfactual("It wins already.")
    edits = possible_edits(description, known, groups)
    if not len(edits):
        return NoCounterfactual("The known classes do not differ in any attribute.")
    search = _Search(formula.edited(features, description), edits, margin)
    chosen = search.single() or search.pair() or search.greedy()
    if chosen is None:
        return NoCounterfactual(
            f"No change of up to {MOST_EDITS} attributes, within the range of the known classes, is enough."
        )
    changed = description.astype(np.float64)
    for place, part in zip(chosen.places, chosen.parts, strict=True):
        np.add.at(changed, edits.attributes[place], part * edits.changes[place])
    after = changed.astype(np.float32)
    columns, biases = formula(np.stack([description, after]))
    before_logit, after_logit = np.asarray(features, np.float64) @ columns.astype(np.float64) + biases
    pairs = edits.attributes[list(chosen.places)].tolist()
    touched = sorted({k: groups[k] if first != second else "" for first, second in pairs for k in (first, second)}.items())
    return Counterfactual(
        tuple(Edit(names[k], shortest(description[k]), shortest(after[k]), group) for k, group in touched),
        after,
        float(margin),
        float(margin - (after_logit - before_logit)),
    )


class _Search:
    def __init__(self, logit: EditedLogit, edits: Edits, margin: float) -> None:
        self._logit, self._edits = logit, edits
        now = float(logit(np.zeros((1, 1), np.int64), np.zeros((1, 1)))[0])
        self._enough = now + margin + _CLEAR * max(1.0, abs(now), abs(margin))
        self._alone = self._of(np.arange(len(edits))[:, None])

    def single(self) -> _Chosen | None:
        """Return the smallest edit that is enough by itself."""
        return self._smallest(np.arange(len(self._edits))[:, None], self._alone)

    def pair(self) -> _Chosen | None:
        """Return the smallest pair of edits that is enough."""
        kept = self._best(int((2 * min(_MOST_PAIRS, _MOST_PRODUCTS / self._logit.products)) ** 0.5))
        first, second = np.triu_indices(len(kept), 1)
        pairs = np.stack([kept[first], kept[second]], axis=1)
        subjects = self._edits.subjects[pairs]
        pairs = pairs[subjects[:, 0] != subjects[:, 1]]
        return self._smallest(pairs, self._of(pairs))

    def greedy(self) -> _Chosen | None:
        """Return edits of which none can be left out, each the one that helped most beside those before it."""
        chosen, kept = list[int](), self._best(_MOST_ADDED)
        while len(chosen) < MOST_EDITS:
            rest = kept[~np.isin(self._edits.subjects[kept], self._edits.subjects[chosen])]
            if not len(rest):
                return None
            logits = self._of(np.concatenate([np.tile(np.array(chosen, np.int64), (len(rest), 1)), rest[:, None]], axis=1))
            chosen.append(int(rest[logits.argmax()]))
            if logits.max() > self._enough:
                needed = np.array([self._pruned(chosen)])
                return self._smallest(needed, self._of(needed))
        return None

    def _best(self, most: int) -> np.ndarray:
        """Return the places of the edits that help most alone, ascending."""
        return np.sort(np.argsort(-self._alone, kind="stable")[:most])

    def _pruned(self, chosen: list[int]) -> list[int]:
        for place in list(chosen):
            rest = [other for other in chosen if other != place]
            if rest and self._of(np.array([rest]))[0] > self._enough:
                chosen = rest
        return chosen

    def _smallest(self, sets: np.ndarray, logits: np.ndarray) -> _Chosen | None:
        """Return the smallest of those sets [U, J] of edits that are enough, with one continuous edit as small as may be."""
        wins = np.flatnonzero(logits > self._enough)
        if not len(wins):
            return None
        sizes = self._edits.sizes[sets[wins]].sum(axis=1)
        wins = wins[np.lexsort((-logits[wins], sizes))]
        most = np.concatenate([wins[:_MOST_SHRUNK], wins[np.argsort(-logits[wins], kind="stable")[:_MOST_SHRUNK]]])
        sets, logits = sets[most], logits[most]
        best, smallest = _Chosen(tuple(sets[0].tolist()), (1.0,) * sets.shape[1]), sizes.min()
        for j in range(sets.shape[1]):
            rows, parts = self._shrunk(sets[self._edits.is_continuous[sets[:, j]]], j, smallest)
            totals = (parts * self._edits.sizes[rows]).sum(axis=1)
            if len(rows) and totals.min() < smallest:
                at = int(totals.argmin())
                best, smallest = _Chosen(tuple(rows[at].tolist()), tuple(parts[at].tolist())), totals[at]
        return best

    def _shrunk(self, sets: np.ndarray, j: int, smallest: float) -> tuple[np.ndarray, np.ndarray]:
        """Return sets [V, J] with the part [V, J] of each edit that is made, edit j as small as halving an interval finds.

        Sets that cannot become smaller than `smallest`, or than another of them, are left out on the way.
        """
        low, high = np.zeros(len(sets)), np.ones(len(sets))
        own = self._edits.sizes[sets[:, j]]
        rest = self._edits.sizes[sets].sum(axis=1) - own
        for _ in range(_HALVINGS):
            # The slack keeps what rounding alone makes larger.
            most = min(smallest, (rest + own * high).min(initial=np.inf)) * (1 + 1e-9)
            kept = rest + own * low <= most
            sets, low, high, own, rest = sets[kept], low[kept], high[kept], own[kept], rest[kept]
            middle = (low + high) / 2
            wins = self._of(sets, self._parts(sets, j, middle)) > self._enough
            low, high = np.where(wins, low, middle), np.where(wins, middle, high)
        # Where the logit jumps (a block of importances that turns its direction), rounding decides at the very edge.
        past = np.minimum(high * (1 + _PAST), 1.0)
        clear = self._of(sets, self._parts(sets, j, past)) > self._enough
        return sets, self._parts(sets, j, np.where(clear, past, high))

    @staticmethod
    def _parts(sets: np.ndarray, j: int, part: np.ndarray) -> np.ndarray:
        parts = np.ones(sets.shape)
        parts[:, j] = part
        return parts

    def _of(self, sets: np.ndarray, parts: np.ndarray | None = None) -> np.ndarray:
        changes = self._edits.changes[sets]
        scaled = changes if parts is None else changes * parts[..., None]
        flat = len(sets), sets.shape[1] * 2
        return self._logit(self._edits.attributes[sets].reshape(flat), scaled.reshape(flat))


@dataclass(frozen=True)
class Edits:
    """Edits [E] of one description, each of one attribute, or of two where one takes the other's place within its group.

    `attributes` int64 [E, 2] are what changes, and `changes` float64 [E, 2] what is added: where one changes alone it is there
    twice, and its second change is 0. Two edits of one of `subjects` int64 [E] cannot be made together. `sizes` float64 [E] are
    the sums of |change| / range. Where `is_continuous`, bool [E], a smaller change of the same attribute makes sense too.
    """

    attributes: np.ndarray
    changes: np.ndarray
    subjects: np.ndarray
    sizes: np.ndarray
    is_continuous: np.ndarray

    def __len__(self) -> int:
        return len(self.subjects)


def possible_edits(description: np.ndarray, known: np.ndarray, groups: Sequence[str]) -> Edits:
    """Return the edits of a raw description [K] that stay within the known classes' values, raw [C, K].

    An attribute with two values takes the other one; one with more goes to its least or its largest. In one of the groups [K]
    of which every class has exactly one entry, an entry takes the place of the one that the description has: it gets the
    largest value that a class has in it, and the other becomes 0. An attribute in which no class differs is left alone.
    """
    description, known = np.asarray(description, np.float64), np.asarray(known, np.float64)
    every = np.concatenate([known, description[None]])
    least, largest = every.min(axis=0), every.max(axis=0)
    ranges = largest - least
    exclusive = _exclusive_groups(every != 0, groups)
    rows = [row for group in exclusive for row in _swaps(group, description, known, ranges)]
    free = np.setdiff1d(np.flatnonzero(ranges > 0), np.concatenate([*exclusive, np.empty(0, np.int64)]))
    inner = (known[:, free] > least[free]) & (known[:, free] < largest[free])
    has_more = inner.any(axis=0) | ((description[free] > least[free]) & (description[free] < largest[free]))
    for k, continuous in zip(free.tolist(), has_more.tolist(), strict=True):
        for value in (least[k], largest[k]):
            if value != description[k]:
                change = value - description[k]
                rows.append((k, k, change, 0.0, k, abs(change) / ranges[k], continuous))
    columns = list(zip(*rows, strict=True)) or [()] * 7
    first, second, change, other, subjects, sizes, continuous_too = columns
    return Edits(
        np.array([first, second], np.int64).T,
        np.array([change, other], np.float64).T,
        np.array(subjects, np.int64),
        np.array(sizes, np.float64),
        np.array(continuous_too, bool),
    )


def _exclusive_groups(present: np.ndarray, groups: Sequence[str]) -> list[np.ndarray]:
    """Return the attributes [..] of each group of which every row of `present`, bool [.., K], has exactly one entry."""
    members: dict[str, list[int]] = {}
    for k, group in enumerate(groups):
        if group:
            members.setdefault(group, []).append(k)
    found = [np.array(group) for group in members.values() if len(group) > 1]
    return [group for group in found if (present[:, group].sum(axis=1) == 1).all()]


_Row = tuple[int, int, float, float, int, float, bool]


def _swaps(group: np.ndarray, description: np.ndarray, known: np.ndarray, ranges: np.ndarray) -> list[_Row]:
    before = int(group[np.flatnonzero(description[group])[0]])
    rows: list[_Row] = []
    for after in group.tolist():
        values = known[:, after]
        value = float(values[np.abs(values).argmax()])
        if after != before and value != 0:
            size = abs(description[before]) / ranges[before] if ranges[before] > 0 else 1.0
            # Attributes of one group share its first one as their subject.
            rows.append((after, before, value, -description[before], int(group[0]), size + abs(value) / ranges[after], False))
    return rows
