from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
from absl import flags

import niwt_tf
from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.jobs.flags import (
    check_export_folder,
    define_flags,
    export_folder,
    parse_flags,
    result_file,
    run_folder,
    settings_from_flags,
)
from niwt_tf.jobs.table import JOBS

# What users' scripts and flagfiles name: a job or a flag may come, but none of these may go.
_HOW = "progress cache_dir cache_gb strategy"
_FOLDERS = "run_dir overwrite stage_store"
_SETTINGS = """
    dataset data_dir split unseen num_unseen knowledge text_features missing_images max_bad_images
    backbone preprocessing weights layer input_size resize
    finetune epochs batch_size learning_rate finetune_learning_rate weight_decay dropout
    attribute_loss patience
    method head seen_head head_regularization lda_shrinkage importance_over map map_regularization normalisation
    support num_support engine regularizer transfer_anchor transfer_lambda transfer_learning_rate transfer_batch_size
    transfer_steps column_scale
    num_folds validation_classes fold_importance_images extra_layers extra_layer_weights
    n3_form n3_adapt n3_adapt_if_better n3_prior n3_way n3_steps n3_network_steps n3_width n3_blocks n3_learning_rate n3_mu
    n3_gamma n3_tokens n3_variants text_pooling heat
    precision jit cache_dtype seed
"""
_STAGE = f"{_FOLDERS} export_dir {_HOW} {_SETTINGS}"
PROMISED = {
    "quickstart": "data_dir run_dir export_dir small progress",
    "flags": "list show copy_to",
    "render": "data_dir num_species images_per_species image_size seed",
    "run": f"{_STAGE} abstain until",
    "deploy": "run_dir deploy_dir export_dir progress cache_dir cache_gb abstain",
    "train": _STAGE,
    "importance": _STAGE,
    "map": _STAGE,
    "meta": _STAGE,
    "transfer": _STAGE,
    "evaluate": _STAGE,
    "export": f"{_STAGE} abstain",
    "faithfulness": _STAGE,
    "report": _STAGE,
    "export_onnx": "run_dir bundle path",
    "export_litert": "run_dir bundle path weights_as images",
    "compare": "runs reference out bound published progress",
    "baseline": f"{_STAGE} methods baseline_features",
    "lambda_sweep": f"{_STAGE} lambda_grid",
    "weight_recovery": f"{_STAGE} epsilons noise_seeds recovery_images",
    "layer_depth": f"{_STAGE} layers",
    "support_images": f"{_STAGE} imagenet_dir",
    "consistency": _STAGE,
    "sweep": f"sweep_dir grid grid_file sampler num_trials parallel {_HOW} {_SETTINGS}",
    "reproduce": f"table dry_run gpu_tflops {_FOLDERS} {_HOW} {_SETTINGS}",
    "synthesize": "run_dir descriptions export_dir",
    "classify": (
        "images server name model_version bundle top explain describe cards yes format json timeout retries batch_size "
        "progress answers workers cluster"
    ),
    "explain": "image run_dir bundle class rival out",
    "list_classes": "bundle format",
    "add_class": "bundle name attributes text text_file cards source missing yes",
    "refine_class": "bundle name images",
    "rename_class": "bundle name new_name",
    "remove_class": "bundle name",
    "studio": "bundle images most_images port host",
    "check_run": "run_dir format",
    "check_export": "bundle images",
    "check_data": "data_dir dataset json page split unseen num_unseen knowledge text_features missing_images seed progress",
}


@pytest.fixture
def values():
    values = flags.FlagValues()
    define_flags(JOBS["train"], values)
    return values


def test_defaults_are_those_of_the_settings(values):
    parse_flags([], values)
    assert settings_from_flags(values) == (Settings(), frozenset())


def test_what_is_given_is_known(values, tmp_path):
    file = tmp_path / "a.flags"
    file.write_text("# a comment\n--seed=3\n--unseen=a, b\n\n--transfer_lambda=1e-3,1\n")
    parse_flags([f"--flagfile={file}", "--layer=x", "--noprogress", "--seed", "4"], values)
    settings, given = settings_from_flags(values)
    assert given == {"seed", "unseen", "transfer_lambda", "layer"}
    assert (settings.seed, settings.unseen, settings.transfer_lambda, settings.layer) == (4, ("a", "b"), (1e-3, 1.0), "x")
    assert values.progress is False


