"""A request that a server did not answer, in the words of gRPC, whichever way it was sent."""

from __future__ import annotations

# What a server of TensorFlow models says over HTTP for each code; the first of several codes is meant by a status.
_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNKNOWN": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
# What proxies say.
_OTHER_CODES = {408: "DEADLINE_EXCEEDED", 413: "RESOURCE_EXHAUSTED", 502: "UNAVAILABLE"}


class RequestError(RuntimeError):
    """A request failed.

    Attributes:
        code: the name of a gRPC status, for instance "UNAVAILABLE".
        detail: what the server said.
        can_be_repeated: whether the same request may well be answered a little later.
    """

    def __init__(self, code: str, detail: str, can_be_repeated: bool = False) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.can_be_repeated = can_be_repeated


def http_status(code: str) -> int:
    """Return the HTTP status of a gRPC code; 500 for one that is not known."""
    return _STATUS.get(code, 500)


def grpc_code(status: int) -> str:
    """Return the gRPC code of an HTTP status that is an error; "UNKNOWN" for one that has none."""
    codes = (code for code, number in _STATUS.items() if number == status)
    return _OTHER_CODES.get(status) or next(codes, "UNKNOWN")
