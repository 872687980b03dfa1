"""How a database is made anew."""

from __future__ import annotations

from drkit.database import statements
from drkit.model import DatabaseShape
from drkit.tools.postgres import sql


def created(shape: DatabaseShape) -> str:
    return sql.text(statements.creation(shape, "registry"))


def test_the_rules_of_an_icu_collation_come_along() -> None:
    shape = DatabaseShape("r", "harbor", "UTF8", "icu", "C", "C", locale="en", locale_rules="&a < 'g'")
    assert created(shape).endswith("LOCALE_PROVIDER icu ICU_LOCALE 'en' ICU_RULES '&a < ''g''';")


def test_a_database_is_filled_before_its_connections_are_limited() -> None:
    shape = DatabaseShape("r", "harbor", "UTF8", "libc", "C", "C", connection_limit=1)
    assert "LIMIT" not in created(shape)
    rights = [sql.text(statement) for statement in statements.rights(shape, "registry")]
    assert any(text.startswith('ALTER DATABASE "registry" CONNECTION LIMIT 1') for text in rights)
