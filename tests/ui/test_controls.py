"""The form under "More" has every option of `run --help`, and gives `resolve_options` what a flag would give."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import typer

from mcld_anim.cli import flags, run
from mcld_anim.cli.main import app
from mcld_anim.core.errors import UsageError
from mcld_anim.options.domain import domains
from mcld_anim.options.resolve import resolve_options
from mcld_anim.options.run import RunOptions
from mcld_anim.ui.controls import OF_THE_SERVER, ON_THE_PAGE, changed, controls_of, shown_values

CONTROLS = {control.name: control for control in controls_of(flags.described(run.command))}


def test_every_flag_has_a_control_with_its_help() -> None:
    command = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    apart = {*ON_THE_PAGE, *OF_THE_SERVER, "config", *flags.NOT_OPTIONS, "help"}
    expected = {one.name: one for one in command.params if one.name not in apart}
    assert set(CONTROLS) == set(expected)
    for name, one in expected.items():
        option = CONTROLS[name].option
        assert option.text == one.help
        assert option.panel == one.rich_help_panel
        assert option.flag in (*one.opts, *one.secondary_opts)


def test_choices_ranges_and_defaults_are_the_options() -> None:
    fields = {field.name: field for field in dataclasses.fields(RunOptions)}
    for name, control in CONTROLS.items():
        default = fields[name].default
        as_text = control.kind in ("suggestion", "text") and default is not None
        assert control.default == (str(default) if as_text else default)
    assert CONTROLS["framing"].choices == ("auto", "photo", "fixed", "track", "full")
    assert CONTROLS["framing"].kind == "choice"
    assert (CONTROLS["crf"].least, CONTROLS["crf"].most, CONTROLS["crf"].whole) == (0, 51, True)
    assert (CONTROLS["blend"].kind, CONTROLS["blend"].most, CONTROLS["blend"].whole) == ("number", 0.95, False)
    assert CONTROLS["background"].or_file
    assert not CONTROLS["noise"].or_file
    assert CONTROLS["side_by_side"].kind == "switch"


def test_a_form_left_alone_gives_nothing() -> None:
    controls = list(CONTROLS.values())
    assert changed(controls, [control.default for control in controls]) == {}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_frames", 8.0, 8),
        ("blend", 0.25, 0.25),
        ("fps", "12", 12.0),
        ("background", "#00ff00", "#00ff00"),
        ("side_by_side", True, True),
        ("person", "2", "2"),
    ],
)
def test_a_changed_value_becomes_the_option(name: str, value: object, expected: object) -> None:
    controls = list(CONTROLS.values())
    values = [value if control.name == name else control.default for control in controls]
    given = changed(controls, values)
    assert list(given) == [name]
    options = resolve_options(RunOptions, {**given, "source": Path("a.png"), "driving": Path("b.mp4")})
    assert getattr(options, name) == expected
    assert shown_values(controls, given) == [given.get(control.name, control.default) for control in controls]


def test_ranges_are_checked_where_they_are_declared() -> None:
    both = {"source": Path("a.png"), "driving": Path("b.mp4")}
    for name, domain in domains(RunOptions).items():
        if domain.range is None or name in ("start", "end"):
            continue
        flag = f"--{name.replace('_', '-')} .* is out of range"
        with pytest.raises(UsageError, match=flag):
            resolve_options(RunOptions, {**both, name: domain.range.least - 1})
        if domain.range.most is not None:
            with pytest.raises(UsageError, match=flag):
                resolve_options(RunOptions, {**both, name: domain.range.most + 1})
