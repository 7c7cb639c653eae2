"""Ensembles: a dataflow over models, checked when it is loaded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from bento.inference.core.errors import BackendFailed, InferenceError, InvalidRequest, LoadFailed, RepositoryFailed
from bento.inference.core.messages import InferRequest
from bento.inference.server import InferenceServer
from tests.inference.gates import gate
from tests.inference.model_folders import tensor, write_add_constant, write_gated, write_onnx, write_python
from tests.inference.running_servers import StartServer

ONE_TO_ONE = 'input { name: "IN" data_type: TYPE_FP32 dims: 1 } output { name: "OUT" data_type: TYPE_FP32 dims: 1 }'


def write_ensemble(repository: Path, name: str, steps: str, *, tensors: str = ONE_TO_ONE, more: str = "") -> None:
    (repository / name / "1").mkdir(parents=True, exist_ok=True)
    (repository / name / "config.pbtxt").write_text(
        f'platform: "ensemble" max_batch_size: 4 {tensors} ensemble_scheduling {{ {steps} }} {more}'
    )


def step(model: str, takes: str, gives: str, *, version: int = -1) -> str:
    """A step of a model X → Y."""
    return (
        f'step {{ model_name: "{model}" model_version: {version} input_map {{ key: "X" value: "{takes}" }} '
        f'output_map {{ key: "Y" value: "{gives}" }} }}'
    )


def write_sum(repository: Path) -> None:
    """`sum`: A, B → S = A + B."""
    write_onnx(
        repository,
        "sum",
        [helper.make_node("Add", ["A", "B"], ["S"])],
        [tensor("A", "FP32", ["batch", 1]), tensor("B", "FP32", ["batch", 1])],
        [tensor("S", "FP32", ["batch", 1])],
    )


SUM_STEP = (
    'step { model_name: "sum" model_version: -1 input_map { key: "A" value: "left" } '
    'input_map { key: "B" value: "right" } output_map { key: "S" value: "OUT" } }'
)


async def ask(server: InferenceServer, name: str, value: float = 0.0, **more: object) -> float:
    request = InferRequest(name, {"IN": np.full((1, 1), value, np.float32)}, **more)  # type: ignore[arg-type]
    return float((await server.infer(request)).outputs["OUT"][0, 0])


async def test_steps_follow_their_tensors_whatever_their_order(repository: Path, start_server: StartServer) -> None:
    write_add_constant(repository, "plus1", 1.0)
    write_add_constant(repository, "plus10", 10.0)
    write_ensemble(repository, "chain", step("plus10", "middle", "OUT") + step("plus1", "IN", "middle"))
    server = await start_server()
    assert await ask(server, "chain", 5.0) == 16
    assert server.model_metadata("chain")["platform"] == "ensemble"


async def test_steps_that_do_not_need_each_other_run_at_the_same_time(
    repository: Path, start_server: StartServer
) -> None:
    """Both gated models must be inside at once before either may go on."""
    for name in ("side_left", "side_right"):
        write_gated(repository, name, "max_batch_size: 4")
        gate(name).close()
    write_sum(repository)
    write_ensemble(repository, "fork", step("side_left", "IN", "left") + step("side_right", "IN", "right") + SUM_STEP)
    server = await start_server()
    answer = asyncio.create_task(ask(server, "fork", 4.0))
    await gate("side_left").entered()
    await gate("side_right").entered()
    gate("side_left").open()
    gate("side_right").open()
    assert await answer == 8


async def test_steps_that_no_requested_output_needs_do_not_run(repository: Path, start_server: StartServer) -> None:
    write_add_constant(repository, "plus1", 1.0)
    write_gated(repository, "unneeded", "max_batch_size: 4")
    tensors = ONE_TO_ONE + ' output { name: "OTHER" data_type: TYPE_FP32 dims: 1 }'
    write_ensemble(repository, "two", step("plus1", "IN", "OUT") + step("unneeded", "IN", "OTHER"), tensors=tensors)
    server = await start_server()
    assert await ask(server, "two", requested_outputs=("OUT",)) == 1
    assert gate("unneeded").batches == []


HALF = """
    import triton_python_backend_utils as pb_utils

    class TritonPythonModel:
        def execute(self, requests):
            return [
                pb_utils.InferenceResponse(
                    [pb_utils.Tensor("A", pb_utils.get_input_tensor_by_name(request, "X").as_numpy())]
                )
                for request in requests
            ]
