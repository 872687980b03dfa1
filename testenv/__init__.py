"""A Harbor-shaped registry to practise on: real PostgreSQL, real docker-registry, real images.

It knows nothing of drkit, so that it can bear witness.
"""

from testenv.churn import garbage_collection, grow, push_image, sign_image
from testenv.creation import create
from testenv.site import NotASiteError, Site, connect, destroy, load, lose, running, start, stop
from testenv.sizes import LARGE, SMALL, TINY, Size

__all__ = [
    "LARGE",
    "SMALL",
    "TINY",
    "NotASiteError",
    "Site",
    "Size",
    "connect",
    "create",
    "destroy",
    "garbage_collection",
    "grow",
    "load",
    "lose",
    "push_image",
    "running",
    "sign_image",
    "start",
    "stop",
]
