"""The logging extension: which of the server's log lines are written, and how, changeable while it runs."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field

from bento.inference.core.errors import InvalidRequest, Unsupported

LOGGER = logging.getLogger("bento.inference")
"""Parent of every logger of the inference server."""

LOG_FORMATS = ("default", "ISO8601")

Setting = bool | int | str


@dataclass(slots=True)
class LogSettings:
    """What tritonserver's logging extension offers. One change applies to the whole process."""

    log_info: bool = True
    log_warning: bool = True
    log_error: bool = True
    log_verbose_level: int = 0
    """Above 0: a line per HTTP and gRPC request."""
    log_format: str = "default"
    logger: logging.Logger = field(default=LOGGER, repr=False)

    def __post_init__(self) -> None:
        self._apply()

    def update(self, changes: dict[str, Setting]) -> None:
        """Apply changes whose kinds were checked; unknown names are ignored, as in Triton.

        Raises: Unsupported for `log_file`; InvalidRequest for an unknown format.
        """
        if "log_file" in changes:
            raise Unsupported("log file location can not be updated through network protocol")
        log_format = changes.get("log_format", self.log_format)
        if log_format not in LOG_FORMATS:
            raise InvalidRequest(f"invalid argument for log_format, got: {log_format}")
        for name in ("log_info", "log_warning", "log_error", "log_verbose_level", "log_format"):
            setattr(self, name, changes.get(name, getattr(self, name)))
        self._apply()

    def to_json(self) -> dict[str, Setting]:
        """As the endpoints show them."""
        return {
            "log_file": "",
            "log_info": self.log_info,
            "log_warning": self.log_warning,
            "log_error": self.log_error,
            "log_verbose_level": self.log_verbose_level,
            "log_format": self.log_format,
        }

    def allows(self, record: logging.LogRecord) -> bool:
        """Whether a line is to be written."""
        if record.levelno >= logging.ERROR:
            return self.log_error
        if record.levelno >= logging.WARNING:
            return self.log_warning
        return self.log_info if record.levelno >= logging.INFO else self.log_verbose_level > 0

    def _apply(self) -> None:
        self.logger.setLevel(logging.DEBUG if self.log_verbose_level > 0 else logging.INFO)


class TritonLogFormatter(logging.Formatter):
    """Log lines as tritonserver writes them: "I1121 09:00:49.434549 7473 http_protocol.py:44] …", times in UTC."""

    def __init__(self, settings: LogSettings) -> None:
        super().__init__()
        self._settings = settings

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback below it where there is one."""
        when = time.gmtime(record.created)
        microseconds = int(record.created % 1 * 1e6)
        place = f"{os.getpid()} {record.filename}:{record.lineno}]"
        if self._settings.log_format == "ISO8601":
            head = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', when)} {record.levelname[0]} {place}"
        else:
            head = f"{record.levelname[0]}{time.strftime('%m%d %H:%M:%S', when)}.{microseconds:06d} {place}"
        line = f'{head} "{record.getMessage()}"'
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
