"""A process that stands still before each call to a neighbour, and is nothing but its answers so far.

It is not suspended: it is run again from its beginning with the answers that it has had, up to the call that is
next. So a process is plain data, the world it lives in can be copied, and a kill is to forget it.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

WITHOUT_EFFECT = frozenset(("open", "has_version", "find_frame", "head"))
"""Calls that change nothing. (To look at a file and to read it decides what its name means.)"""


class Call(NamedTuple):
    """A call to a neighbour that is next: its name, and what it is about."""

    name: str
    about: str = ""


class Paused(BaseException):
    """The process has come to a call that is not decided yet. Like a kill, nothing of ours may catch it."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.call = call


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call returned or raised; `mark` tells it from other answers, but for the times that the clock told."""

    call: Call
    value: Any
    error: Exception | None
    mark: int

    @classmethod
    def to(cls, call: Call, value: Any, error: Exception | None) -> "Answer":
        """The answer to this call."""
        told = f"{type(error).__name__}: {error}" if error is not None else value
        try:
            mark = hash((call, None if call.name == "now" else told))
        except TypeError:  # a record
            mark = hash((call, repr(told)))
        return cls(call, value, error, mark)

    def give(self) -> Any:
        """Return or raise it."""
        if self.error is not None:
            raise copy.copy(
                self.error
            )  # a fresh one: what is raised collects tracebacks, and a step may name its frame
        return self.value


@dataclass(frozen=True, slots=True)
class Process:
    """A listener, a worker or an operator with the message in its hand, and how far it has come."""

    name: str
    hand: Any
    answers: tuple[Answer, ...] = ()
    pending: Call | None = None

    def key(self, now: float) -> tuple[Any, ...]:
        """All that decides what it will do; times are told from now on."""
        answers = tuple(answer.value - now if answer.call.name == "now" else answer.mark for answer in self.answers)
        return self.hand.key(now), answers, self.pending

    @property
    def may_matter_dead(self) -> bool:
        """Whether a kill now is another one than a kill before its last call: that call changed something."""
        calls = [answer.call.name for answer in self.answers if answer.call.name != "now"]
        return not calls or calls[-1] not in WITHOUT_EFFECT

    @property
    def has_acknowledged(self) -> bool:
        """Whether what it holds is its own no more to give back."""
        return any(answer.call.name == "ack" for answer in self.answers)


class Run:
    """One run of a process from its beginning: old answers, then one fresh call with the outcome that is chosen."""

    def __init__(self, process: Process, outcome: str | None) -> None:
        self.process = process
        self.only_sends = False  # what it reads now is sent on, and nobody looks at it
        self._outcome = outcome
        self._answers = list(process.answers)
        self._position = 0
        self._paused: Call | None = None

    def call(
        self, call: Call, do: Callable[[str], Any], *, fails: Callable[[], Exception] = Exception, pauses: bool = True
    ) -> Any:
        """Make a call, or come to a stop before it.

        `do` gets the outcome: "" or "stale". "error" fails before anything is done, "lost" after it.
        """
        if self._position < len(self._answers):
            self._position += 1
            return self._answers[self._position - 1].give()
        if self._outcome is not None:
            outcome, self._outcome = self._outcome, None
        elif pauses:
            self._paused = call
            raise Paused(call)
        else:
            outcome = ""
        answer = self._made(call, outcome, do, fails)
        self._answers.append(answer)
        self._position += 1
        return answer.give()

    def finish(self, body: Callable[["Run"], None]) -> Process | None:
        """Run the body; the process as it then stands, or None if it came to its end."""
        try:
            body(self)
        except Paused as paused:
            return replace(self.process, answers=tuple(self._answers), pending=paused.call)
        if self._paused is not None:
            raise AssertionError(f"{self.process.name} caught what nothing may catch, before {self._paused}")
        return None

    @staticmethod
    def _made(call: Call, outcome: str, do: Callable[[str], Any], fails: Callable[[], Exception]) -> Answer:
        if outcome == "error":
            return Answer.to(call, None, fails())
        try:
            value = do(outcome)
        except Exception as error:  # a refusal
            return Answer.to(call, None, error)
        return Answer.to(call, None, fails()) if outcome == "lost" else Answer.to(call, value, None)
