"""Clients that ask for tokens at a rate, on kept connections that they open again, and judge every answer."""

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from time import perf_counter
from typing import Any

from bench.answers import LOST, Answers, Error
from bench.mixture import Ask, Mixture
from bench.running import Client
from bench.toggles import Admin, UnansweredError

NO_ANSWER = (OSError, EOFError, TimeoutError, ValueError)
LATE = 1.0
"""Seconds a client may be behind its schedule before it gives up what it has missed."""
KEPT = 20_000
"""Tokens of which the log is asked in the end."""
REQUESTS_EACH = 200
"""On one connection, about; so that workers that are new get theirs."""
PAUSE = 0.05
"""Seconds a client waits when it was not answered."""


@dataclass(slots=True)
class Traffic:
    """The clients of one installation, until `done`; `tokens` is a sample of what they were given, drawn evenly over the run."""

    port: int
    mixture: Mixture
    rate: float
    seed: int
    answers: Answers = field(default_factory=Answers)
    tokens: list[str] = field(default_factory=list)
    done: bool = False
    given: int = 0
    changed: int = 0
    _sampling: Random = field(default_factory=lambda: Random(1))
    _began: float = field(default_factory=perf_counter)

    def seconds(self) -> float:
        """Return how long it has been going on."""
        return perf_counter() - self._began

    async def ask_for_tokens(self, number: int, clients: int) -> None:
        """Be one of so many clients, from an address of its own."""
        random = Random(self.seed * 1000 + number)
        asks = self.mixture.draw(random, self.rate)
        client = Client(self.port, f"127.0.{1 + number // 250}.{1 + number % 250}")
        due = self.seconds() + random.random() * clients / self.rate
        while not self.done:
            await asyncio.sleep(max(0.0, due - self.seconds()))
            due = max(due + clients / self.rate, self.seconds() - LATE)
            if not await self._ask(client, asks):
                await asyncio.sleep(PAUSE)
            if random.randrange(REQUESTS_EACH) == 0:
                client.close()
        client.close()

    async def change_policy(self, admin: Admin, rate: float) -> None:
        """Flip a right again and again."""
        random = Random(self.seed)
        while not self.done:
            await asyncio.sleep(random.expovariate(rate))
            asked, status, what = self.seconds(), "2xx", ""
            try:
                await random.choice(self.mixture.toggles).flip(admin)
                self.changed += 1
            except UnansweredError as error:
                status, what = str(error.status), str(error)
            except NO_ANSWER as error:
                status, what = LOST, repr(error)
            answer = Error(asked, self.seconds(), "change", status, what)
            self.answers.note(answer, is_right=status == "2xx")
        admin.client.close()

    async def _ask(self, client: Client, asks: Iterator[Ask]) -> bool:
        """Ask once, and say whether there was an answer."""
        ask = next(asks)
        toggle = ask.toggle
        before = (True, 0) if toggle is None else (toggle.on, toggle.changes)
        asked = self.seconds()
        try:
            status, body = await self._answer(client, ask)
        except NO_ANSWER as error:
            self.answers.note(Error(asked, self.seconds(), ask.kind, LOST, repr(error)), is_right=False)
            return False
        changed = toggle is not None and toggle.changes != before[1]
        wrong = _fault_of(ask, None if changed else before[0], status, body)
        shown = str(status) if not wrong or status != ask.status else "wrong grant"
        self.answers.note(Error(asked, self.seconds(), ask.kind, shown, wrong), is_right=not wrong)
        if status == 200:
            self._keep(body["token"])
        return status != 503

    async def _answer(self, client: Client, ask: Ask) -> tuple[int, Any]:
        """Ask, a second time on a new connection when a kept one turns out to be closed, as clients do (RFC 9110 9.2.2)."""
        if client.is_open:
            try:
                return await client.ask("GET", ask.path, ask.authorization)
            except (ConnectionError, EOFError):
                self.answers.reopened += 1
        return await client.ask("GET", ask.path, ask.authorization)

    def _keep(self, token: str) -> None:
        """Keep a token with the same chance as every other."""
        self.given += 1
        if len(self.tokens) < KEPT:
            self.tokens.append(token)
        elif (at := self._sampling.randrange(self.given)) < KEPT:
            self.tokens[at] = token


def _fault_of(ask: Ask, on: bool | None, status: int, body: Any) -> str:
    """Return what is wrong with an answer, nothing if it is right; `on` None: the right changed meanwhile."""
    if ask.toggle is None:
        return "" if status == ask.status else str(body)
    off = ask.toggle.status_when_off
    if on is None:
        return "" if status in (200, off) else str(body)
    if status != (200 if on else off):
        return f"{ask.toggle} {body}"
    if status == 200 and bool(payload_of(body["token"])["access"]) != on:
        return f"{ask.toggle} {payload_of(body['token'])['access']}"
    return ""


def payload_of(token: str) -> dict[str, Any]:
    """Return a token's claims, unverified."""
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims
