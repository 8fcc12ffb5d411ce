"""Token protocol A8: the JWT, as registries verify it."""

import base64
import hashlib
import re
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authsvc.adapters.keys.identifiers import has_leading_zero_coordinate, thumbprint
from authsvc.adapters.keys.signing import generate, generate_p256
from authsvc.core.service import Algorithm, HeaderProfile
from tests.faces.realm import ALICE, Realm, assert_error, basic, new_name
from tests.faces.registry import RefusedError, Registry, decode_part, registry_for
from tests.world import ADMIN, ADMIN_PASSWORD, API, SERVICE

PUSH = "repository:acme/app:pull,push"
PROFILES = [
    (algorithm, header)
    for algorithm in Algorithm
    for header in HeaderProfile
    if (algorithm, header) != (Algorithm.EDDSA, HeaderProfile.LIBTRUST_KID)
]


async def service_with(realm: Realm, **fields: object) -> tuple[str, Registry]:
    """Register a service, and configure its registry with what is published for it."""
    name = await realm.add_service(new_name("registry.test:"), **fields)
    return name, await registry_for(realm.client, name, str(fields.get("issuer", "authsvc")))


async def token_of(
    realm: Realm, service: str = SERVICE, *scopes: str, by: tuple[str, str] | None = ALICE
) -> str:
    """Return a token."""
    response = await realm.world.ask(*scopes, by=by, service=service)
    token: str = response.json()["token"]
    return token


def header_of(token: str) -> dict[str, object]:
    """Return a token's header."""
    return decode_part(token.partition(".")[0])


def base32_name(der: bytes) -> str:
    """Return what libtrust makes of a public key, written out here from the protocol's own words."""
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(re.findall("....", text))


def der_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a key's SubjectPublicKeyInfo."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.item(101, 108)
@pytest.mark.parametrize(("algorithm", "header"), PROFILES)
async def test_a_token_is_a_compact_jws_with_a_plain_header(
    realm: Realm, algorithm: Algorithm, header: HeaderProfile
) -> None:
    """Three parts of unpadded base64url, no white space inside them, and a header of the members that registries expect."""
    service, registry = await service_with(realm, algorithm=algorithm, header=header)
    token = await token_of(realm, service, PUSH)
    parts = token.split(".")
    assert all(re.fullmatch("[A-Za-z0-9_-]+", part) for part in parts)
    for part in parts[:2]:
        text = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        assert not re.search(rb"[\r\n\t]|[:,] ", text)
    found = header_of(token)
    assert (found["typ"], found["alg"]) == ("JWT", algorithm)
    assert found.keys() == {"typ", "alg", "kid"} | ({"x5c"} if header is HeaderProfile.X5C else set())
    assert registry.verify(token, realm.clock())["sub"] == "alice"


@pytest.mark.item(102)
@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_the_algorithm_is_the_service_s(realm: Realm, algorithm: Algorithm) -> None:
    """Each service has one algorithm, ES256 unless it says otherwise; no other is offered, `none` and HMAC least of all."""
    service, registry = await service_with(realm, algorithm=algorithm)
    token = await token_of(realm, service)
    assert header_of(token)["alg"] == algorithm
    registry.verify(token, realm.clock())
    assert header_of(await token_of(realm))["alg"] == "ES256"
    for bad in ("none", "HS256", "PS256", "ES512", ""):
        await realm.world.api(
            "POST", "/services", {"name": new_name("x.test:"), "algorithm": bad}, expect=422
        )


@pytest.mark.item(101, 102)
@pytest.mark.parametrize("part", [0, 1, 2])
async def test_a_changed_token_is_refused_by_the_registry(realm: Realm, part: int) -> None:
    """The verification that these tests rest on notices a change anywhere, and another service's token."""
    _, registry = await service_with(realm)
    token = await token_of(realm, registry.service, PUSH)
    parts = token.split(".")
    middle = len(parts[part]) // 2
    swapped = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + swapped + parts[part][middle + 1 :]
    with pytest.raises((RefusedError, ValueError)):
        registry.verify(".".join(parts), realm.clock())
    with pytest.raises(RefusedError):
        registry.verify(await token_of(realm), realm.clock())
    with pytest.raises(RefusedError):
        registry.verify(token, realm.clock() + timedelta(minutes=10))


