"""How the libraries of table formats reach the same object store, with the same options, as we do."""

from __future__ import annotations

from adaptor.errors import InputError
from jobs.config.sections import FilesystemOptions
from jobs.config.uris import local_path, scheme_of
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects
from jobs.storage.s3_clients import endpoint_of, proxy_of, region_of

#: Other programs' names for s3://.
_S3_NAMES = ("s3a://", "s3n://")


def object_store_options(uri: str, options: FilesystemOptions) -> dict[str, str]:
    """Options of the Rust crate `object_store` (deltalake, pylance). Credentials come from the environment."""
    if scheme_of(uri) != "s3":
        return {}
    _check_payer(uri, options)
    settings = {"max_retries": str(options.attempts), "timeout": f"{options.request_timeout_seconds:g}s"}
    if endpoint := endpoint_of(options):
        settings |= {"aws_endpoint": endpoint, "aws_allow_http": str(endpoint.startswith("http://")).lower()}
    if region := region_of(options):
        settings["aws_region"] = region
    if proxy := proxy_of(options):
        settings["proxy_url"] = proxy
    if options.credentials == "anonymous":
        settings["aws_skip_signature"] = "true"
    if options.role_arn is not None:
        raise InputError(
            f"{uri}: filesystem.credentials: role works for plain files only; let the environment hold the credentials "
            "of the role (AWS_ROLE_ARN with a web identity, or a profile)"
        )
    return settings


def iceberg_properties(uri: str, options: FilesystemOptions) -> dict[str, str]:
    """Options of pyiceberg's FileIO, which reads with pyarrow as we do."""
    if scheme_of(uri) != "s3":
        return {}
    _check_payer(uri, options)
    settings = {"s3.request-timeout": f"{options.request_timeout_seconds:g}"}
    if endpoint := endpoint_of(options):
        settings["s3.endpoint"] = endpoint
    if region := region_of(options):
        settings["s3.region"] = region
    if proxy := proxy_of(options):
        settings["s3.proxy-uri"] = proxy
    if options.credentials == "anonymous":
        settings["s3.anonymous"] = "true"
    if options.role_arn is not None:
        settings |= {"s3.role-arn": options.role_arn, "s3.role-session-name": "matryoshka"}
    return settings


def _check_payer(uri: str, options: FilesystemOptions) -> None:
    """`InputError` where the requester pays: no library of tables says so in every request."""
    if options.requester_pays:
        raise InputError(
            f"{uri}: filesystem.requester_pays works for plain files only: copy the table to a bucket of your own"
        )


def same_place(one: str, other: str) -> bool:
    """Whether two URIs name one folder."""
    return _spelt(one).rstrip("/") == _spelt(other).rstrip("/")


class TableFolder:
    """Where the files of a table lie, which names them by absolute URIs: below its folder, mostly."""

    def __init__(self, location: str, options: FilesystemOptions) -> None:
        self._location, self._options = _spelt(location).rstrip("/"), options
        self._opened: dict[str, Objects] = {}

    def place(self, uri: str) -> tuple[str, Objects, str]:
        """The key that a file has as a shard, where it lies, and its key there."""
        uri = _spelt(uri)
        if uri.startswith(f"{self._location}/"):
            key = uri[len(self._location) + 1 :]
            return key, self._open(self._location), key
        folder, _, name = uri.rpartition("/")  # a file that was added from elsewhere
        return uri.partition("://")[2].lstrip("/") or uri.lstrip("/"), self._open(folder), name

    def _open(self, folder: str) -> Objects:
        if folder not in self._opened:
            self._opened[folder] = open_objects(folder, self._options)
        return self._opened[folder]


def _spelt(uri: str) -> str:
    """One spelling of one place: absolute paths on this machine, s3://."""
    for name in _S3_NAMES:
        if uri.startswith(name):
            return f"s3://{uri[len(name) :]}"
    if uri.startswith("file:/") and not uri.startswith("file://"):  # Hadoop's spelling
        uri = uri[len("file:") :]
    if scheme_of(uri) == "file":  # tables do not escape what they write
        return uri[len("file://") :]
    return uri if scheme_of(uri) else str(local_path(uri))
