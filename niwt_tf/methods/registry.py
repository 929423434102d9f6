"""The methods by name: this package's own, and those that installed packages add by the entry-point group `niwt_tf.methods`."""

from __future__ import annotations

import importlib
from functools import cache

from niwt_tf.config.names import METHOD_MODULES, added
from niwt_tf.errors import InputError, brief, first_line, suggestion
from niwt_tf.methods.base import Method


@cache
def method_of(name: str) -> Method:
    """Return a method; its module, and no other method's, is imported.

    Raises:
        InputError: there is none of that name, or a package's entry point gives no method of that name.
    """
    if name in METHOD_MODULES:
        method: Method = importlib.import_module(METHOD_MODULES[name]).METHOD
        return method
    points = added("niwt_tf.methods")
    if name not in points:
        known = (*METHOD_MODULES, *points)
        raise InputError(f"--method must be one of {', '.join(known)}. Received: {name!r}.{suggestion(name, known)}")
    try:
        method = points[name].load()
    except Exception as error:  # whatever a package's own module raises
        rule = f"The method {name!r} must be importable from {points[name].value}"
        raise InputError(f"{rule}. Received: {first_line(error)}.") from error
    if not isinstance(method, Method) or method.name != name:
        raise InputError(f"{points[name].value} must be a Method called {name!r}. Received: {brief(method)}.")
    return method
