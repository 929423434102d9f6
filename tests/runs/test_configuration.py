"""Whether a run's configuration is as it was written, and which of two is meant."""

from __future__ import annotations

import errno

import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.files import fingerprint, sealed, write_json
from niwt_tf.runs.run import RunDirectory, config_of, is_replaced


@pytest.mark.parametrize("text", [None, "{", "[]", "7", '{"settings": {}}'])
def test_what_is_no_whole_configuration_is_none(tmp_path, text):
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    assert config_of(path) is None
    write_json(path, sealed({"settings": {"seed": 1}}))
    assert config_of(path)["settings"] == {"seed": 1}
    path.write_text(path.read_text().replace("1", "2", 1))
    assert config_of(path) is None


def test_whether_a_configuration_is_whole_is_not_told_while_too_many_files_are_open(tmp_path, monkeypatch):
    def full(path):
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    monkeypatch.setattr("niwt_tf.runs.run.read_json", full)
    with pytest.raises(OSError, match="Too many open files"):
        config_of(tmp_path / "config.json")


def test_a_copy_says_whose_place_it_takes():
    config = sealed({"settings": {"seed": 1}})
    (said,) = [sealed({"settings": {"seed": 2}, "replaces": fingerprint({"seed": 1})})]
    assert is_replaced(config, said)
    assert not is_replaced(sealed({"settings": {"seed": 3}}), said) and not is_replaced(config, sealed({"settings": {}}))


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "{}", "7", '{"settings": {"seed": "x"}}', '{"settings": {"sed": 1}}', '{"settings": []}', '{"settings": 5}',
        '{"settings": null}', "\xff", None,
    ],
)  # fmt: skip
def test_a_broken_configuration_is_named(tmp_path, text):
    if text is None:
        (tmp_path / "config.json").mkdir()
    else:
        (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    with (
        pytest.raises(InputError, match=r"config\.json must be a run's configuration"),
        RunDirectory(tmp_path).locked(Settings()),
    ):
        pass
