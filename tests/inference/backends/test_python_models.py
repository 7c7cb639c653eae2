"""Models written for Triton's Python backend run unchanged, each in a world of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bento.inference.backends.python_models.metrics import render_model_metrics
from bento.inference.backends.python_models.triton_python_backend_utils import (
    Tensor,
    TritonModelException,
    deserialize_bytes_tensor,
    numpy_to_triton_type,
    serialize_byte_tensor,
    triton_string_to_numpy,
    triton_to_numpy_type,
)
from bento.inference.core.errors import (
    BackendFailed,
    InferenceError,
    InvalidRequest,
    LoadFailed,
    NotFound,
    RepositoryFailed,
    Unsupported,
)
from bento.inference.core.messages import InferRequest, InferResponse, SequenceControl
from bento.inference.server import InferenceServer
from tests.inference.gates import gate
from tests.inference.model_folders import X_TO_Y, write_add_constant, write_gated, write_python
from tests.inference.running_servers import StartServer

TEXT_OUT = 'input { name: "X" data_type: TYPE_FP32 dims: 1 } output { name: "TEXT" data_type: TYPE_STRING dims: -1 }'
HEAD = "import triton_python_backend_utils as pb_utils\nimport numpy as np\nimport json\n"


def answering(expression: str) -> str:
    """A model that answers TEXT = the JSON of an expression over `request` and `self.args`."""
    return f"""{HEAD}
class TritonPythonModel:
    def initialize(self, args):
        self.args = args
    def execute(self, requests):
        responses = []
        for request in requests:
            text = json.dumps({expression})
            tensor = pb_utils.Tensor("TEXT", np.array([text], dtype=object))
            responses.append(pb_utils.InferenceResponse(output_tensors=[tensor]))
        return responses
"""


def x(value: float = 0.0) -> dict[str, np.ndarray]:
    return {"X": np.full(1, value, np.float32)}


async def text_of(server: InferenceServer, name: str, **more: object) -> object:
    response = await server.infer(InferRequest(name, x(), **more))  # type: ignore[arg-type]
    return json.loads(response.outputs["TEXT"][0])


async def collect(server: InferenceServer, request: InferRequest) -> list[InferResponse]:
    return [response async for response in server.infer_stream(request)]


async def test_a_model_gets_tritons_arguments(repository: Path, start_server: StartServer) -> None:
    write_python(repository, "told", TEXT_OUT, answering("self.args"), version=3)
    arguments = await text_of(await start_server(), "told")
    assert isinstance(arguments, dict)
    config = json.loads(arguments.pop("model_config"))
    assert (config["name"], config["input"][0]["dims"]) == ("told", [1])
    assert arguments == {
        "model_instance_kind": "CPU",
        "model_instance_name": "told_0",
        "model_instance_device_id": "0",
        "model_repository": str(repository / "told"),
        "model_version": "3",
        "model_name": "told",
    }


async def test_a_request_tells_what_the_client_said(repository: Path, start_server: StartServer) -> None:
    expression = (
        "[request.request_id(), request.correlation_id(), request.flags(), request.timeout(), request.priority(), "
        "json.loads(request.parameters()), sorted(request.requested_output_names()), request.is_cancelled()]"
    )
    write_python(repository, "told", TEXT_OUT, answering(expression))
    server = await start_server()
    told = await text_of(
        server, "told", id="a7", sequence=SequenceControl(9, start=True, end=True), timeout_us=5, priority=2,
        parameters={"color": "red", "n": 3},
    )  # fmt: skip
    assert told == ["a7", 9, 3, 5, 2, {"color": "red", "n": 3}, ["TEXT"], False]


async def test_parameters_of_a_response_reach_the_client(repository: Path, start_server: StartServer) -> None:
    source = (
        HEAD
        + """
class TritonPythonModel:
    def execute(self, requests):
        tensor = pb_utils.Tensor("TEXT", np.array(["x"], dtype=object))
        return [pb_utils.InferenceResponse([tensor], parameters={"answer": 42}) for _ in requests]
