"""A finished local file becomes an object, whole or not at all."""

from __future__ import annotations

from adaptor.errors import RunError
from jobs.outputs.output_format import Written
from jobs.storage.objects import ObjectInfo, Objects


def publish(objects: Objects, key: str, written: Written) -> None:
    """Upload a finished file as one object and check that it arrived whole; `RunError` when it did not."""
    objects.put_file(key, written.path)
    _check_arrived(objects, key, written)


def publish_over(objects: Objects, key: str, written: Written, expected: ObjectInfo | None) -> bool:
    """The same, but only over the `expected` object (None: absent); False when another one is at the key by now."""
    if not objects.replace_file(key, written.path, expected):
        return False
    _check_arrived(objects, key, written)
    return True


def _check_arrived(objects: Objects, key: str, written: Written) -> None:
    arrived = objects.stat(key)
    if arrived is None or arrived.size != written.bytes:
        size = "no object" if arrived is None else f"{arrived.size} bytes"
        raise RunError(f"{objects.uri}/{key}: {written.bytes} bytes were written, {size} arrived: run compress again")
