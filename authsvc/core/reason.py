"""The closed vocabulary of why an action was allowed or refused."""

from enum import StrEnum


class Reason(StrEnum):
    """Why an action was allowed (the first three) or refused; `MEANINGS` says each to a person."""

    BINDING = "binding"
    PUBLIC = "public"
    INTERNAL = "internal"
    NO_BINDING = "no_binding"
    ROLE = "role"
    PATTERN = "pattern"
    EXPIRED = "expired"
    NOT_YET = "not_yet"
    ADDRESS = "address"
    SERVICE = "service"
    OUTSIDE_LIMITS = "outside_limits"
    HELD = "held"
    DISABLED = "disabled"
    UNKNOWN_ACCOUNT = "unknown_account"
    UNKNOWN_PROJECT = "unknown_project"
    UNKNOWN_TYPE = "unknown_type"
    MALFORMED_NAME = "malformed_name"
    MALFORMED_SCOPE = "malformed_scope"


MEANINGS = {
    Reason.BINDING: "the binding allows it",
    Reason.PUBLIC: "the project is public: anyone may pull",
    Reason.INTERNAL: "the project is internal: whoever signs in may pull",
    Reason.NO_BINDING: "nothing that holds now is bound here",
    Reason.ROLE: "the binding is about this place, but its role does not allow the action",
    Reason.PATTERN: "the binding allows the action, but on other repositories of the project",
    Reason.EXPIRED: "the binding, or the credential, has ended",
    Reason.NOT_YET: "the binding does not hold yet",
    Reason.ADDRESS: "the binding, or the credential, does not hold for this address",
    Reason.SERVICE: "the binding does not hold for this service",
    Reason.OUTSIDE_LIMITS: "it is bound or visible, but the credential's limits leave it out",
    Reason.HELD: "it is bound or visible, but the repository is held",
    Reason.DISABLED: "the account is disabled",
    Reason.UNKNOWN_ACCOUNT: "there is no such account",
    Reason.UNKNOWN_PROJECT: "there is no such project",
    Reason.UNKNOWN_TYPE: "tokens are for repositories and the catalog only",
    Reason.MALFORMED_NAME: "this is no repository's name",
    Reason.MALFORMED_SCOPE: "this is no scope: write type:name:actions, as repository:acme/app:pull",
}
"""What each reason means, in a line; the README has them too."""