"""
    )
    write_python(repository, "told", TEXT_OUT, source)
    assert (await (await start_server()).infer(InferRequest("told", x()))).parameters == {"answer": 42}


async def test_text_leaves_a_model_as_bytes(repository: Path, start_server: StartServer) -> None:
    source = (
        HEAD
        + """
class TritonPythonModel:
    def execute(self, requests):
        values = [np.array(["é", b"\\xff"], dtype=object), np.array(["ab"]), np.array([b"cd"])]
        tensor = pb_utils.Tensor("TEXT", np.concatenate([value.astype(object) for value in values]))
        return [pb_utils.InferenceResponse([tensor]) for _ in requests]
"""
    )
    write_python(repository, "texts", TEXT_OUT, source)
    response = await (await start_server()).infer(InferRequest("texts", x()))
    assert response.outputs["TEXT"].tolist() == ["é".encode(), b"\xff", b"ab", b"cd"]


class TestErrors:
    async def test_an_exception_is_told_with_the_models_own_lines(
        self, repository: Path, start_server: StartServer
    ) -> None:
        source = """\
            class TritonPythonModel:
                def execute(self, requests):
                    self.rewind()
                def rewind(self):
                    raise ValueError("broken reel")
        """
        path = write_python(repository, "raising", TEXT_OUT, source) / "1" / "model.py"
        with pytest.raises(BackendFailed) as caught:
            await (await start_server()).infer(InferRequest("raising", x()))
        assert str(caught.value) == (
            "Failed to process the request(s) for model 'raising_0', message: ValueError: broken reel\n\nAt:\n"
            f"  {path}(5): rewind\n  {path}(3): execute\n"
        )

    async def test_an_error_response_fails_its_request_alone(self, repository: Path, start_server: StartServer) -> None:
        source = (
            HEAD
            + """
class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            value = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
            if value[0, 0] < 0:
                error = pb_utils.TritonError("no negative film", pb_utils.TritonError.INVALID_ARG)
                responses.append(pb_utils.InferenceResponse(error=error))
            else:
                responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("Y", value)]))
        return responses
"""
        )
        batching = (
            "max_batch_size: 4 dynamic_batching { preferred_batch_size: 2 max_queue_delay_microseconds: 60000000 }"
        )
        write_python(repository, "picky", f"{X_TO_Y} {batching}", source)
        server = await start_server()
        requests = [InferRequest("picky", {"X": np.array([[value]], np.float32)}) for value in (-1, 1)]
        refused, answered = await asyncio.gather(*map(server.infer, requests), return_exceptions=True)
        assert isinstance(refused, InvalidRequest)
        assert str(refused) == "no negative film"
        assert isinstance(answered, InferResponse)
        assert answered.outputs["Y"].tolist() == [[1]]

    @pytest.mark.parametrize(
        ("returned", "message"),
        [
            ("[]", "Number of InferenceResponse objects do not match"),
            ("'text'", "Expected a list in the execute return, found type '<class 'str'>'"),
            ("[1]", "Expected an 'InferenceResponse' object in the execute function return list"),
        ],
    )
    async def test_a_wrong_return_value_is_told(
        self, returned: str, message: str, repository: Path, start_server: StartServer
    ) -> None:
        source = f"class TritonPythonModel:\n    def execute(self, requests):\n        return {returned}\n"
        write_python(repository, "wrong", TEXT_OUT, source)
        with pytest.raises(BackendFailed) as caught:
            await (await start_server()).infer(InferRequest("wrong", x()))
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
            ("class Other: pass", "has no attribute 'TritonPythonModel'"),
            ("class TritonPythonModel: pass", "does not implement `execute` method"),
            ("class TritonPythonModel:\n  execute = print\n  def initialize(self, args): raise KeyError('film')",
             "KeyError: 'film'"),
        ],
    )  # fmt: skip
    async def test_a_model_that_cannot_start_is_refused(
        self, source: str, message: str, repository: Path, start_server: StartServer
    ) -> None:
        write_python(repository, "broken", TEXT_OUT, source)
        with pytest.raises(RepositoryFailed) as caught:
            await start_server()
        assert message in str(caught.value)

    async def test_untrusted_code_is_not_even_imported(self, repository: Path, start_server: StartServer) -> None:
        marker = repository.parent / "ran"
        write_python(repository, "code", TEXT_OUT, f"open({str(marker)!r}, 'w')")
        with pytest.raises(RepositoryFailed, match="trust_python_models"):
            await start_server(trust_python_models=False)
        assert not marker.exists()


async def test_each_model_imports_its_own_siblings(repository: Path, start_server: StartServer) -> None:
    """Two models with a `helper.py` and a package `parts` each, imported at the top and while executing."""
    source = (
        HEAD
        + """
