"""The state of an Iceberg table that its catalog vouches for."""

from __future__ import annotations

from adaptor.errors import InputError, RunError
from jobs.sources.table_storage import same_place


def metadata_in_catalog(name: str, uri: str) -> str:
    """URI of the metadata file of the table `CATALOG.NAMESPACE.TABLE`, whose files lie below `uri`.

    `InputError`: no such catalog or table, or one that lies elsewhere. `RunError`: the catalog does not answer.
    """
    import pyiceberg.catalog
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

    catalog, _, identifier = name.partition(".")
    if not catalog or "." not in identifier.strip("."):
        raise InputError(f"source.catalog_table is {name!r}: write CATALOG.NAMESPACE.TABLE")
    try:
        table = pyiceberg.catalog.load_catalog(catalog).load_table(identifier)
    except (NoSuchTableError, NoSuchNamespaceError, ValueError, KeyError, ImportError) as error:
        raise InputError(f"pyiceberg finds no table {name}: {type(error).__name__}: {error}") from error
    except Exception as error:  # each kind of catalog has errors of its own
        raise RunError(f"the catalog of {name} does not answer: {type(error).__name__}: {error}") from error
    if not same_place(table.location(), uri):
        raise InputError(f"{name}: in the catalog its files lie below {table.location()}, set source.uri to that")
    return str(table.metadata_location)
