"""What the server counts, what it caches, and what it runs before it serves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bento.inference.core.errors import RepositoryFailed
from bento.inference.core.messages import InferRequest
from bento.inference.models.response_cache import ResponseCache, cache_key
from bento.inference.server import InferenceServer
from tests.inference.gates import gate
from tests.inference.model_folders import write_add_constant, write_add_sub, write_gated, write_identity
from tests.inference.running_servers import StartServer

CACHING_ENSEMBLE = """
    platform: "ensemble" max_batch_size: 4 response_cache { enable: true }
    input { name: "X" data_type: TYPE_FP32 dims: 1 } output { name: "Y" data_type: TYPE_FP32 dims: 1 }
    ensemble_scheduling { step { model_name: "plus" model_version: -1 input_map { key: "X" value: "X" }
                                 output_map { key: "Y" value: "Y" } } }
"""
CACHING = "max_batch_size: 4 response_cache { enable: true }"


def of(value: float, rows: int = 1, *, name: str = "plus", requested: tuple[str, ...] = ()) -> InferRequest:
    return InferRequest(name, {"X": np.full((rows, 1), value, np.float32)}, requested_outputs=requested)


def statistics_of(server: InferenceServer, name: str = "plus") -> dict[str, Any]:
    (statistics,) = server.model_statistics(name)
    return statistics


async def test_counts_are_per_request_per_row_and_per_batch(repository: Path, start_server: StartServer) -> None:
    write_add_constant(repository, "plus", 1.0, config="max_batch_size: 8")
    server = await start_server()
    for rows in (1, 3, 3):
        await server.infer(of(0, rows))
    told = statistics_of(server)
    assert (told["name"], told["version"]) == ("plus", "1")
    assert (told["inference_count"], told["execution_count"]) == (7, 3)
    assert told["last_inference"] > 1_700_000_000_000
    for part in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        assert told["inference_stats"][part]["count"] == 3
    assert told["inference_stats"]["success"]["ns"] >= told["inference_stats"]["compute_infer"]["ns"] > 0
    assert [(batch["batch_size"], batch["compute_infer"]["count"]) for batch in told["batch_stats"]] == [(1, 1), (3, 2)]


async def test_a_joined_batch_is_one_execution(repository: Path, start_server: StartServer) -> None:
    write_add_constant(
        repository,
        "plus",
        1.0,
        config="max_batch_size: 4 dynamic_batching { preferred_batch_size: 4 max_queue_delay_microseconds: 60000000 }",
    )
    server = await start_server()
    await asyncio.gather(*(server.infer(of(0)) for _ in range(4)))
    told = statistics_of(server)
    assert (told["inference_count"], told["execution_count"]) == (4, 1)
    assert [batch["batch_size"] for batch in told["batch_stats"]] == [4]


async def test_a_model_never_asked_has_counts_of_zero(repository: Path, start_server: StartServer) -> None:
    write_add_constant(repository, "plus", 1.0)
    told = statistics_of(await start_server())
    assert (told["last_inference"], told["inference_count"], told["batch_stats"]) == (0, 0, [])


class TestCachingModels:
    async def test_the_same_question_runs_once(self, repository: Path, start_server: StartServer) -> None:
        write_add_constant(repository, "plus", 1.0, config=CACHING)
        server = await start_server(response_cache_bytes=1 << 20)
        for value in (1, 1, 2, 1):
            assert float((await server.infer(of(value))).outputs["Y"][0, 0]) == value + 1
        told = statistics_of(server)
        assert told["execution_count"] == 2
        assert told["inference_stats"]["cache_hit"]["count"] == 2
        assert told["inference_stats"]["cache_miss"]["count"] == 2
        assert told["inference_stats"]["success"]["count"] == 4
        cache = server.cache_statistics()
        assert cache is not None
        assert (cache.entries, cache.hits, cache.misses) == (2, 2, 2)

    async def test_a_model_that_asks_for_no_cache_runs_every_time(
        self, repository: Path, start_server: StartServer
    ) -> None:
        write_add_constant(repository, "plus", 1.0, config="max_batch_size: 4")
        server = await start_server(response_cache_bytes=1 << 20)
        for _ in range(2):
            await server.infer(of(1))
        assert statistics_of(server)["execution_count"] == 2
        cache = server.cache_statistics()
        assert cache is not None
        assert (cache.entries, cache.hits, cache.misses) == (0, 0, 0)

    async def test_without_a_cache_in_the_server_nothing_is_cached(
        self, repository: Path, start_server: StartServer
    ) -> None:
        write_add_constant(repository, "plus", 1.0, config=CACHING)
        server = await start_server()
        for _ in range(2):
            await server.infer(of(1))
        assert statistics_of(server)["execution_count"] == 2
        assert server.cache_statistics() is None

    async def test_a_reloaded_model_does_not_answer_from_the_past(
        self, repository: Path, start_server: StartServer
    ) -> None:
        write_add_constant(repository, "plus", 1.0, config=CACHING)
        server = await start_server(response_cache_bytes=1 << 20, model_control_mode="explicit", load_models=("*",))
        assert (await server.infer(of(1))).outputs["Y"].tolist() == [[2]]
        write_add_constant(repository, "plus", 5.0, config=CACHING)
        await server.load_model("plus")
        assert (await server.infer(of(1))).outputs["Y"].tolist() == [[6]]

    async def test_answers_are_kept_apart_by_the_outputs_that_were_asked_for(
        self, repository: Path, start_server: StartServer
    ) -> None:
        write_add_sub(repository, config=CACHING)
        server = await start_server(response_cache_bytes=1 << 20)
        inputs = {name: np.full((1, 16), value, np.int32) for name, value in (("INPUT0", 5), ("INPUT1", 3))}
        asked: list[tuple[str, ...]] = [("OUTPUT0",), ("OUTPUT1",), (), ("OUTPUT1",)]
        answers = [await server.infer(InferRequest("simple", inputs, requested_outputs=names)) for names in asked]
        first_values = [{name: int(output[0, 0]) for name, output in answer.outputs.items()} for answer in answers]
        assert first_values == [{"OUTPUT0": 8}, {"OUTPUT1": 2}, {"OUTPUT0": 8, "OUTPUT1": 2}, {"OUTPUT1": 2}]
        assert statistics_of(server, "simple")["execution_count"] == 3

    async def test_ensembles_cache_too(self, repository: Path, start_server: StartServer) -> None:
        write_add_constant(repository, "plus", 1.0)
        (repository / "wrapped" / "1").mkdir(parents=True)
        (repository / "wrapped" / "config.pbtxt").write_text(CACHING_ENSEMBLE)
        server = await start_server(response_cache_bytes=1 << 20)
        for _ in range(3):
            assert (await server.infer(of(1, name="wrapped"))).outputs["Y"].tolist() == [[2]]
        assert statistics_of(server)["execution_count"] == 1

    @pytest.mark.parametrize(("name", "left"), [("plus", 0), ("wrapped", 2)])
    async def test_an_unloaded_model_leaves_nothing_in_the_cache(
        self, name: str, left: int, repository: Path, start_server: StartServer
    ) -> None:
        write_add_constant(repository, "plus", 1.0, config=CACHING)
        (repository / "wrapped" / "1").mkdir(parents=True)
        (repository / "wrapped" / "config.pbtxt").write_text(CACHING_ENSEMBLE)
        server = await start_server(response_cache_bytes=1 << 20, model_control_mode="explicit", load_models=("*",))
        await server.infer(of(1, name="plus"))
        await server.infer(of(1, name="wrapped"))
        cache = server.cache_statistics()
        assert cache is not None
        assert cache.entries == 3  # of `plus` all outputs and, as the ensemble asks for it, the one it needs
        await server.unload_model(name)  # without `plus` the ensemble goes, too
        async with asyncio.timeout(30):
            while (cache := server.cache_statistics()) is not None and cache.entries != left:
                await asyncio.sleep(0.001)


class TestResponseCache:
    def test_the_least_recently_used_leaves_first(self) -> None:
        cache = ResponseCache(size_bytes=3 * (1000 + 256))
        outputs = {"Y": np.zeros(1000, np.uint8)}
        for key in (b"a", b"b", b"c"):
            cache.put(key, outputs)
        assert cache.get(b"a") is not None
        cache.put(b"d", outputs)
        assert cache.get(b"b") is None
        assert all(cache.get(key) is not None for key in (b"a", b"c", b"d"))
        told = cache.statistics()
        assert (told.entries, told.evictions, told.used_bytes) == (3, 1, 3 * 1256)

    def test_what_is_too_large_is_not_kept(self) -> None:
        cache = ResponseCache(size_bytes=1000)
        cache.put(b"a", {"Y": np.zeros(1000, np.uint8)})
        assert cache.statistics().entries == 0

    def test_what_is_kept_cannot_be_changed_from_outside(self) -> None:
        cache = ResponseCache(size_bytes=10_000)
        given = np.zeros(3)
        cache.put(b"a", {"Y": given})
        given[:] = 9
        kept = cache.get(b"a")
        assert kept is not None
        assert kept["Y"].tolist() == [0, 0, 0]
        assert not kept["Y"].flags.writeable

    @pytest.mark.parametrize(
        "other",
        [
            {"X": np.array([[1.0, 2.0]], np.float32)},
            {"X": np.array([[1.0], [3.0]], np.float32)},
            {"X": np.array([[1.0], [2.0]], np.float64)},
            {"Z": np.array([[1.0], [2.0]], np.float32)},
            {"X": np.array([[b"1.0"], [b"2.0"]], np.object_)},
        ],
    )
    def test_different_questions_have_different_keys(self, other: dict[str, np.ndarray]) -> None:
        given = {"X": np.array([[1.0], [2.0]], np.float32)}
        assert cache_key(b"m", InferRequest("m", given)) != cache_key(b"m", InferRequest("m", other))

    def test_strings_that_only_join_alike_have_different_keys(self) -> None:
        keys = {
            cache_key(b"m", InferRequest("m", {"X": np.array(words, np.object_)}))
            for words in ([b"ab", b"c"], [b"a", b"bc"])
        }
        assert len(keys) == 2


class TestWarmUp:
    async def test_samples_run_on_every_instance_and_are_not_counted(
        self, repository: Path, start_server: StartServer
    ) -> None:
        write_gated(
            repository,
            "warm",
            """
            max_batch_size: 4
            instance_group [{ count: 2 }]
            model_warmup [{ name: "zeros" batch_size: 3 count: 2
                            inputs { key: "X" value { data_type: TYPE_FP32 dims: 1 zero_data: true } } }]
            """,
        )
        server = await start_server()
        assert gate("warm").batches == [[0]] * 4
        assert statistics_of(server, "warm")["execution_count"] == 0

    async def test_samples_may_come_from_a_file(self, repository: Path, start_server: StartServer) -> None:
        folder = write_gated(
            repository,
            "warm_file",
            """
            max_batch_size: 4
            model_warmup [{ name: "file" batch_size: 1
                            inputs { key: "X" value { data_type: TYPE_FP32 dims: 1 input_data_file: "x.bin" } } }]
            """,
        )
        (folder / "warmup").mkdir()
        (folder / "warmup" / "x.bin").write_bytes(np.float32(7).tobytes())
        await start_server()
        assert gate("warm_file").batches == [[7]]

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            ('value { data_type: TYPE_FP32 dims: 1 input_data_file: "nowhere" }', "failed to read warmup data"),
            ("value { dims: 1 zero_data: true }", "must specify 'data_type'"),
            (
                "value { data_type: TYPE_FP32 dims: [ 1, 2, 3 ] zero_data: true }",
                "failed to run warmup sample 'sample'",
            ),
        ],
    )
    async def test_a_sample_that_cannot_run_fails_the_load(
        self, inputs: str, message: str, repository: Path, start_server: StartServer
    ) -> None:
        write_identity(
            repository,
            "same",
            config=f"""
                max_batch_size: 4
                model_warmup {{ name: "sample" batch_size: 1 inputs {{ key: "X" {inputs} }} }}
            """,
        )
        with pytest.raises(RepositoryFailed, match=message):
            await start_server()