from helper import NAME
import parts.inner

class TritonPythonModel:
    def execute(self, requests):
        from parts import late
        text = json.dumps([NAME, parts.inner.NAME, late.NAME, late.SIBLING])
        tensor = pb_utils.Tensor("TEXT", np.array([text], dtype=object))
        return [pb_utils.InferenceResponse([tensor]) for _ in requests]
"""
    )
    for name in ("left", "right"):
        write_python(
            repository, name, TEXT_OUT, source,
            files={
                "helper.py": f"NAME = '{name} helper'",
                "parts/__init__.py": "",
                "parts/inner.py": f"NAME = '{name} inner'",
                "parts/late.py": f"from . import inner\nimport helper\nNAME = '{name} late'\nSIBLING = helper.NAME",
            },
        )  # fmt: skip
    server = await start_server()
    for name in ("left", "right"):
        expected = [f"{name} helper", f"{name} inner", f"{name} late", f"{name} helper"]
        assert await text_of(server, name) == expected


async def test_instances_share_no_module_state(repository: Path, start_server: StartServer) -> None:
    source = (
        HEAD
        + """
COUNT = [0]
class TritonPythonModel:
    def initialize(self, args):
        COUNT[0] += 1
    def execute(self, requests):
        tensor = pb_utils.Tensor("TEXT", np.array([json.dumps(COUNT[0])], dtype=object))
        return [pb_utils.InferenceResponse([tensor]) for _ in requests]
"""
    )
    write_python(repository, "counting", f"{TEXT_OUT} instance_group [{{ count: 3 kind: KIND_CPU }}]", source)
    server = await start_server()
    assert [await text_of(server, "counting") for _ in range(5)] == [1] * 5


async def test_a_model_is_created_used_and_finalised_on_one_thread(repository: Path, start_server: StartServer) -> None:
    source = (
        HEAD
        + """
import threading
class TritonPythonModel:
    def initialize(self, args):
        self.thread = threading.get_ident()
        self.file = args["model_repository"] + "/finalised"
    def execute(self, requests):
        tensor = pb_utils.Tensor("TEXT", np.array([json.dumps(self.thread == threading.get_ident())], dtype=object))
        return [pb_utils.InferenceResponse([tensor]) for _ in requests]
    def finalize(self):
        with open(self.file, "w") as file:
            file.write(str(self.thread == threading.get_ident()))
"""
    )
    folder = write_python(repository, "threaded", TEXT_OUT, source)
    server = await start_server()
    assert await text_of(server, "threaded") is True
    await server.close()
    assert (folder / "finalised").read_text() == "True"


async def test_auto_complete_config_declares_the_tensors(repository: Path, start_server: StartServer) -> None:
    source = (
        HEAD
        + """
class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        config.add_input({"name": "X", "data_type": "TYPE_FP32", "dims": [1]})
        config.add_output({"name": "Y", "data_type": "TYPE_FP32", "dims": [1]})
        config.set_max_batch_size(8)
        config.set_dynamic_batching()
        return config
    def execute(self, requests):
        values = [pb_utils.get_input_tensor_by_name(request, "X").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("Y", value)]) for value in values]
