"""An iterator that works ahead in a thread of its own, so that its work overlaps with that of whoever reads it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from queue import Empty, SimpleQueue
from threading import Event, Semaphore, Thread
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item], room: int) -> Generator[Item]:
    """The items in order; up to `room` of them are made, by one thread, before they are asked for.

    What `items` raises is raised here, after the items before it. Closing the generator, or an exception in the block
    that reads it, waits for the item in work, and closes `items` if it is a generator.
    """
    made: SimpleQueue[Item | _End] = SimpleQueue()
    free, stopped = Semaphore(room), Event()

    def work() -> None:
        end = _End(None)
        try:
            while True:
                free.acquire()
                if stopped.is_set():
                    break
                made.put(next(items))
        except StopIteration:
            pass
        except BaseException as error:  # it belongs to the reader
            end = _End(error)
        made.put(end)

    thread = Thread(target=work, name="mcld-anim ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := _waited(made), _End):
            free.release()
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        free.release()
        thread.join()
        if isinstance(items, Generator):
            items.close()


class _End:
    """The end of the items, or the exception that ended them."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def _waited(made: SimpleQueue[Item | _End]) -> Item | _End:
    """The next item. On Windows a wait without an end could not be interrupted by Ctrl-C."""
    while True:
        try:
            return made.get(timeout=0.5)
        except Empty:
            continue
