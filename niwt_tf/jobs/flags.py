"""Absl flags made from the options' table, and the settings that a command line asks for."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from niwt_tf.config.names import OF_FEATURES
from niwt_tf.config.options import Option
from niwt_tf.config.settings import SETTINGS, Settings
from niwt_tf.data.descriptions.texts import absolute_features
from niwt_tf.data.hub_location import absolute_backbone
from niwt_tf.errors import InputError, suggestion
from niwt_tf.jobs.packaged_files import with_flag_files
from niwt_tf.jobs.table import Job
from niwt_tf.serving.bundle.versions import check_place, saved_model_folder

# These settings are names or paths; a path is made absolute, so that a run can be taken up from another folder.
_PATHS = {declared.name for declared in SETTINGS if declared.path} | {"data_dir"}
_LOG = logging.getLogger("niwt_tf.jobs")
_BOM = "\ufeff"
_MARKED_COMMENT = re.compile(rf"{_BOM}\s*(?:#|//|$)")
# The job whose flags were defined last, by the id of their values.
_DEFINED: dict[int, Job] = {}


class _Parser(flags.ArgumentParser):
    """Parses by the option's own rule."""

    def __init__(self, declared: Option) -> None:
        super().__init__()
        self.declared = declared
        self.syntactic_help = declared.help

    def parse(self, argument: Any) -> Any:
        """Return the checked value of a text (or of a default, which absl parses too)."""
        return self.declared.parse(argument) if isinstance(argument, str) else self.declared.check(argument)