"""
    )
    write_python(repository, "completing", "", source)
    server = await start_server()
    config = server.model_config("completing")
    assert (config.max_batch_size, list(config.dynamic_batching.preferred_batch_size)) == (8, [8])
    response = await server.infer(InferRequest("completing", {"X": np.ones((2, 1), np.float32)}))
    assert response.outputs["Y"].tolist() == [[1], [1]]


async def test_auto_complete_config_may_not_contradict(repository: Path, start_server: StartServer) -> None:
    source = """
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.set_max_batch_size(2)
                return config
            def execute(self, requests): ...
    """
    write_python(repository, "arguing", f"max_batch_size: 4 {TEXT_OUT}", source)
    with pytest.raises(RepositoryFailed, match="configuration specified max_batch_size 4, but in auto-complete-config"):
        await start_server()


async def test_auto_complete_config_that_makes_no_configuration_is_told(
    repository: Path, start_server: StartServer
) -> None:
    source = """
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.add_input({"name": "X", "data_type": "TYPE_NONSENSE", "dims": [1]})
                return config
            def execute(self, requests): ...
    """
    write_python(repository, "wrong", "", source)
    with pytest.raises(RepositoryFailed, match=r"auto_complete_config of 'wrong' made no .*TYPE_NONSENSE"):
        await start_server()


CALLING = (
    HEAD
    + """
class TritonPythonModel:
    {keyword} execute(self, requests):
        responses = []
        for request in requests:
            call = pb_utils.InferenceRequest(
                model_name="plus", requested_output_names=["Y"],
                inputs=[pb_utils.Tensor("X", pb_utils.get_input_tensor_by_name(request, "X").as_numpy().reshape(1, 1))],
            )
            answer = {call}
            if answer.has_error():
                text = answer.error().message()
            else:
                text = str(float(pb_utils.get_output_tensor_by_name(answer, "Y").as_numpy()[0, 0]))
            tensor = pb_utils.Tensor("TEXT", np.array([json.dumps(text)], dtype=object))
            responses.append(pb_utils.InferenceResponse([tensor]))
        return responses
"""
)


@pytest.mark.parametrize(("keyword", "call"), [("def", "call.exec()"), ("async def", "await call.async_exec()")])
async def test_a_model_calls_another(keyword: str, call: str, repository: Path, start_server: StartServer) -> None:
    write_add_constant(repository, "plus", 7.0)
    write_python(repository, "calling", TEXT_OUT, CALLING.replace("{keyword}", keyword).replace("{call}", call))
    assert await text_of(await start_server(), "calling") == "7.0"


async def test_a_failed_call_comes_back_as_an_error(repository: Path, start_server: StartServer) -> None:
    write_python(repository, "calling", TEXT_OUT, CALLING.replace("{keyword}", "def").replace("{call}", "call.exec()"))
    told = await text_of(await start_server(), "calling")
    assert told == (
        "Model plus - Error when running inference: Failed for execute the inference request. Model 'plus' is not "
        "ready."
    )


DECOUPLED = 'model_transaction_policy { decoupled: true } input { name: "X" data_type: TYPE_FP32 dims: 1 } ' \
            'output { name: "I" data_type: TYPE_INT32 dims: 1 }'  # fmt: skip
COUNTING = (
    HEAD
    + """
class TritonPythonModel:
    {keyword} execute(self, requests):
        for request in requests:
            count = int(pb_utils.get_input_tensor_by_name(request, "X").as_numpy()[0])
            sender = request.get_response_sender()
            for number in range(count):
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("I", np.array([number], np.int32))]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
)


