"""Shards: seed order, resuming to identical bytes, and no evaluation seeds."""

import subprocess
import sys
import time

import numpy as np
import pytest

from mcld_anim.core.errors import InputError, OutputError, UsageError
from mcld_anim.synthetic.dataset import SyntheticShards, render_person, write_face_shards, write_shards
from mcld_anim.synthetic.identity import FIRST_EVALUATION_SEED

SIZE, VIEWS = 32, 2


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_shards_hold_the_people_in_seed_order(tmp_path):
    calls = []
    write_shards(tmp_path, 40, 3, VIEWS, SIZE, on_person=lambda *counts: calls.append(counts), people_per_shard=2)
    shards = SyntheticShards(tmp_path)
    assert len(shards) == 3
    assert [shards.seed(person) for person in range(3)] == [40, 41, 42]
    assert calls == [(2, 3), (3, 3)]
    for person in range(3):
        pictures, iuvs = render_person(("people", 40 + person, VIEWS, SIZE))
        assert np.array_equal(shards.picture(person, 1), pictures[1])
        assert np.array_equal(shards.iuv(person, 0), iuvs[0])
    assert shards.picture(0, 0).shape == (SIZE, SIZE, 3)
    with pytest.raises(IndexError):
        shards.picture(3, 0)


def test_view_i_is_view_i_for_any_count():
    few, _ = render_person(("people", 8, 2, SIZE))
    more, _ = render_person(("people", 8, 4, SIZE))
    assert np.array_equal(few, more[:2])


def write_eight_people(folder):
    write_shards(folder, 0, 8, 1, SIZE, people_per_shard=2)


WRITE_EIGHT_PEOPLE = f"""
import sys
from pathlib import Path
from mcld_anim.synthetic.dataset import write_shards
write_shards(Path(sys.argv[1]), 0, 8, 1, {SIZE}, people_per_shard=2)
"""


def test_a_killed_writer_resumes_to_identical_bytes(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    writer = subprocess.Popen([sys.executable, "-c", WRITE_EIGHT_PEOPLE, str(killed)])
    first, last = killed / "shard_00000_iuv.npy", killed / "shard_00003_iuv.npy"
    deadline = time.monotonic() + 120
    while not first.is_file() and time.monotonic() < deadline:
        time.sleep(0.005)
    writer.kill()
    writer.wait()
    assert first.is_file()
    assert not last.is_file()
    last.with_name(last.name + ".part").write_bytes(b"half a file")
    write_eight_people(killed)
    write_eight_people(whole)
    assert contents(killed) == contents(whole)


def test_a_finished_shard_is_not_rendered_again(tmp_path):
    write_shards(tmp_path, 0, 1, 1, SIZE)
    picture = tmp_path / "shard_00000_pictures.npy"
    before = picture.stat().st_mtime_ns
    write_shards(tmp_path, 0, 1, 1, SIZE)
    assert picture.stat().st_mtime_ns == before


def test_workers_do_not_change_the_bytes(tmp_path):
    write_face_shards(tmp_path / "one", 5, 3, 1, SIZE)
    write_face_shards(tmp_path / "two", 5, 3, 1, SIZE, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert SyntheticShards(tmp_path / "two").picture(2, 0).shape == (SIZE, SIZE, 3)


def test_another_data_set_in_the_folder_is_refused(tmp_path):
    write_face_shards(tmp_path, 5, 1, 1, SIZE)
    with pytest.raises(OutputError, match="another data set"):
        write_face_shards(tmp_path, 6, 1, 1, SIZE)


@pytest.mark.parametrize("first", [FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED - 1])
def test_evaluation_seeds_are_refused(tmp_path, first):
    with pytest.raises(UsageError, match="reserved for evaluation"):
        write_shards(tmp_path / "data", first, 2, VIEWS, SIZE)
    assert not (tmp_path / "data").exists()


def test_a_folder_without_a_data_set_is_refused(tmp_path):
    with pytest.raises(InputError, match="synth data"):
        SyntheticShards(tmp_path)
