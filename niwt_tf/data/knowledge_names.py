"""Names of the sources of class descriptions, without anything heavy: the options' table reads them."""

from __future__ import annotations

SOURCES = ("attributes", "binary", "captions", "sentences", "texts")