def test_a_default_that_is_given_counts(values):
    parse_flags(["--seed=0", "--layer="], values)
    assert settings_from_flags(values) == (Settings(), {"seed", "layer"})


def test_paths_become_absolute_and_names_stay(values, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parse_flags(["--data_dir=d", "--weights=w/x.h5", "--split=ps", "--support=noise"], values)
    settings, _ = settings_from_flags(values)
    assert settings.data_dir == str(tmp_path / "d")
    assert settings.weights == str(tmp_path / "w" / "x.h5")
    assert (settings.split, settings.support) == ("ps", "noise")


def test_paths_among_sources_become_absolute(values, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parse_flags(["--knowledge=captions+d/x.csv+binary", "--text_features=vectors:v.txt"], values)
    settings, _ = settings_from_flags(values)
    assert settings.knowledge == f"captions+{tmp_path}/d/x.csv+binary"
    assert settings.text_features == f"vectors:{tmp_path}/v.txt"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--nun_unseen=3"], "There is no such flag. Received: '--nun_unseen'. Did you mean '--num_unseen'?"),
        (["--finetune=hed"], "--finetune must be one of all, head. Received: 'hed'. Did you mean 'head'?"),
        (["--seed=x"], "--seed must be an integer. Received: 'x'."),
        (["--map_regularization=1,x"], "--map_regularization must be a list of numbers. Received: '1,x'."),
        (["--overwrite=maybe"], "--overwrite must be true or false. Received: 'maybe'."),
        (["--seed"], "Missing value for flag --seed."),
        (["--seed 3"], "Options must be flags of the form --name=value. Received: '--seed 3'."),
        (["birds"], "Options must be flags of the form --name=value. Received: 'birds'."),
        (
            ["--flagfile=/no/such.flags"],
            "--flagfile must name a file that can be read. Received: '/no/such.flags' (No such file or directory).",
        ),
    ],
)
def test_a_wrong_flag_is_one_sentence(values, arguments, sentence):
    with pytest.raises(InputError) as error:
        parse_flags(arguments, values)
    assert str(error.value) == sentence


def test_a_flagfile_of_junk_is_one_sentence(values, tmp_path):
    (tmp_path / "junk").write_bytes(b"\xff\xfe\x00\x01")
    for file in (tmp_path / "junk", tmp_path):
        with pytest.raises(InputError, match="--flagfile must"):
            parse_flags([f"--flagfile={file}"], values)


def test_a_flagfile_as_windows_writes_it_is_read(values, tmp_path):
    (tmp_path / "a.flags").write_bytes(b"\xef\xbb\xbf--seed=3\r\n--epochs=2\r\n")
    (tmp_path / "b.flags").write_bytes(b"\xef\xbb\xbf# mine\r\n--seed=4\r\n")
    parse_flags([f"--flagfile={tmp_path / 'a.flags'}"], values)
    assert (values.seed, values.epochs) == (3, 2)
    parse_flags([f"--flagfile={tmp_path / 'b.flags'}"], values)
    assert values.seed == 4


def test_run_and_export_folders(values, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parse_flags([], values)
    with pytest.raises(InputError, match="--run_dir must be given"):
        run_folder(values)
    parse_flags(["--run_dir=runs/birds/"], values)
    assert os.fspath(export_folder(values)) == "exports/birds"
    parse_flags(["--run_dir=.", "--export_dir=e"], values)
    assert os.fspath(export_folder(values)) == "e"


def test_every_job_has_its_flags():
    for job in JOBS.values():
        values = flags.FlagValues()
        define_flags(job, values)
        parse_flags([], values)
        assert {declared.name for declared in job.options} <= set(values)


def test_no_job_is_lost():
    assert [name for name in PROMISED if name not in JOBS] == []
    assert [name for name in JOBS if name not in PROMISED] == [], "A new job: write its flags down."


@pytest.mark.parametrize("job", PROMISED)
def test_no_flag_of_a_job_is_lost(job):
    values = flags.FlagValues()
    define_flags(JOBS[job], values)
    assert [name for name in PROMISED[job].split() if name not in values] == []


@pytest.mark.parametrize("job", [name for name, job in JOBS.items() if job.synonyms])
def test_a_former_name_of_a_flag_is_no_other_setting(job):
    assert JOBS[job].synonyms == {"method": "head"}
    values = flags.FlagValues()
    define_flags(JOBS[job], values)
    parse_flags(["--head=ale"], values)
    assert settings_from_flags(values) == (Settings(method="ale"), {"method"})


def test_a_baseline_has_a_method_of_its_run_beside_the_methods_to_score():
    values = flags.FlagValues()
    define_flags(JOBS["baseline"], values)
    parse_flags(["--method=eszsl", "--methods=ale"], values)
    assert settings_from_flags(values) == (Settings(method="eszsl"), {"method"})


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_every_job_is_where_the_table_says(job):
    file = Path(niwt_tf.__file__).parent / "jobs" / f"{job.module or job.name}.py"
    functions = [node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)]
    assert ("own_stage_job" if job.own_stage else f"{job.name}_job" if job.module else "main") in functions


