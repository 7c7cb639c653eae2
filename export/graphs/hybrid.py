"""The model `hybrid`: a release's encoders, EASE, fusion and exact search as one ONNX graph, from history to films.

It is joined from the graphs of the release, so that every source is computed as by its own model; only what lies
between and behind them is written here, as ONNX text. What goes in and out is written in
`model_repository/hybrid/config.pbtxt`.

Contributions are made in a branch that runs when somebody in the batch asks for them: a second model would divide the
batches, and cost a second search. Letters: B people, D width of the fused space, N films, K results, S sources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx
from onnx import compose, numpy_helper, parser

from export.durable_files import write_atomically
from export.errors import GraphRejected
from export.graphs.onnx_graphs import BATCH, MAX_IR_VERSION, OPSET_VERSION, check_signature
from export.layout import HYBRID
from features.history import HISTORY_LENGTH
from features.sources import (
    FUSED_WIDTH,
    FUSION_INPUTS,
    NEIGHBOUR_SOURCE,
    NEIGHBOUR_WEIGHT,
    SOURCE_WIDTHS,
    SOURCES,
    encoders,
    source_slices,
)

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig

Float32 = npt.NDArray[np.float32]

HYBRID_UP_TO = 16_000
"""N up to which a release has this model. A batch of 64 holds five arrays of B x N numbers, 4 MB each at 16,000 films;
beyond some 60,000 films looking at all of them takes longer than an approximate index."""

HISTORY = {"history": "int64", "ratings": "float", "age_days": "float"}

INPUTS = {
    **{name: f"{kind}[{BATCH}, {HISTORY_LENGTH}]" for name, kind in HISTORY.items()},
    "weights": f"float[{BATCH}, {len(SOURCES)}]",
    "top_k": f"int32[{BATCH}, 1]",
    "explain": f"bool[{BATCH}, 1]",
    "excluded_rows": f"int64[{BATCH}, excluded]",
    "allowed": f"bool[{BATCH}, one_or_films]",
}

OUTPUTS = {
    "rows": f"int64[{BATCH}, results]",
    "scores": f"float[{BATCH}, results]",
    "contributions": f"float[{BATCH}, explained, {len(SOURCES)}]",
    "used": f"bool[{BATCH}, {len(SOURCES)}]",
    "query": f"float[{BATCH}, {FUSED_WIDTH}]",
}

LARGEST = "3.4e38"
"""Sums of sizes are compared with it: an infinity is larger, and NaN is not smaller."""


def write_hybrid(folder_of: Callable[[str], Path], vectors: Float32, config: ModelConfig, path: Path) -> None:
    """Join the graphs of a release. folder_of: where a model's files are. vectors: (N, D) of the fused space.

    Raises: GraphRejected, SignatureMismatch.
    """
    try:
        model = hybrid_graph({name: onnx.load(folder_of(name) / "model.onnx") for name in _parts()}, vectors)
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, parser.ParseError) as error:
        raise GraphRejected(HYBRID, error) from error
    check_signature(model, config)
    write_atomically(path, model.SerializeToString(deterministic=True))


def hybrid_graph(parts: dict[str, onnx.ModelProto], vectors: Float32) -> onnx.ModelProto:
    """One graph of those of the encoders, EASE and fusion."""
    *encoding, fusion = (_linked(name, part.graph) for name, part in parts.items())
    before, behind = parser.parse_graph(_text(_checks())), parser.parse_graph(_text(_cut(len(vectors)), _search()))
    graphs = [*encoding, before, fusion, behind]
    constants = [numpy_helper.from_array(value, name) for name, value in _constants(vectors).items()]
    nodes, initializers = _needed(
        [node for graph in graphs for node in graph.node],
        [*(tensor for graph in graphs for tensor in graph.initializer), *constants],
    )
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, HYBRID, behind.input, behind.output, initializers),
        producer_name="marquee",
        opset_imports=_opsets(parts.values()),
    )
    model.ir_version = MAX_IR_VERSION
    return model


def _parts() -> list[str]:
    """The models that are joined; fusion is the last one."""
    return [*encoders(), NEIGHBOUR_SOURCE, "fusion"]


def _linked(model: str, graph: onnx.GraphProto) -> onnx.GraphProto:
    """The model's graph with names of its own, but for what it shares with the rest."""
    shared = {name: name for name in HISTORY}
    shared |= {output: f"{source}_given" for output, source in encoders().get(model, {}).items()}
    if model == "fusion":
        shared = {"weights": "shared_weights", "query": "query", NEIGHBOUR_WEIGHT: NEIGHBOUR_WEIGHT}
        shared |= {tensor: f"{source}_finite" for source, tensor in FUSION_INPUTS.items()}
    if model == NEIGHBOUR_SOURCE:
        (best,) = (node for node in graph.node if node.op_type == "TopK")
        shared |= {best.input[0]: f"{model}_given", best.input[1]: "candidates"}
    linked = compose.add_prefix_graph(graph, f"{model}/")
    names = {f"{model}/{own}": name for own, name in shared.items()}
    for node in linked.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for tensor in linked.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    return linked