@pytest.mark.item(103, 107)
async def test_x5c_is_the_default_and_leads_to_the_bundle(realm: Realm) -> None:
    """The leaf is in standard base64, its key signed the token, the bundle's authority issued it, and it is in its dates."""
    token = await token_of(realm)
    header = header_of(token)
    assert isinstance(header["x5c"], list)
    chain = [
        x509.load_der_x509_certificate(base64.b64decode(str(text), validate=True)) for text in header["x5c"]
    ]
    registry = await registry_for(realm.client, SERVICE)
    registry.verify(token, realm.clock())
    [root] = registry.certificates
    chain[0].verify_directly_issued_by(root)
    for certificate in (*chain, root):
        after = realm.clock() + timedelta(minutes=6)
        assert certificate.not_valid_before_utc <= realm.clock() < after < certificate.not_valid_after_utc
    basic_constraints = chain[0].extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not basic_constraints.ca


@pytest.mark.item(103, 104)
async def test_a_libtrust_kid_names_the_key_in_bundle_and_key_set(realm: Realm) -> None:
    """The id is the vector's for the specification's key, and for ours what 2.8 computes from the bundle's certificate."""
    x = int.from_bytes(base64.urlsafe_b64decode("m7zUpx3b-zmVE5cymSs64POG9QcyEpJaYCD82-549_Q="))
    y = int.from_bytes(base64.urlsafe_b64decode("dU3biz8sZ_8GPB-odm8Wxz3lNDr1xcAQQPQaOcr1fmc="))
    sample = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    assert base32_name(der_of(sample)) == "PYYO:TEWU:V7JH:26JV:AQTZ:LJC3:SXVJ:XGHA:34F2:2LAQ:ZRMK:Z7Q6"
    service, registry = await service_with(realm, header="libtrust-kid")
    token = await token_of(realm, service)
    header = header_of(token)
    [certificate] = registry.certificates
    public_key = certificate.public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    assert header["kid"] == base32_name(der_of(public_key))
    assert "x5c" not in header
    registry.verify(token, realm.clock())


@pytest.mark.item(103, 105)
async def test_a_thumbprint_kid_is_the_rfc_s(realm: Realm) -> None:
    """The id is RFC 7638's, by the vector and by what the key set lists."""
    service, registry = await service_with(realm, header="thumbprint-kid", algorithm="RS256")
    token = await token_of(realm, service)
    key = registry.keys[str(header_of(token)["kid"])]
    canonical = f'{{"e":"{key["e"]}","kty":"RSA","n":"{key["n"]}"}}'
    digest = base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()
    assert header_of(token)["kid"] == digest
    registry.verify(token, realm.clock())


@pytest.mark.item(106)
def test_no_generated_key_has_two_thumbprints() -> None:
    """A P-256 key whose coordinates begin with a zero byte is made anew; and the check would see one."""
    public_keys = [generate_p256().public_key() for _ in range(300)]
    generated = generate(Algorithm.ES256).public_key()
    assert isinstance(generated, ec.EllipticCurvePublicKey)
    for key in (*public_keys, generated):
        numbers = key.public_numbers()
        assert min(numbers.x, numbers.y) >= 1 << 248
    raw = (ec.derive_private_key(scalar, ec.SECP256R1()).public_key() for scalar in range(1, 2000))
    short = next(key for key in raw if min(key.public_numbers().x, key.public_numbers().y) < 1 << 248)
    assert has_leading_zero_coordinate(short)
    assert len(thumbprint(short)) == 43


@pytest.mark.item(109)
@pytest.mark.parametrize("issuer", ["https://auth.test/token/", "Acme Inc", "auth.example.test"])
async def test_the_issuer_is_the_service_s_own(realm: Realm, issuer: str) -> None:
    """It is exactly what the service says, the realm's URL for Pulp too, and the setting's where it says nothing."""
    service, registry = await service_with(realm, issuer=issuer)
    assert registry.verify(await token_of(realm, service), realm.clock())["iss"] == issuer
    assert (await realm.claims(await realm.ask(by=ALICE)))["iss"] == "authsvc"


