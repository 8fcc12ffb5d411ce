"""Routes of users, their personal access tokens and their sessions (refresh tokens), and of oneself."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from authsvc.core.credential import CredentialKind
from authsvc.faces.admin.exchange import (
    ActorDep,
    AskedDep,
    DepsDep,
    VersionsDep,
    answer_nothing,
    answer_one,
    answer_page,
)
from authsvc.faces.models import NewTokenBody, NewUserBody, PasswordBody, UserPatch
from authsvc.faces.views import view_session, view_token, view_user
from authsvc.operations.administer_tokens import NewToken, create_token, delete_token, get_token, list_tokens
from authsvc.operations.administer_users import (
    NewUser,
    change_user,
    create_user,
    delete_user_named,
    get_user,
    list_users,
    set_password,
)
from authsvc.operations.describe_me import describe_me

router = APIRouter()


@router.post("/users", status_code=201, tags=["users"])
async def create(deps: DepsDep, actor: ActorDep, body: NewUserBody) -> JSONResponse:
    """Create a user."""
    user = await create_user(deps, actor, NewUser(**body.model_dump()))
    return answer_one(view_user(user), version=user.version, status=201)


@router.get("/users", tags=["users"])
async def list_all(request: Request, deps: DepsDep, actor: ActorDep, asked: AskedDep) -> JSONResponse:
    """List users by name."""
    return answer_page(request, await list_users(deps, actor, asked), view_user)


@router.get("/users/{name}", tags=["users"])
async def get(deps: DepsDep, actor: ActorDep, name: str) -> JSONResponse:
    """Read a user."""
    user = await get_user(deps, actor, name)
    return answer_one(view_user(user), version=user.version)


@router.patch("/users/{name}", tags=["users"])
async def change(
    deps: DepsDep, actor: ActorDep, versions: VersionsDep, name: str, body: UserPatch
) -> JSONResponse:
    """Change a user's e-mail address, display name or whether it is disabled."""
    user = await change_user(deps, actor, name, body.given(), versions)
    return answer_one(view_user(user), version=user.version)


@router.delete("/users/{name}", status_code=204, tags=["users"])
async def delete(deps: DepsDep, actor: ActorDep, versions: VersionsDep, name: str) -> Response:
    """Delete a user with all credentials and bindings."""
    await delete_user_named(deps, actor, name, versions)
    return answer_nothing()


@router.put("/users/{name}/password", status_code=204, tags=["users"])
async def put_password(deps: DepsDep, actor: ActorDep, name: str, body: PasswordBody) -> Response:
    """Set a user's password; refresh tokens obtained with the old one end."""
    await set_password(deps, actor, name, body.password)
    return answer_nothing()


@router.post("/users/{name}/tokens", status_code=201, tags=["tokens"])
async def create_personal(deps: DepsDep, actor: ActorDep, name: str, body: NewTokenBody) -> JSONResponse:
    """Create a personal access token; `token` is shown this once."""
    limits = tuple(limit for scope in body.scopes for limit in scope)
    new = NewToken(body.label, body.expires_at, limits or None, tuple(body.cidrs))
    record, secret = await create_token(deps, actor, name, new)
    return answer_one({**view_token(record), "token": secret.text}, status=201)


@router.get("/users/{name}/tokens", tags=["tokens"])
async def list_personal(
    request: Request, deps: DepsDep, actor: ActorDep, asked: AskedDep, name: str
) -> JSONResponse:
    """List a user's personal access tokens, without their secrets."""
    page = await list_tokens(deps, actor, name, CredentialKind.PERSONAL, asked)
    return answer_page(request, page, view_token)


@router.get("/users/{name}/tokens/{id}", tags=["tokens"])
async def get_personal(deps: DepsDep, actor: ActorDep, name: str, id: str) -> JSONResponse:  # noqa: A002 - the path's name
    """Read a personal access token, without its secret."""
    return answer_one(view_token(await get_token(deps, actor, name, CredentialKind.PERSONAL, id)))


@router.delete("/users/{name}/tokens/{id}", status_code=204, tags=["tokens"])
async def delete_personal(deps: DepsDep, actor: ActorDep, name: str, id: str) -> Response:  # noqa: A002 - the path's name
    """Revoke a personal access token, and the refresh tokens obtained with it."""
    await delete_token(deps, actor, name, CredentialKind.PERSONAL, id)
    return answer_nothing()


@router.get("/users/{name}/sessions", tags=["sessions"])
async def list_sessions(
    request: Request, deps: DepsDep, actor: ActorDep, asked: AskedDep, name: str
) -> JSONResponse:
    """List a user's refresh tokens: where `docker login` was done."""
    page = await list_tokens(deps, actor, name, CredentialKind.REFRESH, asked)
    return answer_page(request, page, view_session)


@router.get("/users/{name}/sessions/{id}", tags=["sessions"])
async def get_session(deps: DepsDep, actor: ActorDep, name: str, id: str) -> JSONResponse:  # noqa: A002 - the path's name
    """Read a refresh token, without its secret."""
    return answer_one(view_session(await get_token(deps, actor, name, CredentialKind.REFRESH, id)))


@router.delete("/users/{name}/sessions/{id}", status_code=204, tags=["sessions"])
async def delete_session(deps: DepsDep, actor: ActorDep, name: str, id: str) -> Response:  # noqa: A002 - the path's name
    """Revoke a refresh token."""
    await delete_token(deps, actor, name, CredentialKind.REFRESH, id)
    return answer_nothing()


@router.get("/me", tags=["me"])
async def me(deps: DepsDep, actor: ActorDep) -> JSONResponse:
    """Say who you are, and what you hold where."""
    return answer_one(await describe_me(deps, actor))