class TestDecoupled:
    @pytest.mark.parametrize("keyword", ["def", "async def"])
    async def test_any_number_of_responses(self, keyword: str, repository: Path, start_server: StartServer) -> None:
        write_python(repository, "counting", DECOUPLED, COUNTING.replace("{keyword}", keyword))
        server = await start_server()
        assert server.is_decoupled("counting")
        for count in (3, 0, 1):
            responses = await collect(server, InferRequest("counting", x(count)))
            assert [response.outputs["I"].tolist() for response in responses] == [[number] for number in range(count)]
            assert not any(response.final for response in responses)

    async def test_a_single_answer_is_refused(self, repository: Path, start_server: StartServer) -> None:
        write_python(repository, "counting", DECOUPLED, COUNTING.replace("{keyword}", "def"))
        with pytest.raises(Unsupported):
            await (await start_server()).infer(InferRequest("counting", x(1)))

    async def test_a_response_may_carry_the_final_flag(self, repository: Path, start_server: StartServer) -> None:
        source = (
            HEAD
            + """
class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            response = pb_utils.InferenceResponse([pb_utils.Tensor("I", np.array([5], np.int32))])
            request.get_response_sender().send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
        )
        write_python(repository, "once", DECOUPLED, source)
        (response,) = await collect(await start_server(), InferRequest("once", x()))
        assert response.final

    @pytest.mark.parametrize("keyword", ["def", "async def"])
    async def test_an_exception_ends_the_stream(
        self, keyword: str, repository: Path, start_server: StartServer
    ) -> None:
        source = f"class TritonPythonModel:\n    {keyword} execute(self, requests):\n        raise ValueError('torn')\n"
        write_python(repository, "torn", DECOUPLED, source)
        server = await start_server()
        with pytest.raises(BackendFailed, match="ValueError: torn"):
            await collect(server, InferRequest("torn", x()))

    async def test_an_error_response_ends_the_stream_after_what_came_before(
        self, repository: Path, start_server: StartServer
    ) -> None:
        source = (
            HEAD
            + """
class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("I", np.array([1], np.int32))]))
            sender.send(pb_utils.InferenceResponse(error=pb_utils.TritonError("end of reel")), flags=1)
"""
        )
        write_python(repository, "ending", DECOUPLED, source)
        stream = (await start_server()).infer_stream(InferRequest("ending", x()))
        assert (await anext(stream)).outputs["I"].tolist() == [1]
        with pytest.raises(BackendFailed, match="end of reel"):
            await anext(stream)

    async def test_a_model_sees_that_its_client_left(self, repository: Path, start_server: StartServer) -> None:
        source = (
            HEAD
            + """
import time
from tests.inference.gates import gate
class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("I", np.array([1], np.int32))]))
            while not sender.is_cancelled():
                time.sleep(0.001)
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
            gate("left_stream").enter([np.ones(1, np.float32)])
"""
        )
        write_python(repository, "endless", DECOUPLED, source)
        server = await start_server()
        stream = server.infer_stream(InferRequest("endless", x()))
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        await gate("left_stream").entered()

    async def test_a_model_iterates_over_a_decoupled_model(self, repository: Path, start_server: StartServer) -> None:
        write_python(repository, "counting", DECOUPLED, COUNTING.replace("{keyword}", "def"))
        source = (
            HEAD
            + """
class TritonPythonModel:
    def execute(self, requests):
        call = pb_utils.InferenceRequest(
            model_name="counting",
            requested_output_names=["I"],
            inputs=[pb_utils.Tensor("X", np.array([4], np.float32))],
        )
        numbers = [int(pb_utils.get_output_tensor_by_name(response, "I").as_numpy()[0])
                   for response in call.exec(decoupled=True)]
        tensor = pb_utils.Tensor("TEXT", np.array([json.dumps(numbers)], dtype=object))
        return [pb_utils.InferenceResponse([tensor]) for _ in requests]
"""
        )
        write_python(repository, "asking", TEXT_OUT, source)
        assert await text_of(await start_server(), "asking") == [0, 1, 2, 3]

    async def test_closing_waits_for_the_last_response(self, repository: Path, start_server: StartServer) -> None:
        """The model answers from a thread of its own, after `execute` has returned."""
        source = (
            HEAD
            + """
import threading
from tests.inference.gates import gate
class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            threading.Thread(target=self.answer, args=(request.get_response_sender(),)).start()
    def answer(self, sender):
        gate("slow_stream").enter([np.ones(1, np.float32)])
        sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("I", np.array([1], np.int32))]), flags=1)
"""
        )
        write_python(repository, "slowly", DECOUPLED, source)
        server = await start_server()
        gate("slow_stream").close()
        answers = asyncio.create_task(collect(server, InferRequest("slowly", x())))
        await gate("slow_stream").entered()
        closing = asyncio.create_task(server.close())
        await asyncio.sleep(0.01)
        assert not closing.done()
        gate("slow_stream").open()
        assert [response.outputs["I"].tolist() for response in await answers] == [[1]]
        await closing


async def test_an_ordinary_model_may_answer_through_its_sender(repository: Path, start_server: StartServer) -> None:
    source = (
        HEAD
        + """
