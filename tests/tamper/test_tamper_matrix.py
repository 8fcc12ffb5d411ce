"""The tamper matrix on the verifier itself: CAMPAIGN=full runs 100,000 changes, and as many clean logs."""

import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from authsvc.adapters.canonical_json import decode
from authsvc.core.entry_reader import EntryReader
from authsvc.core.note import Checkpoint, NoteError, VerifierKey
from authsvc.core.replay_decision import Replay
from authsvc.core.verified import Known, TamperedError, Verified
from authsvc.core.verify import START, BatchRow, Verifier
from authsvc.operations.read_checkpoint import CheckpointReader
from authsvc.operations.verify_audit import by_size
from bench.generate_log import Shape
from tests.generated import Generated, Row, generate

CASES = 100_000 if os.environ.get("CAMPAIGN") == "full" else 1_500
LOGS = 24 if os.environ.get("CAMPAIGN") == "full" else 4
COLUMNS = ("time", "kind", "outcome", "actor", "projects", "repositories", "actions", "address")
ROW_FIELDS = ("seq", "entry", *COLUMNS)


@dataclass(slots=True)
class Bench:
    """One log with what verifies it quickly, over and over: notes that were read once are remembered."""

    log: Generated
    rows: list[Row]
    batches: list[BatchRow]
    reader: EntryReader = field(default_factory=lambda: EntryReader(decode))
    notes: dict[tuple[object, int], Checkpoint | NoteError] = field(default_factory=dict)

    def read_checkpoint(self, note: str, epoch: int) -> Checkpoint:
        """Read a note as the product does, once."""
        if (note, epoch) not in self.notes:
            keys = {self.log.epoch.number: VerifierKey(self.log.epoch.origin, self.log.trust.public)}
            try:
                self.notes[note, epoch] = CheckpointReader(keys)(note, epoch)
            except NoteError as error:
                self.notes[note, epoch] = error
        answer = self.notes[note, epoch]
        if isinstance(answer, NoteError):
            raise answer
        return answer

    def verify(self, batches: list[BatchRow], rows: list[Row], known: list[Known]) -> Verified:
        """Verify whole; raises TamperedError."""
        verifier = Verifier(self.read_checkpoint, self.reader, Replay(), by_size(known))
        _, found = verifier.verify(START, batches, rows)
        found.judge(known, [])
        return found

    def known(self, at: int) -> Known:
        """The checkpoint of a batch, kept elsewhere."""
        return Known(1, self.batches[at].size, self.batches[at].root)

    def start_of(self, seq: int) -> int:
        """Where the batch of an entry begins."""
        return next(batch.prev for batch in self.batches if batch.prev <= seq < batch.size)


def flip_bit(data: bytes, pick: Random) -> bytes:
    """Change one bit."""
    at = pick.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << pick.randrange(8)]) + data[at + 1 :]


def flipped(value: object, pick: Random) -> object:
    """Another value of the same type."""
    match value:
        case bytes():
            return flip_bit(value, pick)
        case str():
            at = pick.randrange(len(value) + 1)
            other = value[:at] + pick.choice("aZ0-_.") + value[at + pick.randrange(2) :]
            return other if other != value else value + "x"
        case int():
            return value + pick.choice((-1, 1, 7, 2**40, 86_400_000_000))
        case tuple():
            return pick.choice(((*value, "x"), value[1:] if value else ("x",), (*value[:-1], "other")))
        case _:
            return "192.0.2.1"


def with_field(row: Row, name: str, value: object) -> Row:
    """A row with one column changed."""
    if name == "seq":
        return row._replace(seq=value)  # type: ignore[arg-type]  # a superuser may have dropped NOT NULL
    if name == "entry":
        return row._replace(entry=value)  # type: ignore[arg-type]  # as above
    columns = list(row.columns)
    columns[COLUMNS.index(name)] = value
    return row._replace(columns=tuple(columns))


def value_of(row: Row, name: str) -> object:
    """One column of a row."""
    if name in ("seq", "entry"):
        return getattr(row, name)
    return row.columns[COLUMNS.index(name)]


