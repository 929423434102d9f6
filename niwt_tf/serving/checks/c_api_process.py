"""A SavedModel behind TensorFlow's C interface, without Python's TensorFlow.

`python -m niwt_tf.serving.checks.c_api_process FOLDER`.

FOLDER holds request.json (`saved_model`, and `ports`: the graph's names of each signature's inputs and outputs) and
requests.bin; each answer goes to answers.bin there.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.config.surroundings import watch_parent
from niwt_tf.files import read_json
from niwt_tf.serving.checks.messages import FLOAT, STRING, Message, append_message, read_messages

LIBRARIES = ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2")
_TEXT_BYTES = 24  # of a TF_TString
_POINTERS = (
    "NewStatus", "NewGraph", "NewSessionOptions", "LoadSessionFromSavedModel", "GraphOperationByName", "AllocateTensor",
    "TensorData", "StringGetDataPointer",
)  # fmt: skip


class _Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


def tensorflow_folder() -> Path:
    """Return the folder of the installed TensorFlow, without importing it.

    Raises:
        FileNotFoundError: TensorFlow or its libraries for C are not there.
    """
    found = importlib.util.find_spec("tensorflow")
    folder = Path(os.path.dirname(found.origin)) if found and found.origin else Path("tensorflow")
    for library in LIBRARIES:
        if not (folder / library).is_file():
            raise FileNotFoundError(f"no {folder / library}")
    return folder


class _Model:
    """A SavedModel in a session of the C interface."""

    def __init__(self, libraries: Path, folder: str) -> None:
        for library in LIBRARIES:
            self.c = ctypes.CDLL(str(libraries / library), mode=ctypes.RTLD_GLOBAL)
        for name in _POINTERS:
            getattr(self.c, f"TF_{name}").restype = ctypes.c_void_p
        self.c.TF_Message.restype = ctypes.c_char_p
        for name in ("TF_Dim", "TF_StringGetSize"):
            getattr(self.c, name).restype = ctypes.c_int64
        self.status = ctypes.c_void_p(self.c.TF_NewStatus())
        self.graph = ctypes.c_void_p(self.c.TF_NewGraph())
        options = ctypes.c_void_p(self.c.TF_NewSessionOptions())
        tags = (ctypes.c_char_p * 1)(b"serve")
        session = self.c.TF_LoadSessionFromSavedModel(
            options, None, os.fsencode(folder), tags, 1, self.graph, None, self.status
        )
        if self.c.TF_GetCode(self.status):
            raise RuntimeError(self.message())
        self.session = ctypes.c_void_p(session)

    def message(self) -> str:
        """Return what the last call said went wrong."""
        return str(self.c.TF_Message(self.status).decode(errors="replace"))

    def run(self, request: Message, ports: dict[str, dict[str, str]]) -> Message:
        """Answer a request."""
        given, wanted = list(request.tensors), list(ports["outputs"])
        inputs = (_Output * len(given))(*[self._output(ports["inputs"][name]) for name in given])
        values = (ctypes.c_void_p * len(given))(*[self._tensor(request.tensors[name]) for name in given])
        outputs = (_Output * len(wanted))(*[self._output(ports["outputs"][name]) for name in wanted])
        results = (ctypes.c_void_p * len(wanted))()
        self.c.TF_SessionRun(
            self.session, None, inputs, values, len(given), outputs, results, len(wanted), None, 0, None, self.status
        )
        for value in values:
            self.c.TF_DeleteTensor(ctypes.c_void_p(value))
        if self.c.TF_GetCode(self.status):
            return Message(request.signature, code=int(self.c.TF_GetCode(self.status)), error=self.message())
        arrays = {name: self._array(ctypes.c_void_p(result)) for name, result in zip(wanted, results, strict=True)}
        return Message(request.signature, arrays)

    def _output(self, port: str) -> _Output:
        name, _, index = port.partition(":")
        operation = self.c.TF_GraphOperationByName(self.graph, name.encode())
        if not operation:
            raise RuntimeError(f"The graph has no operation {name!r}.")
        return _Output(operation, int(index or 0))

    def _tensor(self, array: np.ndarray) -> int:
        sides = (ctypes.c_int64 * array.ndim)(*array.shape)
        kind, size = (FLOAT, 4) if array.dtype == np.float32 else (STRING, _TEXT_BYTES)
        length = ctypes.c_size_t(size * array.size)
        tensor = int(self.c.TF_AllocateTensor(kind, sides, array.ndim, length))
        data = self.c.TF_TensorData(ctypes.c_void_p(tensor))
        if kind == FLOAT:
            content = np.ascontiguousarray(array)
            ctypes.memmove(data, content.ctypes.data, content.nbytes)
        else:
            for place, value in enumerate(array.ravel()):
                text = ctypes.c_void_p(data + _TEXT_BYTES * place)
                self.c.TF_StringInit(text)
                self.c.TF_StringCopy(text, ctypes.c_char_p(value), ctypes.c_size_t(len(value)))
        return tensor

    def _array(self, tensor: ctypes.c_void_p) -> np.ndarray:
        kind = self.c.TF_TensorType(tensor)
        shape = [self.c.TF_Dim(tensor, axis) for axis in range(self.c.TF_NumDims(tensor))]
        size, data = int(np.prod(shape, dtype=np.int64)), self.c.TF_TensorData(tensor)
        array: Any
        if kind == FLOAT:
            array = np.frombuffer(ctypes.string_at(data, 4 * size) if size else b"", np.float32)
        elif kind == STRING:
            array = np.empty(size, object)
            for place in range(size):
                text = ctypes.c_void_p(data + _TEXT_BYTES * place)
                array[place] = ctypes.string_at(self.c.TF_StringGetDataPointer(text), self.c.TF_StringGetSize(text))
        else:
            raise RuntimeError(f"An output is of TensorFlow's type {kind}, neither float32 nor string.")
        self.c.TF_DeleteTensor(tensor)
        return array.reshape(shape)


def main(arguments: list[str]) -> None:
    """Answer every request."""
    watch_parent()
    libraries = tensorflow_folder()
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    folder = Path(arguments[0])
    asked = read_json(folder / "request.json")
    model = _Model(libraries, asked["saved_model"])
    for request in read_messages(folder / "requests.bin"):
        append_message(folder / "answers.bin", model.run(request, asked["ports"][request.signature]))


if __name__ == "__main__":
    main(sys.argv[1:])
