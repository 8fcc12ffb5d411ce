"""What a violated constraint means to whoever asked for the change."""

from psycopg.errors import CheckViolation, ForeignKeyViolation, UniqueViolation
from sqlalchemy.exc import IntegrityError

_MESSAGES: dict[str, str] = {
    "users_name_key": "a user of this name exists",
    "users_name_key_key": "a user of this name exists, perhaps in other case",
    "groups_name_key": "a group of this name exists",
    "projects_name_key": "a project of this name exists",
    "robots_subject_key": "a robot of this name exists",
    "robots_project_id_name_key": "a robot of this name exists",
    "credentials_two_live": "two secrets live already: delete one first",
    "roles_pkey": "a role of this name exists",
    "service_names_pkey": "a service of this name or alias exists",
    "services_pkey": "a service of this name exists",
    "bindings_role_fkey": "there is no role of this name, or bindings still use it",
    "bindings_some_time": "not_before must be earlier than expires_at",
}


def describe_violation(error: IntegrityError) -> str:
    """Return what a violated constraint means to the caller, without the database's words, which hold values."""
    cause = error.orig
    if isinstance(cause, UniqueViolation | ForeignKeyViolation | CheckViolation):
        return _MESSAGES.get(cause.diag.constraint_name or "", "the change contradicts what is stored")
    return "the change contradicts what is stored"
