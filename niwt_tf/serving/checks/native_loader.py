"""The C++ program that loads a SavedModel as TensorFlow Serving does, compiled once for each TensorFlow."""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
from pathlib import Path

import tensorflow as tf

from niwt_tf.files import cache_folder, replacing
from niwt_tf.serving.checks.c_api_process import LIBRARIES

SOURCE = Path(__file__).resolve().parent / "native" / "load_bundle.cc"
_LOG = logging.getLogger("niwt_tf")


class NoCompilerError(Exception):
    """The program cannot be made here; the message says what is missing."""


def native_loader() -> Path:
    """Return the compiled program, made at its first use (about 20 s) and kept in the user's cache.

    Raises:
        NoCompilerError: there is no g++, or the installed TensorFlow comes without its headers or libraries.
        RuntimeError: it does not compile.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise NoCompilerError("no g++")
    library, headers = Path(tf.sysconfig.get_lib()), Path(tf.sysconfig.get_include())
    if not all((library / name).is_file() for name in LIBRARIES) or not (headers / "tensorflow/cc/saved_model").is_dir():
        raise NoCompilerError("this TensorFlow has no headers or libraries for C++")
    source = SOURCE.read_bytes()
    key = hashlib.sha256(source + str(library).encode()).hexdigest()[:12]
    target = cache_folder() / f"load_bundle-{tf.__version__}-{key}"
    if target.is_file():
        return target
    _LOG.info("Compiling the C++ loader, once for this TensorFlow: about 20 s.")
    with replacing(target) as temporary:
        command = [compiler, "-O0", "-w", *tf.sysconfig.get_compile_flags(), "--std=c++17", str(SOURCE), "-o", str(temporary)]
        command += [
            "-Wl,--no-as-needed",
            f"-L{library}",
            *(f"-l:{name}" for name in reversed(LIBRARIES)),
            f"-Wl,-rpath,{library}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if "error" in line] or [done.stderr[-300:]]
            raise RuntimeError(f"g++ does not compile {SOURCE.name}: {errors[0]}")
    return target
