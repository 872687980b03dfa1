"""One client of an S3 service: how requests are sent, repeated, counted, and how their errors read.

boto3 sends and signs; its own repeating is off, so that one place decides what is transient.
"""

from __future__ import annotations

import contextlib
import logging
import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any, NoReturn, TypeVar

import boto3
from botocore import exceptions as boto
from botocore.config import Config
from botocore.parsers import ResponseParserError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from drkit.errors import BucketFailed, BucketMissing, BucketRefused, ConfigError, ObjectMissing, ToolFailed
from drkit.tools.pace import Pace
from drkit.tools.process import stopping
from drkit.tools.s3 import connections
from drkit.tools.s3.access import Access, content_md5

T = TypeVar("T")
log = logging.getLogger(__name__)

CONNECTIONS = 80
_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_SMALL = 1 << 20

TRANSIENT = frozenset({
    "BadDigest", "ConditionalRequestConflict", "IncompleteBody", "InternalError", "OperationAborted",
    "RequestLimitExceeded", "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable", "SlowDown",
    "SlowDownRead", "SlowDownWrite", "Throttling", "ThrottlingException", "TooManyRequests",
})  # fmt: skip
_REFUSED = frozenset({
    "AccessDenied", "AccountProblem", "AllAccessDisabled", "AuthorizationHeaderMalformed", "ExpiredToken",
    "Forbidden", "InvalidAccessKeyId", "InvalidSecurity", "InvalidToken", "NotSignedUp",
    "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired",
    "UnauthorizedAccess",
    # versitygw's word for an access key that it does not know; its status is 404.
    "XAdminUserNotFound",
})  # fmt: skip
_HINTS = {
    "AccessDenied": "give these credentials the right to do it, or see that they are the ones you mean",
    "ExpiredToken": "the session's token has expired: get new credentials",
    "RequestTimeTooSkewed": "set this machine's clock: it differs from the service's",
    "AuthorizationHeaderMalformed": "see region: the bucket is in another one",
}
_CREDENTIALS_HINT = "see credentials_file, profile and endpoint of this bucket"
# The stream of an object, once it flows, fails with these.
BROKEN_STREAM = (
    boto.HTTPClientError,
    boto.IncompleteReadError,
    boto.ResponseStreamingError,
    boto.ReadTimeoutError,
    OSError,
)


class TransientError(Exception):
    """Something that may well work a moment later."""


