"""Whose results are optimistic: everybody who could have chosen by test figures, and nobody else."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.files import read_json, sealed, write_json
from niwt_tf.runs.ledger import TAMPERED, Ledger, UseOfTestImages, _differing, _kept_digests, could_be_chosen, portable
from niwt_tf.runs.run import Run, RunDirectory

FILE = "test_labels.json"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Do not wait for the disk."""
    monkeypatch.setattr("niwt_tf.files._sync", lambda path: None)


def _train(run: Run) -> None:
    stage = run.stage("train", ["layer", "seed", "weights"])
    if not stage.up_to_date:
        with stage.writing() as folder:
            (folder / "weights").write_text(str(run.settings.layer))


def _scoring(name: str, settings: tuple[str, ...] = (), uses: tuple[str, ...] = ()):
    def stage(run: Run) -> None:
        made = run.stage(name, settings, ["train"], publishes=["metrics.json"] if name == "evaluate" else [])
        if not made.up_to_date:
            with made.writing() as folder:
                analysis = name.startswith("analysis_")
                mark = run.scored_test_images(name, None if analysis else made.choices, uses)
                write_json(folder / "metrics.json", {"harmonic_mean": 0.5, **mark})

    return stage


_evaluate = _scoring("evaluate", ("map",))
_baseline = _scoring("baseline_ale")


def _does(path: Path, *stages, problem: str = "birds", descriptions: str | None = None, data: str = "d", **given) -> list[str]:
    """Do stages as a job would, with these flags, and return the reasons in evaluate's metrics."""
    settings = Settings(**given)
    with RunDirectory(path).locked(settings, overwrite=True, given=list(given)) as run:
        run.use_data(data, problem, descriptions)
        for stage in stages or (_train, _evaluate):
            stage(run)
    return _marks(path)


def _marks(path: Path, stage: str = "evaluate") -> list[str]:
    file = path / stage / "metrics.json"
    return read_json(file)["optimistic"] if file.exists() else []


def test_the_first_look_is_clean_and_is_written_down(tmp_path):
    assert _does(tmp_path) == []
    (entry,) = read_json(tmp_path / FILE)["entries"]
    assert entry["what"] == "evaluate"
    described = {"knowledge": "attributes", "text_features": "lsa"}
    assert entry["choices"] == {**described, "layer": None, "map": "auto", "seed": 0, "weights": "none"}
    assert entry["time"].endswith("+00:00")
    assert read_json(tmp_path / "metrics.json")["test_ledger"] == entry["digest"]
    assert "time" not in (tmp_path / "metrics.json").read_text()


def test_a_flag_changed_after_a_look_marks_the_result_for_good(tmp_path):
    _does(tmp_path)
    assert _does(tmp_path, map="cosine") == ["its test images were also scored with another --map"]
    assert read_json(tmp_path / "metrics.json")["optimistic"]
    # Back again, and everything of the run made anew: the second look was had.
    shutil.rmtree(tmp_path / "evaluate")
    assert _does(tmp_path, map="ridge") == ["its test images were also scored with another --map"]
    with RunDirectory(tmp_path).locked(Settings(), given=[]) as run:
        assert run.optimistic()


def test_what_nobody_looked_at_may_change(tmp_path):
    _does(tmp_path, _train, layer="a")
    assert _does(tmp_path, layer="b") == []


def test_another_way_of_a_baseline_is_its_own_choice_and_no_other_s(tmp_path):
    def fitted_on(name, features):
        def stage(run: Run) -> None:
            made = run.stage(name, (), ["train"], {"baseline_features": features})
            if not made.up_to_date:
                with made.writing() as folder:
                    write_json(folder / "metrics.json", run.scored_test_images(name, made.choices))

        return stage

    _does(tmp_path, _train, fitted_on("baseline_ale", "head"), fitted_on("baseline_dem", "map"))
    assert _marks(tmp_path, "baseline_dem") == []
    _does(tmp_path, _train, fitted_on("baseline_ale", "map"))
    assert _marks(tmp_path, "baseline_ale") == ["its test images were also scored with another --baseline_features"]


def test_what_describes_the_classes_is_a_choice_though_no_stage_names_it(tmp_path):
    _does(tmp_path)
    assert _does(tmp_path, knowledge="captions", data="e") == ["its test images were also scored with another --knowledge"]