def define_flags(job: Job, flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Define the flags of a job in the place of those of an earlier job of this process."""
    earlier = _DEFINED.get(id(flag_values))
    for name in () if earlier is None else (*(declared.name for declared in earlier.options), *earlier.synonyms.values()):
        if name in flag_values:
            delattr(flag_values, name)
    _DEFINED[id(flag_values)] = job
    for declared in job.options:
        if declared.kind == "bool":
            flags.DEFINE_boolean(declared.name, declared.default, declared.help, flag_values=flag_values)
        else:
            flags.DEFINE(_Parser(declared), declared.name, declared.default, declared.help, flag_values=flag_values)
    for name, former in job.synonyms.items():
        flags.DEFINE_alias(former, name, flag_values=flag_values)


def say_synonyms(job: Job) -> None:
    """Say, once the flags are parsed, which of them were given by a former name."""
    for name, former in job.synonyms.items():
        if flags.FLAGS[former].present:
            _LOG.warning("--%s is now called --%s. The next release accepts only the new name.", former, name)


def parse_flags(arguments: Sequence[str], flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Parse `arguments` (without a program name) into `flag_values`.

    Raises:
        InputError: a flag is unknown (the nearest is suggested), its value breaks its rule, a flagfile cannot be read, or
            something that is not a flag was given.
    """
    try:
        # Flag files are laid open first: Windows writes a mark before their first line, which may be a comment or nothing.
        given = flag_values.read_flags_from_files(with_flag_files(list(arguments)), force_gnu=False)
        kept = [each.removeprefix(_BOM) for each in given if not _MARKED_COMMENT.match(each)]
        rest = flag_values(["niwt", *kept])[1:]
        _check_once(arguments, _DEFINED[id(flag_values)])
    except flags.UnrecognizedFlagError as error:
        if " " in error.flagname:  # of a flag file: a line is one argument
            raise InputError(f"Options must be flags of the form --name=value. Received: '--{error.flagname}'.") from None
        names = [f"--{name}" for name in flag_values if len(name) > 1]
        raise InputError(
            f"There is no such flag. Received: '--{error.flagname}'.{suggestion('--' + error.flagname, names)}"
        ) from None
    except flags.CantOpenFlagFileError as error:
        cause = error.__context__
        name = getattr(cause, "filename", None)
        reason = getattr(cause, "strerror", None) or str(error)
        raise InputError(f"--flagfile must name a file that can be read. Received: {name!r} ({reason}).") from None
    except flags.IllegalFlagValueError as error:
        if isinstance(error.__context__, InputError):
            raise InputError(str(error.__context__)) from None
        boolean = re.match(r"flag --(\w+)=(.*?): \('Non-boolean", str(error))
        if boolean:
            raise InputError(f"--{boolean[1]} must be true or false. Received: {boolean[2]!r}.") from None
        raise InputError(f"{str(error).rstrip('.')}.") from None
    except flags.Error as error:
        raise InputError(f"{str(error).rstrip('.')}.") from None
    except UnicodeDecodeError:
        raise InputError("--flagfile must be a text file in UTF-8.") from None
    if rest:
        raise InputError(f"Options must be flags of the form --name=value. Received: {rest[0]!r}.")


# Flags that name what a job is about: all that is given is wanted. Of a setting the last counts, as in a script with one more.
_WANTED = frozenset(
    ("images", "runs", "unseen", "layers", "methods", "grid", "lambda_grid", "epsilons", "image", "name", "new_name", "class",
     "rival", "text", "text_file", "attributes", "cards", "describe", "descriptions")
)  # fmt: skip


def _check_once(arguments: Sequence[str], job: Job) -> None:
    """Check that a command line names once what a job is about: of two the first would be dropped. Flag files may be overruled.

    Raises:
        InputError: it does not.
    """
    before_end = list(arguments)[: [*arguments, "--"].index("--")]
    for declared in job.options:
        if declared.name not in _WANTED:
            continue
        given = [each for each in before_end if re.match(rf"--?{declared.name}(=|$)", each)]
        if len(set(given)) > 1 or (len(given) > 1 and "=" not in given[0]):
            several = ", with commas between several" * (declared.kind != "str" or "commas" in declared.help)
            raise InputError(f"--{declared.name} must be given once{several}. Received: {len(given)} times.")


def settings_from_flags(flag_values: flags.FlagValues = flags.FLAGS) -> tuple[Settings, frozenset[str]]:
    """Return the settings that the flags make and the names of those that were given rather than left at their default.

    Raises:
        InputError: settings that are valid one by one do not go together.
    """
    values = {each.name: absolute(each, flag_values[each.name].value) for each in SETTINGS}
    given = frozenset(name for name in values if flag_values[name].present)
    follows = {name: value for name, value in OF_FEATURES.get(values["dataset"], {}).items() if name not in given}
    if values["unseen"] or values["num_unseen"] is not None:
        follows.pop("split", None)
    return Settings.from_dict({**values, **follows}), given


def absolute(declared: Option, value: Any) -> Any:
    """Return a setting's value, made absolute if it is a path."""
    if declared.name == "backbone":
        return absolute_backbone(value)
    if declared.name == "text_features":
        return absolute_features(value)
    if declared.name in _PATHS and value is not None:
        parts = declared.parts(value)
        return declared.joined.join(part if part in declared.choices else _absolute_path(part) for part in parts)
    return value


def _absolute_path(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def run_folder(flag_values: flags.FlagValues = flags.FLAGS) -> Path:
    """Return --run_dir.

    Raises:
        InputError: it was not given.
    """
    if flag_values["run_dir"].value is None:
        raise InputError("--run_dir must be given: the folder of the run, for instance --run_dir=runs/birds.")
    return Path(os.path.expanduser(flag_values["run_dir"].value))


def export_folder(flag_values: flags.FlagValues = flags.FLAGS) -> Path:
    """Return --export_dir, by default exports/<name of run_dir>."""
    if flag_values["export_dir"].value is not None:
        return Path(os.path.expanduser(flag_values["export_dir"].value))
    return Path("exports") / run_folder(flag_values).resolve().name


def check_export_folder(folder: Path) -> None:
    """Check, before the hours whose result goes there, that a folder of an export can be written to, or be made.

    Raises:
        InputError: a file is in the way, it is a version itself, or it may only be read.
    """
    nearest = check_place(folder)
    if not os.access(nearest, os.W_OK | os.X_OK):
        rule = "--export_dir must be a folder into which files can be written"
        raise InputError(f"{rule}. Received: {str(folder)!r} ({str(nearest)!r} cannot be written to).")


def result_file(flag: str, begin: str = "") -> Path | None:
    """Return the file that a flag names, or None, checked before the work whose result goes there.

    With `begin`, a file that exists must begin so: another one, such as a photograph or a table, is not written over.

    Raises:
        InputError: it is a folder, lies in a file or where nothing may be written, or is another file.
    """
    given = flags.FLAGS[flag].value
    if given is None:
        return None
    path = Path(os.path.expanduser(given))
    nearest = next((above for above in path.absolute().parents if above.exists()), path)
    faults = (
        (path.is_dir() or given.endswith(os.sep), "a folder"), (not nearest.is_dir(), f"{str(nearest)!r} is a file"),
        (not (path.exists() or os.access(nearest, os.W_OK | os.X_OK)), f"{str(nearest)!r} cannot be written to"),
    )
    fault = next((fault for is_so, fault in faults if is_so), None)
    if fault is not None:
        raise InputError(f"--{flag} must be a file to write. Received: {given!r} ({fault}).")
    is_stream = path.absolute().parts[1:2] in (("dev",), ("proc",))  # /dev/stdout may be a file with other lines in it
    if begin and path.is_file() and not is_stream and not _begins(path, begin):
        rule = f"--{flag} must be a new file, or one that this job wrote"
        raise InputError(f"{rule}. Received: {given!r}, which is another file.")
    return path


def _begins(path: Path, begin: str) -> bool:
    with open(path, "rb") as file:
        found = file.read(len(begin.encode()))
    return not found or found.lower() == begin.encode()


def bundle_folder() -> Path:
    """Return the version that --bundle means.

    Raises:
        InputError: it was not given, or there is none.
    """
    given = flags.FLAGS.bundle
    if given is None:
        raise InputError("--bundle must be given: an exported network, for instance --bundle=exports/birds.")
    return Path(os.path.abspath(saved_model_folder(os.path.expanduser(given), "--bundle")))


def required(flag: str) -> str:
    """Return the value of a flag.

    Raises:
        InputError: it was not given.
    """
    value = flags.FLAGS[flag].value
    if value is None:
        raise InputError(f"--{flag} must be given.")
    return str(value)
