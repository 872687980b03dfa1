"""A GitLab registry with a metadata database is known by the file that it leaves in its bucket."""

from __future__ import annotations

import pytest

from drkit.blobs.ends import refuse_metadata_database
from drkit.errors import NotSupported
from drkit.model import BucketPlace
from drkit.registry.metadata_database import IN_USE, LINKS_IN_USE
from drkit.tools.s3.bucket import Bucket
from tests.buckets import Service


def test_the_mark_below_its_root_alone(s3: Service) -> None:
    with Bucket(s3.bucket()) as bucket:
        place = BucketPlace("images", "reg")
        for name in (str(IN_USE), f"reg/{LINKS_IN_USE}"):
            bucket.put(name, b"")
            refuse_metadata_database(bucket, place)
        bucket.put(f"reg/{IN_USE}", b"")
        with pytest.raises(NotSupported, match="s3://images/reg is that of a GitLab registry"):
            refuse_metadata_database(bucket, place)
