"""Ours with other settings, which shows what its checks cost."""

from typing import get_args

from benchmarks.contender import Contender
from lco_ingester.settings import Settings


def variants_of(texts: list[str] | None) -> list[Contender]:
    """The variants that were asked for, `NAME:VARIABLE=VALUE,…` each; None: one for each value of VALIDATION.

    Raises ValueError for a text of another form, or a variable that is no setting and would change nothing.
    """
    return _of_validation() if texts is None else [parsed(text) for text in texts]


def parsed(text: str) -> Contender:
    """One variant."""
    name, colon, assignments = text.partition(":")
    pairs = [assignment.partition("=") for assignment in assignments.split(",")]
    if not (name and colon) or not all(equals for _, equals, _ in pairs):
        raise ValueError(f"a variant is NAME:VARIABLE=VALUE[,VARIABLE=VALUE…], not {text!r}")
    unknown = [variable for variable, _, _ in pairs if variable.lower() not in Settings.model_fields]
    if unknown:
        raise ValueError(f"no such setting: {', '.join(unknown)}")
    return Contender(f"ours, {name}", "ours", {variable: value for variable, _, value in pairs})


def _of_validation() -> list[Contender]:
    field = Settings.model_fields.get("validation")
    values = get_args(field.annotation) if field is not None else ()
    return [parsed(f"{value}:VALIDATION={value}") for value in values]
