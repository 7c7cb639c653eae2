"""What can go wrong between a finished training and a served release.

ExportError
├── GraphRejected       torch or the ONNX checker refused a network
├── SignatureMismatch   a graph's tensors are not those of its config.pbtxt
├── ParityFailed        an exported file does not answer like the network it was made from
├── RankingChanged      an exported file ranks films differently from its network
├── RecallTooLow        an approximate index does not find enough of the exact answer
├── VectorsRefused      item vectors of the wrong shape, or not finite
├── ManifestUnreadable  release.json is damaged, or of a format that this version does not read
├── UnknownRelease      no such release in the repository
├── ReleaseRefused      the new release is worse than the current one beyond the margin
├── TrainingUnusable    a checkpoint of another version
├── TrackingUnavailable --track without MLflow
├── DataChanged         the data are not those that were trained on
├── ServerNotReady      the server that an evaluation started did not come up
└── AnswerUnusable      it refused a question, or answered without all of its parts

None of them is met while serving: they end `python -m export` with exit status 1 and one line.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class ExportError(Exception):
    """A release could not be made or found."""

    def __reduce__(self) -> tuple[object, ...]:
        """From the process that raised it to the one that asked, whatever its kind was made from."""
        return _from_message, (type(self), str(self))


def _from_message(kind: type[ExportError], message: str) -> ExportError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    return error


class GraphRejected(ExportError):
    def __init__(self, model: str, reason: object) -> None:
        super().__init__(f"{model}: cannot be exported: {reason}")


class SignatureMismatch(ExportError):
    def __init__(self, model: str, tensor: str, exported: object, configured: object) -> None:
        super().__init__(f"{model}: tensor {tensor!r} is exported as {exported}, but config.pbtxt says {configured}")


class ParityFailed(ExportError):
    def __init__(self, model: str, what: str, value: float, tolerance: float) -> None:
        super().__init__(f"{model}: {what} differs by {value:.3g} from the network, more than {tolerance:.3g}")


class RankingChanged(ExportError):
    def __init__(self, model: str, k: int, overlap: float, demanded: float) -> None:
        what = "come in another order" if overlap >= demanded else f"are {overlap:.1%} the same, not {demanded:.1%}"
        super().__init__(f"{model}: the first {k} films {what}, compared with the network's ranking")


class RecallTooLow(ExportError):
    def __init__(self, kind: str, depth: int, reached: float, demanded: float) -> None:
        super().__init__(
            f"the {kind} index finds {reached:.1%} of the {depth} best films however widely it looks, and "
            f"{demanded:.1%} are demanded; choose another --index"
        )


class VectorsRefused(ExportError):
    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"item vectors of {source!r}: {reason}")


class ManifestUnreadable(ExportError):
    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(f"{path} cannot be read ({reason}); remove it and export again")


class UnknownRelease(ExportError):
    def __init__(self, number: int | None, known: Iterable[int]) -> None:
        have = ", ".join(map(str, sorted(known))) or "none"
        wanted = "no release is current" if number is None else f"release {number} is not there"
        super().__init__(f"{wanted}; the repository has: {have}")


class ReleaseRefused(ExportError):
    def __init__(self, metric: str, new: float, current: float, margin_ratio: float) -> None:
        super().__init__(
            f"{metric} would fall from {current:.4f} to {new:.4f}, more than the margin of {margin_ratio:.0%}; "
            "publish it all the same with --accept-worse"
        )


class TrainingUnusable(ExportError):
    def __init__(self, reason: object) -> None:
        super().__init__(str(reason))


class TrackingUnavailable(ExportError):
    def __init__(self) -> None:
        super().__init__("MLflow is not installed: install the extra `lab` (make lab), or leave out --track")


class DataChanged(ExportError):
    def __init__(self, trained: int, found: int) -> None:
        super().__init__(f"the training saw {trained:,} events, this data set has {found:,}: train on it again")


class ServerNotReady(ExportError):
    def __init__(self, timeout_s: float, output: str) -> None:
        super().__init__(f"the server ended, or was not ready within {timeout_s:g} s; its last words:\n{output}")


class AnswerUnusable(ExportError):
    def __init__(self, url: str, what: object) -> None:
        super().__init__(f"{url}/recommend: {what}")