@dataclass(slots=True)
class Case:
    """A log that is to be changed: where the change is, and what it was."""

    bench: Bench
    pick: Random
    rows: list[Row]
    batches: list[BatchRow]
    others: list[Bench]
    known: list[Known] = field(default_factory=list)
    what: str = ""
    at: int = 0
    """The first entry that is concerned, or the last of its batch."""
    low: int | None = None
    """The lowest number that may be told, where it is not the beginning of that batch."""

    def change_column(self) -> None:
        """Flip, null or swap one column of one row."""
        name, how = self.pick.choice(ROW_FIELDS), self.pick.choice(("flip", "null", "swap"))
        at = self.pick.randrange(len(self.rows))
        row, other = self.rows[at], self.pick.choice(self.rows)
        value = value_of(row, name)
        new = {"flip": flipped(value, self.pick), "null": None, "swap": value_of(other, name)}[how]
        if name == "seq" and (not isinstance(new, int) or new < 0):
            del self.rows[at]  # within no range, and so never read with the log's rows
        else:
            self.rows[at] = with_field(row, name, new)
        self.rows.sort(key=lambda each: each.seq)  # as the database returns them
        self.what = f"log.{name} {how}" if new != value else ""
        first = at if not isinstance(new, int) or name != "seq" else min(at, new)
        self.at = max(first, 0)

    def change_batch(self) -> None:
        """Flip, null or swap one column of one batch."""
        name, how = self.pick.choice(BatchRow._fields), self.pick.choice(("flip", "null", "swap"))
        at = self.pick.randrange(len(self.batches))
        batch, other = self.batches[at], self.pick.choice(self.batches)
        value = getattr(batch, name)
        new = {"flip": flipped(value, self.pick), "null": None, "swap": getattr(other, name)}[how]
        self.batches[at] = batch._replace(**{name: new})
        self.batches.sort(key=lambda each: (each.prev is None, each.prev or 0))
        self.what = f"batches.{name} {how}" if new != value else ""
        self.at = batch.size - 1
        if name == "prev" and isinstance(new, int):  # it now stands in another place
            self.low = self.bench.start_of(max(0, min(new, batch.prev)))

    def change_claim(self) -> None:
        """Let one batch claim to be of more entries than it is, or of fewer."""
        at = self.pick.randrange(len(self.batches))
        batch, more = self.batches[at], self.pick.choice((-1, 1, 7, 10**6, 10**9, 2**31 - 1))
        self.batches[at] = batch._replace(size=batch.size + more, entries=batch.entries + more)
        self.what, self.at = f"batches claim {more:+}", batch.size - 1

    def change_rows(self) -> None:
        """Delete, double, insert, exchange or move whole rows; the tail, too."""
        how = self.pick.choice(("delete", "double", "insert", "exchange", "reorder", "partition", "move"))
        one, two = sorted(self.pick.sample(range(len(self.rows)), 2))
        first, second = self.rows[one], self.rows[two]
        self.what, self.at = f"log rows {how}", one
        match how:
            case "delete":
                del self.rows[one]
            case "double":
                self.rows.insert(one, first)
            case "insert":
                fake = dict(decode(first.entry)) | {"nonce": "forged"}
                self.rows.append(first._replace(seq=len(self.rows), entry=repr(fake).encode()))
                self.at = len(self.rows) - 1
            case "exchange":
                self.rows[one], self.rows[two] = second._replace(seq=one), first._replace(seq=two)
            case "reorder":
                self.rows[one], self.rows[two] = second, first
            case "partition":
                del self.rows[one : two + 1]
            case _:
                self.rows = [*self.rows[:one], *self.rows[two:]]

    def change_batches(self) -> None:
        """Delete, double or exchange whole batches."""
        how = self.pick.choice(("delete", "double", "exchange"))
        one, two = sorted(self.pick.sample(range(len(self.batches)), 2))
        self.what, self.at = f"batches rows {how}", self.batches[one].size - 1
        match how:
            case "delete":
                del self.batches[one]
                if one == len(self.batches):
                    self.known.append(self.bench.known(one))
            case "double":
                self.batches.insert(one, self.batches[one])
                self.at = self.batches[one].size
            case _:
                self.batches[one], self.batches[two] = self.batches[two], self.batches[one]

    def roll_back(self) -> None:
        """Take batches and their rows off the end, as a restored backup does; a checkpoint of what was there is kept."""
        kept = self.pick.randrange(len(self.batches))
        self.known = [self.bench.known(self.pick.randrange(kept, len(self.batches)))]
        self.at = self.batches[kept].prev
        del self.batches[kept:]
        del self.rows[self.at :]
        self.what = "rolled back"

    def fork(self) -> None:
        """Put another log in its place, signed by the same key; a checkpoint of the one that was there is kept."""
        at = self.pick.randrange(len(self.batches))
        self.known = [self.bench.known(at)]
        other = self.pick.choice([each for each in self.others if each is not self.bench])
        self.rows, self.batches = list(other.rows), list(other.batches)
        self.low, self.at, self.what = 0, min(self.known[0].size, len(self.rows)), "forked"

    def graft(self) -> None:
        """Join the beginning of one log with the end of another, all signed by the same key."""
        other = self.pick.choice([each for each in self.others if each is not self.bench])
        at = self.pick.randrange(1, min(len(self.batches), len(other.batches)))
        self.at = self.batches[at].size - 1
        start = self.batches[at].prev
        self.rows = [*self.rows[:start], *other.rows[start:]]
        self.batches = [*self.batches[:at], *other.batches[at:]]
        self.what = "grafted"


