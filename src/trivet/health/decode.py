# SPDX-License-Identifier: GPL-3.0-or-later
"""From plain JSON data to dataclasses, as strict as their types."""

from __future__ import annotations

import types
import typing
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, Union

_Facts = TypeVar("_Facts")


def decode(kind: Any, value: Any) -> Any:
    """Turn plain JSON data into ``kind``: a dataclass, tuple, dict, optional or scalar type.

    Raises:
        TypeError: a value is of another type, or a required key is missing.
    """
    origin = typing.get_origin(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _decode_dataclass(kind, value)
    if origin in (Union, types.UnionType):
        inner = [option for option in typing.get_args(kind) if option is not type(None)]
        return None if value is None else decode(inner[0], value)
    if origin is tuple:
        return _decode_tuple(typing.get_args(kind), value)
    if origin is dict:
        return {str(key): decode(typing.get_args(kind)[1], item) for key, item in _of(dict, value).items()}
    if kind is float:
        return float(_of((int, float), value))
    return _of(kind, value)


def _decode_dataclass(kind: type[_Facts], value: Any) -> _Facts:
    data = _of(dict, value)
    hints = typing.get_type_hints(kind)
    known = {item.name for item in fields(kind) if item.init}  # type: ignore[arg-type]
    return kind(**{name: decode(hints[name], data[name]) for name in known & data.keys()})


def _decode_tuple(arguments: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    items = _of((list, tuple), value)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(decode(arguments[0], item) for item in items)
    if len(items) != len(arguments):
        raise TypeError(f"{len(arguments)} values expected, {len(items)} found")
    return tuple(decode(kind, item) for kind, item in zip(arguments, items, strict=True))


def _of(kind: Any, value: Any) -> Any:
    # bool is an int to Python; in facts it never stands for a number.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        expected = kind.__name__ if isinstance(kind, type) else "/".join(option.__name__ for option in kind)
        raise TypeError(f"{expected} expected, {type(value).__name__} found")
    return value
