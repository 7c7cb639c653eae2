"""Which versions are served, and loading, reloading and unloading while requests come in."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import numpy as np
import pytest

from bento.inference.core.errors import (
    InferenceError,
    InvalidRequest,
    LoadFailed,
    ModelNotReady,
    RepositoryFailed,
    Unavailable,
    UnknownModel,
    UnknownModelVersion,
)
from bento.inference.core.messages import InferRequest
from bento.inference.repository import loading
from bento.inference.server import InferenceServer
from tests.inference.gates import gate
from tests.inference.model_folders import X_TO_Y, write_add_constant, write_gated, write_python
from tests.inference.running_servers import StartServer

SLOW_TO_LOAD = """
    from tests.inference.gates import gate

    class TritonPythonModel:
        def initialize(self, args):
            self.gate = gate(args["model_name"])
            self.gate.enter([])

        def execute(self, requests):
            return []

        def finalize(self):
            self.gate.leave()
"""


async def ask(server: InferenceServer, name: str = "plus", version: str = "") -> float:
    """Y of a model at X = 0."""
    request = InferRequest(name, {"X": np.zeros((1, 1), np.float32)}, model_version=version)
    return float((await server.infer(request)).outputs["Y"][0, 0])


def states(server: InferenceServer) -> dict[tuple[str, str], str]:
    return {(row["name"], row.get("version", "")): row.get("state", "") for row in server.repository_index()}


def write_versions(repository: Path, *versions: int, policy: str = "") -> None:
    """Version N of `plus` adds N."""
    for version in versions:
        write_add_constant(repository, "plus", float(version), version=version)
    if policy:
        (repository / "plus" / "config.pbtxt").write_text(f"version_policy {{ {policy} }}")


class TestVersions:
    @pytest.mark.parametrize(
        ("policy", "served"),
        [
            ("", ["3"]),
            ("latest { num_versions: 2 }", ["2", "3"]),
            ("all { }", ["1", "2", "3"]),
            ("specific { versions: [ 1, 7 ] }", ["1"]),
        ],
    )
    async def test_the_policy_decides(
        self, policy: str, served: list[str], repository: Path, start_server: StartServer
    ) -> None:
        write_versions(repository, 1, 2, 3, policy=policy)
        server = await start_server()
        assert server.model_metadata("plus")["versions"] == served
        assert await ask(server) == float(served[-1])
        for version in served:
            assert await ask(server, version=version) == float(version)

    async def test_a_release_overrules_the_policy_of_models_that_have_it(
        self, repository: Path, start_server: StartServer
    ) -> None:
        write_versions(repository, 1, 2, 3)
        write_add_constant(repository, "other", 10.0, version=7)
        server = await start_server(release=2)
        assert await ask(server) == 2
        assert await ask(server, "other") == 10
        with pytest.raises(UnknownModelVersion):
            await ask(server, version="3")

    async def test_folders_that_are_no_versions_are_passed_over(
        self, repository: Path, start_server: StartServer
    ) -> None:
        write_versions(repository, 2)
        for name in ("warmup", "notes", "03", "-1"):
            (repository / "plus" / name).mkdir()
        assert (await start_server()).model_metadata("plus")["versions"] == ["2"]

    async def test_what_is_not_there_is_told_in_tritons_words(
        self, repository: Path, start_server: StartServer
    ) -> None:
        write_versions(repository, 1)
        server = await start_server()
        with pytest.raises(UnknownModel, match=r"^Request for unknown model: 'nope' is not found$"):
            await ask(server, "nope")
        with pytest.raises(UnknownModelVersion, match=r"^Request for unknown model: 'plus' version 9 is not found$"):
            await ask(server, version="9")
        with pytest.raises(InvalidRequest, match="version should be an integral value > 0"):
            await ask(server, version="newest")
        with pytest.raises(InvalidRequest, match="requested model 'nope' is not available"):
            server.model_statistics("nope")
        with pytest.raises(InvalidRequest, match="requested model version is not available for model 'plus'"):
            server.model_statistics("plus", "9")
        assert not server.is_model_ready("nope")
        assert not server.is_model_ready("plus", "9")
        assert server.is_model_ready("plus", "1")

    async def test_no_version_under_the_policy_is_an_error(self, repository: Path, start_server: StartServer) -> None:
        write_versions(repository, 1, policy="specific { versions: [ 4 ] }")
        with pytest.raises(RepositoryFailed, match="at least one version must be available under the version policy"):
            await start_server()


class TestStart:
    async def test_explicit_mode_loads_what_is_named(self, repository: Path, start_server: StartServer) -> None:
        write_add_constant(repository, "a", 1.0)
        write_add_constant(repository, "b", 2.0)
        server = await start_server(model_control_mode="explicit", load_models=("b",))
        assert states(server) == {("a", ""): "", ("b", "1"): "READY"}
        assert await ask(server, "b") == 2
        with pytest.raises(UnknownModel):
            await ask(server, "a")

    async def test_a_failed_model_is_fatal_unless_told_otherwise(
        self, repository: Path, start_server: StartServer
    ) -> None:
        write_add_constant(repository, "good", 1.0)
        (write_add_constant(repository, "bad", 1.0) / "1" / "model.onnx").write_bytes(b"")
        with pytest.raises(RepositoryFailed, match="failed to load all models\nbad: "):
            await start_server()
        server = await start_server(exit_on_error=False)
        assert await ask(server, "good") == 1
        assert not server.is_ready()
        assert (await start_server(exit_on_error=False, strict_readiness=False)).is_ready()

    async def test_a_name_in_two_repositories_is_served_from_neither(
        self, repository: Path, tmp_path: Path, start_server: StartServer
    ) -> None:
        other = tmp_path / "other"
        write_add_constant(repository, "plus", 1.0)
        write_add_constant(other, "plus", 2.0)
        server = await start_server(repositories=(repository, other), exit_on_error=False)
        (row,) = server.repository_index()
        assert row["reason"] == "model appears in two or more repositories"
        with pytest.raises(UnknownModel):
            await ask(server)

    async def test_a_model_whose_backend_is_missing_does_not_hold_up_the_others(
        self, repository: Path, start_server: StartServer
    ) -> None:
        write_add_constant(repository, "plus", 1.0)
        write_python(repository, "code", "", "raise RuntimeError('must not run')")
        server = await start_server(exit_on_error=False, trust_python_models=False)
        assert server.is_ready()
        assert states(server) == {("plus", "1"): "READY", ("code", "1"): "UNAVAILABLE"}
        reason = next(row["reason"] for row in server.repository_index() if row["name"] == "code")
        assert reason.startswith("Unavailable: model 'code' is Python code")
        with pytest.raises(ModelNotReady):
            await ask(server, "code", "1")


class TestExplicitControl:
    async def test_load_and_unload(self, repository: Path, start_server: StartServer) -> None:
        write_versions(repository, 1)
        server = await start_server(model_control_mode="explicit")
        await server.load_model("plus")
        assert await ask(server) == 1
        await server.unload_model("plus")
        with pytest.raises(UnknownModel, match=r"^Request for unknown model: 'plus' has no available versions$"):
            await ask(server)
        while states(server)["plus", "1"] != "UNAVAILABLE":
            await asyncio.sleep(0.001)
        assert server.repository_index() == [
            {"name": "plus", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"}
        ]
        assert server.repository_index(ready_only=True) == []
        assert server.is_ready()
        await server.load_model("plus")
        assert await ask(server) == 1

    async def test_an_unknown_model_cannot_be_loaded_but_may_be_unloaded(
        self, repository: Path, start_server: StartServer
    ) -> None:
        server = await start_server(model_control_mode="explicit")
        with pytest.raises(RepositoryFailed, match=r"^failed to load 'nope', failed to poll from model repository$"):
            await server.load_model("nope")
        await server.unload_model("nope")
        assert server.is_ready()

    async def test_other_modes_refuse_control(self, repository: Path, start_server: StartServer) -> None:
        write_versions(repository, 1)
        server = await start_server()
        for change in (server.load_model("plus"), server.unload_model("plus")):
            with pytest.raises(Unavailable, match="explicit model load / unload is not allowed"):
                await change

    async def test_a_new_version_takes_over(self, repository: Path, start_server: StartServer) -> None:
        write_versions(repository, 1)
        server = await start_server(model_control_mode="explicit", load_models=("*",))
        write_versions(repository, 2)
        await server.load_model("plus")
        assert await ask(server) == 2
        assert server.model_metadata("plus")["versions"] == ["2"]

    async def test_a_failed_reload_keeps_the_old_version(self, repository: Path, start_server: StartServer) -> None:
        write_versions(repository, 1)
        server = await start_server(model_control_mode="explicit", load_models=("*",))
        (repository / "plus" / "1" / "model.onnx").write_bytes(b"broken")
        with pytest.raises(LoadFailed, match=r"^load failed for model 'plus': version 1 is at UNAVAILABLE state: "):
            await server.load_model("plus")
        assert await ask(server) == 1
        assert server.is_ready()

    @pytest.mark.parametrize("broken", [1, 2, 3])
    async def test_when_one_of_several_versions_fails_none_is_replaced(
        self, broken: int, repository: Path, start_server: StartServer
    ) -> None:
        write_versions(repository, 1, 2, 3, policy="all { }")
        server = await start_server(model_control_mode="explicit", load_models=("*",))
        for version in (1, 2, 3, 4):
            write_add_constant(repository, "plus", 10.0 + version, version=version)
        (repository / "plus" / str(broken) / "model.onnx").write_bytes(b"broken")
        with pytest.raises(LoadFailed, match=f"^load failed for model 'plus': version {broken} is at UNAVAILABLE"):
            await server.load_model("plus")
        assert [await ask(server, version=version) for version in ("1", "2", "3", "")] == [1, 2, 3, 3]
        with pytest.raises(ModelNotReady):
            await ask(server, version="4")
        assert states(server) == {("plus", str(version)): "READY" for version in (1, 2, 3)} | {
            ("plus", "4"): "UNAVAILABLE"
        }

    async def test_an_unchanged_model_is_not_loaded_again(self, repository: Path, start_server: StartServer) -> None:
        write_versions(repository, 1)
        server = await start_server(model_control_mode="explicit", load_models=("*",))
        await ask(server)
        await server.load_model("plus")
        (statistics,) = server.model_statistics("plus")
        assert statistics["inference_count"] == 1

    async def test_a_configuration_in_the_request_is_used_until_the_next_load(
        self, repository: Path, start_server: StartServer
    ) -> None:
        write_versions(repository, 1, 2)
        server = await start_server(model_control_mode="explicit", load_models=("*",))
        override = {"backend": "onnxruntime", "max_batch_size": 2, "version_policy": {"specific": {"versions": [1]}}}
        await server.load_model("plus", json.dumps(override))
        assert await ask(server) == 1
        assert server.model_config("plus").max_batch_size == 2
        await server.load_model("plus")
        assert await ask(server) == 2
        assert server.model_config("plus").max_batch_size == 4

    async def test_files_in_the_request_are_used_instead_of_the_folder(
        self, repository: Path, tmp_path: Path, start_server: StartServer
    ) -> None:
        write_versions(repository, 1)
        content = (write_add_constant(tmp_path, "source", 40.0) / "1" / "model.onnx").read_bytes()
        server = await start_server(model_control_mode="explicit", load_models=("*",))
        await server.load_model("plus", '{"backend": "onnxruntime"}', {"5/model.onnx": content})
        assert await ask(server, version="5") == 40
        await server.load_model("plus")
        assert await ask(server) == 1

    async def test_files_of_a_request_leave_the_disk_with_the_model_that_needed_them(
        self, repository: Path, tmp_path: Path, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uploads = tmp_path / "uploads"
        uploads.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(uploads))
        content = (write_add_constant(tmp_path, "source", 40.0) / "1" / "model.onnx").read_bytes()
        config = '{"backend": "onnxruntime", "version_policy": {"all": {}}}'
        server = await start_server(model_control_mode="explicit")

        async def left(count: int) -> list[Path]:
            async with asyncio.timeout(30):
                while len(folders := list(uploads.iterdir())) != count:
                    await asyncio.sleep(0.001)
            return folders

        with pytest.raises(LoadFailed, match="version 2 is at UNAVAILABLE state"):  # of two versions one is broken
            await server.load_model("plus", config, {"1/model.onnx": content, "2/model.onnx": b"broken"})
        assert list(uploads.iterdir()) == []
        await server.load_model("plus", config, {"1/model.onnx": content})
        first = await left(1)
        with pytest.raises(LoadFailed):
            await server.load_model("plus", config, {"1/model.onnx": content, "2/model.onnx": b"broken"})
        assert list(uploads.iterdir()) == first
        await server.load_model("plus", config, {"2/model.onnx": content})
        assert await left(1) != first
        assert await ask(server, version="2") == 40
        await server.unload_model("plus")
        await left(0)

    async def test_files_need_a_configuration_and_stay_in_their_folder(
        self, repository: Path, start_server: StartServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server = await start_server(model_control_mode="explicit")
        for config, files, reason in (
            (None, {"1/model.onnx": b""}, "'config' must be specified for model file override"),
            ("{}", {"../../evil": b""}, "must stay within model directory"),
        ):
            with pytest.raises(RepositoryFailed, match=r"^failed to load 'plus', failed to poll"):
                await server.load_model("plus", config, files)
            assert reason in capsys.readouterr().out

    async def test_no_request_is_lost_or_late_while_a_model_is_reloaded(
        self, repository: Path, start_server: StartServer
    ) -> None:
        """Requests keep coming; every one is answered, by the old version or the new."""
        write_versions(repository, 1)
        server = await start_server(model_control_mode="explicit", load_models=("*",))
        answers: list[float] = []
        stop = asyncio.Event()

        async def client() -> None:
            while not stop.is_set():
                answers.append(await ask(server))

        clients = [asyncio.create_task(client()) for _ in range(8)]
        for version in (2, 3, 4):
            write_versions(repository, version)
            await server.load_model("plus")
            seen = len(answers)
            while len(answers) < seen + 50:
                await asyncio.sleep(0)
        stop.set()
        await asyncio.gather(*clients)
        assert set(answers) == {1, 2, 3, 4}

    async def test_a_load_goes_on_when_whoever_asked_for_it_leaves(
        self, repository: Path, start_server: StartServer
    ) -> None:
        """A gRPC client's deadline ends its call in the middle of a slow load."""
        name = "slow_to_load"
        write_python(repository, name, X_TO_Y, SLOW_TO_LOAD)
        server = await start_server(model_control_mode="explicit")
        gate(name).close()
        asked = asyncio.create_task(server.load_model(name))
        await gate(name).entered()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        unloaded = asyncio.create_task(server.unload_model(name))  # waits for its turn
        gate(name).open()
        await unloaded
        assert len(gate(name).batches) == 1
        await gate(name).entered()  # in finalize: the model was freed
        assert server.is_ready()

    @pytest.mark.parametrize(
        ("config", "why"),
        [
            ('model_warmup { name: "w" batch_size: 1 }', "failed to run warmup sample 'w': it has no inputs"),
            (
                'model_warmup { name: "w" inputs { key: "X" value { data_type: TYPE_FP32 dims: -1 } } }',
                "warmup sample 'w' input 'X' must specify every dimension",
            ),
            (
                'parameters { key: "gpu_mem_limit" value { string_value: "raise" } }',
                "Internal: ZeroDivisionError: a bug of a backend's",
            ),
        ],
    )
    async def test_whatever_goes_wrong_is_told_and_leaves_no_model_half_loaded(
        self, config: str, why: str, repository: Path, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if "raise" in config:

            def broken(*_: object) -> None:
                raise ZeroDivisionError("a bug of a backend's")

            monkeypatch.setattr(loading, "open_model", broken)
        write_add_constant(repository, "plus", 1.0, config=f'backend: "onnxruntime" max_batch_size: 4 {config}')
        server = await start_server(model_control_mode="explicit")
        async with asyncio.timeout(30):
            with pytest.raises(LoadFailed, match=why):
                await server.load_model("plus")
        assert states(server)["plus", "1"] == "UNAVAILABLE"

    async def test_an_unloaded_model_finishes_what_it_accepted(
        self, repository: Path, start_server: StartServer
    ) -> None:
        name = "draining"
        write_gated(repository, name, "max_batch_size: 1 dynamic_batching { }")
        server = await start_server(model_control_mode="explicit", load_models=("*",))
        held_gate = gate(name)
        held_gate.close()
        accepted = [asyncio.create_task(ask(server, name)) for _ in range(3)]
        await held_gate.entered()
        await server.unload_model(name)
        with pytest.raises(UnknownModel):
            await ask(server, name)
        assert states(server)[name, "1"] == "UNLOADING"
        held_gate.open()
        assert await asyncio.gather(*accepted) == [0, 0, 0]
        while states(server)[name, "1"] != "UNAVAILABLE":
            await asyncio.sleep(0.001)


class TestPolling:
    async def test_changes_on_disk_are_followed(self, repository: Path, start_server: StartServer) -> None:
        write_versions(repository, 1)
        server = await start_server(model_control_mode="poll", repository_poll_secs=3600.0)
        write_versions(repository, 2)
        write_add_constant(repository, "new", 5.0)
        await server.poll_repository()
        assert await ask(server) == 2
        assert await ask(server, "new") == 5
        for path in sorted((repository / "plus").rglob("*"), reverse=True):
            os.remove(path) if path.is_file() else path.rmdir()
        (repository / "plus").rmdir()
        await server.poll_repository()
        with pytest.raises(InferenceError):
            await ask(server)

    async def test_the_clock_does_it_too(self, repository: Path, start_server: StartServer) -> None:
        write_versions(repository, 1)
        server = await start_server(model_control_mode="poll", repository_poll_secs=0.01)
        write_versions(repository, 2)
        while await ask(server) != 2:
            await asyncio.sleep(0.005)

    async def test_a_repository_that_is_away_for_a_moment_is_followed_again(
        self, repository: Path, start_server: StartServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_versions(repository, 1)
        server = await start_server(model_control_mode="poll", repository_poll_secs=0.01)
        away = repository.rename(repository.with_name("away"))
        said = ""
        while "cannot be polled" not in said:
            await asyncio.sleep(0.005)
            said += capsys.readouterr().out
        assert await ask(server) == 1
        write_versions(away, 2)
        away.rename(repository)
        while await ask(server) != 2:
            await asyncio.sleep(0.005)

    async def test_a_model_that_comes_back_as_it_was_is_served_again_and_the_others_all_along(
        self, repository: Path, start_server: StartServer
    ) -> None:
        write_versions(repository, 1)
        write_add_constant(repository, "other", 5.0)
        server = await start_server(model_control_mode="poll", repository_poll_secs=3600.0)
        await server.poll_repository()
        away = (repository / "plus").rename(repository.parent / "away")
        await server.poll_repository()
        assert not server.is_model_ready("plus")
        assert await ask(server, "other") == 5
        away.rename(repository / "plus")
        await server.poll_repository()
        assert await ask(server) == 1

    async def test_a_link_to_nothing_keeps_no_model_from_being_followed(
        self, repository: Path, start_server: StartServer
    ) -> None:
        write_versions(repository, 1)
        (repository / "plus" / "notes").symlink_to("nowhere")
        server = await start_server(model_control_mode="poll", repository_poll_secs=3600.0)
        write_versions(repository, 2)
        await server.poll_repository()
        assert await ask(server) == 2

    async def test_a_model_that_fails_is_not_tried_again_until_it_changes(
        self, repository: Path, start_server: StartServer
    ) -> None:
        (write_add_constant(repository, "bad", 1.0) / "1" / "model.onnx").write_bytes(b"")
        server = await start_server(model_control_mode="poll", repository_poll_secs=3600.0, exit_on_error=False)
        before = server.repository_index()
        await server.poll_repository()
        assert server.repository_index() == before
        write_add_constant(repository, "bad", 1.0)
        await server.poll_repository()
        assert await ask(server, "bad") == 1


async def test_metadata_and_devices(repository: Path, start_server: StartServer) -> None:
    write_add_constant(repository, "plus", 1.0)
    server = await start_server()
    assert server.model_metadata("plus") == {
        "name": "plus",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 1]}],
        "outputs": [{"name": "Y", "datatype": "FP32", "shape": [-1, 1]}],
    }
    assert server.model_devices() == {"plus": "cpu"}
    metadata = server.server_metadata()
    assert metadata["name"] == "triton"
    assert "binary_tensor_data" in metadata["extensions"]  # type: ignore[operator]


