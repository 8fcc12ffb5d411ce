"""A decision that is remembered is made again once anything that it rests on is another."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from authsvc.core import canonical
from authsvc.core.entry_reader import EntryReader
from authsvc.core.replay_decision import NotReplayedError, Replay
from bench.generate_log import Shape
from tests.generated import generate

SHAPE = Shape(80, principals=1, projects=1, batch=16, policy_every=1_000)
Entries = list[dict[str, Any]]


@pytest.fixture
def entries(key_template: Path) -> Entries:
    """A log of one robot, whose decisions are of few shapes."""
    batches = generate(key_template, SHAPE).batches
    return [dict(canonical.decode(line.entry)) for batch in batches for line in batch.lines]


def first_refused(entries: Entries) -> int | None:
    """Replay entries; return the number of the first that is not what the rule says."""
    reader, replay = EntryReader(canonical.decode), Replay()
    for seq, entry in enumerate(entries):
        try:
            replay.take(seq, reader.read(canonical.encode(entry)))
        except NotReplayedError:
            return seq
    return None


def at(entries: Entries, kind: str) -> int:
    """Return where the first entry of a kind is."""
    return next(seq for seq, entry in enumerate(entries) if entry["kind"] == kind)


def changed(entries: Entries, kind: str, **state: object) -> None:
    """Say something else in the state of the first entry of a kind."""
    entry = entries[at(entries, kind)]
    entry["state"] = {**entry["state"], **state}


def middle(entries: Entries) -> int:
    """Return a decision in the middle of the log that was made, in the same shape, before."""

    def is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
        return all(one.get(name) == other.get(name) for name in ("kind", "address", "grants"))

    return next(
        seq
        for seq in range(40, 80)
        if entries[seq]["kind"] == "token.issued"
        and any(is_same(entries[seq], entry) for entry in entries[:seq])
    )


def test_the_log_is_decided_as_it_says(entries: Entries) -> None:
    """What is not changed is replayed to its end."""
    assert first_refused(entries) is None


@pytest.mark.parametrize(
    ("kind", "name", "early"),
    [
        ("policy.binding.created", "expires_at", timedelta()),
        ("credential.created", "expires_at", timedelta(seconds=5)),
    ],
)
def test_what_expires_decides_no_more(entries: Entries, kind: str, name: str, early: timedelta) -> None:
    """A remembered decision ends with the binding or the credential that it rests on, to the microsecond."""
    seq = middle(entries)
    end = entries[seq]["time"] - early // timedelta(microseconds=1)
    changed(entries, kind, **{name: end})
    assert first_refused(entries) == seq
    changed(entries, kind, **{name: end + 1})
    entries[seq]["token"]["exp"] = (entries[seq]["time"] + 60_000_000) // 1_000_000
    after = next(n for n in range(seq + 1, 80) if entries[n]["kind"] == "token.issued")
    assert first_refused(entries) == after


def test_what_begins_later_decides_no_earlier(entries: Entries) -> None:
    """A binding with a beginning gives nothing before it, whatever was decided after."""
    seq = middle(entries)
    changed(entries, "policy.binding.created", not_before=entries[at(entries, "token.issued")]["time"])
    assert first_refused(entries) is None
    entries[seq]["time"] = entries[at(entries, "token.issued")]["time"] - 1
    seconds = entries[seq]["time"] // 1_000_000
    entries[seq]["token"] |= {"nbf": seconds - 10, "exp": seconds + 300}
    assert first_refused(entries) == seq


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("policy.role.changed", {"permissions": []}),
        ("policy.binding.changed", {"services": ["another"]}),
        ("policy.binding.deleted", {}),
        ("policy.robot.changed", {"disabled": True}),
        ("policy.service.changed", {"issuer": "another"}),
        ("policy.project.deleted", {}),
        ("credential.revoked", {}),
        ("credential.created", {"limits": []}),
        ("credential.created", {"cidrs": ["192.0.2.0/24"]}),
        ("key.changed", {"state": "retired"}),
    ],
)
def test_what_policy_takes_away_decides_no_more(
    entries: Entries, kind: str, changes: dict[str, object]
) -> None:
    """After a change of anything that a remembered decision rests on, the next of its shape is refused."""
    seq = middle(entries)
    created = kind.rpartition(".")[0] + ".created"
    used = entries[at(entries, "policy.binding.created")]["state"]["role"]
    source = next(
        e for e in entries if e["kind"] == created and ("role" not in kind or e["state"]["name"] == used)
    )
    made = {**source, "kind": kind, "time": entries[seq]["time"], "nonce": "changed"}
    made["state"] = {**source["state"], **changes}
    after = [*entries[:seq], made, *entries[seq:]]
    moves = kind != "credential.created"
    for entry in after[seq + 1 :]:
        if entry["kind"] == "token.issued" and moves:
            entry["revision"] = seq
    assert first_refused(after) == seq + 1


def test_another_s_change_takes_nothing_away(entries: Entries) -> None:
    """After a change of what decisions do not rest on, they are what they were, and must name the new revision."""
    seq = middle(entries)
    source = entries[at(entries, "policy.project.created")]
    other = {**source["state"], "project": "another", "id": "another"}
    made = {**source, "state": other, "time": entries[seq]["time"], "nonce": "changed"}
    after = [*entries[:seq], made, *entries[seq:]]
    assert first_refused(after) == seq + 1
    for entry in after[seq + 1 :]:
        if entry["kind"] == "token.issued":
            entry["revision"] = seq
    assert first_refused(after) is None
