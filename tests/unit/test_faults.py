"""Every refusal of a store becomes the problem that says what to do."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions as botocore

from slicery_service.errors import AccessDenied, ObjectChanged, ObjectMissing, ObjectUnreadable, WrongRegion
from slicery_service.faults import told_as_problems

REFUSALS = [
    ("404", ObjectMissing),
    ("NoSuchKey", ObjectMissing),
    ("NoSuchBucket", ObjectMissing),
    ("403", AccessDenied),
    ("AccessDenied", AccessDenied),
    ("SignatureDoesNotMatch", AccessDenied),
    ("InvalidAccessKeyId", AccessDenied),
    ("ExpiredToken", AccessDenied),
    ("301", WrongRegion),
    ("PermanentRedirect", WrongRegion),
    ("AuthorizationHeaderMalformed", WrongRegion),
    ("IllegalLocationConstraintException", WrongRegion),
    ("412", ObjectChanged),
    ("PreconditionFailed", ObjectChanged),
    ("InvalidObjectState", ObjectUnreadable),
    ("RequestTimeTooSkewed", ObjectUnreadable),
    ("SlowDown", ObjectUnreadable),
    ("InvalidRange", ObjectUnreadable),
    ("400", ObjectUnreadable),
    ("Teapot", ObjectUnreadable),
]
FAILURES = [
    (botocore.NoCredentialsError(), AccessDenied),
    (botocore.CredentialRetrievalError(provider="role", error_msg="secret"), AccessDenied),
    (botocore.ProfileNotFound(profile="secret"), AccessDenied),
    (botocore.EndpointConnectionError(endpoint_url="https://u:secret@host"), ObjectUnreadable),
    (botocore.ConnectTimeoutError(endpoint_url="https://u:secret@host"), ObjectUnreadable),
    (botocore.ReadTimeoutError(endpoint_url="https://u:secret@host"), ObjectUnreadable),
    (botocore.SSLError(endpoint_url="https://u:secret@host", error="secret"), ObjectUnreadable),
    (botocore.IncompleteReadError(actual_bytes=1, expected_bytes=2), ObjectUnreadable),
    (botocore.ParamValidationError(report="secret"), ObjectUnreadable),
]


def told(exc: Exception) -> ObjectUnreadable:
    with pytest.raises(ObjectUnreadable) as caught, told_as_problems("lab", "s3://genomics/a.fq"):
        raise exc
    return caught.value


def refusal(code: str, headers: dict[str, str] | None = None, **error: str) -> botocore.ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "arn:aws:iam::123:user/secret", **error},
        "ResponseMetadata": {"HTTPHeaders": headers or {}},
    }
    return botocore.ClientError(answer, "GetObject")


@pytest.mark.parametrize(("code", "kind"), REFUSALS)
def test_a_refusal_names_object_and_code_and_never_the_store_s_own_words(code: str, kind: type):
    problem = told(refusal(code))
    assert type(problem) is kind
    assert "s3://genomics/a.fq" in problem.detail
    assert code in problem.detail
    assert problem.hint
    assert problem.to_json()["store_code"] == code
    assert "secret" not in str(problem.to_json())


@pytest.mark.parametrize(("exc", "kind"), FAILURES, ids=lambda value: type(value).__name__)
def test_a_failure_to_get_an_answer_is_told_without_the_endpoint(exc: Exception, kind: type):
    problem = told(exc)
    assert type(problem) is kind
    assert type(exc).__name__ in problem.detail
    assert "lab" in problem.detail
    assert problem.hint
    assert "secret" not in str(problem.to_json())


@pytest.mark.parametrize(
    "exc",
    [
        refusal("301", {"x-amz-bucket-region": "eu-west-3"}),
        refusal("400", {"x-amz-bucket-region": "eu-west-3"}),
        refusal("AuthorizationHeaderMalformed", Region="eu-west-3"),
    ],
)
def test_the_right_region_is_named_where_the_store_says_it(exc: Exception):
    problem = told(exc)
    assert isinstance(problem, WrongRegion)
    assert "region eu-west-3" in problem.detail
    assert "'eu-west-3'" in (problem.hint or "")
    assert problem.to_json()["region"] == "eu-west-3"
