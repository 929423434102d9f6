"""Where a hub module is looked for, and that nothing is downloaded that should not be."""

import hashlib
import shutil
import subprocess
import sys

import pytest

from niwt_tf.data.hub_location import absolute_hub, graph_fingerprint, locate, module_fingerprint
from niwt_tf.errors import InputError
from niwt_tf.models.backbones import build_network
from niwt_tf.models.network import Network
from tests.hub_modules import SIZE, save_dictionary

HANDLE = "https://module.invalid/birds/feature_vector/1"  # .invalid never has an address


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    return save_dictionary(tmp_path_factory.mktemp("modules") / "dictionary")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def cached(cache, module):
    """Return where the module is cached for HANDLE, in the folder that tensorflow_hub itself names."""
    return shutil.copytree(module, cache / hashlib.sha1(HANDLE.encode()).hexdigest())


def test_a_folder_by_itself_or_under_the_cache(module, cache):
    assert locate(str(module)) == module
    shutil.copytree(module, cache / "mine" / "1")
    assert locate("mine/1") == cache / "mine" / "1"


def test_a_cached_handle_needs_no_network_and_is_where_tensorflow_hub_has_it(cached):
    import tensorflow_hub

    assert str(locate(HANDLE)) == tensorflow_hub.resolve(HANDLE) == str(cached)
    network = build_network(f"hub:{HANDLE}", ("a", "b"), input_size=SIZE)
    assert network.trunk.output_shape == (None, 4, 4, 6)


def test_what_cannot_be_fetched_is_one_sentence(cache):
    with pytest.raises(InputError, match=r"^The hub module must be downloaded once: set TFHUB_CACHE_DIR .*module\.invalid.*"):
        locate(HANDLE)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_saved_network_downloads_nothing(cached, tmp_path, monkeypatch):
    build_network(f"hub:{HANDLE}", ("a", "b"), input_size=SIZE).save(tmp_path / "a.keras")
    assert Network.load(tmp_path / "a.keras").num_neurons == 6
    shutil.rmtree(cached)
    monkeypatch.setattr("niwt_tf.data.hub_location.imported", lambda *asked: pytest.fail("It asked the network."))
    with pytest.raises(InputError, match="must be in the cache"):
        Network.load(tmp_path / "a.keras")


@pytest.mark.parametrize(
    ("handle", "sentence"),
    [
        ("no/such/folder", "Received: 'no/such/folder', not a folder"),
        ("gs://bucket/module", "must begin with https://"),
        ("tests", "without saved_model.pb"),
    ],
)
def test_what_is_not_a_module(handle, sentence, cache, monkeypatch, repository):
    monkeypatch.chdir(repository)
    with pytest.raises(InputError, match=sentence):
        locate(handle)


def test_a_folder_that_is_there_is_made_absolute(module, monkeypatch):
    monkeypatch.chdir(module.parent)
    assert absolute_hub(f"hub:{module.name}") == f"hub:{module}"
    assert absolute_hub(f"hub:{HANDLE}") == f"hub:{HANDLE}"
    assert absolute_hub("hub:under/the/cache") == "hub:under/the/cache"


def test_fingerprints_change_with_graph_and_with_variables(module, tmp_path):
    other = shutil.copytree(module, tmp_path / "other")
    assert module_fingerprint(str(other)) == module_fingerprint(str(module))
    values = next((other / "variables").glob("*data*"))
    values.write_bytes(values.read_bytes()[:-1] + b"?")
    assert module_fingerprint(str(other)) != module_fingerprint(str(module))
    assert graph_fingerprint(other) == graph_fingerprint(module)


@pytest.mark.slow
def test_tensorflow_hub_is_imported_only_to_download(module):
    check = (
        "import sys; from niwt_tf.models.backbones import build_network;"
        "build_network('small_vgg', ['a', 'b'], input_size=32);"
        f"build_network('hub:{module}', ['a', 'b'], input_size={SIZE});"
        "assert 'tensorflow_hub' not in sys.modules and 'tf_keras' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
