"""What all sections of drkit.toml have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """What all sections have in common: an unknown key is an error, and nothing changes."""

    # Each is built when it is first needed, which for most is as a part of the whole.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)
