"""A refresh token: docker's identity token, which inherits everything that narrows the credential it was obtained with."""

from authsvc.adapters.postgres.credentials import count_live_refresh_tokens, insert_credential
from authsvc.adapters.postgres.services import find_service_record
from authsvc.core.credential import MAX_LIFE, CredentialKind, compose_secret
from authsvc.core.event import Requester
from authsvc.core.records import CredentialRecord
from authsvc.core.service import Service
from authsvc.operations.authenticate import Authenticated
from authsvc.operations.deps import Deps

MAX_CLIENT = 255
MAX_LIVE = 500
"""Refresh tokens of one principal that can be used: each login makes one, and nothing but a person ends most of them."""


async def create_refresh_token(
    deps: Deps, who: Authenticated, *, by: Requester, service: Service, client: str | None
) -> str | None:
    """Store a refresh token for `who` and return its text, which is shown this once; None when it has `MAX_LIVE` already.

    None, too, when the service has been deleted since it was looked up: its refresh tokens went with it. It dies with the
    credential it was obtained with, or with the next change of the password it was obtained with, and after a year.
    """
    now = deps.now()
    latest = now + MAX_LIFE
    secret = compose_secret(CredentialKind.REFRESH, deps.new_id(), deps.new_secret())
    parent = who.credential
    record = CredentialRecord(
        id=secret.id,
        kind=CredentialKind.REFRESH,
        owner=who.principal,
        created_at=now,
        digest=deps.digest.digest(secret.text, purpose="credential"),
        limits=who.limits,
        cidrs=() if parent is None else parent.cidrs,
        parent=None if parent is None else parent.id,
        owner_version=who.credential_version if parent is None else None,
        service=service.name,
        client=None if client is None else client[:MAX_CLIENT],
        expires_at=latest if who.expires_at is None else min(latest, who.expires_at),
    )
    async with deps.database.change(by) as change:
        if await find_service_record(change, service.name) is None:
            return None
        if await count_live_refresh_tokens(change, who.principal) >= MAX_LIVE:
            return None
        await insert_credential(change, record)
    return secret.text