def test_the_same_again_is_clean_and_adds_nothing(tmp_path):
    _does(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    shutil.rmtree(tmp_path / "evaluate")  # interrupted, or damaged
    assert _does(tmp_path) == []
    assert (tmp_path / FILE).read_bytes() == before


def test_other_images_another_split_or_seed_of_it_are_another_problem(tmp_path):
    _does(tmp_path, split="ps", unseen=())
    assert _does(tmp_path, split="random", seed=4, data="e", problem="other") == []
    assert _does(tmp_path, split="random", seed=5, data="f", problem="animals") == []


def test_the_seed_is_a_choice_where_the_same_images_are_tested(tmp_path):
    _does(tmp_path)
    assert _does(tmp_path, seed=1) == ["its test images were also scored with another --seed"]


@pytest.mark.parametrize("version", ["same", "other"])
def test_descriptions_rewritten_after_a_look_are_a_choice(tmp_path, version, monkeypatch):
    _does(tmp_path, descriptions="before")
    if version == "other":  # which may read the same table otherwise
        monkeypatch.setattr("niwt_tf.runs.ledger.__version__", "99")
    marks = _does(tmp_path, descriptions="after", data="e")
    assert ["descriptions" in mark for mark in marks] == ([True] if version == "same" else [])


def test_a_baseline_that_comes_later_is_clean_and_so_is_what_it_does_not_depend_on(tmp_path):
    _does(tmp_path)
    _does(tmp_path, _baseline)
    assert _marks(tmp_path, "baseline_ale") == _marks(tmp_path) == []
    _does(tmp_path, _train, _evaluate, _scoring("baseline_dem"), map="cosine")
    assert _marks(tmp_path)
    assert _marks(tmp_path, "baseline_dem") == []


def test_figures_of_a_baseline_may_not_choose_the_layer(tmp_path):
    _does(tmp_path, _train, _baseline, layer="a")
    assert _does(tmp_path, layer="b") == ["its test images were also scored with another --layer"]


def test_an_analysis_shows_figures_of_what_it_does_not_depend_on_itself(tmp_path):
    _does(tmp_path, _train, _scoring("analysis_lambda_sweep"))
    assert _does(tmp_path) == []
    assert _does(tmp_path, map="cosine") == [
        "its test images were also scored by analysis_lambda_sweep with another --map",
        "its test images were also scored with another --map",
    ]


def test_a_method_that_uses_test_labels_says_so(tmp_path):
    _does(tmp_path, _train, _evaluate, _scoring("baseline_oracle", uses=("trained on images of unseen classes",)))
    assert _marks(tmp_path, "baseline_oracle") == ["it uses test labels: trained on images of unseen classes"]
    assert _marks(tmp_path) == []


def _deleted(path: Path) -> None:
    (path / FILE).unlink()


def _shortened(path: Path) -> None:
    write_json(path / FILE, {"entries": read_json(path / FILE)["entries"][:-1]})


def _edited(path: Path) -> None:
    (path / FILE).write_text((path / FILE).read_text().replace('"cosine"', '"ridge"'))


def _garbled(path: Path) -> None:
    (path / FILE).write_text("{")


def _deleted_with_the_figures(path: Path) -> None:
    shutil.rmtree(path / "evaluate")
    (path / "metrics.json").unlink()
    (path / FILE).unlink()


@pytest.mark.parametrize("harm", [_deleted, _shortened, _edited, _garbled, _deleted_with_the_figures])
def test_a_record_that_was_changed_is_noticed_and_stays_so(tmp_path, harm):
    _does(tmp_path, _train, _scoring("baseline_eszsl"))
    _does(tmp_path, map="cosine")
    assert _marks(tmp_path) == []
    harm(tmp_path)
    with RunDirectory(tmp_path).locked(Settings(), given=[]) as run:
        assert run.optimistic() == (TAMPERED,)
    assert TAMPERED in _does(tmp_path, weights="imagenet")
    assert TAMPERED in _does(tmp_path, weights="none")
    json.loads((tmp_path / FILE).read_text())


def test_an_older_copy_of_the_record_put_back_is_noticed(tmp_path):
    _does(tmp_path)
    copy = (tmp_path / FILE).read_bytes()
    _does(tmp_path, map="cosine")
    (tmp_path / FILE).write_bytes(copy)
    assert TAMPERED in _does(tmp_path, map="ridge")


def test_a_copied_or_moved_run_takes_its_record_along(tmp_path):
    _does(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a").rename(tmp_path / "c")
    assert _does(tmp_path / "c") == []
    assert _does(tmp_path / "b", map="cosine")
    (tmp_path / "d" / "evaluate").mkdir(parents=True)
    shutil.copytree(tmp_path / "c" / "train", tmp_path / "d" / "train")
    shutil.copy(tmp_path / "c" / "config.json", tmp_path / "d")
    assert _does(tmp_path / "d") == [TAMPERED]


def test_what_else_lies_in_the_folder_is_another_matter(tmp_path):
    _does(tmp_path)
    _does(tmp_path / "within", map="cosine")
    shutil.copytree(tmp_path / "within" / "evaluate", tmp_path / "copy of another run's")
    with RunDirectory(tmp_path).locked(Settings(), given=[]) as run:
        assert run.optimistic() == ()


def test_an_interrupted_look_is_taken_up_again(tmp_path):
    def interrupted(run: Run) -> None:
        with run.stage("evaluate", ("map",), ["train"], publishes=["metrics.json"]).writing():
            run.scored_test_images("evaluate", run.stage("evaluate", ("map",), ["train"]).choices)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _does(tmp_path, _train, interrupted)
    assert _does(tmp_path) == []


def test_another_version_of_the_package_does_not_mark(tmp_path, monkeypatch):
    _does(tmp_path)
    monkeypatch.setattr("niwt_tf.runs.ledger.__version__", "99")
    monkeypatch.setattr("niwt_tf.runs.run.FORMAT", 99)
    assert _does(tmp_path) == []
    assert [entry["version"] for entry in read_json(tmp_path / FILE)["entries"]][-1] == "99"


def test_a_run_of_before_there_was_a_record_is_clean(tmp_path):
    _does(tmp_path)
    (tmp_path / FILE).unlink()
    for path in (*tmp_path.glob("*.json"), *tmp_path.glob("*/*.json")):
        kept = read_json(path)
        rest = {name: value for name, value in kept.items() if name not in ("test_ledger", "problem", "optimistic", "seal")}
        write_json(path, sealed(rest) if "seal" in kept else rest)
    (tmp_path / ".config.json").unlink()
    shutil.rmtree(tmp_path / "evaluate")
    assert _does(tmp_path) == []


def test_a_file_is_the_same_choice_wherever_it_lies(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder / "sample").mkdir(parents=True)
        (tmp_path / folder / "x.h5").write_text("weights")
    one, two = (
        portable({"weights": str(tmp_path / folder / "x.h5"), "support": str(tmp_path / folder / "sample"), "data_dir": folder})
        for folder in ("a", "b")
    )
    assert one == two
    assert "data_dir" not in one
    (tmp_path / "b" / "x.h5").write_text("other weights")
    assert portable({"weights": str(tmp_path / "b" / "x.h5")})["weights"] != one["weights"]


def test_a_record_is_not_given_up_because_too_many_files_are_open(tmp_path, monkeypatch):
    _does(tmp_path)
    before = (tmp_path / FILE).read_text()

    def full(path):
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    monkeypatch.setattr("niwt_tf.runs.ledger.read_json", full)
    with pytest.raises(OSError, match="Too many open files"):
        _does(tmp_path, _baseline)
    assert (tmp_path / FILE).read_text() == before


def test_a_record_that_cannot_be_read_is_kept_beside_the_new_one(tmp_path):
    _does(tmp_path)
    damaged = (tmp_path / FILE).read_text().replace('"entries"', '"entrees"')
    (tmp_path / FILE).write_text(damaged)
    assert TAMPERED in _does(tmp_path, map="cosine")
    (tmp_path / FILE).write_text("{")
    _does(tmp_path, map="ridge")
    assert (tmp_path / f"{FILE}.damaged").read_text() == damaged
    assert read_json(tmp_path / FILE)["entries"]


def test_several_settings_are_listed(tmp_path):
    _does(tmp_path)
    assert _does(tmp_path, map="cosine", seed=1) == ["its test images were also scored with another --map and --seed"]
    (mark,) = _does(tmp_path, map="ridge", seed=2, weights="imagenet")
    assert mark == "its test images were also scored with another --map, --seed and --weights"


def test_what_can_be_chosen_by_test_figures():
    chosen = [name for name in ("seed", "layer", "dataset", "split", "unseen", "jit", "cache_dtype") if could_be_chosen(name)]
    assert chosen == ["seed", "layer"]
    given = {"transfer_lambda": (0.1, 1.0), "jit": True, "split": "ps", "layer": None, "weights": "imagenet"}
    assert list(portable(given).items()) == [("layer", None), ("transfer_lambda", [0.1, 1.0]), ("weights", "imagenet")]


def test_figures_of_which_nothing_is_written_down_are_optimistic(tmp_path):
    _does(tmp_path)
    with RunDirectory(tmp_path).locked(Settings(), given=[]) as run:
        use = run.test_use
        assert use.reasons("evaluate", known=True) == use.reasons("baseline_ale") == ()
        assert use.reasons("baseline_ale", known=True) == (TAMPERED,)
        assert [choices["seed"] for choices in use.scored_with("evaluate")] == [0]
        assert use.scored_with("baseline_ale") == use.scored_with("report") == []


def test_only_stages_of_the_run_itself_keep_a_digest(tmp_path):
    # A folder that was copied into the run is named otherwise than its stage, before or after it in the alphabet.
    for folder, stage in (("map", "map"), ("copy", "evaluate"), ("train_old", "train")):
        (tmp_path / folder).mkdir()
        write_json(tmp_path / folder / "manifest.json", {"stage": stage, "test_ledger": f"of {folder}"})
        write_json(tmp_path / folder / "metrics.json", {"test_ledger": f"metrics of {folder}"})
    write_json(tmp_path / "config.json", {"test_ledger": "of the run"})
    write_json(tmp_path / "metrics.json", {"acc_seen": 0.5})
    assert sorted(_kept_digests(tmp_path)) == ["metrics of map", "of map", "of the run"]


def test_of_a_team_the_chief_alone_writes_the_record(tmp_path):
    use = UseOfTestImages(tmp_path, {"problem": "birds"})
    assert use.enter("evaluate", {"seed": 0}, (), writes=False) == {"optimistic": [], "test_ledger": None}
    assert not (tmp_path / FILE).exists() and use.scored == {}
    made = use.enter("evaluate", {"seed": 0}, ())
    assert made["test_ledger"] == Ledger(tmp_path).digest == use.scored["evaluate"]
    assert use.kept() == {"problem": "birds", "test_ledger": made["test_ledger"]}


_ENTRY = dict.fromkeys(("what", "problem", "descriptions", "uses_test_labels", "version", "time", "previous", "digest"), "")


@pytest.mark.parametrize(
    "text",
    [
        "7", "[]", '{"entries": 7}', '{"entries": [7]}', '{"entries": [{}]}', '{"other": []}', "{",
        json.dumps({"entries": [{**_ENTRY, "choices": 7}]}), json.dumps({"entries": [{"choices": {}}]}),
    ],
)  # fmt: skip
def test_a_record_of_another_form_has_no_entries_and_was_changed(tmp_path, text):
    assert Ledger(tmp_path).whole and Ledger(tmp_path).entries == [] and Ledger(tmp_path).digest is None
    (tmp_path / FILE).write_text(text)
    assert not Ledger(tmp_path).whole and Ledger(tmp_path).entries == []


def test_an_entry_that_was_changed_or_taken_out_breaks_the_chain(tmp_path):
    ledger = Ledger(tmp_path)
    for seed in range(3):
        ledger.add("evaluate", "birds", None, {"seed": seed})
    ledger.add("evaluate", "birds", None, {"seed": 1})
    entries = read_json(tmp_path / FILE)["entries"]
    assert len(entries) == 3 and Ledger(tmp_path).whole
    assert [entry["previous"] for entry in entries] == [None, *(entry["digest"] for entry in entries[:2])]
    for changed in (entries[1:], [entries[0], entries[2]], [{**entries[0], "what": "other"}, *entries[1:]]):
        write_json(tmp_path / FILE, {"entries": changed})
        assert not Ledger(tmp_path).whole
    write_json(tmp_path / FILE, {"entries": [{**entries[0], "time": "another day"}, *entries[1:]]})
    assert Ledger(tmp_path).whole


@pytest.mark.parametrize("what", ["evaluate", "sweep"])
def test_that_entries_were_lost_is_an_entry_of_its_own_and_only_one(tmp_path, what):
    ledger = Ledger(tmp_path)
    for seed in range(2):
        ledger.add(what, "birds", None, {"seed": seed})
    write_json(tmp_path / FILE, {"entries": ledger.entries[1:]})
    changed = Ledger(tmp_path)
    for seed in range(2, 4):
        changed.add(what, "birds", None, {"seed": seed})
    assert [entry["what"] for entry in Ledger(tmp_path).entries] == [what, "record lost", what, what]


def test_a_setting_that_became_a_list_is_the_same_choice():
    entry = {"descriptions": None, "version": "1", "choices": {"engine": "tape", "seed": 1}}
    assert list(_differing(entry, {**entry, "choices": {"engine": ["tape"], "layer": "a"}})) == []
    assert list(_differing(entry, {**entry, "choices": {"engine": ["tape", "auto"]}})) == ["--engine"]


def test_a_folder_in_the_place_of_the_record_is_no_record_and_a_garbled_file_besides_holds_no_digest(tmp_path):
    (tmp_path / "metrics.json").write_text("{")
    (tmp_path / "config.json").write_text("[]")
    assert Ledger(tmp_path).whole
    (tmp_path / "config.json").write_text('{"test_ledger": "lost"}')
    assert not Ledger(tmp_path).whole
    (tmp_path / "config.json").unlink()
    (tmp_path / FILE).mkdir()
    assert not Ledger(tmp_path).whole and Ledger(tmp_path).entries == []
