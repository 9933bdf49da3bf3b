"""How deep a pickle is nested, found without loading it.

Python hashes nested tuples by recursion in C, without a limit: a pickle of 3 MB whose key is nested three million deep
ends the process. And its unpickler makes room for the highest number of a memo entry, however few there are.
"""

from __future__ import annotations

import io
import mmap
import pickle
import pickletools
from collections.abc import Sequence
from typing import IO, cast

MOST_DEPTH = 100
"""Deepest nesting. Weights have about ten levels: dictionaries, and what an array is rebuilt from."""

_SAME_OBJECT = frozenset({"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"})
"""Opcodes that add to the object below what they take."""
_NO_VALUE = (pickletools.markobject, pickletools.stackslice)


def check_depth(stream: io.BufferedIOBase | mmap.mmap) -> None:
    """Read one pickle of a stream to its end. Raises UnpicklingError if it is too deep, or no pickle."""
    stack: list[int] = []  # the depth of each value
    marks: list[int] = []
    memo: dict[int, int] = {}
    try:
        for opcode, argument, _ in pickletools.genops(cast(IO[bytes], stream)):
            if opcode.name == "MARK":
                marks.append(len(stack))
            elif opcode.name.endswith("PUT") or opcode.name == "MEMOIZE":
                _remember(memo, argument, stack[-1])
            elif opcode.name.endswith("GET"):
                stack.append(memo[argument])  # type: ignore[index]
            else:
                _apply(opcode, stack, marks)
    except (IndexError, KeyError, ValueError) as error:
        raise pickle.UnpicklingError(f"it is no pickle ({error})") from error


def _remember(memo: dict[int, int], argument: int | None, depth: int) -> None:
    number = len(memo) if argument is None else argument
    if number > 2 * len(memo) + 1000:  # they are counted upwards
        raise pickle.UnpicklingError(f"it has a memo entry {number} after {len(memo)}")
    memo[number] = depth


def _apply(opcode: pickletools.OpcodeInfo, stack: list[int], marks: list[int]) -> None:
    """Take the values of an opcode from the stack, and put its results there."""
    taken: Sequence[int] = ()
    if pickletools.markobject in opcode.stack_before:
        place = marks.pop()
        taken = stack[place:]
        del stack[place:]
    single = sum(part not in _NO_VALUE for part in opcode.stack_before)
    below = stack[len(stack) - single :]
    del stack[len(stack) - single :]
    if opcode.name == "DUP":
        results = below * 2
    elif opcode.name in _SAME_OBJECT:
        results = [max(below[0], 1 + max([*taken, *below[1:]], default=0))]
    else:
        results = [1 + max([*taken, *below], default=-1)] * len(opcode.stack_after)
    if max(results, default=0) > MOST_DEPTH:
        raise pickle.UnpicklingError(f"it is nested more than {MOST_DEPTH} deep")
    stack += results
