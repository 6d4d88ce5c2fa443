"""Runs the cases of a subject in a process of their own, which a case may kill or hang."""

from .parent import (
    CASE_TIMEOUT,
    CannotIsolate,
    Death,
    Hang,
    Raised,
    Sandbox,
    SandboxError,
    close,
    current,
    end,
    ended,
    method,
    notes,
)

__all__ = [
    "CASE_TIMEOUT",
    "CannotIsolate",
    "Death",
    "Hang",
    "Raised",
    "Sandbox",
    "SandboxError",
    "close",
    "current",
    "end",
    "ended",
    "method",
    "notes",
]
