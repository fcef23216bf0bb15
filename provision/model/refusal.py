"""What a model refused, in people's words: the key, the value, what belongs there. pydantic's own words are for us."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

LONGEST = 60
"""Characters of a value that are shown: what is longer is a key or a file, which nobody reads in a sentence."""

_CREDENTIALS = re.compile(r"//[^/@\s]*@")


def refusals(error: ValidationError, model: type[BaseModel] | None = None, prefix: str = "") -> tuple[str, ...]:
    """One phrase for each thing that a model refused.

    Args:
        error: what pydantic raised.
        model: whose fields they are; a field's description says what belongs there. None: nobody wrote them by hand.
        prefix: what stands before a field's name where a person wrote it (`kernel_64k_`).
    """
    fields = {} if model is None else model.model_fields
    return tuple(_refusal(problem, fields, prefix) for problem in error.errors(include_url=False))


def _refusal(problem: Mapping[str, Any], fields: Mapping[str, FieldInfo], prefix: str) -> str:
    path = [str(part) for part in problem["loc"]]
    key, kind = f"{prefix}{path[0]}" if path else "", problem["type"]
    if not path:
        return _own_words(problem)
    if kind == "missing":
        return f"{'.'.join([key, *path[1:]])} is missing"
    if kind == "extra_forbidden" and len(path) == 1:
        near = get_close_matches(path[0], list(fields), 1)
        return f"{key!r} is not a key" + (f", did you mean {prefix + near[0]!r}?" if near else "")
    joint = " holds " if path[1:] else "="
    return f"{key}{joint}{_shown(problem['input'])}: {_belongs(problem, fields.get(path[0]))}"


def _belongs(problem: Mapping[str, Any], field: FieldInfo | None) -> str:
    write = _PHRASES.get(problem["type"])
    if write is not None:
        return write(problem.get("ctx") or {}, problem["input"])
    if problem["type"] in _FORMS and field is not None and field.description:
        return f"it is not written as it must be: {field.description}"
    if problem["type"] in _FORMS:
        return "it has characters that have no place there, or is too long or too short"
    return _own_words(problem)


_FORMS = ("string_pattern_mismatch", "string_too_long", "string_too_short")
"""What a pattern says in its own language is said by the field's description in ours."""


def _words(context: Mapping[str, Any], value: object) -> str:
    """pydantic lists the words that a field takes as 'one', 'two' or 'three'."""
    words = re.findall(r"'([^']+)'", str(context.get("expected", "")))
    near = get_close_matches(str(value).lower(), words, 1) or _meant(value, words)
    return f"it must be one of {', '.join(words)}" + (f"; did you mean {near[0]!r}?" if near else "")


_SAME = {"arm64": "aarch64", "sbsa": "aarch64", "arm64-sbsa": "aarch64", "armv8": "aarch64", "amd64": "x86_64"}
"""What others call an architecture."""


def _meant(value: object, words: list[str]) -> list[str]:
    same = _SAME.get(str(value).lower(), "")
    return [same] if same in words else []


def _text(_context: Mapping[str, Any], value: object) -> str:
    is_plain = isinstance(value, int | float) and not isinstance(value, bool)
    return "a text belongs there" + (f", in quotes: '{value}'" if is_plain else "")


def _list(_context: Mapping[str, Any], value: object) -> str:
    return "a list belongs there" + (f": [{value!r}]" if isinstance(value, str) and len(value) <= LONGEST else "")


_PHRASES: Mapping[str, Callable[[Mapping[str, Any], object], str]] = {
    "literal_error": _words,
    "string_type": _text,
    "tuple_type": _list,
    "list_type": _list,
    "dict_type": lambda _context, _value: "names with values belong there, as in a dict",
    "int_type": lambda _context, _value: "a whole number belongs there",
    "int_parsing": lambda _context, _value: "a whole number belongs there",
    "int_from_float": lambda _context, _value: "a whole number belongs there",
    "bool_type": lambda _context, _value: "True or False belongs there",
    "bool_parsing": lambda _context, _value: "True or False belongs there",
    "too_short": lambda context, _value: f"at least {context['min_length']} must be in it",
    "greater_than_equal": lambda context, _value: f"it must be {context['ge']} or more",
    "greater_than": lambda context, _value: f"it must be more than {context['gt']}",
    "less_than_equal": lambda context, _value: f"it must be {context['le']} or less",
    "less_than": lambda context, _value: f"it must be less than {context['lt']}",
}


def _own_words(problem: Mapping[str, Any]) -> str:
    """Those of a check of ours; of pydantic's only what no phrase was written for."""
    return str(problem["msg"]).removeprefix("Value error, ")


def _shown(value: object) -> str:
    text = _CREDENTIALS.sub("//***@", repr(value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
