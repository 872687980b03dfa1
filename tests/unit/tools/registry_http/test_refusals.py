"""What a registry's refusal means, by what registries really say."""

from __future__ import annotations

import json

import pytest

from drkit.tools.registry_http.refusals import refusal


@pytest.mark.parametrize(
    ("status", "code", "message", "hint"),
    [
        (
            403,
            "DENIED",
            "adding 5.0 MiB of storage resource will exceed the configured upper limit",
            "raise the",
        ),
        (
            412,
            "PRECONDITION",
            "Failed to process request due to 'a:v1' configured as immutable.",
            "a rule makes",
        ),
        (
            403,
            "DENIED",
            "The system is in read only mode. Any modification is prohibited.",
            "the registry is",
        ),
        (404, "NOT_FOUND", "project nope not found", "the project nope is missing"),
        (401, "UNAUTHORIZED", "unauthorized to access repository: nope/a, action: push", "the project nope"),
        (400, "MANIFEST_INVALID", "", "run it again"),
    ],
)
def test_what_is_said(status: int, code: str, message: str, hint: str) -> None:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    error = refusal("nope/a:v1", "nope/a", status, body)
    assert error.message == ", ".join(
        filter(None, (f"the registry refuses nope/a:v1: {status}", code, message))
    )
    assert error.hint.startswith(hint)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errors": []}', b'{"errors": [1]}'])
def test_an_answer_that_says_nothing(body: bytes) -> None:
    assert refusal("a", "a/b", 400, body).message == "the registry refuses a: 400"