@pytest.mark.item(110, 111, 112, 115, 116, 118)
@pytest.mark.parametrize("by", [ALICE, None])
@pytest.mark.parametrize("scopes", [(), (PUSH,), ("repository:open/app:pull", PUSH, "registry:catalog:*")])
async def test_claims_have_exactly_the_types_that_registries_decode(
    realm: Realm, by: tuple[str, str] | None, scopes: tuple[str, ...]
) -> None:
    """Strings are strings, times integers, access a list of three members, and there is nothing else about anybody."""
    claims = decode_part((await token_of(realm, SERVICE, *scopes, by=by)).split(".")[1])
    types = {
        "iss": str,
        "sub": str,
        "aud": str,
        "exp": int,
        "nbf": int,
        "iat": int,
        "jti": str,
        "access": list,
    }
    assert {name: type(value) for name, value in claims.items()} == types
    assert (claims["aud"], claims["sub"]) == (SERVICE, "alice" if by else "")
    for entry in claims["access"]:
        assert {name: type(value) for name, value in entry.items()} == {
            "type": str,
            "name": str,
            "actions": list,
        }
        assert entry["actions"]


@pytest.mark.item(111)
async def test_the_subject_is_the_name_as_registered(realm: Realm) -> None:
    """However a name is typed, `sub` is the account's own spelling, for a robot with its project."""
    user, robot = new_name("Zoë.Case"), new_name("ci")
    await realm.world.api("POST", "/users", {"name": user, "password": "password-of-zoe"}, expect=201)
    for typed in (user, user.lower(), user.upper()):
        response = await realm.get(headers=basic(typed, "password-of-zoe"))
        assert (await realm.claims(response))["sub"] == user
    secret = await realm.world.add_robot("acme", robot)
    claims = await realm.claims(await realm.ask(by=(f"acme+{robot}", secret)))
    assert claims["sub"] == f"acme+{robot}"


@pytest.mark.item(112, 113, 114)
@pytest.mark.parametrize(("backdate", "ttl"), [(0, 60), (10, 300), (300, 86_400)])
async def test_times_are_whole_backdated_seconds(realm: Realm, backdate: int, ttl: int) -> None:
    """`nbf` and `iat` lie before the answer by the service's setting, `exp` behind it by the token's life."""
    service, registry = await service_with(realm, backdate_seconds=backdate, token_ttl_seconds=ttl)
    claims = registry.verify(await token_of(realm, service, PUSH), realm.clock())
    now = int(realm.clock().timestamp())
    assert (claims["nbf"], claims["iat"], claims["exp"]) == (now - backdate, now - backdate, now + ttl)


@pytest.mark.item(113, 114)
async def test_what_registries_would_refuse_cannot_be_set(realm: Realm) -> None:
    """By default tokens are backdated ten seconds and live five minutes; below a minute, or ahead of time, nothing goes."""
    claims = await realm.claims(await realm.ask(by=ALICE))
    assert (claims["iat"], claims["exp"]) == (claims["nbf"], claims["nbf"] + 10 + 300)
    for fields in ({"token_ttl_seconds": 59}, {"token_ttl_seconds": 86_401}, {"backdate_seconds": -1},
                   {"token_ttl_seconds": 60.5}):  # fmt: skip
        body = {"name": new_name("bad.test:"), **fields}
        await realm.world.api("POST", "/services", body, expect=422)


@pytest.mark.item(115)
async def test_every_token_s_id_is_its_place_in_the_log(realm: Realm) -> None:
    """DESIGN 6: `jti` is epoch, sequence number and nonce, never twice, also for the same request at the same time."""
    ids = [(await realm.claims(await realm.ask(PUSH, by=ALICE)))["jti"] for _ in range(5)]
    assert len(set(ids)) == len(ids)
    for id_ in ids:
        matched = re.fullmatch(r"[A-Za-z0-9-]+\.(\d+)\.([A-Za-z0-9_-]{8,})", id_)
        assert matched
        [(seq, event)] = await realm.world.events(jti=id_)
        assert seq == int(matched[1])
        assert (event["kind"], event["nonce"]) == ("token.issued", matched[2])


