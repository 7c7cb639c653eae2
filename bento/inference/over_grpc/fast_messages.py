"""Message templates: a client that asks the same model again over gRPC sends the same bytes, but for the tensors.

Protobuf's bytes are compared, not parsed: all bytes around the tensors must be those that protobuf parsed earlier.
Answers are written as the bytes that stood before the tensors last time, and the tensors: protobuf defines that the
bytes of two messages in a row are the bytes of both merged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tritonclient.grpc import service_pb2 as pb

from bento.inference.core.messages import InferResponse
from bento.inference.models.prepared_requests import WireForm
from bento.inference.over_grpc.codec import encode_response
from bento.inference.protocol.output_delivery import DecodedRequest
from bento.inference.protocol.request_template import RequestTemplate, is_template
from bento.inference.protocol.tensor_bytes import tensor_bytes
from bento.inference.server import InferenceServer

MAX_BEGINNING_BYTES = 1024
MAX_MESSAGES = 256
"""Of both together at most 256 KB; all are dropped when there would be more."""

_OutputKey = tuple[str, int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    """See `messages.Template`."""

    beginning: bytes
    """All but the tensors, which come last."""
    marks: tuple[tuple[int, bytes], ...]
    """What stands in front of each tensor, and where."""
    model_name: str
    model_version: str
    layout: RequestTemplate
    key: bytes
    """The beginning, in a form that no JSON has: a model's prepared requests are common to both wires."""
    server: InferenceServer
    answers: AnswerTemplates

    def fits(self, data: bytes) -> bool:
        """Whether a message of the same length differs in nothing but the tensors."""
        return data.startswith(self.beginning) and all(data.startswith(mark, at) for at, mark in self.marks)

    def read(self, data: bytes) -> DecodedRequest:
        """The request."""
        return self.layout.read(data, 0, self.model_name, self.model_version)

    def answer(self, data: bytes, time_remaining: Callable[[], float | None]) -> bytes | None:
        """See `messages.Template`."""
        prepared = self.server.prepared_requests(self.model_name, self.model_version).get(self.key)
        if prepared is None:
            return None
        remaining_s = time_remaining()
        return None if remaining_s is not None and remaining_s <= 0 else prepared.answer(data, 0, b"")

    def prepare(self, decoded: DecodedRequest, response: InferResponse) -> None:
        """See `messages.Template`."""
        if self.server.prepared_requests(self.model_name, self.model_version).is_due(self.key):
            starts = [item.start for item in self.layout.inputs]
            between = self.answers.between(response, decoded)
            self.server.prepare_request(decoded.request, response, WireForm(self.key, starts, between))


class FastMessages:
    """Requests that protobuf parsed before, and answers that it wrote before. Event loop only."""

    def __init__(self, server: InferenceServer) -> None:
        self._server = server
        self._answers = AnswerTemplates()
        self._by_size: dict[int, list[MessageTemplate]] = {}
        self._count = 0
        self.write = self._answers.write

    def find(self, data: bytes) -> MessageTemplate | None:
        """The template from which this message differs in nothing but its tensors."""
        for template in self._by_size.get(len(data), ()):
            if template.fits(data):
                return template
        return None

    def remember(self, data: bytes, message: pb.ModelInferRequest, decoded: DecodedRequest) -> None:
        """Make a template of a request that was parsed, if it can be one."""
        contents = list(message.raw_input_contents)
        if not contents or len(contents) != len(decoded.request.inputs) or not is_template(decoded):
            return
        ending = pb.ModelInferRequest(raw_input_contents=contents).SerializeToString()
        at = len(data) - len(ending)
        if at > MAX_BEGINNING_BYTES or not data.endswith(ending):
            return
        marks, starts = [], []
        for position, content in enumerate(contents):
            mark = pb.ModelInferRequest(raw_input_contents=contents[position : position + 1]).SerializeToString()
            marks.append((at, mark[: -len(content)]))
            at += len(mark)
            starts.append(at - len(content))
        if self._count >= MAX_MESSAGES:
            self._by_size.clear()
            self._count = 0
        self._count += 1
        request, beginning = decoded.request, data[: -len(ending)]
        layout = RequestTemplate.of(decoded, starts)
        template = MessageTemplate(
            beginning, tuple(marks), request.model_name, request.model_version, layout, b"\0" + beginning,
            self._server, self._answers,
        )  # fmt: skip
        self._by_size.setdefault(len(data), []).append(template)


class AnswerTemplates:
    """Answers without their tensors. Event loop only."""

    def __init__(self) -> None:
        self._beginnings: dict[tuple[str, str, tuple[_OutputKey, ...]], bytes] = {}

    def write(self, response: InferResponse, decoded: DecodedRequest) -> bytes:
        """The answer as it goes on the wire."""
        if response.id or response.parameters or any(item.place is not None for item in decoded.deliveries.values()):
            return bytes(encode_response(response, decoded).SerializeToString())
        contents = [bytes(tensor_bytes(tensor)) for tensor in response.outputs.values()]
        ending: bytes = pb.ModelInferResponse(raw_output_contents=contents).SerializeToString()
        return self.beginning(response, decoded) + ending

    def beginning(self, response: InferResponse, decoded: DecodedRequest) -> bytes:
        """What stands before the tensors of an answer that has no id or parameters and leaves none in shared memory."""
        outputs = response.outputs
        key = (
            response.model_name,
            response.model_version,
            tuple([(name, tensor.dtype.num, tensor.shape) for name, tensor in outputs.items()]),
        )
        beginning = self._beginnings.get(key)
        if beginning is None:
            message = encode_response(response, decoded)
            message.ClearField("raw_output_contents")
            if len(self._beginnings) >= MAX_MESSAGES:
                self._beginnings.clear()
            beginning = self._beginnings[key] = message.SerializeToString()
        return beginning

    def between(self, response: InferResponse, decoded: DecodedRequest) -> list[bytes]:
        """What stands before each tensor of such an answer, none of which is empty."""
        marks = []
        for tensor in response.outputs.values():
            content = bytes(tensor_bytes(tensor))
            mark: bytes = pb.ModelInferResponse(raw_output_contents=[content]).SerializeToString()
            marks.append(mark[: -len(content)])
        return [self.beginning(response, decoded) + marks[0], *marks[1:]]
