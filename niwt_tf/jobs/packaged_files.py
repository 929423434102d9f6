"""Files that come with the package: flag files, as `--flagfile=niwt:birds`, and those to deploy a bundle with; `niwt flags`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from absl import flags

from niwt_tf.errors import InputError, suggestion
from niwt_tf.files import replacing_directory

PREFIX = "niwt:"
_PACKAGE = Path(__file__).parents[1]


def _folder(packaged: str, in_clone: str) -> Path:
    """Return a folder that setup.py has copied into the package, or that of the clone that the package lies in."""
    return found if (found := _PACKAGE / packaged).is_dir() else _PACKAGE.parent / in_clone


FLAG_FILES, DEPLOYMENT = _folder("jobs/flagfiles", "flags"), _folder("serving/deployment", "exports")
_ENDING = ".flags"
_TO_DEPLOY = (".dockerignore", "Dockerfile", "*.yaml", "*.json", "*.config", "README.md")


def flag_names() -> list[str]:
    """Return the names of the flag files, sorted."""
    return sorted(path.stem for path in FLAG_FILES.glob(f"*{_ENDING}"))


def flag_file(name: str) -> Path:
    """Return the flag file of a name.

    Raises:
        InputError: there is none; the sentence suggests the nearest.
    """
    names = flag_names()
    if name not in names:
        rule = f"--flagfile={PREFIX}NAME must name one of those that niwt flags --list shows"
        raise InputError(f"{rule}. Received: {name!r}.{suggestion(name, names)}")
    return FLAG_FILES / f"{name}{_ENDING}"


def with_flag_files(arguments: list[str]) -> list[str]:
    """Return arguments with the path of each flag file that `niwt:` names.

    Raises:
        InputError: see `flag_file`.
    """
    found, takes = [], False
    for argument in arguments:
        begin, equals, value = argument.partition("=")
        if takes and argument.startswith(PREFIX):
            argument = str(flag_file(argument.removeprefix(PREFIX)))
        elif equals and begin in ("--flagfile", "-flagfile") and value.startswith(PREFIX):
            argument = f"{begin}={flag_file(value.removeprefix(PREFIX))}"
        takes = argument in ("--flagfile", "-flagfile")
        found.append(argument)
    return found


def flags_job() -> None:
    """List the flag files that come with the package, print one, or copy all of them and the files for deployment.

    Raises:
        InputError: --show names none, or --copy_to is there already.
    """
    values = flags.FLAGS
    if values.copy_to is not None:
        _copy(Path(os.path.expanduser(values.copy_to)))
    elif values.show is not None:
        print(flag_file(values.show.removeprefix(PREFIX)).read_text(encoding="utf-8"), end="")
    else:
        names = flag_names()
        for name in names:
            first = (FLAG_FILES / f"{name}{_ENDING}").read_text(encoding="utf-8").splitlines()[0]
            print(f"{PREFIX}{name:<{max(map(len, names))}}  {first.lstrip('# ')}")


def _copy(folder: Path) -> None:
    if os.path.lexists(folder):
        raise InputError(f"--copy_to must be a new folder. Received: {str(folder)!r}, which exists.")
    copied = []
    with replacing_directory(folder) as temporary:  # on a full disk nothing is left
        for source, target, patterns in ((FLAG_FILES, "flags", (f"*{_ENDING}",)), (DEPLOYMENT, "exports", _TO_DEPLOY)):
            (temporary / target).mkdir()
            for path in sorted(path for pattern in patterns for path in source.glob(pattern)):
                shutil.copyfile(path, temporary / target / path.name)
                copied.append(folder / target / path.name)
    for path in copied:
        print(path)