@pytest.mark.item(116, 117)
@pytest.mark.parametrize("scopes", [(), ("repository:nowhere/app:pull",), ("nonsense",)])
async def test_no_access_is_an_empty_list(realm: Realm, scopes: tuple[str, ...]) -> None:
    """Without anything granted `access` is [] and neither absent nor null, by GET, POST and refresh, for anybody."""
    refreshed = await realm.refresh(await realm.identity_token(), scope=" ".join(scopes))
    form = {"grant_type": "password", "username": "alice", "password": ALICE[1]}
    posted = await realm.world.post(None, **form, scope=" ".join(scopes))
    for response in (await realm.ask(*scopes, by=ALICE), await realm.ask(*scopes), refreshed, posted):
        payload = decode_part(response.json()["token"].split(".")[1])
        assert payload["access"] == []


@pytest.mark.item(118)
async def test_what_we_know_of_a_person_stays_here(realm: Realm) -> None:
    """Neither e-mail, display name, groups nor address is in a token."""
    user = new_name("pia")
    person = {
        "name": user,
        "password": "password-of-pia",
        "email": "pia@example.test",
        "display_name": "Pia P.",
    }
    await realm.world.api("POST", "/users", person, expect=201)
    token = await token_of(realm, SERVICE, PUSH, by=(user, "password-of-pia"))
    text = base64.urlsafe_b64decode(token.split(".")[1] + "==").decode()
    for known in ("pia@example.test", "Pia P.", "192.0.2.7"):
        assert known not in text


@pytest.mark.item(119)
@pytest.mark.parametrize(
    "name", ["open/app", "open/a.b_c__d-e---f", "open/" + "x" * 200, "open/deep/er/still/0"]
)
async def test_a_name_comes_back_byte_by_byte(realm: Realm, name: str) -> None:
    """What was asked is what is granted, unchanged, so that the registry's comparison of strings holds."""
    assert await realm.access(await realm.ask(f"repository:{name}:pull")) == [("repository", name, ["pull"])]


@pytest.mark.item(119, 41)
async def test_no_name_is_made_to_fit(realm: Realm) -> None:
    """A name in capitals or with spaces around is not turned into one that has access, nor gets `library/` before it."""
    for name in ("OPEN/app", "open/App", " open/app", "open/app/", "/open/app"):
        response = await realm.client.get(
            "/token", params={"service": SERVICE, "scope": f"repository:{name}:pull"}
        )
        entries = await realm.access(response)
        assert entries in ([], [("repository", name, ["pull"])])
    library = await realm.world.api(
        "POST", "/projects", {"name": "library", "visibility": "public"}, expect=201
    )
    assert library["name"] == "library"
    bare = await realm.access(await realm.ask("repository:busybox:pull", "repository:library/busybox:pull"))
    assert bare == [("repository", "busybox", ["pull"]), ("repository", "library/busybox", ["pull"])]


@pytest.mark.item(120, 61)
async def test_an_access_token_opens_nothing_here(realm: Realm) -> None:
    """It is no password, no refresh token and no bearer of the realm or the admin API, the administrator's own included."""
    admin = (ADMIN, ADMIN_PASSWORD)
    for user, by in (("alice", ALICE), (ADMIN, admin)):
        token = await token_of(realm, SERVICE, PUSH, by=by)
        for name in (user, "", "<token>"):
            assert_error(await realm.get(headers=basic(name, token)), 401)
            form = {"grant_type": "password", "username": name, "password": token}
            assert_error(await realm.world.post(None, **form), 401)
        assert_error(await realm.refresh(token), 401)
        assert_error(await realm.get(headers={"authorization": f"Bearer {token}"}), 401)
        for headers in ({"authorization": f"Bearer {token}"}, basic(user, token)):
            for path in ("/me", "/users", "/projects"):
                response = await realm.client.get(API + path, headers=headers)
                assert response.status_code == 401
