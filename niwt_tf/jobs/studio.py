"""`niwt studio`: a page, in the browser, to try a bundle and to compose classes for it."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from absl import flags

from niwt_tf.config.surroundings import child_environment, python_command
from niwt_tf.data.readers.loose_images import spread_images
from niwt_tf.errors import InputError
from niwt_tf.jobs.flags import bundle_folder, required
from niwt_tf.serving.bundle.bundle import Bundle

_PAGE = Path(__file__).resolve().parent.parent / "studio" / "page.py"


def main() -> None:
    """Become the server of the page, which Ctrl-C ends.

    Raises:
        InputError: there is no bundle or no folder of images, or the port is taken.
    """
    bundle = bundle_folder()
    Bundle.open(bundle)
    images = Path(os.path.abspath(os.path.expanduser(required("images"))))
    if not images.is_dir():
        raise InputError(f"--images must be a folder of test images. Received: {str(images)!r}.")
    spread_images(images, 1)
    _check_port(flags.FLAGS.host, flags.FLAGS.port)
    arguments = [str(_PAGE), *_options(), "--", str(bundle), str(images), str(flags.FLAGS.most_images)]
    sys.stdout.flush()
    sys.stderr.flush()
    # The server takes this process's place: signals reach it alone, and nothing is left behind.
    os.execve(sys.executable, [*python_command("streamlit"), "run", *arguments], _environment())


def _options() -> list[str]:
    """Return how streamlit is run: for people on this machine, without a word to any other."""
    chosen = {
        "server.address": flags.FLAGS.host,
        "server.port": flags.FLAGS.port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.maxUploadSize": 20,
        "server.showEmailPrompt": "false",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": "false",
        "runner.magicEnabled": "false",
    }
    return [f"--{name}={value}" for name, value in chosen.items()]


def _environment() -> dict[str, str]:
    return {**child_environment(), "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3")}


def _check_port(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"--host and --port must be a free address. Received: {host}:{port} ({reason}).") from None
