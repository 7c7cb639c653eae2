"""uvicorn's protocol of an HTTP connection, but one that passes over offers to change the protocol."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bento.inference.over_http.request_parser import RequestParser


class OrdinaryProtocol(HttpToolsProtocol):
    """See the module."""

    parser: RequestParser

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = RequestParser(self)

    def on_message_complete(self) -> None:
        """The parser's word for the end of a head with an offer is not the end of a request that is read on."""
        if not self.parser.ignores_offer():
            super().on_message_complete()
