"""The folders right below a place, without what is in them: that may be many objects."""

from __future__ import annotations

import pyarrow.fs as pafs

from jobs.storage.objects import Objects


def folder_names(objects: Objects) -> list[str]:
    """Names of the folders (on object stores: common prefixes), sorted; none of a place that does not exist."""
    root = objects.path("x").rpartition("/")[0]
    found = objects.arrow.get_file_info(pafs.FileSelector(root, allow_not_found=True))
    return sorted(info.base_name for info in found if info.type == pafs.FileType.Directory)
