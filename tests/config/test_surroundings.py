"""What the user's surroundings do not change."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from niwt_tf.cli import main
from niwt_tf.config import surroundings
from niwt_tf.config.surroundings import (
    ROOT,
    cache_folder,
    check_keras_settings,
    child_environment,
    is_loopback,
    leave_working_directory,
    python_command,
    run_bound,
    settle_process,
    start_bound,
)
from niwt_tf.errors import InputError
from tests.shared import unchanged_logging


@pytest.fixture(autouse=True)
def _environment_as_before(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))  # which takes assignments, and gives them to no child


def test_settings_for_others_are_left_behind(monkeypatch):
    os.environ |= {"MPLBACKEND": "module://nowhere", "KERAS_MAX_EPOCHS": "1", "TF_USE_LEGACY_KERAS": "1"}
    settle_process()
    assert os.environ["MPLBACKEND"] == "agg" and not {"KERAS_MAX_EPOCHS", "TF_USE_LEGACY_KERAS"} & os.environ.keys()
    assert os.environ["MATPLOTLIBRC"].endswith(os.path.join("mpl-data", "matplotlibrc"))


def test_what_would_end_the_import_of_a_library_is_dropped_before_it(tmp_path):
    os.environ |= {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "cpp", "TQDM_MININTERVAL": "often", "TQDM_DELAY": "2"}
    with unchanged_logging():
        assert main(["list_classes", f"--bundle={tmp_path}"]) == 2
    assert not {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "TQDM_MININTERVAL"} & os.environ.keys()
    assert os.environ["TQDM_DELAY"] == "2"


@pytest.mark.parametrize(("before", "after"), [("", "localhost,"), ("a.b,localhost", "a.b,localhost,")])
def test_proxies_are_not_asked_for_this_machine(before, after):
    os.environ |= {"HTTP_PROXY": "http://proxy:9", "no_proxy": before}
    settle_process()
    assert os.environ["no_proxy"] == f"{after}127.0.0.1,::1" and "localhost" in os.environ["NO_PROXY"]


def test_without_a_proxy_nothing_is_excepted_from_it():
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    settle_process()
    assert not {"no_proxy", "NO_PROXY"} & os.environ.keys()


def test_what_is_this_machine():
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.0.1", "[::1]", "::1")))
    assert not any(map(is_loopback, ("localhost.example.org", "10.0.0.1", "", "server")))


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"floatx": "float128"}, "a floatx that Keras takes. Received: 'float128'"), ({"epsilon": 1}, "epsilon"), ([1], "by name"),
     ({"image_data_format": "last"}, "image_data_format"), ({"backend": None}, "backend")],
)  # fmt: skip
def test_keras_settings_that_end_its_import_are_one_sentence(tmp_path, settings, said):
    os.environ["KERAS_HOME"] = str(tmp_path)
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=rf"keras\.json must (have|hold) .*{said}"):
        check_keras_settings()


@pytest.mark.parametrize("content", [None, "{", '{"floatx": "float16", "backend": "jax", "epsilon": 0.1}'])
def test_other_keras_settings_are_taken(tmp_path, content):
    os.environ["KERAS_HOME"] = str(tmp_path)
    if content is not None:
        (tmp_path / "keras.json").write_text(content)
    check_keras_settings()


def test_keras_is_as_it_comes():
    import keras

    import niwt_tf.models  # noqa: F401

    assert keras.backend.backend() == "tensorflow" and keras.config.image_data_format() == "channels_last"
    assert keras.config.floatx() == "float32" and keras.config.epsilon() == 1e-7


def test_another_backend_that_was_imported_before_is_refused(monkeypatch):
    class Other:
        class backend:  # noqa: N801
            backend = staticmethod(lambda: "jax")

    monkeypatch.setattr(surroundings.importlib, "import_module", lambda name: Other)
    with pytest.raises(InputError, match="import niwt_tf first, or set KERAS_BACKEND=tensorflow. Received: 'jax'"):
        surroundings.settle_keras()


def test_a_module_in_the_working_directory_is_not_a_child_s(tmp_path):
    (tmp_path / "random.py").write_text("raise SystemExit('the one of the user')")
    code = "import random, sys; sys.exit('niwt_tf' not in str(__import__('niwt_tf')))"
    os.environ["PYTHONPATH"] = os.pathsep + "/nowhere"  # an empty entry is the working directory
    command, environment = python_command("niwt_tf"), child_environment()
    assert command == [sys.executable, "-P", "-m", "niwt_tf"]
    assert environment["PYTHONPATH"] == os.pathsep.join([str(ROOT), "/nowhere"])
    done = subprocess.run([*command[:2], "-c", code], cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_the_working_directory_leaves_the_path_unless_it_was_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), "/elsewhere"])
    os.environ["PYTHONPATH"] = f".{os.pathsep}/more"
    leave_working_directory()
    assert sys.path == ["", str(tmp_path), "/elsewhere"]
    os.environ["PYTHONPATH"] = f"{os.pathsep}/more"
    leave_working_directory()
    assert sys.path == ["/elsewhere"]


@pytest.mark.parametrize("content", [b"text.usetex: True\nfont.size: 40\n", b"caf\xe9: \xff\n"])
def test_a_matplotlibrc_of_the_working_directory_is_not_read(tmp_path, content):
    (tmp_path / "matplotlibrc").write_bytes(content)
    code = (
        "import os\nfrom niwt_tf.config.surroundings import settle_process\nsettle_process()\nimport matplotlib\n"
        "assert matplotlib.rcParams['font.size'] == 10 and not matplotlib.rcParams['text.usetex']\n"
        "assert os.listdir() == ['matplotlibrc'], os.listdir()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "module://nowhere"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize("watched", [False, True])
def test_a_process_ends_with_the_one_that_started_it(tmp_path, watched):
    """However that ends; where the system does not do it (`watched`), by a pipe."""
    if not watched and sys.platform != "linux":
        pytest.skip("only Linux kills the children of a killed process")
    inner = """
