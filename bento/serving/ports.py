"""Whether a port can be had, asked before anything is started on it."""

from __future__ import annotations

import socket


class PortTaken(Exception):
    """Somebody else listens there."""

    def __init__(self, setting: str, port: int, why: str) -> None:
        super().__init__(f"{setting}={port}: {why}. Stop what uses the port, or set another one")


def check_port_is_free(setting: str, host: str, port: int) -> None:
    """Bind the port and let it go again; 0, any free port, is always free. Raises: PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just closed counts as free
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(setting, port, error.strerror or str(error)) from None