class Client:
    """A thread-safe client for one bucket; `api` is boto3's, `requests` how many requests were sent."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.where = access.where
        self.requests = 0
        self.outgoing, self.incoming = Pace(access.upload_limit), Pace(access.download_limit)
        # What the service's clock was ahead of this machine's when it answered last.
        self.ahead = timedelta(0)
        self._counting = threading.Lock()
        self.api: Any = _boto_client(access)
        connections.cut_when_interrupted(self.api)
        events = self.api.meta.events
        events.register("before-send.s3", self._count)
        events.register("before-parse.s3.*", self._note_time)
        # Servers without the newer checksums want this header for what changes many objects at once.
        for operation in ("DeleteObjects", "PutObjectRetention"):
            events.register(f"before-call.s3.{operation}", _add_md5)
        events.register("before-sign.s3.PutObject", _do_not_ask_first)

    def close(self) -> None:
        """Close the connections."""
        self.api.close()

    def call(self, method: Callable[..., Any], /, **arguments: object) -> Any:
        """Send one request of `api` to this bucket, again while it fails for what passes.

        Raises BucketMissing, BucketRefused, ObjectMissing, else ToolFailed; Interrupted while drkit is being
        interrupted.
        """

        def once() -> Any:
            stopping.stop_if_asked()
            return self._send(method, arguments)

        return self.persist(once)

    def tidy(self, method: Callable[..., Any], /, **arguments: object) -> Any:
        """The same, and even while drkit is being interrupted: for what takes something away again."""
        return self.persist(lambda: self._send(method, arguments), sleep=time.sleep)

    def _send(self, method: Callable[..., Any], arguments: Mapping[str, object]) -> Any:
        try:
            return method(Bucket=self.access.bucket, **arguments)
        except (boto.BotoCoreError, boto.ClientError, ResponseParserError, ssl.SSLError) as error:
            self._raise(error, method.__name__, arguments)

    def persist(self, once: Callable[[], T], *, sleep: Callable[[float], None] = stopping.wait) -> T:
        """Do it again while it raises TransientError, with growing pauses; ToolFailed when it never stops."""
        retrying = Retrying(
            stop=stop_after_attempt(self.access.attempts),
            wait=wait_random_exponential(multiplier=0.2, max=self.access.longest_pause),
            retry=retry_if_exception_type(TransientError),
            before_sleep=_tell,
            sleep=sleep,
            reraise=True,
        )
        try:
            return retrying(once)
        except TransientError as error:
            raise ToolFailed(
                f"{error}, {self.access.attempts} times", hint="check endpoint, and that the service works"
            ) from None

    def pause(self, stumbles: int) -> None:
        """Wait before something is taken up again that has failed so many times."""
        stopping.wait(min(self.access.longest_pause, 0.2 * 2**stumbles) * random.random())  # noqa: S311
        stopping.stop_if_asked()

    def _count(self, **_event: object) -> None:
        with self._counting:
            self.requests += 1

    def _note_time(self, response_dict: Mapping[str, Any], **_event: object) -> None:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            told = parsedate_to_datetime(response_dict["headers"]["date"])
            self.ahead = told - datetime.now(UTC)

    def _raise(self, error: Exception, operation: str, arguments: Mapping[str, object]) -> NoReturn:
        what = f"{operation} {arguments.get('Key') or arguments.get('Prefix') or ''}".rstrip()
        subject = f"{self.where}: {what}"
        if isinstance(error, boto.ClientError):
            raise of_answer(subject, error, self.where)
        raise _of_connection(subject, error)


def _boto_client(access: Access) -> Any:
    if access.ca_file is not None and not access.ca_file.is_file():
        raise ConfigError(f"cannot read the certificates in {access.ca_file}", hint="see ca_file")
    names = {
        "aws_access_key_id": "AWS_ACCESS_KEY_ID",
        "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
        "aws_session_token": "AWS_SESSION_TOKEN",
    }
    try:
        session = boto3.session.Session(
            profile_name=access.profile,
            region_name=access.region,
            **{name: access.credentials.get(key) for name, key in names.items()},
        )
        return session.client(
            "s3",
            endpoint_url=access.endpoint,
            verify=str(access.ca_file) if access.ca_file else None,
            config=Config(
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                max_pool_connections=CONNECTIONS,
                tcp_keepalive=True,
                retries={"total_max_attempts": 1},
                # Many servers that are not Amazon's refuse the newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                signature_version="s3v4",
                s3={"addressing_style": access.addressing},
            ),
        )
    except (boto.BotoCoreError, ValueError) as error:
        raise ConfigError(f"{access.where}: {error}", hint=_CREDENTIALS_HINT) from None


def of_answer(subject: str, error: boto.ClientError, where: str) -> Exception:
    """What an answer that is an error means."""
    answer = error.response.get("Error", {})
    code, said = str(answer.get("Code", "")), str(answer.get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    words = f"{subject}: {code}{f' ({said})' if said and said != code else ''}"
    if code == "NoSuchBucket":
        return BucketMissing(f"there is no bucket {where}", hint="see bucket and endpoint, or create it")
    # Another service's version id need not even look like one of this one.
    strange = code == "InvalidArgument" and "version id" in said.lower()
    if code in ("NoSuchKey", "NoSuchVersion", "404", "NotFound") or strange:
        return ObjectMissing(f"{subject}: no such object")
    if code in _REFUSED or status in (401, 403):
        return BucketRefused(
            f"{subject}: refused, {code} {said}".rstrip(), hint=_HINTS.get(code, _CREDENTIALS_HINT)
        )
    if code in TRANSIENT or status == 429 or (status >= 500 and status != 501):
        return TransientError(words)
    return BucketFailed(words, code=code)


def _of_connection(subject: str, error: Exception) -> Exception:
    """What it means that there is no answer."""
    said = str(error)
    if isinstance(error, boto.SSLError | ssl.SSLError) and "CERTIFICATE_VERIFY_FAILED" in said:
        return ToolFailed(f"{subject}: {said}", hint="see ca_file of this bucket")
    if isinstance(
        error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError
    ):
        return BucketRefused(f"{subject}: no credentials: {said}", hint=_CREDENTIALS_HINT)
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError | ResponseParserError | ssl.SSLError):
        return TransientError(f"{subject}: {said}")
    return ToolFailed(f"{subject}: {said}")


def _tell(state: RetryCallState) -> None:
    outcome = state.outcome
    log.debug("again: %s", outcome.exception() if outcome else "")


def _do_not_ask_first(request: Any, **_event: object) -> None:
    """A small body is sent at once: to ask whether it is welcome takes as long as to send it."""
    body = request.data
    if isinstance(body, BytesIO) and body.getbuffer().nbytes <= _SMALL:
        del request.headers["Expect"]


def _add_md5(params: dict[str, Any], **_event: object) -> None:
    body = params["body"]
    params["headers"]["Content-MD5"] = content_md5(body if isinstance(body, bytes) else body.encode())
