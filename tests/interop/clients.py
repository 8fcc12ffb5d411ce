"""Registry clients of two families as their users run them, and the images they move."""

import gzip
import hashlib
import io
import json
import re
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

from tests.interop.deployment import Account, Registry
from tests.interop.programs import Ended, environment, run

SKOPEO_DENIED = "denied: requested access to the resource is denied"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class Image:
    """A one-layer image in an OCI layout on disk, under the tag `1`."""

    layout: Path
    layer: str
    digest: str

    @property
    def reference(self) -> str:
        """How skopeo names it."""
        return f"oci:{self.layout}:1"


def make_image(folder: Path, name: str) -> Image:
    """Write an image whose blobs are nobody else's."""
    layout = folder / name
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def write(data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return f"sha256:{digest}"

    def describe(kind: str, digest: str) -> dict[str, str | int]:
        size = (blobs / digest.removeprefix("sha256:")).stat().st_size
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest, "size": size}

    content = f"the content of {name}\n".encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    layer = write(gzip.compress(archive.getvalue(), mtime=0))
    diff = f"sha256:{hashlib.sha256(archive.getvalue()).hexdigest()}"
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff]}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": describe("config.v1+json", write(json.dumps(config).encode())),
        "layers": [describe("layer.v1.tar+gzip", layer)],
    }
    digest = write(json.dumps(manifest).encode())
    named = {
        **describe("manifest.v1+json", digest),
        "annotations": {"org.opencontainers.image.ref.name": "1"},
    }
    (layout / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": [named]}), encoding="utf-8"
    )
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")
    return Image(layout, layer, digest)


@dataclass(frozen=True, slots=True)
class Skopeo:
    """skopeo of one person, whose logins are in `home`; `certificates` is a --cert-dir for https."""

    home: Path
    registry: Registry
    certificates: Path | None = None

    def run(self, *arguments: str, stdin: str = "") -> Ended:
        """Run `skopeo …`; its `err` is the message without the logger's frame and escapes."""
        command = ["skopeo", "--insecure-policy", *arguments]
        ended = run(command, env=environment(self.home), folder=self.home, stdin=stdin)
        framed = re.search(r'level=fatal msg=(".*")$', ended.err, re.MULTILINE)
        return ended if framed is None else replace(ended, err=json.loads(framed[1]))

    def login(self, account: Account) -> Ended:
        """Log in to the registry and remember it."""
        name, secret = account
        file = f"--authfile={self.home}/auth.json"
        return self.run(
            "login", *self._tls(""), file, "-u", name, "--password-stdin", self.registry.host, stdin=secret
        )

    def push(self, image: Image, repository: str, account: Account | None) -> Ended:
        """Push an image under the tag `1`; without an account as whoever is logged in."""
        who = self._who("dest", account)
        return self.run("copy", *self._tls("dest-"), *who, image.reference, self._name(repository))

    def pull(self, repository: str, account: Account | None, *, anonymous: bool = False) -> Ended:
        """Pull tag `1` into a new folder."""
        into = self.home / f"pulled-{len(list(self.home.glob('pulled-*')))}"
        who = ["--src-no-creds"] if anonymous else self._who("src", account)
        return self.run("copy", *self._tls("src-"), *who, self._name(repository), f"dir:{into}")

    def delete(self, repository: str, account: Account) -> Ended:
        """Delete the manifest of tag `1`."""
        return self.run("delete", *self._tls(""), f"--creds={':'.join(account)}", self._name(repository))

    def _name(self, repository: str) -> str:
        return f"docker://{self.registry.host}/{repository}:1"

    def _who(self, side: str, account: Account | None) -> list[str]:
        if account is None:
            return [f"--{side}-authfile={self.home}/auth.json"]
        return [f"--{side}-creds={':'.join(account)}"]

    def _tls(self, side: str) -> list[str]:
        if self.certificates is None:
            return [f"--{side}tls-verify=false"]
        return [f"--{side}cert-dir={self.certificates}"]


@dataclass(frozen=True, slots=True)
class Dxf:
    """The dxf command of one person; it sends credentials over https only."""

    home: Path
    registry: Registry
    certificate: Path

    def run(self, *arguments: str, by: Account | None = None) -> Ended:
        """Run `dxf …`; nobody is anonymous."""
        account = {} if by is None else {"DXF_USERNAME": by[0], "DXF_PASSWORD": by[1]}
        trust = {"DXF_TLSVERIFY": str(self.certificate), "REQUESTS_CA_BUNDLE": str(self.certificate)}
        env = environment(self.home, DXF_HOST=self.registry.host, DXF_PROGRESS="0", **trust, **account)
        return run(["dxf", *arguments], env=env, folder=self.home)
