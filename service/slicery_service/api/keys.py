"""The calls on API keys; for administrators."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Depends, Request

from slicery_service import keys
from slicery_service.api.auth import keyring_of, require
from slicery_service.api.problems import responses
from slicery_service.api.schemas import KeyBody, KeyList, KeyView, NewKeyView
from slicery_service.db import transaction
from slicery_service.views import key_view

router = APIRouter(prefix="/v1/keys", tags=["keys"], dependencies=[Depends(require("admin"))])


@router.post(
    "",
    operation_id="createKey",
    summary="Make an API key",
    status_code=201,
    response_model=NewKeyView,
    responses=responses(),
)
def create(body: KeyBody) -> Any:
    """Return the key with its secret, which is kept nowhere and shown only now."""
    lifetime = None if body.expires_in is None else timedelta(seconds=body.expires_in)
    with transaction() as session:
        key, secret = keys.create(session, name=body.name, scopes=body.scopes, expires_in=lifetime)
        return key_view(key) | {"key": secret}


@router.get(
    "", operation_id="listKeys", summary="List API keys", response_model=KeyList, responses=responses()
)
def list_keys() -> Any:
    """Return all keys, also the revoked ones, the newest first."""
    with transaction() as session:
        return {"keys": [key_view(key) for key in keys.list_keys(session)]}


@router.delete(
    "/{key_id}",
    operation_id="revokeKey",
    summary="Revoke an API key",
    response_model=KeyView,
    responses=responses(404),
)
def revoke(key_id: str, request: Request) -> Any:
    """End the key for good. Every process of the service refuses it within five seconds."""
    with transaction() as session:
        view = key_view(keys.revoke(session, key_id))
    keyring_of(request.app).forget(key_id)
    return view
