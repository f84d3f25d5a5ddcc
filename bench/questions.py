"""Seeded questions with the answers that the generated facts give."""

from dataclasses import dataclass
from random import Random

from bench.contest import Triple
from bench.synthesis import Tenancy
from qeetid_authz.engine.engine import Engine
from qeetid_authz.principal import Principal

COUNT = 1_000


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions, and the answer to each."""

    pairs: list[tuple[Principal, str]]
    answers: list[bool]

    @property
    def triples(self) -> list[Triple]:
        """Who, what, and the right answer."""
        return [
            (*pair, right) for pair, right in zip(self.pairs, self.answers, strict=True)
        ]

    def always(self, answer: object) -> list[Triple]:
        """The same, to somebody whose every answer is one and the same."""
        return [(*pair, answer) for pair in self.pairs]

    def verify(self, engine: Engine) -> None:
        """Ask each of them once.

        Raises:
            AssertionError: an answer isn't what the facts say.
        """
        for (principal, permission), answer in zip(
            self.pairs, self.answers, strict=True
        ):
            assert engine.can(principal, permission) is answer, (principal, permission)


def of_one(tenancy: Tenancy, seed: int) -> Questions:
    """The first user, asked about many keys, half of them held where there are enough."""
    return _ask(tenancy, Random(seed), [0] * COUNT)


def of_many(tenancy: Tenancy, seed: int) -> Questions:
    """As many users as questions, or all, one after the other."""
    random = Random(seed)
    users = range(len(tenancy.tenants[0].users))
    return _ask(tenancy, random, random.sample(users, min(COUNT, len(users))))


def _ask(tenancy: Tenancy, random: Random, users: list[int]) -> Questions:
    principals = {user: tenancy.principal(user) for user in users}
    held = {user: tenancy.held(user) for user in principals}
    sorted_held = {user: sorted(keys) for user, keys in held.items()}
    pairs, answers = [], []
    for user in users:
        wanted = sorted_held[user] if random.random() < 0.5 else []
        key = random.choice(wanted or tenancy.catalogue.permissions)
        pairs.append((principals[user], key))
        answers.append(key in held[user])
    return Questions(pairs, answers)
