"""Routes of users, their personal access tokens and their sessions (refresh tokens), and of oneself."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from authsvc.core.credential import CredentialKind
from authsvc.faces.admin.exchange import (
    ActorDep,
    DepsDep,
    VersionsDep,
    answer_created,
    answer_nothing,
    answer_one,
    answer_page,
    asked_of,
)
from authsvc.faces.admin.paths import Id, UserName
from authsvc.faces.admin.queries import Sessions, Tokens, Users
from authsvc.faces.admin.strict_route import StrictRoute
from authsvc.faces.answers import MeView, NewTokenView, PageView, SessionView, TokenView, UserView
from authsvc.faces.models import NewTokenBody, NewUserBody, PasswordBody, UserPatch
from authsvc.faces.views import view_session, view_token, view_user
from authsvc.operations import administer_tokens, administer_users
from authsvc.operations.administer_tokens import NewToken
from authsvc.operations.administer_users import NewUser
from authsvc.operations.describe_me import describe_me

router = APIRouter(route_class=StrictRoute)


@router.post("/users", response_model=UserView, status_code=201, tags=["users"])
async def create_user(request: Request, deps: DepsDep, actor: ActorDep, body: NewUserBody) -> JSONResponse:
    """Create a user."""
    user = await administer_users.create_user(deps, actor, NewUser(**body.given()))
    return answer_created(request, user.name, view_user(user))


@router.get("/users", response_model=PageView[UserView], tags=["users"])
async def list_users(request: Request, deps: DepsDep, actor: ActorDep, query: Users) -> JSONResponse:
    """List users by name."""
    return answer_page(
        request, await administer_users.list_users(deps, actor, asked_of(request, query)), view_user
    )


@router.get("/users/{name}", response_model=UserView, tags=["users"])
async def read_user(deps: DepsDep, actor: ActorDep, name: UserName) -> JSONResponse:
    """Read a user."""
    user = await administer_users.get_user(deps, actor, name)
    return answer_one(view_user(user), version=user.version)


@router.patch("/users/{name}", response_model=UserView, tags=["users"])
async def change_user(
    deps: DepsDep, actor: ActorDep, versions: VersionsDep, name: UserName, body: UserPatch
) -> JSONResponse:
    """Change a user's e-mail address, display name or whether it is disabled."""
    user = await administer_users.change_user(deps, actor, name, body.given(), versions)
    return answer_one(view_user(user), version=user.version)


@router.delete("/users/{name}", status_code=204, tags=["users"])
async def delete_user(deps: DepsDep, actor: ActorDep, versions: VersionsDep, name: UserName) -> Response:
    """Delete a user with all credentials and bindings."""
    await administer_users.delete_user_named(deps, actor, name, versions)
    return answer_nothing()


@router.put("/users/{name}/password", status_code=204, tags=["users"])
async def set_password(
    deps: DepsDep, actor: ActorDep, versions: VersionsDep, name: UserName, body: PasswordBody
) -> Response:
    """Set a user's password; refresh tokens obtained with the old one end."""
    await administer_users.set_password(deps, actor, name, body.password, versions)
    return answer_nothing()


@router.post("/users/{name}/tokens", response_model=NewTokenView, status_code=201, tags=["tokens"])
async def create_token(
    request: Request, deps: DepsDep, actor: ActorDep, name: UserName, body: NewTokenBody | None = None
) -> JSONResponse:
    """Create a personal access token; `token` is shown this once."""
    body = body or NewTokenBody()
    limits = tuple(limit for scope in body.scopes for limit in scope)
    new = NewToken(body.label, body.expires_at, limits or None, tuple(body.cidrs))
    record, secret = await administer_tokens.create_token(deps, actor, name, new)
    return answer_created(request, record.id, {**view_token(record), "token": secret.text})


@router.get("/users/{name}/tokens", response_model=PageView[TokenView], tags=["tokens"])
async def list_tokens(
    request: Request, deps: DepsDep, actor: ActorDep, query: Tokens, name: UserName
) -> JSONResponse:
    """List a user's personal access tokens, without their secrets."""
    page = await administer_tokens.list_tokens(
        deps, actor, name, CredentialKind.PERSONAL, asked_of(request, query)
    )
    return answer_page(request, page, view_token)


@router.get("/users/{name}/tokens/{id}", response_model=TokenView, tags=["tokens"])
async def read_token(deps: DepsDep, actor: ActorDep, name: UserName, id: Id) -> JSONResponse:  # noqa: A002 - the path's name
    """Read a personal access token, without its secret."""
    token = await administer_tokens.get_token(deps, actor, name, CredentialKind.PERSONAL, id)
    return answer_one(view_token(token), version=token.version)


@router.delete("/users/{name}/tokens/{id}", status_code=204, tags=["tokens"])
async def delete_token(
    deps: DepsDep,
    actor: ActorDep,
    versions: VersionsDep,
    name: UserName,
    id: Id,  # noqa: A002 - the path's name
) -> Response:
    """Revoke a personal access token, and the refresh tokens obtained with it."""
    await administer_tokens.delete_token(deps, actor, name, CredentialKind.PERSONAL, id, versions)
    return answer_nothing()


@router.get("/users/{name}/sessions", response_model=PageView[SessionView], tags=["sessions"])
async def list_sessions(
    request: Request, deps: DepsDep, actor: ActorDep, query: Sessions, name: UserName
) -> JSONResponse:
    """List a user's refresh tokens: where `docker login` was done."""
    page = await administer_tokens.list_tokens(
        deps, actor, name, CredentialKind.REFRESH, asked_of(request, query)
    )
    return answer_page(request, page, view_session)


@router.get("/users/{name}/sessions/{id}", response_model=SessionView, tags=["sessions"])
async def read_session(deps: DepsDep, actor: ActorDep, name: UserName, id: Id) -> JSONResponse:  # noqa: A002 - the path's name
    """Read a refresh token, without its secret."""
    session = await administer_tokens.get_token(deps, actor, name, CredentialKind.REFRESH, id)
    return answer_one(view_session(session), version=session.version)


@router.delete("/users/{name}/sessions/{id}", status_code=204, tags=["sessions"])
async def delete_session(
    deps: DepsDep,
    actor: ActorDep,
    versions: VersionsDep,
    name: UserName,
    id: Id,  # noqa: A002 - the path's name
) -> Response:
    """Revoke a refresh token."""
    await administer_tokens.delete_token(deps, actor, name, CredentialKind.REFRESH, id, versions)
    return answer_nothing()


@router.get("/me", response_model=MeView, tags=["me"])
async def read_me(deps: DepsDep, actor: ActorDep) -> JSONResponse:
    """Say who you are, and what you hold where."""
    return answer_one(await describe_me(deps, actor))