async def test_labels_are_read_from_the_model_folder(repository: Path, start_server: StartServer) -> None:
    folder = write_add_constant(
        repository,
        "plus",
        1.0,
        config="""
            max_batch_size: 4
            input { name: "X" data_type: TYPE_FP32 dims: 1 }
            output { name: "Y" data_type: TYPE_FP32 dims: 1 label_filename: "labels.txt" }
        """,
    )
    (folder / "labels.txt").write_text("drama\ncomedy\n")
    server = await start_server()
    assert server.labels("plus", "Y") == ["drama", "comedy"]
    assert server.labels("plus", "X") is None


async def test_cuda_that_is_demanded_but_not_there_is_said(repository: Path, start_server: StartServer) -> None:
    from bento.inference.core.devices import usable_gpus
    from bento.inference.core.options import ServerOptions

    if usable_gpus("onnxruntime", ServerOptions(repositories=())):
        pytest.skip("this machine has a GPU")
    write_add_constant(repository, "plus", 1.0)
    with pytest.raises(RepositoryFailed, match="device 'cuda' is demanded"):
        await start_server(device="cuda")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"default_model_filename": "../../secret/model.onnx"}, "leads out of the model's folder"),
        ({"default_model_filename": "/etc/passwd"}, "leads out of the model's folder"),
        ({"output": [{"name": "Y", "data_type": "TYPE_FP32", "dims": [1], "label_filename": "../../secret.txt"}],
          "input": [{"name": "X", "data_type": "TYPE_FP32", "dims": [1]}]}, "leads out of the model's folder"),
        ({"model_operations": {"op_library_filename": ["../evil.so"]}}, "leads out of the model's folder"),
        ({"model_warmup": [{"name": "w", "inputs": {"X": {"data_type": "TYPE_FP32", "dims": [1],
                                                          "input_data_file": "../../secret.txt"}}}]},
         "leads out of the model's folder"),
    ],
)  # fmt: skip
async def test_a_configuration_from_outside_reads_nothing_outside(
    override: dict[str, object], message: str, repository: Path, start_server: StartServer
) -> None:
    write_add_constant(repository, "plus", 1.0)
    (repository.parent / "secret.txt").write_text("secret")
    server = await start_server(model_control_mode="explicit", load_models=("*",))
    with pytest.raises(LoadFailed, match=message):
        await server.load_model("plus", json.dumps({"backend": "onnxruntime", "max_batch_size": 4, **override}))
    assert await ask(server) == 1


async def test_operator_libraries_are_code_and_need_trust(repository: Path, start_server: StartServer) -> None:
    folder = write_add_constant(
        repository, "plus", 1.0, config='model_operations { op_library_filename: "operators.so" }'
    )
    (folder / "operators.so").write_bytes(b"")
    with pytest.raises(RepositoryFailed, match="code of the repository is trusted"):
        await start_server(trust_python_models=False)


async def test_a_version_may_be_written_with_zeros(repository: Path, start_server: StartServer) -> None:
    write_versions(repository, 1)
    assert await ask(await start_server(), version="01") == 1


async def test_files_of_a_repository_may_be_links(repository: Path, tmp_path: Path, start_server: StartServer) -> None:
    source = write_add_constant(tmp_path / "elsewhere", "plus", 3.0) / "1" / "model.onnx"
    (repository / "plus" / "1").mkdir(parents=True)
    (repository / "plus" / "1" / "model.onnx").symlink_to(source)
    assert await ask(await start_server()) == 3
