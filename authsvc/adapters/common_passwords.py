"""The passwords that many choose, from the file beside this one, which says where they are from."""

from importlib.resources import files

COMMENT = "#"


def read_common_passwords() -> frozenset[str]:
    """Return them, in lower case; there are some 22,000, and they are read once a process."""
    text = files("authsvc.adapters").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.split("\n") if line and not line.startswith(COMMENT))
