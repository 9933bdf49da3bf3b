"""Findings: a bad one names its remedy, and a check that raises becomes one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mcld_anim.health.findings import Finding, as_json, can_run, run_checks


def good() -> Iterator[Finding]:
    yield Finding("a", "one", "ok", "fine")
    yield Finding("a", "two", "note", "not here", "install two")


def broken() -> Iterator[Finding]:
    yield Finding("b", "one", "ok", "fine")
    raise ImportError("libsomething.so:\n cannot open")


def test_a_bad_finding_needs_a_remedy() -> None:
    with pytest.raises(ValueError, match="a bad finding needs a remedy"):
        Finding("a", "b", "bad", "broken")


def test_a_check_that_raises_is_a_finding_and_the_others_still_run() -> None:
    found = run_checks({"b": (broken, "mend b"), "a": (good, "mend a")})
    assert [(one.level, one.text, one.remedy) for one in found] == [
        ("bad", "libsomething.so: cannot open", "mend b"),
        ("ok", "fine", ""),
        ("note", "not here", "install two"),
    ]
    assert not can_run(found)
    assert can_run(run_checks({"a": (good, "")}))
    told = as_json(found)
    assert told["can_run"] is False
    assert told["findings"][0]["remedy"] == "mend b"