@pytest.fixture(scope="module")
def benches(key_template: Path) -> list[Bench]:
    """Some logs of different shapes, all signed with the same key."""
    made = []
    for seed in range(LOGS):
        shape = Shape(
            60 + 7 * seed, seed=seed, principals=4 + seed % 5, projects=3, batch=3 + seed % 8, policy_every=9
        )
        log = generate(key_template, shape)
        made.append(Bench(log, log.log_rows(), log.batch_rows()))
    return made


@pytest.mark.timeout(7200)
def test_every_change_is_found_at_its_place(benches: list[Bench]) -> None:
    """Whatever is changed is told, with a number in the batch concerned that is not beyond the first entry that is wrong."""
    found: Counter[str] = Counter()
    for number in range(CASES):
        pick = Random(number)
        bench = pick.choice(benches)
        case = Case(bench, pick, list(bench.rows), list(bench.batches), benches)
        ways: list[Callable[[], None]] = [
            case.change_column, case.change_column, case.change_batch, case.change_claim, case.change_rows,
            case.change_batches, case.roll_back, case.fork, case.graft,
        ]  # fmt: skip
        pick.choice(ways)()
        if not case.what:
            continue
        with pytest.raises(TamperedError) as told:
            bench.verify(case.batches, case.rows, case.known)
        low = bench.start_of(min(case.at, len(bench.rows) - 1)) if case.low is None else case.low
        assert low <= told.value.seq <= case.at, (number, case.what, case.at, told.value)
        found[case.what] += 1
    _report(f"{sum(found.values()):,} changes, all found: {dict(sorted(found.items()))}")
    assert len(found) > 50


@pytest.mark.timeout(7200)
def test_no_clean_log_is_accused(benches: list[Bench]) -> None:
    """Every beginning of a log is proved, with every checkpoint of it that was kept elsewhere."""
    for number in range(CASES):
        pick = Random(number)
        bench = pick.choice(benches)
        kept = pick.randrange(len(bench.batches)) + 1
        known = [bench.known(pick.randrange(kept)) for _ in range(pick.randrange(3))]
        size = bench.batches[kept - 1].size
        found = bench.verify(bench.batches[:kept], bench.rows[:size], known)
        assert (found.size, found.root) == (size, bench.batches[kept - 1].root)
    _report(f"{CASES:,} clean logs, none accused")


def _report(line: str) -> None:
    """Show a figure of the campaign, with pytest's -s."""
    sys.stdout.write(f"\n{line}\n")
