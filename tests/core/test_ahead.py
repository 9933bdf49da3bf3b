"""Work ahead in a thread: the same items in the same order, no further ahead than allowed, and nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from mcld_anim.core.ahead import ahead

PATIENCE = 20.0
"""Seconds until a test gives up."""


def test_items_come_in_order() -> None:
    assert list(ahead(iter(range(50)), 3)) == list(range(50))
    assert list(ahead(iter([]), 1)) == []


def test_the_next_item_is_made_while_this_one_is_read() -> None:
    begun = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number, event in enumerate(begun):
            event.set()
            yield number

    with closing(ahead(items(), 1)) as made:
        assert next(made) == 0
        assert begun[1].wait(PATIENCE)
        assert not begun[2].wait(0.2)  # no further ahead
        assert next(made) == 1
        assert begun[2].wait(PATIENCE)


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    made = ahead(items(), 4)
    assert next(made) == 1
    with pytest.raises(ValueError, match="the second"):
        next(made)


@pytest.mark.parametrize("read", [1, 3])
def test_a_reader_that_ends_early_leaves_no_thread_and_closes_the_items(read: int) -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.set()

    before = threading.active_count()
    with closing(ahead(items(), 2)) as made:
        assert [next(made) for _ in range(read)] == list(range(read))
    assert closed.is_set()
    assert threading.active_count() == before
