"""Workers whose processes answer at once, without a model: order, errors and ends."""

from __future__ import annotations

import json
import sys

import pytest

from niwt_tf.errors import InputError
from niwt_tf.serving.client import workers
from niwt_tf.serving.client.question import Question
from niwt_tf.serving.client.transport import RequestError

ANSWERS = """
import json, os, sys, time
question = json.loads(sys.stdin.readline())
for line in sys.stdin:
    names = json.loads(line)
    if names[0] == "slow": time.sleep(0.3)
    if names[0] == "dies": os.kill(os.getpid(), 9)
    answer = {"records": [{"image": name, "top": question["top"]} for name in names]}
    if names[0] == "wrong": answer = {"wrong_input": "a sentence"}
    if names[0] == "refused": answer = {"refused": ["UNAVAILABLE", "later", True]}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(workers, "python_command", lambda module: [sys.executable, "-c", ANSWERS])


def test_answers_come_in_the_order_of_the_images():
    seen: list[int] = []
    lists = [["slow", "a"], ["b"], ["c"], ["slow"], ["d", "e", "f"]]
    found = list(workers.answered(Question(bundle="x", top=4), lists, 3, seen.append))
    assert [[record["image"] for record in records] for records in found] == lists
    assert found[0][0]["top"] == 4 and seen == [2, 1, 1, 1, 3]


def test_no_more_lists_are_read_than_can_be_worked_on():
    taken: list[int] = []

    def lists():
        for number in range(100):
            taken.append(number)
            yield [str(number)]

    answers = workers.answered(Question(bundle="x"), lists(), 2)
    next(answers)
    assert len(taken) <= 4
    answers.close()


@pytest.mark.parametrize(
    ("name", "kind", "match"),
    [
        ("wrong", InputError, "^a sentence$"),
        ("refused", RequestError, "UNAVAILABLE: later"),
        ("dies", InputError, "--workers must not be .* Received: one of them ended .killed by SIGKILL."),
    ],
)
def test_what_a_worker_meets_is_told(name, kind, match):
    taken: list[str] = []

    def lists():
        for each in ["a", name, "b", *["slow"] * 50]:
            taken.append(each)
            yield [each]

    with pytest.raises(kind, match=match):
        list(workers.answered(Question(bundle="x"), lists(), 2))
    assert len(taken) <= 7  # the others are not asked


def test_a_question_is_plain_values():
    import dataclasses

    question = Question(server="grpc://localhost:1", name="birds", version=2, numbers={"wren": [0.5]}, seen={"hen": True})
    assert Question(**json.loads(json.dumps(dataclasses.asdict(question)))) == question
