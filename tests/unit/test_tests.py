"""What no test does: reach for private names of drkit, or put something else in their place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
OURS = ("drkit", "testenv", "tests")
# Public, whatever it looks like: of named tuples, and of the standard library.
PUBLIC = {"_asdict", "_exit", "_fields", "_make", "_replace"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def is_ours(module: str | None) -> bool:
    return module is not None and module.split(".")[0] in OURS


def imported(tree: ast.AST) -> dict[str, str]:
    """Names that a file imports, and the modules that they are from."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                found |= {alias.asname or alias.name.split(".")[0]: alias.name for alias in node.names}
            case ast.ImportFrom():
                found |= {alias.asname or alias.name: node.module or "" for alias in node.names}
            case _:
                pass
    return found


def root_of(node: ast.expr) -> str:
    """`a` of `a.b.c`; nothing of what is not so simple."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def replaced(call: ast.Call, names: dict[str, str]) -> bool:
    """Whether `setattr` of monkeypatch changes anything but a module of somebody else."""
    target = call.args[0]
    if isinstance(target, ast.Constant):
        return is_ours(str(target.value))
    module = names.get(root_of(target))
    return module is None or is_ours(module)


def faults(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    names = imported(tree)
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=module, names=aliases) if is_ours(module):
                yield from (f"{node.lineno}: imports {a.name}" for a in aliases if is_private(a.name))
            case ast.ImportFrom(module="unittest.mock") | ast.Import(names=[ast.alias(name="unittest.mock")]):
                yield f"{node.lineno}: uses mocks"
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name) if is_private(name):
                yield f"{node.lineno}: reaches for {name}"
            case ast.Call(func=ast.Attribute(attr="setattr")) if replaced(node, names):
                yield f"{node.lineno}: puts something in the place of what is ours"


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_goes_behind_the_public_names(path: Path) -> None:
    assert list(faults(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "from drkit.logs import _secrets",
        "from drkit import logs\nlogs._secrets.clear()",
        "from drkit.tools import age\nmonkeypatch.setattr(age, 'LIMIT', 1)",
        "monkeypatch.setattr('drkit.tools.age.LIMIT', 1)",
        "monkeypatch.setattr(bench.target, 'delete', refuse)",
        "from unittest.mock import patch",
        "import unittest.mock",
    ],
)
def test_what_goes_behind_them_is_seen(source: str) -> None:
    assert len(list(faults(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import os\nmonkeypatch.setattr(os, 'geteuid', lambda: 1000)",
        "entry._replace(size=1)",
        "self._lock.acquire()",
        "from drkit.logs import redact",
    ],
)
def test_what_does_not_is_let_through(source: str) -> None:
    assert list(faults(source)) == []