"""
"""Answers A = X, and never the B that its configuration promises."""


def write_half(repository: Path) -> None:
    write_python(
        repository,
        "half",
        """
        max_batch_size: 4
        input [{ name: "X" data_type: TYPE_FP32 dims: [ 1 ] }]
        output [{ name: "A" data_type: TYPE_FP32 dims: [ 1 ] }, { name: "B" data_type: TYPE_FP32 dims: [ 1 ] }]
        """,
        HALF,
    )


def half_step(a: str, b: str) -> str:
    return (
        'step { model_name: "half" model_version: -1 input_map { key: "X" value: "IN" } '
        f'output_map {{ key: "A" value: "{a}" }} output_map {{ key: "B" value: "{b}" }} }}'
    )


TWO_OUTPUTS = ONE_TO_ONE + ' output { name: "MORE" data_type: TYPE_FP32 dims: 1 }'


@pytest.mark.parametrize(
    ("requested", "given"),
    [((), ["OUT"]), (("MORE", "OUT"), ["OUT"]), (("OUT",), ["OUT"]), (("MORE",), [])],
)
async def test_what_a_step_leaves_out_is_left_out_of_the_answer(
    requested: tuple[str, ...], given: list[str], repository: Path, start_server: StartServer
) -> None:
    write_half(repository)
    write_ensemble(repository, "pair", half_step("OUT", "MORE"), tensors=TWO_OUTPUTS)
    server = await start_server()
    request = InferRequest("pair", {"IN": np.full((1, 1), 5, np.float32)}, requested_outputs=requested)
    answer = await server.infer(request)
    assert {name: tensor.tolist() for name, tensor in answer.outputs.items()} == {name: [[5]] for name in given}


async def test_a_step_that_needs_what_another_left_out_says_so(repository: Path, start_server: StartServer) -> None:
    write_half(repository)
    write_add_constant(repository, "plus", 1.0)
    steps = f"{half_step('OUT', 'b')} {step('plus', 'b', 'MORE')}"
    write_ensemble(repository, "chain", steps, tensors=TWO_OUTPUTS)
    server = await start_server()
    with pytest.raises(InvalidRequest, match=r"in ensemble 'chain', .* missing required input\(s\) \['X'\]"):
        await server.infer(InferRequest("chain", {"IN": np.full((1, 1), 5, np.float32)}))


async def test_every_step_before_a_requested_output_runs(repository: Path, start_server: StartServer) -> None:
    for name, constant in (("plus1", 1.0), ("plus10", 10.0), ("plus100", 100.0)):
        write_add_constant(repository, name, constant)
    write_gated(repository, "unneeded_too", "max_batch_size: 4")
    tensors = ONE_TO_ONE + ' output { name: "OTHER" data_type: TYPE_FP32 dims: 1 }'
    chain = step("plus100", "b", "OUT") + step("plus10", "a", "b") + step("plus1", "IN", "a")
    write_ensemble(repository, "long", chain + step("unneeded_too", "a", "OTHER"), tensors=tensors)
    server = await start_server()
    assert await ask(server, "long", requested_outputs=("OUT",)) == 111
    assert gate("unneeded_too").batches == []


async def test_ensembles_batch_with_other_requests_of_their_models(repository: Path, start_server: StartServer) -> None:
    write_gated(repository, "shared", "max_batch_size: 8 dynamic_batching { preferred_batch_size: [ 2 ] "
                "max_queue_delay_microseconds: 60000000 }")  # fmt: skip
    write_ensemble(repository, "wrapped", step("shared", "IN", "OUT"))
    server = await start_server()
    direct = server.infer(InferRequest("shared", {"X": np.array([[1]], np.float32)}))
    await asyncio.gather(ask(server, "wrapped", 2.0), direct)
    assert [sorted(batch) for batch in gate("shared").batches] == [[1, 2]]


async def test_a_step_may_name_a_version(repository: Path, start_server: StartServer) -> None:
    for version in (1, 2):
        write_add_constant(repository, "plus", float(version), version=version)
    (repository / "plus" / "config.pbtxt").write_text("version_policy { all { } }")
    write_ensemble(repository, "old", step("plus", "IN", "OUT", version=1))
    write_ensemble(repository, "new", step("plus", "IN", "OUT"))
    server = await start_server()
    assert (await ask(server, "old"), await ask(server, "new")) == (1, 2)


async def test_a_release_holds_for_the_composing_models_too(repository: Path, start_server: StartServer) -> None:
    for version in (1, 2):
        write_add_constant(repository, "plus", float(version), version=version)
    write_ensemble(repository, "wrapped", step("plus", "IN", "OUT"))
    (repository / "wrapped" / "1").rmdir()
    server = await start_server(release=1)
    assert await ask(server, "wrapped") == 1
    assert server.model_metadata("wrapped")["versions"] == ["1"]


async def test_an_error_names_the_ensemble_and_keeps_its_status(repository: Path, start_server: StartServer) -> None:
    write_python(
        repository,
        "failing",
        'max_batch_size: 4 input { name: "X" data_type: TYPE_FP32 dims: 1 } '
        'output { name: "Y" data_type: TYPE_FP32 dims: 1 }',
        """
        import triton_python_backend_utils as pb_utils
        class TritonPythonModel:
            def execute(self, requests):
                error = pb_utils.TritonError("the film is missing")
                return [pb_utils.InferenceResponse(error=error) for _ in requests]
        """,
    )
    write_ensemble(repository, "wrapped", step("failing", "IN", "OUT"))
    server = await start_server()
    with pytest.raises(BackendFailed, match=r"^in ensemble 'wrapped', the film is missing$"):
        await ask(server, "wrapped")


async def test_a_failing_step_cancels_what_runs_beside_it(repository: Path, start_server: StartServer) -> None:
    write_gated(repository, "beside", "max_batch_size: 1 dynamic_batching { }")
    write_gated(
        repository, "refusing", "max_batch_size: 1 dynamic_batching { default_queue_policy { max_queue_size: 1 } }"
    )
    write_sum(repository)
    write_ensemble(
        repository,
        "fork",
        step("beside", "IN", "left") + step("refusing", "IN", "right") + SUM_STEP.replace("max", ""),
        tensors=ONE_TO_ONE,
    )
    (repository / "fork" / "config.pbtxt").write_text(
        (repository / "fork" / "config.pbtxt").read_text().replace("max_batch_size: 4", "max_batch_size: 1")
    )
    server = await start_server()
    gate("refusing").close()
    gate("beside").close()
    busy = [asyncio.create_task(server.infer(InferRequest(name, {"X": np.array([[9]], np.float32)})))
            for name in ("refusing", "beside")]  # fmt: skip
    await gate("refusing").entered()
    await gate("beside").entered()
    busy.append(asyncio.create_task(server.infer(InferRequest("refusing", {"X": np.array([[9]], np.float32)}))))
    while server.pending_requests()["refusing", "1"] != 1:
        await asyncio.sleep(0)
    with pytest.raises(InferenceError, match=r"in ensemble 'fork'.*Exceeds maximum queue size"):
        await ask(server, "fork", 3.0)
    assert server.pending_requests()["beside", "1"] == 0
    gate("refusing").open()
    gate("beside").open()
    await asyncio.gather(*busy)
    assert gate("beside").batches == [[9]]


async def test_cancelling_an_ensemble_cancels_its_queued_step(repository: Path, start_server: StartServer) -> None:
    write_gated(repository, "held", "max_batch_size: 1 dynamic_batching { }")
    write_ensemble(repository, "wrapped", step("held", "IN", "OUT"))
    (repository / "wrapped" / "config.pbtxt").write_text(
        (repository / "wrapped" / "config.pbtxt").read_text().replace("max_batch_size: 4", "max_batch_size: 1")
    )
    server = await start_server()
    gate("held").close()
    running = asyncio.create_task(ask(server, "wrapped", 1.0))
    await gate("held").entered()
    leaving = asyncio.create_task(ask(server, "wrapped", 2.0))
    while server.pending_requests()["held", "1"] != 1:
        await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    gate("held").open()
    assert await running == 1
    assert gate("held").batches == [[1]]


async def test_statistics_count_the_ensemble_and_its_models(repository: Path, start_server: StartServer) -> None:
    write_add_constant(repository, "plus1", 1.0)
    write_ensemble(repository, "wrapped", step("plus1", "IN", "OUT"))
    server = await start_server()
    await ask(server, "wrapped")
    for name in ("wrapped", "plus1"):
        (statistics,) = server.model_statistics(name)
        assert (statistics["inference_count"], statistics["execution_count"]) == (1, 1)


async def test_labels_come_from_the_model_that_writes_the_output(repository: Path, start_server: StartServer) -> None:
    folder = write_add_constant(
        repository,
        "plus1",
        1.0,
        config='max_batch_size: 4 input { name: "X" data_type: TYPE_FP32 dims: 1 } '
        'output { name: "Y" data_type: TYPE_FP32 dims: 1 label_filename: "labels.txt" }',
    )
    (folder / "labels.txt").write_text("drama\n")
    write_ensemble(repository, "wrapped", step("plus1", "IN", "OUT"))
    assert (await start_server()).labels("wrapped", "OUT") == ["drama"]


async def test_requests_are_checked_against_the_ensemble(repository: Path, start_server: StartServer) -> None:
    write_add_constant(repository, "plus1", 1.0)
    write_ensemble(repository, "wrapped", step("plus1", "IN", "OUT"))
    server = await start_server()
    with pytest.raises(InvalidRequest, match="batch-size must be <= 4 for 'wrapped'"):
        await server.infer(InferRequest("wrapped", {"IN": np.zeros((5, 1), np.float32)}))


MISFITS = {
    "output 'OUT' for ensemble 'broken' is not written: at least one of its depending tensors, 'b', is not connected": (
        step("plus1", "IN", "a") + step("plus1", "b", "OUT")
    ),
    "ensemble input 'IN' for ensemble broken is not used": step("plus1", "OUT", "a") + step("plus1", "a", "OUT"),
    "ensemble tensor 'OUT' can appear in an output map only once for ensemble 'broken' step 1": (
        step("plus1", "IN", "OUT") + step("plus1", "IN", "OUT")
    ),
    "ensemble tensor 'spare' is unused in ensemble 'broken'": (
        step("plus1", "IN", "OUT") + step("plus1", "IN", "spare")
    ),
    "in ensemble broken, ensemble tensor IN is mapping to non-existing input Z in model plus1": (
        step("plus1", "IN", "OUT").replace('"X"', '"Z"')
    ),
    "in ensemble broken, ensemble tensor OUT is mapped from non-existing output Z in model plus1": (
        step("plus1", "IN", "OUT").replace('"Y"', '"Z"')
    ),
    "in ensemble broken, input B in model sum is not mapped to any ensemble tensors": (
        'step { model_name: "sum" model_version: -1 input_map { key: "A" value: "IN" } '
        'output_map { key: "S" value: "OUT" } }'
    ),
    "inconsistent data type: TYPE_FP32 is inferred from model broken while TYPE_INT32 is inferred from model whole": (
        step("whole", "IN", "OUT")
    ),
    "inconsistent shape: [-1,1] is inferred from model broken while [-1,2] is inferred from model wide": (
        step("wide", "IN", "OUT")
    ),
    "ensemble broken allows maximum batch size 4, but it contains model narrow which only allows maximum batch size to "
    "be 2": step("narrow", "IN", "OUT"),
    "ensemble 'broken' depends on 'nowhere' which has no loaded version": step("nowhere", "IN", "OUT"),
    "ensemble 'broken' depends on 'plus1' whose required version 0 is not loaded": step(
        "plus1", "IN", "OUT", version=0
    ),
}


@pytest.mark.parametrize("message", MISFITS)
async def test_steps_that_do_not_fit_are_refused(message: str, repository: Path, start_server: StartServer) -> None:
    write_add_constant(repository, "plus1", 1.0)
    write_add_constant(repository, "narrow", 1.0, config="max_batch_size: 2")
    write_sum(repository)
    for name, datatype, width in (("whole", "INT32", 1), ("wide", "FP32", 2)):
        same = tensor("X", datatype, ["batch", width]), tensor("Y", datatype, ["batch", width])
        write_onnx(repository, name, [helper.make_node("Identity", ["X"], ["Y"])], [same[0]], [same[1]])
    write_ensemble(repository, "broken", MISFITS[message])
    with pytest.raises(RepositoryFailed) as caught:
        await start_server()
    assert message in str(caught.value)


async def test_ensembles_over_ensembles_are_loaded_inside_out(repository: Path, start_server: StartServer) -> None:
    write_add_constant(repository, "plus1", 1.0)
    inner = step("plus1", "IN", "OUT")
    outer = inner.replace("plus1", "z_inner").replace('"X"', '"IN"').replace('key: "Y"', 'key: "OUT"')
    write_ensemble(repository, "z_inner", inner)
    write_ensemble(repository, "a_outer", outer)
    assert await ask(await start_server(), "a_outer") == 1


async def test_ensembles_that_contain_each_other_are_refused(repository: Path, start_server: StartServer) -> None:
    for name, other in (("first", "second"), ("second", "first")):
        write_ensemble(repository, name, step(other, "IN", "OUT").replace('"X"', '"IN"').replace('"Y"', '"OUT"'))
    with pytest.raises(RepositoryFailed, match=r"circular .*: first -> \.\.\. -> second -> first"):
        await start_server()


async def test_an_ensemble_cannot_become_a_part_of_itself(repository: Path, start_server: StartServer) -> None:
    def over(name: str) -> str:
        return step(name, "IN", "OUT").replace('"X"', '"IN"').replace('"Y"', '"OUT"')

    write_add_constant(repository, "plus1", 1.0)
    write_ensemble(repository, "inner", step("plus1", "IN", "OUT"))
    write_ensemble(repository, "outer", over("inner"))
    server = await start_server(model_control_mode="explicit", load_models=("*",))
    for part, way in (("inner", "inner -> ... -> inner -> inner"), ("outer", "inner -> ... -> outer -> inner")):
        write_ensemble(repository, "inner", over(part))
        with pytest.raises(LoadFailed, match=f"circular dependency between ensembles: {way}"):
            await server.load_model("inner")
        assert await ask(server, "outer") == 1  # what was served before still is


class TestControl:
    async def test_loading_an_ensemble_loads_its_models(self, repository: Path, start_server: StartServer) -> None:
        write_add_constant(repository, "plus1", 1.0)
        write_ensemble(repository, "wrapped", step("plus1", "IN", "OUT"))
        server = await start_server(model_control_mode="explicit")
        await server.load_model("wrapped")
        assert await ask(server, "wrapped") == 1
        assert server.is_model_ready("plus1")

    async def test_unloading_a_model_takes_its_ensemble_along(
        self, repository: Path, start_server: StartServer
    ) -> None:
        write_add_constant(repository, "plus1", 1.0)
        write_ensemble(repository, "wrapped", step("plus1", "IN", "OUT"))
        server = await start_server(model_control_mode="explicit", load_models=("*",))
        await server.unload_model("plus1")
        assert not server.is_model_ready("wrapped")

    async def test_unload_dependents_takes_the_parts_that_nobody_else_needs(
        self, repository: Path, start_server: StartServer
    ) -> None:
        for name in ("own", "shared", "asked"):
            write_add_constant(repository, name, 1.0)
        chain = step("own", "IN", "a") + step("shared", "a", "b") + step("asked", "b", "OUT")
        write_ensemble(repository, "leaving", chain)
        write_ensemble(repository, "staying", step("shared", "IN", "OUT"))
        server = await start_server(model_control_mode="explicit")
        for name in ("asked", "leaving", "staying"):
            await server.load_model(name)
        await server.unload_model("leaving", unload_dependents=True)
        ready = {row["name"] for row in server.repository_index(ready_only=True)}
        assert ready == {"asked", "shared", "staying"}

    async def test_a_reloaded_model_answers_inside_its_ensemble(
        self, repository: Path, start_server: StartServer
    ) -> None:
        write_add_constant(repository, "plus", 1.0)
        write_ensemble(repository, "wrapped", step("plus", "IN", "OUT"))
        server = await start_server(model_control_mode="explicit", load_models=("*",))
        write_add_constant(repository, "plus", 2.0, version=2)
        await server.load_model("plus")
        assert await ask(server, "wrapped") == 2

    @pytest.mark.parametrize("loaded", ["plus", "wrapped"])
    async def test_an_ensemble_whose_reloaded_part_no_longer_fits_is_not_served_until_it_does(
        self, loaded: str, repository: Path, start_server: StartServer
    ) -> None:
        write_add_constant(repository, "plus", 1.0)
        write_ensemble(repository, "wrapped", step("plus", "IN", "OUT"))
        server = await start_server(model_control_mode="explicit", load_models=("*",))
        same = tensor("X", "INT32", ["batch", 1]), tensor("Y", "INT32", ["batch", 1])
        write_onnx(repository, "plus", [helper.make_node("Identity", ["X"], ["Y"])], [same[0]], [same[1]])
        if loaded == "wrapped":
            with pytest.raises(LoadFailed, match="inconsistent data type"):
                await server.load_model("wrapped")
        else:
            await server.load_model("plus")
        assert server.is_model_ready("plus")
        assert not server.is_model_ready("wrapped")
        write_add_constant(repository, "plus", 3.0)
        await server.load_model(loaded)
        assert await ask(server, "wrapped") == 3