import threading
class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            threading.Thread(target=self.answer, args=(request.get_response_sender(),)).start()
    def answer(self, sender):
        tensor = pb_utils.Tensor("TEXT", np.array(["1"], dtype=object))
        sender.send(pb_utils.InferenceResponse([tensor]), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
    )
    write_python(repository, "sending", TEXT_OUT, source)
    assert await text_of(await start_server(), "sending") == 1


async def test_a_slow_model_does_not_hold_up_the_others(repository: Path, start_server: StartServer) -> None:
    write_gated(repository, "stuck", "max_batch_size: 1")
    write_add_constant(repository, "plus", 1.0)
    server = await start_server()
    gate("stuck").close()
    stuck = asyncio.create_task(server.infer(InferRequest("stuck", {"X": np.zeros((1, 1), np.float32)})))
    await gate("stuck").entered()
    for _ in range(20):
        await server.infer(InferRequest("plus", {"X": np.zeros((1, 1), np.float32)}))
    assert not stuck.done()
    gate("stuck").open()
    await stuck


async def test_metrics_of_a_model_are_rendered(repository: Path, start_server: StartServer) -> None:
    source = (
        HEAD
        + """
class TritonPythonModel:
    def initialize(self, args):
        family = pb_utils.MetricFamily("films_seen_total", "Films seen", pb_utils.MetricFamily.COUNTER)
        self.metric = family.Metric(labels={"model": args["model_name"]})
    def execute(self, requests):
        self.metric.increment(1_000_001)
        tensor = pb_utils.Tensor("TEXT", np.array([json.dumps(self.metric.value())], dtype=object))
        return [pb_utils.InferenceResponse([tensor]) for _ in requests]
"""
    )
    config = f"{TEXT_OUT} instance_group {{ count: 2 kind: KIND_CPU }}"
    write_python(repository, "measured", config, source)
    server = await start_server(model_control_mode="explicit", load_models=("measured",))
    assert [await text_of(server, "measured") for _ in range(2)] == [1_000_001, 2_000_002]  # whichever instance it was
    assert 'films_seen_total{model="measured"} 2000002\n' in render_model_metrics()
    write_python(repository, "measured", config, f"{source}# changed")
    await server.load_model("measured")
    assert render_model_metrics().count("films_seen_total{") == 1


class TestTensors:
    def test_what_numpy_cannot_take_for_lying_on_a_gpu_goes_by_torch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        torch = pytest.importorskip("torch")

        def refuse(given: object) -> None:
            raise BufferError("Unsupported device in DLTensor.")

        capsule = torch.tensor([1.5, 2.0]).__dlpack__()
        monkeypatch.setattr(np, "from_dlpack", refuse)
        assert Tensor.from_dlpack("T", capsule).as_numpy().tolist() == [1.5, 2.0]
        monkeypatch.setitem(sys.modules, "torch", None)
        with pytest.raises(TritonModelException, match=r"cannot take \(Unsupported device in DLTensor.\) needs"):
            Tensor.from_dlpack("T", np.ones(1).__dlpack__())

    def test_dlpack_goes_both_ways_without_changing_values(self) -> None:
        given = np.arange(6, dtype=np.float32).reshape(2, 3)
        tensor = Tensor("T", given)
        assert np.from_dlpack(tensor).tolist() == given.tolist()
        assert Tensor.from_dlpack("U", given).as_numpy().tolist() == given.tolist()
        assert Tensor.from_dlpack("U", tensor.to_dlpack()).as_numpy().tolist() == given.tolist()
        assert (tensor.name(), tensor.shape(), tensor.is_cpu(), tensor.triton_dtype()) == ("T", [2, 3], True, 11)

    def test_read_only_values_can_be_handed_on(self) -> None:
        given = np.frombuffer(b"\0\0\x80?", dtype=np.float32)
        assert np.from_dlpack(Tensor("T", given)).tolist() == [1.0]

    def test_torch_tensors_come_in(self) -> None:
        torch = pytest.importorskip("torch", reason="needs torch")
        assert Tensor.from_dlpack("T", torch.tensor([1.5, 2.0])).as_numpy().tolist() == [1.5, 2.0]
        half = Tensor.from_dlpack("T", torch.tensor([1.5], dtype=torch.bfloat16))
        assert half.as_numpy().dtype.name == "bfloat16"
        assert float(half.as_numpy()[0]) == 1.5

    def test_a_tensor_needs_a_name(self) -> None:
        with pytest.raises(TritonModelException, match="Tensor name cannot be an empty string"):
            Tensor("", np.zeros(1))

    def test_what_is_no_tensor_is_refused(self) -> None:
        with pytest.raises(TritonModelException, match="Provided tensor is not supported"):
            Tensor.from_dlpack("T", [1, 2])

    def test_byte_tensors_are_written_with_their_lengths(self) -> None:
        given = np.array([b"ab", b"", "é".encode()], dtype=np.object_)
        encoded = serialize_byte_tensor(given)
        assert encoded == b"\x02\0\0\0ab" + b"\0\0\0\0" + b"\x02\0\0\0\xc3\xa9"
        assert deserialize_bytes_tensor(encoded).tolist() == given.tolist()

    def test_types_are_translated(self) -> None:
        assert triton_string_to_numpy("TYPE_FP32") is np.float32
        assert triton_string_to_numpy("TYPE_STRING") is np.object_
        assert triton_to_numpy_type(9) is np.int64
        assert numpy_to_triton_type(np.int64) == 9


