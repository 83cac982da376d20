"""The two S3 clients of a process, built alike: pyarrow's for bulk reads, s3fs's for single requests.

pyarrow's knows neither requester pays nor KMS keys: where one of these is set, s3fs's does all.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pyarrow.fs as pafs

from adaptor.errors import InputError
from jobs.config.credential_redaction import masked
from jobs.config.sections import FilesystemOptions
from jobs.config.uris import server_address

if TYPE_CHECKING:
    import s3fs

_CONNECT_SECONDS = 10.0
#: What s3fs reads at once where it does bulk reads.
_BLOCK_BYTES = 8 << 20
#: Where the AWS tools look for the server's address.
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def endpoint_of(options: FilesystemOptions) -> str | None:
    """The server's address: the option, else what the AWS tools read from the environment; None means AWS."""
    if options.endpoint:
        return options.endpoint
    for name in _ENDPOINTS:
        if address := os.environ.get(name):
            try:
                return server_address(address)
            except ValueError as problem:
                raise InputError(f"{name} {problem}, got {masked(address)!r}") from problem
    return None


def region_of(options: FilesystemOptions) -> str | None:
    """The region: the option, else AWS_REGION or AWS_DEFAULT_REGION; any will do for a server other than AWS."""
    region = options.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return region or ("us-east-1" if endpoint_of(options) else None)


def proxy_of(options: FilesystemOptions) -> str | None:
    """The proxy on the way to the server: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, as botocore reads them, for all
    clients."""
    from botocore.httpsession import ProxyConfiguration
    from botocore.utils import get_environ_proxies

    address = endpoint_of(options) or f"https://s3.{region_of(options) or 'us-east-1'}.amazonaws.com"
    proxy = ProxyConfiguration(get_environ_proxies(address)).proxy_url_for(address)
    return None if proxy is None else str(proxy)


def arrow_filesystem(bucket: str, options: FilesystemOptions) -> pafs.FileSystem:
    """The client for bulk reads. Without a region for AWS, that of the bucket is looked up."""
    if options.requester_pays or options.kms_key:
        return pafs.PyFileSystem(pafs.FSSpecHandler(request_client(options)))
    endpoint, region = endpoint_of(options), region_of(options)
    settings: dict[str, Any] = {
        "anonymous": options.credentials == "anonymous",
        "region": region if region is not None else _region_of_bucket(bucket),
        "request_timeout": options.request_timeout_seconds,
        "connect_timeout": min(_CONNECT_SECONDS, options.request_timeout_seconds),
        "retry_strategy": pafs.AwsStandardS3RetryStrategy(max_attempts=options.attempts),
    }
    if proxy := proxy_of(options):
        settings["proxy_options"] = _proxy_options(proxy)
    if endpoint:
        parts = urlsplit(endpoint)
        settings |= {"endpoint_override": parts.netloc, "scheme": parts.scheme}
    if options.credentials == "role":
        settings |= {"role_arn": options.role_arn, "session_name": "matryoshka"}
    return pafs.S3FileSystem(**settings)


def _proxy_options(proxy: str) -> dict[str, Any]:
    parts = urlsplit(proxy)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    login = {"username": unquote(parts.username), "password": unquote(parts.password or "")} if parts.username else {}
    return {"scheme": parts.scheme, "host": parts.hostname, "port": port, **login}


def _region_of_bucket(bucket: str) -> str:
    try:
        return str(pafs.resolve_s3_region(bucket))
    except (OSError, ValueError) as error:
        raise InputError(f"the region of bucket {bucket} is not known: set filesystem.region ({error})") from error


def request_client(options: FilesystemOptions) -> s3fs.S3FileSystem:
    """s3fs's client without caches; botocore alone retries. The AWS environment stays in force, checksums included."""
    import s3fs

    endpoint = endpoint_of(options)
    config: dict[str, Any] = {
        "retries": {"mode": "adaptive", "total_max_attempts": options.attempts},  # throttled, it sends fewer requests
        "read_timeout": options.request_timeout_seconds,
        "connect_timeout": min(_CONNECT_SECONDS, options.request_timeout_seconds),
    }
    if endpoint:
        config["s3"] = {"addressing_style": "path"}  # a host name per bucket needs DNS that such servers rarely have
    client = s3fs.S3FileSystem(
        anon=options.credentials == "anonymous",
        endpoint_url=endpoint,
        client_kwargs={"region_name": region_of(options)},
        config_kwargs=config,
        session=_role_session(options.role_arn) if options.role_arn else None,
        requester_pays=options.requester_pays,
        s3_additional_kwargs=_encryption(options),
        default_block_size=_BLOCK_BYTES,
        skip_instance_cache=True,
        use_listings_cache=False,
    )
    client.retries = 1  # s3fs multiplies botocore's attempts by these
    return client


def _encryption(options: FilesystemOptions) -> dict[str, str]:
    """Fields of the requests that make objects."""
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": options.kms_key} if options.kms_key else {}


def _role_session(role_arn: str) -> Any:
    """An aiobotocore session with the credentials of the assumed role, renewed before they end."""
    from aiobotocore.credentials import AioAssumeRoleCredentialFetcher, AioDeferredRefreshableCredentials
    from aiobotocore.session import AioSession

    source, session = AioSession(), AioSession()

    async def load_credentials() -> Any:
        """Credentials of the role, fetched anew when they expire."""
        fetcher = AioAssumeRoleCredentialFetcher(
            client_creator=source.create_client,
            source_credentials=await source.get_credentials(),
            role_arn=role_arn,
            extra_args={"RoleSessionName": "matryoshka"},
        )
        return AioDeferredRefreshableCredentials(refresh_using=fetcher.fetch_credentials, method="assume-role")

    session.register_component("credential_provider", SimpleNamespace(load_credentials=load_credentials))
    return session
