"""Networks of the unseen classes alone, in the orders that a method's figure is made of."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.schema import Descriptions
from niwt_tf.jobs import evaluate
from niwt_tf.methods.registry import method_of
from niwt_tf.models.network import Network

NAMES = tuple("abcdef")


def test_the_order_counts_where_the_form_knows_places():
    for form, orders in (("equivariant", 1), ("ordered", 10), ("printed", 10)):
        assert method_of("n3").orders(Settings(n3_form=form)) == orders
    assert method_of("niwt").orders(Settings()) == 1


def test_as_many_orders_are_written_as_the_method_asks_for(monkeypatch, tmp_path):
    written = SimpleNamespace(synthesize=lambda classes: SimpleNamespace(apply=lambda base: (base, classes.names)))
    method = SimpleNamespace(orders=lambda settings: 4, generator_of=lambda settings, base, arrays: written)
    monkeypatch.setattr(evaluate, "method_of", lambda name: method)
    monkeypatch.setattr(Network, "load", lambda path: path.name)
    run = SimpleNamespace(settings=Settings(seed=5), folder=lambda stage: tmp_path / stage)
    data = SimpleNamespace(unseen=Descriptions(NAMES, np.zeros((6, 0), np.float32), NAMES))
    transfer = SimpleNamespace(unseen_network="the run's own", generator_arrays={})
    first, *others = evaluate._in_orders(run, data, transfer)
    assert first == "the run's own" and len(others) == 3
    assert all(base == "main.keras" and sorted(names) == list(NAMES) for base, names in others)
    assert len({names for _, names in others}) == 3
    assert others == list(evaluate._in_orders(run, data, transfer))[1:]
    method.orders = lambda settings: 1
    assert list(evaluate._in_orders(run, data, transfer)) == ["the run's own"]