async def test_statistics_count_failures_by_reason(repository: Path, start_server: StartServer) -> None:
    write_python(
        repository, "raising", TEXT_OUT, "class TritonPythonModel:\n    def execute(self, requests): raise ValueError"
    )
    server = await start_server()
    with pytest.raises(InferenceError):
        await server.infer(InferRequest("raising", x()))
    assert server.failure_counts()["raising", "1"] == {"BACKEND": 1}


async def test_a_decoupled_model_may_go_on_after_an_error(repository: Path, start_server: StartServer) -> None:
    source = (
        HEAD
        + """
class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            sender.send(pb_utils.InferenceResponse(error=pb_utils.TritonError("scratched", 2)))
            sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("I", np.array([1], np.int32))]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
    )
    write_python(repository, "scratched", DECOUPLED, source)
    server = await start_server()
    scratched, clean = await collect(server, InferRequest("scratched", x()))
    assert isinstance(scratched.error, NotFound)
    assert (str(scratched.error), scratched.outputs) == ("scratched", {})
    assert (clean.error, clean.outputs["I"].tolist()) == (None, [1])
    while not (statistics := server.model_statistics("scratched")[0])["execution_count"]:
        await asyncio.sleep(0)  # the execution ends after its last response
    assert statistics["inference_stats"]["success"]["count"] == 1  # type: ignore[index]
    assert server.failure_counts()["scratched", "1"] == {}


async def test_code_that_comes_with_a_load_request_does_not_run(repository: Path, start_server: StartServer) -> None:
    """Trust is in the repository, not in whoever may send requests."""
    marker = repository.parent / "ran"
    server = await start_server(model_control_mode="explicit")
    with pytest.raises(LoadFailed, match="only code from a repository runs"):
        await server.load_model("code", '{"backend": "python"}', {"1/model.py": f"open({str(marker)!r}, 'w')".encode()})
    assert not marker.exists()


async def test_a_model_finds_its_own_folder(repository: Path, start_server: StartServer) -> None:
    source = (
        HEAD
        + """
FOLDER = pb_utils.get_model_dir()
class TritonPythonModel:
    def execute(self, requests):
        text = json.dumps([FOLDER, pb_utils.get_model_dir(), pb_utils.is_model_ready("nope")])
        tensor = pb_utils.Tensor("TEXT", np.array([text], dtype=object))
        return [pb_utils.InferenceResponse([tensor]) for _ in requests]
"""
    )
    folder = str(write_python(repository, "located", TEXT_OUT, source) / "1")
    assert await text_of(await start_server(), "located") == [folder, folder, False]