import time
from niwt_tf.config.surroundings import watch_parent
watch_parent()
print("up", flush=True)
time.sleep(600)
"""
    outer = f"""
import os, sys
from niwt_tf.config.surroundings import start_bound
log = open({str(tmp_path / "log")!r}, "w")
child = start_bound([sys.executable, "-c", {inner!r}], start_new_session=True, watched={watched}, stdout=log)
while not os.path.getsize(log.name): pass
print(child.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", outer], capture_output=True, text=True, timeout=600, check=False)
    child, limit = int(done.stdout), time.monotonic() + 600
    while Path(f"/proc/{child}/stat").exists() and Path(f"/proc/{child}/stat").read_text().split()[2] not in "ZX":
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_nothing_runs_after_the_fork_but_what_was_asked_for(tmp_path):
    """What libraries have registered to be done there may end the process: gRPC's did, at one start of five."""
    if sys.platform != "linux":
        pytest.skip("elsewhere nothing had to be registered")
    trace = tmp_path / "trace"
    outer = f"""
import os, signal, sys
from niwt_tf.config.surroundings import start_bound
os.register_at_fork(after_in_child=lambda: open({str(trace)!r}, "a").write("forked"))
child = start_bound(["sh", "-c", "grep SigIgn /proc/self/status; exit 3"])
sys.exit(child.wait())
"""
    done = subprocess.run([sys.executable, "-c", outer], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 3 and not trace.exists(), done.stderr
    assert int(done.stdout.split()[1], 16) & (1 << (signal.SIGPIPE - 1)) == 0, "the command would not end with its reader"


def test_a_program_that_cannot_be_started(tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/nowhere/sh\n")
    broken.chmod(0o755)
    with pytest.raises(FileNotFoundError, match="nowhere-else"):
        start_bound(["nowhere-else"])
    with start_bound([str(broken)], stderr=subprocess.PIPE) as process:
        assert process.communicate()[1].decode() == f"{broken}: No such file or directory\n" and process.returncode == 1


def test_a_warning_ends_nothing():
    """As it would where the variable is set for somebody's own tests."""
    code = (
        "import os, warnings; from niwt_tf.config.surroundings import settle_process; settle_process(); "
        "warnings.warn('a'); warnings.warn('b', DeprecationWarning); print('PYTHONWARNINGS' in os.environ)"
    )
    environment = {**child_environment(), "PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "False\n") and "UserWarning: a" in done.stderr


def test_what_is_run_to_its_end_ends_with_the_one_that_started_it_too(tmp_path):
    inner = f"""
import os, time
from niwt_tf.config.surroundings import watch_parent
watch_parent()
open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()) + ".")
time.sleep(600)
"""
    outer = f"import sys\nfrom niwt_tf.config.surroundings import run_bound\nrun_bound([sys.executable, '-c', {inner!r}])"
    parent, limit = subprocess.Popen([sys.executable, "-c", outer]), time.monotonic() + 600
    while not (tmp_path / "pid").exists() or "." not in (tmp_path / "pid").read_text():
        assert time.monotonic() < limit
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    child = (tmp_path / "pid").read_text().rstrip(".")
    while Path(f"/proc/{child}/stat").exists() and Path(f"/proc/{child}/stat").read_text().split()[2] not in "ZX":
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_what_a_process_says_is_returned_and_no_descriptor_is_left():
    before = len(os.listdir("/proc/self/fd"))
    done = run_bound([sys.executable, "-S", "-c", "import sys; print('out'); sys.exit('err')"])
    assert (done.returncode, done.stdout, done.stderr) == (1, b"out\n", b"err\n")
    with pytest.raises(subprocess.TimeoutExpired):
        run_bound([sys.executable, "-S", "-c", "import time; time.sleep(600)"], timeout=0.2)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_user_without_a_home_has_a_cache(monkeypatch):
    """Else there would be a folder that is called `~`."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cache_folder().is_absolute() and "~" not in str(cache_folder())
