"""`pb_utils.Logger`: log lines of models, written to the server's log."""

from __future__ import annotations

import structlog

log = structlog.get_logger()


class Logger:
    """Log lines of models, by level."""

    INFO, WARNING, ERROR, VERBOSE = range(4)

    @staticmethod
    def log(message: str, level: int = INFO) -> None:
        """Write a line at a level."""
        (Logger.log_info, Logger.log_warn, Logger.log_error, Logger.log_verbose)[level](message)

    @staticmethod
    def log_info(message: str) -> None:
        """Write an informational line."""
        log.info(message)

    @staticmethod
    def log_warn(message: str) -> None:
        """Write a warning."""
        log.warning(message)

    @staticmethod
    def log_error(message: str) -> None:
        """Write an error."""
        log.error(message)

    @staticmethod
    def log_verbose(message: str) -> None:
        """Write a line for debugging."""
        log.debug(message)
