"""Names of the methods, without anything heavy: the options' table reads them."""

from __future__ import annotations

# These make a column of each class from its description, and so a head that exports and serves.
HEADS = ("ale", "dem", "eszsl", "sync", "cnzsl")
# Between a floor and a ceiling.
METHODS = (*HEADS, "class_mean", "random", "oracle")
TITLES = {
    "ale": "ALE",
    "dem": "DEM",
    "eszsl": "ESZSL",
    "sync": "SynC",
    "cnzsl": "CNZSL",
    "class_mean": "class mean",
    "random": "random",
    "oracle": "oracle",
}
