"""Requests that do not fit are refused with tritonserver's own words."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.core.errors import InvalidRequest
from bento.inference.core.messages import InferRequest, Tensor
from bento.inference.models.contract import Contract

SIMPLE = """
    name: "simple" max_batch_size: 8
    input [{ name: "INPUT0" data_type: TYPE_INT32 dims: [ 16 ] }, { name: "INPUT1" data_type: TYPE_INT32 dims: [ 16 ] }]
    output [{ name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 16 ] }]
"""
NOTE = (
    "NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each "
    "input shape. If you want to specify the full shape including the batch dim in your input dims config, try "
    "setting max_batch_size to zero. See the model configuration docs for more info on max_batch_size."
)


def contract(text: str = SIMPLE) -> Contract:
    return Contract(text_format.Parse(text, ModelConfig()))


def ints(*shape: int) -> Tensor:
    return np.zeros(shape, np.int32)


def request(inputs: dict[str, Tensor], *, requested: tuple[str, ...] = (), id: str = "") -> InferRequest:
    return InferRequest("simple", inputs, requested_outputs=requested, id=id)


def both(*shape: int) -> dict[str, Tensor]:
    return {"INPUT0": ints(*shape), "INPUT1": ints(*shape)}


def test_a_fitting_request_has_the_rows_of_its_first_axis() -> None:
    assert contract().check(request(both(3, 16))) == 3


def test_a_model_without_batch_axis_has_no_rows() -> None:
    unbatched = contract('name: "m" input [{ name: "X" data_type: TYPE_FP32 dims: [ -1 ] }]')
    assert unbatched.check(request({"X": np.zeros(5, np.float32)})) == 0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            request({"INPUT0": ints(1, 16)}, id="a7"),
            "[request id: a7] expected 2 inputs but got 1 inputs for model 'simple'. Got input(s) ['INPUT0'], but "
            "missing required input(s) ['INPUT1']. Please provide all required input(s).",
        ),
        (
            request({}),
            "[request id: <id_unknown>] expected 2 inputs but got 0 inputs for model 'simple'. Got input(s) [], but "
            "missing required input(s) ['INPUT0','INPUT1']. Please provide all required input(s).",
        ),
        (
            request({**both(1, 16), "INPUT2": ints(1, 16)}),
            "[request id: <id_unknown>] expected 2 inputs but got 3 inputs for model 'simple'. Got input(s) "
            "['INPUT0','INPUT1','INPUT2'], but missing required input(s) ]. Please provide all required input(s).",
        ),
        (
            request({"INPUT0": ints(1, 16), "OTHER": ints(1, 16)}),
            "unexpected inference input 'OTHER' for model 'simple'",
        ),
        (request(both(1, 16), requested=("NOPE",)), "unexpected inference output 'NOPE' for model 'simple'"),
        (
            request({"INPUT0": ints(1, 16), "INPUT1": np.zeros((1, 16), np.float32)}),
            "[request id: <id_unknown>] inference input 'INPUT1' data-type is 'FP32', but model 'simple' expects "
            "'INT32'",
        ),
        (
            request({"INPUT0": ints(1, 15), "INPUT1": ints(1, 16)}, id="7"),
            "[request id: 7] unexpected shape for input 'INPUT0' for model 'simple'. Expected [-1,16], got [1,15]. "
            + NOTE,
        ),
        (
            request({"INPUT0": ints(16), "INPUT1": ints(16)}),
            "[request id: <id_unknown>] inference request batch-size must be <= 8 for 'simple'",
        ),
        (request(both(9, 16)), "[request id: <id_unknown>] inference request batch-size must be <= 8 for 'simple'"),
        (
            request({"INPUT0": ints(), "INPUT1": ints(1, 16)}),
            "[request id: <id_unknown>] input 'INPUT0' has no shape but model requires batch dimension for 'simple'",
        ),
        (
            request({"INPUT0": ints(1, 16), "INPUT1": ints(2, 16)}),
            "[request id: <id_unknown>] input 'INPUT0' batch size does not match other inputs for 'simple'",
        ),
        (
            request(both(0, 16), id="7"),
            "[request id: 7] inference request batch-size must be >= 1 for 'simple', got shape [0,16] for input "
            "'INPUT1'",
        ),
    ],
)
def test_a_misfit_is_refused_in_words(asked: InferRequest, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        contract().check(asked)
    assert str(caught.value) == message


def test_a_misfit_of_an_unbatched_model_carries_no_note() -> None:
    unbatched = contract('name: "m" input [{ name: "X" data_type: TYPE_FP32 dims: [ 2, -1 ] }]')
    with pytest.raises(InvalidRequest) as caught:
        unbatched.check(request({"X": np.zeros((3, 4), np.float32)}))
    assert str(caught.value) == (
        "[request id: <id_unknown>] unexpected shape for input 'X' for model 'm'. Expected [2,-1], got [3,4]. "
    )


class TestOptionalInputs:
    text = """
        name: "m" max_batch_size: 4
        input [{ name: "A" data_type: TYPE_FP32 dims: [ 1 ] },
               { name: "B" data_type: TYPE_FP32 dims: [ 1 ] optional: true }]
    """
    one = np.zeros((1, 1), np.float32)

    def test_they_may_be_left_out(self) -> None:
        assert contract(self.text).check(request({"A": self.one})) == 1

    def test_the_others_may_not(self) -> None:
        with pytest.raises(InvalidRequest) as caught:
            contract(self.text).check(request({}))
        assert str(caught.value) == (
            "[request id: <id_unknown>] expected number of inputs between 1 and 2 but got 0 inputs for model 'm'. Got "
            "input(s) [], but missing required input(s) ['A']. Please provide all required input(s)."
        )

    def test_an_optional_input_does_not_stand_in_for_a_required_one(self) -> None:
        with pytest.raises(InvalidRequest, match=r"missing required input\(s\) \['A'\]"):
            contract(self.text).check(request({"B": self.one}))

    def test_requests_with_and_without_it_are_not_joined(self) -> None:
        with_it, without = request({"A": self.one, "B": self.one}), request({"A": self.one})
        assert contract(self.text).joins_with(with_it) != contract(self.text).joins_with(without)


class TestReshape:
    text = """
        name: "m" max_batch_size: 4
        input [{ name: "X" data_type: TYPE_FP32 dims: [ 2, -1 ] reshape: { shape: [ -1, 2, 1 ] } }]
        output [{ name: "Y" data_type: TYPE_FP32 dims: [ 1 ] reshape: { shape: [ ] } }]
    """

    def test_the_model_reads_its_own_shape(self) -> None:
        asked = request({"X": np.zeros((3, 2, 5), np.float32)})
        checks = contract(self.text)
        assert checks.model_inputs(asked, checks.check(asked))["X"].shape == (3, 5, 2, 1)

    def test_the_client_reads_the_configured_shape(self) -> None:
        outputs = contract(self.text).client_outputs({"Y": np.zeros(3, np.float32)}, ())
        assert outputs["Y"].shape == (3, 1)


def test_shapes_that_may_vary_decide_who_joins() -> None:
    vary = contract('name: "m" max_batch_size: 4 input [{ name: "X" data_type: TYPE_FP32 dims: [ -1 ] }]')
    assert vary.joins_with(request({"X": np.zeros((1, 3))})) == vary.joins_with(request({"X": np.zeros((4, 3))}))
    assert vary.joins_with(request({"X": np.zeros((1, 3))})) != vary.joins_with(request({"X": np.zeros((1, 4))}))


def test_ragged_inputs_join_whatever_their_shapes_beside_optional_ones() -> None:
    ragged = contract(
        'name: "m" max_batch_size: 4 input [{ name: "X" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }, '
        '{ name: "Z" data_type: TYPE_FP32 dims: [ 1 ] optional: true }]'
    )
    assert ragged.joins_with(request({"X": np.zeros((1, 3))})) == ragged.joins_with(request({"X": np.zeros((1, 4))}))


def test_outputs_come_in_the_order_of_the_configuration() -> None:
    two = contract('name: "m" output [{ name: "A" }, { name: "B" }]')
    arrays = {"B": ints(1), "C": ints(1), "A": ints(1)}
    assert list(two.client_outputs(dict(arrays), ())) == ["A", "B"]
    assert list(two.client_outputs(dict(arrays), ("B",))) == ["B"]