@pytest.mark.parametrize("first", ["--seed=7", "# of the birds", "// of the birds", ""])
def test_a_byte_order_mark_in_a_flag_file_changes_nothing(tmp_path, first):
    path = tmp_path / "windows.flags"
    path.write_text(f"\ufeff{first}\n--backbone=vgg16\n", encoding="utf-8")
    values = flags.FlagValues()
    define_flags(JOBS["train"], values)
    parse_flags([f"--flagfile={path}", "--seed=3"], values)
    assert settings_from_flags(values) == (Settings(seed=3, backbone="vgg16"), {"seed", "backbone"})


def test_a_folder_of_an_export_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    check_export_folder(tmp_path / "new" / "folder")
    with pytest.raises(InputError, match="must not be a file or be inside a file"):
        check_export_folder(tmp_path / "file" / "folder")
    (tmp_path / "toy/1").mkdir(parents=True)
    (tmp_path / "toy/1/saved_model.pb").touch()
    check_export_folder(tmp_path / "toy")
    for folder in (tmp_path / "toy/1", tmp_path / "toy/1/new"):
        with pytest.raises(InputError, match="The folder of an export must hold versions, not be one.*is a version"):
            check_export_folder(folder)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="--export_dir must be a folder into which files can be written"):
        check_export_folder(tmp_path / "new")


def test_a_list_that_is_given_twice_is_refused(tmp_path):
    """The first would be dropped; one of a flag file may be replaced."""
    values = flags.FlagValues()
    define_flags(JOBS["classify"], values)
    for arguments in (["--images=a.jpg", "--images=b.jpg"], ["--images", "a.jpg", "-images", "b.jpg"]):
        with pytest.raises(InputError, match="--images must be given once, with commas between several. Received: 2 times."):
            parse_flags(arguments, values)
    (tmp_path / "these.flags").write_text("--images=a.jpg\n")
    for arguments in ([f"--flagfile={tmp_path / 'these.flags'}", "--images=b.jpg"], ["--top=2", "--images=b.jpg", "--top=3"]):
        parse_flags(arguments, values)
        assert values.images == "b.jpg"
    for job, name, rule in (("baseline", "methods", ", with commas"), ("run", "unseen", ", with commas"),
                            ("export_litert", "images", ". Received"), ("explain", "image", ". Received"),
                            ("add_class", "text", ". Received"), ("add_class", "name", ". Received")):  # fmt: skip
        define_flags(JOBS[job], values)
        with pytest.raises(InputError, match=f"--{name} must be given once{rule}"):
            parse_flags([f"--{name}=ale", f"--{name}=dem"], values)


def test_a_file_for_a_result_is_checked_before_the_work(tmp_path, monkeypatch):
    define_flags(JOBS["classify"])
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "table.csv").write_text("class,a\n")
    (tmp_path / "old.json").write_text("[\n]")
    (tmp_path / "empty.json").touch()
    monkeypatch.chdir(tmp_path)
    for given, received in (
        (".", "(a folder)"), ("/", "(a folder)"), ("new/", "(a folder)"), ("table.csv/a.json", "table.csv' is a file)"),
        ("photo.jpg", "which is another file"), ("table.csv", "which is another file"),
    ):
        parse_flags([f"--json={given}"])
        with pytest.raises(InputError, match="^--json must be a ") as raised:
            result_file("json", "[")
        assert received in str(raised.value)
    for given in ("new.json", "new/a.json", "old.json", "empty.json", "/dev/null", "/dev/stdout"):
        parse_flags([f"--json={given}"])
        assert result_file("json", "[") == Path(given)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.json", "old.json", "photo.jpg", "table.csv"]
