"""--method: other methods make the classifier, and everything after that goes on as with NIWT's."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf import InputError, Niwt
from niwt_tf.config.names import TITLES
from niwt_tf.files import read_json
from niwt_tf.models.network import Network


@pytest.mark.slow
@pytest.mark.combination  # tests/jobs/test_every_method.py has one method at each commit
def test_a_whole_run(niwt, finished_run, run_copy, tmp_path):
    """The same networks, maps and folds; the method's scores are those that it has as a baseline."""
    head = "cnzsl"
    exports = tmp_path / "exports"
    flags = [f"--run_dir={run_copy}", f"--export_dir={exports}", "--noprogress"]
    before = {name: read_json(run_copy / name / "manifest.json")["identity"] for name in ("train", "importance", "map")}
    job = niwt("run", *flags, f"--method={head}", "--overwrite")
    assert job.status == 0, job.err
    assert before == {name: read_json(run_copy / name / "manifest.json")["identity"] for name in before}
    job = niwt("baseline", f"--methods={head}", *flags)
    assert job.status == 0, job.err
    assert f"\n{TITLES[head]} (this run)" in job.out and "NIWT" not in job.out
    ours, theirs = read_json(run_copy / "metrics.json"), read_json(run_copy / f"baseline_{head}" / "metrics.json")
    scores = run_copy / "evaluate" / "scores.npz", run_copy / f"baseline_{head}" / "scores.npz"
    with np.load(scores[0]) as run, np.load(scores[1]) as baseline:
        scale = np.abs(baseline["logits"]).max()
        np.testing.assert_allclose(run["logits"], baseline["logits"], atol=1e-4 * scale)
    for name in ("acc_seen", "acc_unseen", "harmonic_mean", "validation_harmonic_mean"):
        assert ours[name] == pytest.approx(theirs[name], abs=1e-6)
    assert ours["calibration"] == pytest.approx(theirs["calibration"], rel=1e-3, abs=1e-5)
    selection = read_json(run_copy / "transfer" / "selection.json")
    assert selection["method"] == head
    assert "Head columns made by" in (run_copy / "report" / "report.html").read_text(encoding="utf-8")
    network = Network.load(run_copy / "transfer" / "network.keras")
    assert any(layer.name == "unit_features" for layer in network.model.layers) == (selection["chosen"]["features"] == "unit")
    bundle = sorted(exports.iterdir())[-1]
    assert niwt("check_export", f"--bundle={bundle}").status == 0
    job = niwt("add_class", f"--bundle={bundle}", "--name=newcomer", "--text=black crown color", "--missing=mean")
    assert job.status == 0, job.err
    added = bundle.with_name(str(int(bundle.name) + 1))
    assert read_json(added / "niwt.json")["labels"] == [*read_json(bundle / "niwt.json")["labels"], "newcomer"]
    unseen = read_json(bundle / "niwt.json")["unseen"][0]
    job = niwt("refine_class", f"--bundle={added}", f"--name={unseen}", f"--images={finished_run.path}")
    assert job.status == 2
    assert job.err.count("\n") == 1


@pytest.mark.parametrize(
    ("method", "last", "stages"),
    [
        ("n3", "map", "train, meta, transfer, evaluate, export, faithfulness, report"),
        ("niwt", "meta", "train, importance, map, transfer, evaluate, export, faithfulness, report"),
        ("eszsl", "importance", "train, transfer, evaluate, export, faithfulness, report"),
    ],
)
def test_a_run_ends_at_a_stage_that_its_method_has(niwt, tmp_path, method, last, stages):
    job = niwt("run", f"--run_dir={tmp_path / 'run'}", f"--until={last}", f"--method={method}")
    sentence = f"niwt run: --until must be one of {stages} if --method is {method}. Received: {last!r}.\n"
    assert (job.status, job.err) == (2, sentence)
    assert not (tmp_path / "run").exists()


def test_the_former_name_of_the_flag_is_taken_and_said(niwt, tiny_birds, tmp_path):
    job = niwt("train", f"--data_dir={tiny_birds}/none", f"--run_dir={tmp_path / 'run'}", "--head=eszsl")
    assert job.status == 2
    assert job.err.count("--head is now called --method") == 1
    with pytest.warns(FutureWarning, match="is now Niwt"):
        assert Niwt(head="eszsl")._settings().method == "eszsl"
    with pytest.raises(InputError, match=r"head is the former name of method\. Received: 'ale' and method='dem'"):
        Niwt(method="dem", head="ale").fit(None)
