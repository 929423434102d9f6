"""From a server's address to the way there."""

from __future__ import annotations

from urllib.parse import urlsplit

from niwt_tf.config.extras import check_installed
from niwt_tf.errors import InputError, check_choice
from niwt_tf.serving.client.transport import Transport


def connected(server: str, name: str, version: int | str | None = None) -> Transport:
    """Return the way to a model on a server; nothing is sent yet.

    Raises:
        InputError: the server is not "grpc://host:port", "http://host:port" or "https://host:port", or the extra for gRPC
            is not installed.
    """
    try:
        parts = urlsplit(server)
        is_whole = bool(parts.hostname and parts.port) and parts.path in ("", "/") and not (parts.query or parts.fragment)
    except ValueError:
        is_whole = False
    if not is_whole:
        raise InputError(f"server must be like grpc://localhost:8500 or http://localhost:8501. Received: {server!r}.")
    scheme = check_choice("The scheme of server", parts.scheme, ("grpc", "http", "https"))
    if scheme == "grpc":
        for module in ("tensorflow_serving", "grpc"):
            check_installed(module, "A server at grpc://", "or ask it over http://")
        from niwt_tf.serving.client.grpc_transport import GrpcTransport

        return GrpcTransport(parts.netloc, name, version)
    from niwt_tf.serving.client.rest_transport import RestTransport

    return RestTransport(f"{scheme}://{parts.netloc}", name, version)
