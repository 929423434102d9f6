"""What the user's surroundings must not change: settings of other programs, proxies, modules in the working directory."""

from __future__ import annotations

import errno
import importlib
import importlib.util
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from niwt_tf.errors import InputError, brief

ROOT = Path(__file__).resolve().parents[2]  # of this package
_KERAS_SETTINGS: dict[str, Callable[[Any], bool]] = {
    "floatx": lambda value: value in ("float16", "float32", "float64"),
    "epsilon": lambda value: isinstance(value, float),
    "image_data_format": lambda value: value in ("channels_last", "channels_first"),
    "backend": lambda value: isinstance(value, str),
}
_PROXIES = ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Keras would train less, or look for a package that is not there; protobuf has no longer what older programs needed.
_MEANT_FOR_OTHERS = (
    "KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "TF_USE_LEGACY_KERAS", "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"
)
_NUMBERS_OF_BARS = tuple(f"TQDM_{name}" for name in ("MININTERVAL", "MAXINTERVAL", "SMOOTHING", "INITIAL", "DELAY"))


def choose_keras_backend() -> None:
    """Make Keras run on TensorFlow, whatever its settings file or the environment say, where it is not yet imported."""
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"


def settle_keras() -> None:
    """Import Keras with its own defaults: of the settings in the user's keras.json none may change a network.

    Raises:
        InputError: Keras is imported already and runs on something else than TensorFlow, or keras.json cannot be used.
    """
    choose_keras_backend()
    if "keras" not in sys.modules:
        check_keras_settings()
    keras = importlib.import_module("keras")
    if keras.backend.backend() != "tensorflow":
        rule = "Keras must run on TensorFlow: import niwt_tf first, or set KERAS_BACKEND=tensorflow."
        raise InputError(f"{rule} Received: {keras.backend.backend()!r}, with which Keras was imported before.")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)


def check_keras_settings() -> None:
    """Check the user's keras.json, on which the import of Keras, and of TensorFlow, would end with a traceback.

    Raises:
        InputError: a setting is none that Keras takes.
    """
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    path = Path(home, "keras.json")
    try:
        settings = json.loads(path.read_text())
    except (OSError, ValueError):  # Keras passes over it too
        return
    if not isinstance(settings, dict):
        raise InputError(f"{path} must hold the settings of Keras by name. Received: {brief(settings)}.")
    for name, is_right in _KERAS_SETTINGS.items():
        if name in settings and not is_right(settings[name]):
            raise InputError(f"{path} must have a {name} that Keras takes. Received: {brief(settings[name])}.")


def settle_process() -> None:
    """Make a process of the command line, and those that it starts, independent of settings that are meant for others."""
    choose_keras_backend()
    watch_parent()
    _settle_warnings()
    drop_what_is_for_others()
    _settle_matplotlib()
    if any(os.environ.get(name) for proxy in _PROXIES for name in (proxy, proxy.upper())):
        for name in ("no_proxy", "NO_PROXY"):
            excepted = [host for host in os.environ.get(name, "").split(",") if host.strip()]
            os.environ[name] = ",".join([*excepted, *(host for host in _LOOPBACK if host not in excepted)])


def drop_what_is_for_others() -> None:
    """Drop environment variables on which libraries would do less, or end their import with a traceback."""
    for name in _MEANT_FOR_OTHERS:
        os.environ.pop(name, None)
    for name in _NUMBERS_OF_BARS:
        try:
            float(os.environ.get(name, "0"))
        except ValueError:
            del os.environ[name]


def _settle_warnings() -> None:
    """Have warnings end nothing (`PYTHONWARNINGS=error`, `-W error`): libraries warn of what their users cannot act on."""
    if not any(each.strip().startswith("e") for each in sys.warnoptions):
        return
    del sys.warnoptions[:]
    os.environ.pop("PYTHONWARNINGS", None)
    # As Python does it where nothing is asked for.
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)


def _settle_matplotlib() -> None:
    """Have Matplotlib draw into files, in its own style."""
    os.environ["MPLBACKEND"] = "agg"  # notebooks set one that is installed with them alone
    found = importlib.util.find_spec("matplotlib")
    if found is None or not found.submodule_search_locations:
        return
    own = os.path.join(found.submodule_search_locations[0], "mpl-data", "matplotlibrc")
    os.environ["MATPLOTLIBRC"] = own
    # Only a file in the working directory goes before that.
    if os.path.lexists("matplotlibrc") and "matplotlib" not in sys.modules:
        with _working_in(os.path.dirname(own)):
            importlib.import_module("matplotlib")


