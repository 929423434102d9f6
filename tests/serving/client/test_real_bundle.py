"""The client and the loopback server on what the exporter writes."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.classes.rewrite import next_version
from niwt_tf.serving.client.client import Client
from niwt_tf.serving.client.local_transport import LocalTransport
from tests.serving.answers import predict
from tests.serving.client.conftest import SERVERS, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle(saved_model, tmp_path_factory) -> Path:
    """Return a folder of versions with the exporter's toy as version 1; not to be changed."""
    folder = tmp_path_factory.mktemp("bundle") / "toy"
    shutil.copytree(saved_model, folder / "1")
    return folder


@pytest.fixture(scope="module", params=SERVERS)
def address(request, bundle):
    with running(request.param, bundle) as found:
        yield found


def _clients(address, bundle):
    return [Client(address.grpc, "toy"), Client(address.rest, "toy"), Client(LocalTransport(bundle))]


def test_a_server_and_this_process_answer_as_predict(address, bundle, image_paths):
    expected = predict(bundle, image_paths)
    for client in _clients(address, bundle):
        with client:
            found = client.classify(image_paths)
        assert found.labels == expected.labels and found.errors == {}
        np.testing.assert_allclose(np.stack(found.scores), expected.scores, rtol=1e-4, atol=1e-6)
        assert np.stack(found.is_seen).tolist() == expected.is_seen.tolist()


def test_explanations_arrive_whole(address, bundle, image_paths):
    best = predict(bundle, image_paths)
    answers = []
    for client in _clients(address, bundle):
        with client:
            answers.append(client.explain(image_paths).rows)
    names = json.loads((bundle / "1" / "niwt.json").read_text())["knowledge"]["names"]
    for place in range(len(image_paths)):
        rows = [answer[place] for answer in answers]
        for row in rows:
            assert (row.label, row.runner_up) == best.labels[place][:2]
            assert row.score == pytest.approx(best.scores[place][0], rel=1e-4)
            assert {name for name, _ in row.attributes} <= set(names) and 0 < len(row.attributes) <= 5
            assert row.heatmap_png.startswith(b"\x89PNG") and 0 <= row.heatmap.min() <= row.heatmap.max() <= 1
            np.testing.assert_allclose(row.heatmap, rows[0].heatmap, atol=1e-5)


def test_a_known_class_described_again_competes_with_itself(address, bundle, image_paths, contents):
    """A class given by its own description is scored beside the known ones, the same by every way."""
    described = {"another": contents.knowledge.values[6].tolist(), "one more": contents.knowledge.values[5].tolist()}
    answers = []
    for client in _clients(address, bundle):
        with client:
            answers.append(client.classify_with(image_paths, described))
    for answer in answers:
        assert answer.errors == {} and answer.labels == answers[0].labels
        assert all(len(labels) == 9 and {"another", "one more"} < set(labels) for labels in answer.labels)
        np.testing.assert_allclose(np.stack(answer.scores).sum(1), 1, rtol=1e-5)


@pytest.mark.combination  # tests/serving/client/test_loopback.py has new versions
def test_a_rewritten_version_is_served(bundle, image_paths, tmp_path):
    shutil.copytree(bundle, tmp_path / "toy")
    with running("loopback", tmp_path / "toy") as address, Client(address.grpc, "toy") as client:
        before = client.classify(image_paths)
        opened = Bundle.open(tmp_path / "toy")
        cards = [dataclasses.replace(card, name=f"new {card.name}") for card in opened.cards]
        next_version(opened, variables={"labels": np.array([card.name.encode() for card in cards], object)}, cards=cards)
        limit = time.monotonic() + 600
        while time.monotonic() < limit:
            after = client.classify(image_paths)
            assert set(after.versions) in ({1}, {2})
            if after.versions[0] == 2:
                break
        assert after.labels == tuple(tuple(f"new {label}" for label in row) for row in before.labels)
        np.testing.assert_array_equal(np.stack(after.scores), np.stack(before.scores))


def test_a_bundle_that_was_changed_is_not_classified_with(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "toy")
    data = tmp_path / "toy" / "1" / "variables" / "variables.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[100] ^= 1
    data.write_bytes(content)
    with pytest.raises(InputError, match="variables.data-00000-of-00001"):
        LocalTransport(tmp_path / "toy")
