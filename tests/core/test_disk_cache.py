"""The cache on disk: what is kept comes back whole or not at all, whatever happens to files and processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcld_anim.core.disk_cache import HEADER, UNFINISHED, CacheKey, DamagedEntry, DiskCache

LIMIT = 50_000


def key(number: int) -> CacheKey:
    return CacheKey("things", {"number": number})


def keep(cache: DiskCache, number: int, size: int = 10_000) -> None:
    content = bytes([number % 256]) * size
    cache.keep(key(number), {"what": number}, lambda folder: (folder / "content").write_bytes(content) and None)


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "new" / "cache", LIMIT)


def test_what_is_kept_comes_back(cache: DiskCache) -> None:
    assert cache.find(key(1)) is None
    keep(cache, 1)
    entry = DiskCache(cache.folder, LIMIT).find(key(1))
    assert entry is not None
    assert (entry.kind, entry.fields, entry.about) == ("things", {"number": 1}, {"what": 1})
    assert entry.read("content") == entry.path("content").read_bytes() == b"\1" * 10_000
    assert cache.find(key(2)) is None
    assert not list(cache.folder.glob(f"{UNFINISHED}*"))


def test_keys_do_not_depend_on_the_order_of_fields() -> None:
    one, other = {"a": 1, "b": [1.5, None]}, {"b": [1.5, None], "a": 1}
    assert CacheKey("x", one).name == CacheKey("x", other).name != CacheKey("y", one).name
    assert CacheKey("x", one).name != CacheKey("x", {**one, "a": "1"}).name


def test_the_entry_of_a_quicker_process_stays(cache: DiskCache) -> None:
    keep(cache, 1)
    cache.keep(key(1), {"what": "late"}, lambda folder: pytest.fail("written again"))
    assert cache.find(key(1)).about == {"what": 1}  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["content", HEADER])
@pytest.mark.parametrize("damage", ["bit", "truncated", "missing", "empty"])
def test_damage_is_noticed(cache: DiskCache, name: str, damage: str) -> None:
    keep(cache, 1)
    file = cache.folder / key(1).name / name
    content = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    else:
        content[len(content) // 2] ^= 4
        file.write_bytes({"bit": content, "truncated": content[:-20], "empty": b""}[damage])
    with pytest.raises(DamagedEntry, match=name):
        cache.find(key(1)).read("content")  # type: ignore[union-attr]
    (state,) = cache.states()
    assert (state.entry is None) == (name == HEADER)
    cache.remove(key(1))
    assert cache.find(key(1)) is None


def test_what_was_not_used_for_the_longest_time_makes_room(cache: DiskCache) -> None:
    for number in range(4):
        keep(cache, number)
        time.sleep(0.02)
    assert cache.find(key(0)) is not None  # now the last used
    time.sleep(0.02)
    keep(cache, 4)
    assert [state.entry.fields["number"] for state in cache.states() if state.entry] == [4, 0, 3, 2]
    assert sum(state.bytes for state in cache.states()) <= LIMIT


def test_more_than_the_limit_is_not_kept_and_removes_nothing(cache: DiskCache) -> None:
    keep(cache, 1)
    keep(cache, 2, LIMIT + 1)
    assert [cache.find(key(number)) is not None for number in (1, 2)] == [True, False]


def test_a_failure_while_writing_leaves_nothing(cache: DiskCache) -> None:
    def write(folder: Path) -> None:
        (folder / "content").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.keep(key(1), {}, write)
    assert [path.name for path in cache.folder.iterdir() if path.is_dir()] == []


def test_clear_removes_everything_and_says_how_much(cache: DiskCache) -> None:
    assert cache.clear() == 0
    assert not cache.folder.exists()
    for number in range(3):
        keep(cache, number)
    assert 30_000 < cache.clear() < 33_000
    assert cache.states() == []


WORKER = """
import random, sys
from pathlib import Path
from mcld_anim.core.disk_cache import CacheKey, DiskCache

seed, turns = int(sys.argv[2]), int(sys.argv[3])
cache, chance = DiskCache(Path(sys.argv[1]), 50_000), random.Random(seed)
for turn in range(turns):
    number = chance.randrange(12)
    key, content = CacheKey("things", {"number": number}), bytes([number]) * 10_000
    try:
        entry = cache.find(key)
        if entry is not None:
            assert entry.read("content") == content
            continue
    except FileNotFoundError:
        continue  # removed meanwhile
    cache.keep(key, {}, lambda folder: (folder / "content").write_bytes(content))
    print(turn, flush=True)
"""


def test_processes_share_it_and_one_of_them_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "cache"

    def start(seed: int, turns: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WORKER, str(folder), str(seed), str(turns)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    doomed, others = start(0, 1_000_000), [start(seed, 60) for seed in (1, 2)]
    assert doomed.stdout is not None
    doomed.stdout.readline()
    time.sleep(0.2)
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.communicate()
    for other in others:
        _, err = other.communicate(timeout=120)
        assert other.returncode == 0, err
    cache = DiskCache(folder, LIMIT)
    keep(cache, 100)  # removes what the killed one left unfinished
    assert not list(folder.glob(f"{UNFINISHED}*"))
    states = cache.states()
    assert states
    assert all(state.entry is not None for state in states)
    assert sum(state.bytes for state in states) <= LIMIT
