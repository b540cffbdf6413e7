"""A process that pauses before each call to an external service, and consists of its answers so far.

It is not suspended: it runs again from its beginning with the answers that it has had, up to the next call. So a
process is plain data, its world can be copied, and a kill means to drop it.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

WITHOUT_EFFECT = frozenset(("open", "has_version", "find_frame", "head"))
"""Calls that change nothing. (To look at a file and to read it decides what its name means.)"""


class Call(NamedTuple):
    """The next call to an external service: its name, and what it is about."""

    name: str
    about: str = ""


class Paused(BaseException):
    """The process has reached a call that is not decided yet. Like a kill, no code of ours may catch it."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.call = call


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call returned or raised; `mark` distinguishes it from other answers, except for times of the clock."""

    call: Call
    value: Any
    error: Exception | None
    mark: int

    @classmethod
    def to(cls, call: Call, value: Any, error: Exception | None) -> "Answer":
        """The answer to this call."""
        content = f"{type(error).__name__}: {error}" if error is not None else value
        try:
            mark = hash((call, None if call.name == "now" else content))
        except TypeError:  # a record
            mark = hash((call, repr(content)))
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
    """A listener, a worker or an operator, the message that it holds, and its answers so far."""

    name: str
    hand: Any
    answers: tuple[Answer, ...] = ()
    pending: Call | None = None

    def key(self, now: float) -> tuple[Any, ...]:
        """All that decides what it will do; times are relative to now."""
        answers = tuple(answer.value - now if answer.call.name == "now" else answer.mark for answer in self.answers)
        return self.hand.key(now), answers, self.pending

    @property
    def may_matter_dead(self) -> bool:
        """Whether a kill now differs from a kill before its last call, because that call changed something."""
        calls = [answer.call.name for answer in self.answers if answer.call.name != "now"]
        return not calls or calls[-1] not in WITHOUT_EFFECT

    @property
    def has_acknowledged(self) -> bool:
        """Whether it can no longer give back the message that it holds."""
        return any(answer.call.name == "ack" for answer in self.answers)


class Run:
    """One run of a process from its beginning: old answers, then one fresh call with the outcome that is chosen."""

    def __init__(self, process: Process, outcome: str | None) -> None:
        self.process = process
        self.only_sends = False  # what it reads now is only sent, and not looked at
        self._outcome = outcome
        self._answers = list(process.answers)
        self._position = 0
        self._paused: Call | None = None

    def call(
        self, call: Call, do: Callable[[str], Any], *, fails: Callable[[], Exception] = Exception, pauses: bool = True
    ) -> Any:
        """Make a call, or pause before it.

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
        """Run the body; returns the paused process, or None if it ended."""
        try:
            body(self)
        except Paused as paused:
            return replace(self.process, answers=tuple(self._answers), pending=paused.call)
        if self._paused is not None:
            raise AssertionError(f"{self.process.name} caught what no code may catch, before {self._paused}")
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