@contextmanager
def _working_in(folder: str) -> Iterator[None]:
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address is of this machine itself."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def python_command(module: str) -> list[str]:
    """Return the command that runs a module in another process of this Python; run it in `child_environment`.

    A file in the working directory that is called like a module is not taken for it.
    """
    return [sys.executable, "-P", "-m", module]


def child_environment() -> dict[str, str]:
    """Return this process's environment with this package on the path, for `python_command`."""
    # An empty entry is the working directory.
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    above = [] if str(ROOT) in given else [str(ROOT)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*above, *given])}


_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def divided_environment(parallel: int) -> dict[str, str]:
    """Return this process's environment with threads so divided that `parallel` processes do not fight for processors.

    What the user has set stays.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = str(max(1, processors // parallel))
    chosen = dict.fromkeys(_THREADS, threads) if parallel > 1 else {}
    # Otherwise the first process takes a card's whole memory.
    return {"TF_FORCE_GPU_ALLOW_GROWTH": "true", **chosen, **child_environment()}


_PR_SET_PDEATHSIG = 1
_BOUND = "NIWT_BOUND_TO"  # the descriptor of a pipe whose other end the parent holds


def start_bound(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, pass_fds: Sequence[int] = (), watched: bool | None = None,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start a process that is killed when this one ends, however that ends; the arguments are those of `Popen`.

    Linux does it. Elsewhere (`watched`) a process of this package looks after itself: see `watch_parent`.

    Raises:
        OSError: it cannot be started.
    """
    if not (sys.platform != "linux" if watched is None else watched):
        return subprocess.Popen([*_binding(command, env), *command], env=env, pass_fds=pass_fds, **options)
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, False)
    bound = {**(os.environ if env is None else env), _BOUND: str(ours)}
    try:
        process = subprocess.Popen(command, env=bound, pass_fds=[*pass_fds, ours], **options)
    finally:
        os.close(ours)
    process.held_pipe = theirs  # type: ignore[attr-defined]  # until this process ends
    return process


def run_bound(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a process that calls `watch_parent` to its end, and return what it said; it does not outlive this one.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it did not end within so many seconds, and was killed.
    """
    process = start_bound(command, env=env, watched=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        said = process.communicate(timeout=timeout)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    finally:
        os.close(process.held_pipe)  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(command, process.returncode, *said)


# It becomes the command once Linux knows what it is bound to. Not a `preexec_fn`: with one, the copy of this process that is
# to become the command first runs what libraries do after a fork, and gRPC's may end it.
_BIND = f"""
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):  # it was killed before that
    os.kill(os.getpid(), signal.SIGKILL)
for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and so would the command
    signal.signal(number, signal.SIG_DFL)
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"{{sys.argv[2]}}: {{error.strerror}}")
"""


def _binding(command: Sequence[str], env: Mapping[str, str] | None) -> list[str]:
    """Return what goes before a command so that Linux kills it when this process ends; nothing on other systems.

    It is the end of the thread that starts the child that counts.
    """
    if sys.platform != "linux":
        return []
    if shutil.which(command[0], path=(os.environ if env is None else env).get("PATH")) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
    return [sys.executable, "-ISc", _BIND, str(os.getpid())]


def watch_parent() -> None:
    """End this process, and those in its group, once the one that bound it by a pipe has ended."""
    descriptor = os.environ.pop(_BOUND, "")
    if descriptor.isdecimal():
        threading.Thread(target=_watch, args=(int(descriptor),), daemon=True).start()


def _watch(descriptor: int) -> None:
    with suppress(OSError):
        while os.read(descriptor, 1):
            pass
    if os.getpgrp() == os.getpid():  # it leads a group of its own
        os.killpg(0, signal.SIGKILL)
    os._exit(137)


def leave_working_directory() -> None:
    """Take the working directory off the path of modules, unless PYTHONPATH names it or this package lies in it.

    `python -m niwt_tf` puts it there, and so does a PYTHONPATH with an empty entry, as `$PYTHONPATH:more` often is.
    """
    try:
        here = os.getcwd()
    except OSError:  # it was removed
        return
    named = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if here not in named and Path(here) != ROOT:
        sys.path[:] = [path for path in sys.path if path and os.path.abspath(path) != here]


def cache_folder() -> Path:
    """Return the folder of the user's cache that is this package's; it need not exist."""
    home = os.path.expanduser("~/.cache")
    if home.startswith("~"):  # a user without a home, as in a container
        home = os.path.join(tempfile.gettempdir(), f"cache-{os.getuid()}")
    return Path(os.environ.get("XDG_CACHE_HOME") or home, "niwt-tf")
