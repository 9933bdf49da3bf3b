"""JSON and YAML from anywhere as plain data, within limits: whatever a text says, reading it ends soon, and none of its
values can break the code that uses it.

What is returned is nested at most `MOST_DEPTH` deep. YAML has at most `MOST_VALUES` values, with those of an anchor
counted at each of its repetitions; JSON has fewer values than characters. Whole numbers have at most 64 bits, and texts
can be file names: without NUL and without surrogates that stand for no byte.
"""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

MOST_DEPTH = 64
"""Deepest nesting. A model's configuration has four levels; Python's own recursion ends at about 300 of YAML."""
MOST_VALUES = 1_000_000
"""Keys and values of a YAML text. A manifest of 10,000 rows with ten options has 200,000; a million take 1 GB."""
MOST_JSON = 1_000_000
"""Longest JSON, in characters, where its reader sets no other limit."""
MOST_BITS = 64
"""Size of a whole number."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, ten times as fast, where PyYAML has it
_REFUSALS = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What PyYAML and `json` raise for a text they cannot read: for impossible dates, wrong tags, long numbers."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


class PlainDataError(ValueError):
    """A text is not plain data within the limits; the message is the reason, in one line."""


def parse_json(text: str, most: int = MOST_JSON, unique_keys: bool = False) -> Any:
    """The value of a JSON text of at most `most` characters. Raises PlainDataError."""
    if len(text) > most:
        raise PlainDataError(f"it has {len(text)} characters, more than {most}")
    try:
        value = json.loads(text, object_pairs_hook=_unique if unique_keys else None)
    except _REFUSALS as error:
        raise _refusal(error) from None
    _check(value, most)
    return value


def parse_yaml(text: str) -> Any:
    """The value of a YAML text; None if it is empty. Raises PlainDataError."""
    loader = _loader(text)
    try:
        node = loader.get_single_node()
        _measure(node, {})
        return None if node is None else _built(loader, node)
    except _REFUSALS as error:
        raise _refusal(error) from None
    finally:
        loader.dispose()


def yaml_items(text: str) -> Iterator[tuple[int, Any]]:
    """(line, value) of every item of a YAML list, from line 1; for an item that cannot be built, the value is its
    PlainDataError. Raises PlainDataError if the text is no list; an empty text has no items."""
    loader = _loader(text)
    try:
        node = loader.get_single_node()
        _measure(node, {})
    except _REFUSALS as error:
        raise _refusal(error) from None
    if node is not None and not isinstance(node, yaml.SequenceNode):
        raise PlainDataError("expected a list")
    for item in node.value if node is not None else ():
        yield item.start_mark.line + 1, _item(loader, item)


def shown(value: object) -> str:
    """A value in a message: as `repr`, but short, however long or nested it is."""
    try:
        return shortened(_SHORT.repr(value), 300)
    except ValueError:  # of a number beyond Python's limit of digits
        return "a number of thousands of digits"


def listed(names: Iterable[object]) -> str:
    """Names in a message, separated by commas; what is too long is cut short."""
    return shortened(", ".join(map(str, names)))


def shortened(text: str, most: int = 200) -> str:
    """A text in a message, cut after `most` characters."""
    return text if len(text) <= most else f"{text[:most]}..."


def _item(loader: Any, node: yaml.Node) -> Any:
    try:
        return _built(loader, node, unique_keys=True)
    except _REFUSALS as error:
        return _refusal(error)


def _refusal(error: BaseException) -> PlainDataError:
    if isinstance(error, PlainDataError):
        return error
    if isinstance(error, RecursionError):
        return PlainDataError(f"it is nested more than {MOST_DEPTH} deep")
    if "set_int_max_str_digits" in str(error):
        return PlainDataError("a number has thousands of digits")
    if isinstance(error, yaml.YAMLError | ValueError):
        return PlainDataError(shortened(" ".join(str(error).split()), 300))
    return PlainDataError("a value does not have the form that its tag states")


def _loader(text: str) -> Any:
    """A loader of a text whose nesting and number of values, before anchors are repeated, are within the limits."""
    depth = values = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            values += isinstance(event, yaml.NodeEvent)
            _check_limits(depth, values)
        return _LOADER(text)
    except _REFUSALS as error:
        raise _refusal(error) from None


def _built(loader: Any, node: yaml.Node, unique_keys: bool = False) -> Any:
    if unique_keys and isinstance(node, yaml.MappingNode):
        _unique([(key.value, None) for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
    value = loader.construct_document(node)
    _check(value, MOST_VALUES)
    return value


def _measure(node: yaml.Node | None, known: dict[int, tuple[int, int]], depth: int = 0) -> tuple[int, int]:
    """(values, levels) of a node with every anchor repeated; refuses one that holds itself, or too much."""
    if node is None:
        return 0, 0
    _check_limits(depth, 0)
    if id(node) not in known:
        parts = []
        if isinstance(node, yaml.SequenceNode):
            parts = [_measure(item, known, depth + 1) for item in node.value]
        elif isinstance(node, yaml.MappingNode):
            parts = [_measure(part, known, depth + 1) for pair in node.value for part in pair]
        values, levels = 1 + sum(part[0] for part in parts), 1 + max((part[1] for part in parts), default=0)
        _check_limits(levels - 1, values)
        known[id(node)] = values, levels
    return known[id(node)]


def _check_limits(depth: int, values: int, most: int = MOST_VALUES) -> None:
    if depth > MOST_DEPTH:
        raise PlainDataError(f"it is nested more than {MOST_DEPTH} deep")
    if values > most:
        raise PlainDataError(f"it has more than {most} values")


def _check(value: Any, most: int) -> None:
    """Refuse data beyond the limits of this module, or with more than `most` values."""
    waiting, count = [(value, 0)], 0
    while waiting:
        one, depth = waiting.pop()
        count += 1
        _check_limits(depth, count, most)
        if isinstance(one, str):
            _check_text(one)
        elif isinstance(one, int) and one.bit_length() > MOST_BITS:
            raise PlainDataError(f"a number has more than {MOST_BITS} bits")
        elif isinstance(one, dict):
            waiting += [(part, depth + 1) for pair in one.items() for part in pair]
        elif isinstance(one, list | tuple | set):
            waiting += [(part, depth + 1) for part in one]


def _check_text(text: str) -> None:
    if "\0" in text:
        raise PlainDataError("a text holds the character NUL")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise PlainDataError("a text holds half of a character (a lone surrogate)") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise PlainDataError(f"key {listed([key])} appears twice")
        found[key] = value
    return found