def _needed(
    nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """What the outputs are made of; nodes are in order."""
    read, kept = set(OUTPUTS), []
    for node in reversed(nodes):
        if read.intersection(node.output):
            read |= _read_by(node)
            kept.append(node)
    return kept[::-1], [tensor for tensor in initializers if tensor.name in read]


def _read_by(node: onnx.NodeProto) -> set[str]:
    branches = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return set(node.input).union(*(_read_by(inner) for branch in branches for inner in branch.node))


def _opsets(parts: Iterable[onnx.ModelProto]) -> list[onnx.OperatorSetIdProto]:
    """Of all parts; the exporter writes one version of each domain."""
    versions = {"": OPSET_VERSION} | {opset.domain: opset.version for part in parts for opset in part.opset_import}
    return [onnx.helper.make_opsetid(domain, version) for domain, version in versions.items()]


def _text(*nodes: str) -> str:
    """A graph with the inputs and outputs of the whole."""
    inputs, outputs = (", ".join(f"{kind} {name}" for name, kind in one.items()) for one in (INPUTS, OUTPUTS))
    return f"{HYBRID} ({inputs}) => ({outputs}) {{ {' '.join(nodes)} }}"


def _checks() -> str:
    """Sources with a value that is not finite get zeros instead, and the others their weight, as of a failed model."""
    lines = [
        f"""
            {source}_size = ReduceL1 ({source}_given, second_axis)
            {source}_used = LessOrEqual ({source}_size, largest)
            {source}_finite = Where ({source}_used, {source}_given, zero)"""
        for source in (*FUSION_INPUTS, NEIGHBOUR_SOURCE)
    ]
    same_for_all = [source for source in SOURCES if source not in (*FUSION_INPUTS, NEIGHBOUR_SOURCE)]
    lines += [f"{source}_used = Equal (top_k, top_k)" for source in same_for_all]  # of no model: always there
    names = ", ".join(f"{source}_used" for source in SOURCES)
    return (
        "\n".join(lines)
        + f"""
            used = Concat <axis = 1> ({names})
            used_as_numbers = Cast <to = {onnx.TensorProto.FLOAT}> (used)
            left = Mul (weights, used_as_numbers)
            left_size = ReduceL1 (left, second_axis)
            wanted_size = ReduceL1 (weights, second_axis)
            growth = Div (wanted_size, left_size)
            anything_left = Greater (left_size, zero)
            growth_or_none = Where (anything_left, growth, zero)
            shared_weights = Mul (left, growth_or_none)"""
    )


def _cut(n_films: int) -> str:
    """(B, N) EASE's scores of its best candidates, as its own model gives them: 0 for the others.

    Sorting is needed only where somebody has more scored films than candidates.
    """
    return f"""
            positive = Relu ({NEIGHBOUR_SOURCE}_finite)
            is_scored = Greater (positive, zero)
            scored_as_numbers = Cast <to = {onnx.TensorProto.INT64}> (is_scored)
            scored_films = ReduceSum (scored_as_numbers, second_axis)
            most_scored_films = ReduceMax <keepdims = 0> (scored_films)
            too_many = Greater (most_scored_films, candidates)
            neighbour_scores = If (too_many) <
                then_branch = cut () => (float[{BATCH}, {n_films}] kept_scores) {{
                    best_scores, best_rows = TopK (positive, candidates)
                    nothing = Sub (positive, positive)
                    kept_scores = ScatterElements <axis = 1> (nothing, best_rows, best_scores)
                }},
                else_branch = uncut () => (float[{BATCH}, {n_films}] all_scores) {{
                    all_scores = Identity (positive)
                }}
            >
            bonus = Mul (neighbour_scores, {NEIGHBOUR_WEIGHT})"""


def _search() -> str:
    """Every film's score, minus infinity where it must not be returned; the best K, and where asked what they are of.

    Rows outside the catalogue, padding among them, are written beside it and cut off again.
    """
    explained = OUTPUTS["contributions"]
    return f"""
            dense_scores = Gemm <transB = 1> (query, vectors)
            all_film_scores = Add (dense_scores, bonus)
            allowed_scores = Where (allowed, all_film_scores, minus_infinity)
            framed = Pad (allowed_scores, frame, minus_infinity)
            excluded_from_one = Add (excluded_rows, one)
            excluded_places = Clip (excluded_from_one, none, after_last)
            excluded_shape = Shape (excluded_places)
            excluded_scores = Expand (minus_infinity, excluded_shape)
            framed_open = ScatterElements <axis = 1> (framed, excluded_places, excluded_scores)
            open_scores = Slice (framed_open, one_list, after_last_list, second_axis)

            wanted = Cast <to = {onnx.TensorProto.INT64}> (top_k)
            most_wanted = ReduceMax <keepdims = 0> (wanted)
            results = Clip (most_wanted, one, n_films)
            results_list = Reshape (results, one_list)
            best, found = TopK (open_scores, results_list)
            place = Range (none, results, one)
            beyond_own = GreaterOrEqual (place, wanted)
            no_film = Less (best, lowest)
            empty = Or (beyond_own, no_film)
            scores = Where (empty, minus_infinity, best)
            rows = Where (empty, no_row, found)
            explain_as_numbers = Cast <to = {onnx.TensorProto.INT32}> (explain)
            anybody_as_number = ReduceMax <keepdims = 0> (explain_as_numbers)
            anybody_asks = Cast <to = {onnx.TensorProto.BOOL}> (anybody_as_number)
            contributions = If (anybody_asks) <
                then_branch = explained () => ({explained} given_contributions) {{
                    found_vectors = Gather (vectors, found)
                    query_of_each = Unsqueeze (query, second_axis)
                    products = Mul (found_vectors, query_of_each)
                    dense_contributions = MatMul (products, slices)
                    neighbour_contributions = GatherElements <axis = 1> (bonus, found)
                    neighbour_column = Unsqueeze (neighbour_contributions, third_axis)
                    filled = Concat <axis = 2> (dense_contributions, neighbour_column)
                    empty_column = Unsqueeze (empty, third_axis)
                    given_contributions = Where (empty_column, zero, filled)
                }},
                else_branch = unexplained () => ({explained} no_contributions) {{
                    people = Shape <start = 0, end = 1> (top_k)
                    shape = Concat <axis = 0> (people, no_columns)
                    no_contributions = ConstantOfShape (shape)
                }}
            >"""


def _constants(vectors: Float32) -> dict[str, npt.NDArray[np.generic]]:
    n_films = len(vectors)
    slices = np.zeros((FUSED_WIDTH, len(SOURCE_WIDTHS)), dtype=np.float32)
    for column, rows in enumerate(source_slices().values()):
        slices[rows, column] = 1
    numbers = {"none": 0, "one": 1, "n_films": n_films, "after_last": n_films + 1, "no_row": -1}
    lists = {
        "second_axis": [1],
        "third_axis": [2],
        "one_list": [1],
        "after_last_list": [n_films + 1],
        "frame": [0, 1, 0, 1],
        "no_columns": [0, len(SOURCES)],
    }
    floats = {"zero": 0.0, "minus_infinity": -np.inf, "largest": float(LARGEST), "lowest": -float(LARGEST)}
    return {
        "vectors": vectors,
        "slices": slices,
        **{name: np.array(value, dtype=np.int64) for name, value in {**numbers, **lists}.items()},
        **{name: np.array(value, dtype=np.float32) for name, value in floats.items()},
    }
