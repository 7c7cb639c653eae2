"""Names that a service answers to."""

from __future__ import annotations

import json

import pytest
from starlette.types import Receive, Scope, Send

from bento.http.hosts import LOCAL_HOSTS, HostNames, TrustedHosts

from .asgi_calls import Call, call


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def ask(app: TrustedHosts, host: bytes | None, path: str = "/recommend", **scope: str) -> Call:
    return await call(app, "GET", path, headers=[] if host is None else [(b"host", host)], **scope)


@pytest.mark.parametrize(
    "host", [b"localhost", b"LOCALHOST:3000", b"films.localhost", b"127.0.0.1:3000", b"[::1]:3000", b"[::1]"]
)
async def test_local_names_are_answered_with_any_port(host: bytes) -> None:
    app = TrustedHosts(answer, HostNames(LOCAL_HOSTS))
    assert [(await ask(app, host)).status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("host", [b"attacker.example", b"localhost.attacker.example", b"evil-localhost", b"", b"a b"])
async def test_other_names_are_refused_each_time(host: bytes) -> None:
    app = TrustedHosts(answer, HostNames(LOCAL_HOSTS))
    refused = [await ask(app, host) for _ in range(2)]
    assert [one.status for one in refused] == [400, 400]
    assert json.loads(refused[0].body)["error"]["code"] == "untrusted_host"


async def test_names_below_one_are_trusted_by_a_star() -> None:
    app = TrustedHosts(answer, HostNames(["*.films.example"]))
    assert (await ask(app, b"a.films.example")).status == 200
    assert (await ask(app, b"films.example")).status == 400


async def test_who_sends_no_host_is_no_browser_and_is_let_in() -> None:
    assert (await ask(TrustedHosts(answer, HostNames(LOCAL_HOSTS)), None)).status == 200


async def test_clients_of_the_inference_protocol_are_refused_in_their_words() -> None:
    app = TrustedHosts(answer, HostNames(LOCAL_HOSTS))
    for path, root_path in (("/v2/models/x", ""), ("/films/v2/models/x", "/films")):
        refused = await ask(app, b"attacker.example", path, root_path=root_path)
        assert "attacker.example" in json.loads(refused.body)["error"]


async def test_only_names_that_were_let_in_count_as_accepted() -> None:
    names = HostNames(LOCAL_HOSTS)
    for host in (b"localhost", b"attacker.example"):
        await ask(TrustedHosts(answer, names), host)
    assert [names.has_accepted(host) for host in (b"localhost", b"attacker.example", b"127.0.0.1", None)] == [
        True,
        False,
        False,
        True,
    ]
