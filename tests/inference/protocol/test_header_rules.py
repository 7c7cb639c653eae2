"""Every endpoint and RPC belongs to a group that can be restricted."""

from __future__ import annotations

from grpc_health.v1 import health_pb2
from tritonclient.grpc import service_pb2 as pb

from bento.inference.over_grpc.restricted import api_of
from bento.inference.over_http.application import API_OF, ROUTES
from bento.inference.protocol.header_rules import APIS, parse_restrictions


def test_every_endpoint_can_be_restricted():
    assert {endpoint for _, _, endpoint in ROUTES} == set(API_OF)
    assert set(API_OF.values()) == set(APIS)


def test_every_rpc_can_be_restricted():
    services = [
        pb.DESCRIPTOR.services_by_name["GRPCInferenceService"],
        health_pb2.DESCRIPTOR.services_by_name["Health"],
    ]
    names = [f"/{service.full_name}/{method.name}" for service in services for method in service.methods]
    assert {api_of(name) for name in names} == set(APIS)


def test_a_value_may_hold_any_character():
    restrictions = parse_restrictions(["health:Key=a=b:c"])
    assert restrictions.missing("health", {"key": "a=b:c"}) is None
    assert restrictions.missing("health", {"key": "a"}) == "Key"
    assert restrictions.missing("health", {}, "p-") == "p-Key"
    assert restrictions.missing("trace", {}) is None
