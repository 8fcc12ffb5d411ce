"""What can go wrong with keys, by cause; each text is one line without key material."""

from authsvc.core.errors import AuthsvcError, ConflictError, InvalidInputError, StartupError, UnavailableError


class UnsupportedKeyError(AuthsvcError):
    """The key is of a kind that no registry loads: not RSA, not EC on P-256, P-384 or P-521, not Ed25519."""


class KeyFolderError(StartupError):
    """The key folder cannot be used as it is; the text names the file and says what to do."""


class KeyNameError(KeyFolderError, InvalidInputError):
    """A service's name is too long for the name of a file; asked for over the API, it is the caller's fault."""


class ReadOnlyKeyFolderError(KeyFolderError, ConflictError):
    """Something must be written to the key folder, and it cannot be: rotation answers 409 with this text."""


class KeySelfTestError(StartupError, UnavailableError):
    """A registry would refuse what this key signs; the text names the key by its `kid_id` and the rule that failed.

    Found while serving, it is 503: there are no tokens until another key signs.
    """


class KeyExportError(ConflictError):
    """Nothing that the registry could load remains to be exported."""
