from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.config.settings import SETTINGS, Settings
from niwt_tf.errors import InputError


def test_defaults_are_valid_and_round_trip():
    settings = Settings()
    assert Settings.from_dict(settings.as_dict()) == settings
    assert settings.data_folder == "data/birds"
    assert Settings(data_dir="x").data_folder == "x"


def test_values_become_plain():
    settings = Settings(
        seed=np.int64(3), dropout=np.float32(0.25), unseen=["a", "b"], map_regularization=[1, 2], learning_rate=1
    )
    assert (settings.seed, settings.dropout, settings.unseen) == (3, 0.25, ("a", "b"))
    assert settings.map_regularization == (1.0, 2.0)
    assert type(settings.learning_rate) is float


_KNOWLEDGE = (
    "--knowledge must be one of attributes, binary, captions, sentences, texts or a path, or several with + between them"
)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"finetune": "x"}, "--finetune must be one of all, head. Received: 'x'."),
        ({"split": "randm"}, "--split must be one of ps, ss, random or a path. Received: 'randm'. Did you mean 'random'?"),
        ({"epochs": "3"}, "--epochs must be an integer. Received: '3'."),
        ({"epochs": True}, "--epochs must be an integer. Received: True."),
        ({"seed": -1}, "--seed must be at least 0. Received: -1."),
        ({"seed": 2**31}, "--seed must be less than 2e+09. Received: 2147483648."),  # Keras takes no larger one
        ({"seed": 10**400}, f"--seed must be less than 2e+09. Received: {10**400}."),
        ({"dropout": 1.0}, "--dropout must be less than 1. Received: 1.0."),
        ({"learning_rate": 0}, "--learning_rate must be greater than 0. Received: 0."),
        ({"learning_rate": float("nan")}, "--learning_rate must be finite. Received: nan."),
        ({"dataset": None}, "--dataset must be given. Received: None."),
        ({"unseen": "a"}, "--unseen must be a list of names. Received: 'a'."),
        ({"unseen": ("a", "a")}, "--unseen must not name anything twice. Received: ('a', 'a')."),
        ({"transfer_lambda": ()}, "--transfer_lambda must hold at least one number. Received: ()."),
        ({"knowledge": "captions+captions"}, "--knowledge must not name anything twice. Received: 'captions+captions'."),
        *(
            ({"knowledge": text}, f"{_KNOWLEDGE}{rest}. Received: {text!r}.")
            for text, rest in (
                ("", ""),
                ("+", ", without an empty part"),
                ("captions+", ", without an empty part"),
                ("+a.csv", ", without an empty part"),
            )
        ),
        (
            {"knowledge": "captions+atributes"},
            f"{_KNOWLEDGE}. Received: 'atributes'. Did you mean 'attributes'?",
        ),
        (
            {"text_features": "lda"},
            "--text_features must be one of lsa, encoder, encoder_words or encoder:NAME "
            "or encoder_words:NAME or vectors:NAME or hub:NAME. Received: 'lda'. Did you mean 'lsa'?",
        ),
        ({"unseen": ("a",), "num_unseen": 2}, "--unseen and --num_unseen must not both be given. Received: 'a' and 2."),
    ],
)
def test_a_wrong_value_is_one_sentence(changes, sentence):
    with pytest.raises(InputError) as error:
        Settings(**changes)
    assert str(error.value) == sentence


def test_a_path_is_taken_where_one_may_stand():
    assert Settings(split="my/split.csv", weights="w.weights.h5", support="pictures/").split == "my/split.csv"


def test_sources_are_joined_and_a_file_with_a_plus_is_one(tmp_path, monkeypatch):
    assert Settings(knowledge="attributes+my/table.csv").knowledge == "attributes+my/table.csv"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "captions+captions").write_text("")
    assert Settings(knowledge="captions+captions").knowledge == "captions+captions"


def test_an_unknown_setting_is_refused():
    with pytest.raises(InputError, match="There is no setting 'finetun'. Did you mean 'finetune'?"):
        Settings.from_dict({"finetun": "all"})


@pytest.mark.parametrize("declared", SETTINGS, ids=lambda declared: declared.name)
def test_every_default_survives_the_command_line(declared):
    default = declared.default
    listed = default if isinstance(default, tuple) else () if default is None else (default,)
    text = ",".join(str(item) for item in listed)
    assert declared.parse(text) == default
    assert declared.help.endswith(".")


@pytest.mark.parametrize("backbone", ["hub:a/folder", "hub:https://module.invalid/birds/1", "hub:name"])
def test_a_backbone_may_be_a_hub_module(backbone):
    assert Settings(backbone=backbone).backbone == backbone


@pytest.mark.parametrize("backbone", ["hub:", "hub", "vgg61"])
def test_a_backbone_is_a_name_or_a_hub_module(backbone):
    with pytest.raises(InputError, match=r"--backbone must be one of small_vgg, .* or hub:NAME or keras_hub:NAME\. Received"):
        Settings(backbone=backbone)
