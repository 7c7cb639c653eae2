"""The errors of the inference server.

    InferenceError
    ├── InvalidRequest          400 INVALID_ARGUMENT   the request does not fit the model
    ├── NotFound                404 NOT_FOUND
    │   └── UnknownModel                               no such model
    │       └── UnknownModelVersion                    the model has no such version
    ├── AlreadyExists           409 ALREADY_EXISTS
    ├── Unavailable             503 UNAVAILABLE        try again later
    │   ├── ModelNotReady
    │   ├── BackendMissing
    │   ├── QueueFull
    │   └── QueueTimeout
    ├── DeadlineExceeded        504 DEADLINE_EXCEEDED  the client's own deadline passed before the model ran
    ├── Cancelled               499 CANCELLED          the client left
    ├── Unsupported             501 UNIMPLEMENTED      the model or the server cannot do this
    ├── LoadFailed              400 INVALID_ARGUMENT   a model could not be loaded
    ├── RepositoryFailed        500 INTERNAL           the repository could not do what was asked
    └── BackendFailed           500 INTERNAL           the model ran and failed

Status and wording are NVIDIA Triton's, so that clients written for it need no change.
"""

from __future__ import annotations

from typing import ClassVar


class InferenceError(Exception):
    """Anything the server answers instead of a result. `str(error)` is what the client reads."""

    http_status: ClassVar[int] = 500
    grpc_status: ClassVar[str] = "INTERNAL"
    """Name of the member of `grpc.StatusCode`."""


class InvalidRequest(InferenceError):
    """The request does not fit the model, or is not well formed."""

    http_status = 400
    grpc_status = "INVALID_ARGUMENT"


class NotFound(InferenceError):
    """Something that was named does not exist."""

    http_status = 404
    grpc_status = "NOT_FOUND"


class AlreadyExists(InferenceError):
    """Something of that name exists already."""

    http_status = 409
    grpc_status = "ALREADY_EXISTS"


class UnknownModel(NotFound):
    """No model of that name is served."""

    def __init__(self, name: str, what: str = "is not found") -> None:
        super().__init__(f"Request for unknown model: '{name}' {what}")


class UnknownModelVersion(UnknownModel):
    """The model is served, but not in that version."""

    def __init__(self, name: str, version: str) -> None:
        super().__init__(name, f"version {version} is not found")


class Unavailable(InferenceError):
    """The server cannot answer now; the same request may succeed later."""

    http_status = 503
    grpc_status = "UNAVAILABLE"


class ModelNotReady(Unavailable):
    """That version of the model is loading, unloading or failed to load."""

    def __init__(self, name: str, version: str) -> None:
        super().__init__(f"Request for unknown model: '{name}' version {version} is not at ready state")


class BackendMissing(Unavailable):
    """What the backend needs is not installed, or it is switched off."""


class QueueFull(Unavailable):
    """The model's queue holds `max_queue_size` requests already."""

    def __init__(self, request_id: str) -> None:
        super().__init__(f"{request_prefix(request_id)}Exceeds maximum queue size")


class QueueTimeout(Unavailable):
    """The request waited longer than its queue policy allows."""

    def __init__(self) -> None:
        super().__init__("Request timeout expired")


class DeadlineExceeded(InferenceError):
    """The client's deadline passed while the request waited; it never ran."""

    http_status = 504
    grpc_status = "DEADLINE_EXCEEDED"

    def __init__(self, request_id: str) -> None:
        super().__init__(f"{request_prefix(request_id)}Deadline Exceeded")


class Cancelled(InferenceError):
    """The client left before the request ran."""

    http_status = 499
    grpc_status = "CANCELLED"

    def __init__(self, request_id: str) -> None:
        super().__init__(f"{request_prefix(request_id)}Request was cancelled")


class Unsupported(InferenceError):
    """The model or the server cannot do what was asked."""

    http_status = 501
    grpc_status = "UNIMPLEMENTED"


class LoadFailed(InferenceError):
    """A model could not be loaded or reloaded; what was served before still is."""

    http_status = 400
    grpc_status = "INVALID_ARGUMENT"


class RepositoryFailed(InferenceError):
    """The repository could not do what was asked, for example because the model is not in it."""


class BackendFailed(InferenceError):
    """The model ran and failed."""


def request_prefix(request_id: str) -> str:
    """Triton's "[request id: X] " in front of a message; an empty id is `<id_unknown>`."""
    return f"[request id: {request_id or '<id_unknown>'}] "


_CODE_NAMES = {
    "INVALID_ARGUMENT": "Invalid argument",
    "NOT_FOUND": "Not found",
    "UNAVAILABLE": "Unavailable",
    "UNIMPLEMENTED": "Unsupported",
    "INTERNAL": "Internal",
}


def with_code(error: InferenceError) -> str:
    """The message with Triton's name of its status in front, as the repository index shows it."""
    return f"{_CODE_NAMES.get(error.grpc_status, 'Unknown')}: {error}"


def in_ensemble(error: InferenceError, ensemble: str) -> InferenceError:
    """The same error, said by an ensemble about one of its steps."""
    return saying(type(error), f"in ensemble '{ensemble}', {error}")


def saying(kind: type[InferenceError], message: str) -> InferenceError:
    """An error of this kind with a message of someone else's (a model's, an ensemble's)."""
    error = kind.__new__(kind)
    error.args = (message,)
    return error
