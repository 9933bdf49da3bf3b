"""Manifests: three formats, each error with its line, and no output outside the folder."""

import json
from pathlib import Path

import pytest

from mcld_anim.batch.manifest import read_manifest
from mcld_anim.core.errors import ManifestError
from mcld_anim.options.run import PoseOptions, RunOptions


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Files that exist; their content is read only when a row runs."""
    for name in ("a.png", "b.png", "v.mp4"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def write_jsonl(folder: Path, *rows: object) -> Path:
    path = folder / "jobs.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


ROW = {"source": "a.png", "driving": "v.mp4", "output": "one.mp4"}


def test_three_formats_say_the_same(inputs: Path) -> None:
    rows = [{**ROW, "steps": 4, "blend": 0.2, "side_by_side": True, "fps": "source"}]
    rows += [{"source": "b.png", "pose": "a.png", "output": "sub/two.png"}]
    jsonl = write_jsonl(inputs, *rows)
    csv = inputs / "jobs.csv"
    csv.write_text(
        "source,driving,pose,output,steps,blend,side_by_side,fps\n"
        "a.png,v.mp4,,one.mp4,4,0.2,true,source\nb.png,,a.png,sub/two.png,,,,\n"
    )
    yaml = inputs / "jobs.yaml"
    yaml.write_text(
        "- source: a.png\n  driving: v.mp4\n  output: one.mp4\n  steps: 4\n  blend: 0.2\n"
        "  side_by_side: true\n  fps: source\n- {source: b.png, pose: a.png, output: sub/two.png}\n"
    )
    read = [read_manifest(path, inputs / "out") for path in (jsonl, csv, yaml)]
    assert [[row.options for row in rows] for rows in read[1:]] == [[row.options for row in read[0]]] * 2
    assert [[row.line for row in rows] for rows in read] == [[1, 2], [2, 3], [1, 8]]
    first, second = (row.options for row in read[0])
    assert isinstance(first, RunOptions)
    assert isinstance(second, PoseOptions)
    assert (first.source, first.steps, first.side_by_side) == (inputs / "a.png", 4, True)
    assert second.output == (inputs / "out" / "sub" / "two.png").resolve()


def test_a_row_may_have_several_photos(inputs: Path) -> None:
    jsonl = write_jsonl(inputs, {**ROW, "source": ["a.png", "b.png"]}, {**ROW, "output": "two.mp4"})
    csv, yaml = inputs / "jobs.csv", inputs / "jobs.yaml"
    csv.write_text("source,source_2,driving,output\na.png,b.png,v.mp4,one.mp4\na.png,,v.mp4,two.mp4\n")
    yaml.write_text(
        "- {source: [a.png, b.png], driving: v.mp4, output: one.mp4}\n"
        "- {source: [a.png], driving: v.mp4, output: two.mp4}\n"
    )
    read = [[row.options for row in read_manifest(path, inputs / "out")] for path in (jsonl, csv, yaml)]
    assert read[1:] == [read[0]] * 2
    assert [options.photos for options in read[0]] == [(inputs / "a.png", inputs / "b.png"), (inputs / "a.png",)]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("source,source_2,driving\n,b.png,v.mp4\n", "source_2 is given without source"),
        ("source,source_2,driving\na.png,c.png,v.mp4\n", "source 2 .*c.png does not exist"),
    ],
)
def test_wrong_photos_of_a_row_are_refused(inputs: Path, row: str, words: str) -> None:
    (inputs / "jobs.csv").write_text(row)
    with pytest.raises(ManifestError, match=words):
        read_manifest(inputs / "jobs.csv", inputs / "out")


@pytest.mark.parametrize("offline", [False, True])
def test_offline_holds_for_rows_that_do_not_say(inputs: Path, offline: bool) -> None:
    rows = [ROW, {**ROW, "output": "two.mp4", "offline": False}, {**ROW, "output": "three.mp4", "offline": True}]
    read = read_manifest(write_jsonl(inputs, *rows), inputs / "out", offline=offline)
    assert [row.options.offline for row in read] == [offline, False, True]


def test_an_output_that_is_left_out_is_named_after_the_inputs(inputs: Path) -> None:
    (row,) = read_manifest(write_jsonl(inputs, {"source": "a.png", "driving": "v.mp4"}), inputs / "out")
    assert row.output == "a_v.mp4"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({**ROW, "stepz": 1}, "unknown key stepz"),
        ({**ROW, "steps": "many"}, "steps: got 'many'"),
        ({**ROW, "steps": 0}, "--steps 0"),
        ({**ROW, "output": "../evil.mp4"}, "leaves the output folder"),
        ({**ROW, "output": "sub/../../evil.mp4"}, "leaves the output folder"),
        ({**ROW, "output": "/tmp/evil.mp4"}, "leaves the output folder"),
        ({**ROW, "output": "~/evil.mp4"}, "leaves the output folder"),
        ({**ROW, "output": "link/evil.mp4"}, "through a link"),
        ({**ROW, "output": "one.avi"}, "does not end in .mp4"),
        ({**ROW, "output": 5}, "output is 5"),
        ({**ROW, "source": "none.png"}, "none.png does not exist"),
        ({**ROW, "driving": "none.mp4"}, "none.mp4 does not exist"),
        ({**ROW, "audio": "none.mp3"}, "none.mp3 does not exist"),
        ({**ROW, "densepose": "none.zip"}, "none.zip does not exist"),
        ({**ROW, "source": None}, "source"),
        ({**ROW, "pose": "a.png"}, "either driving"),
        ({"source": "a.png"}, "either driving"),
        ({"driving": "v.mp4"}, "--source is missing"),
        ('{"source": "a.png", "source": "b.png", "driving": "v.mp4"}', "appears twice"),
        ("[1, 2]", "expected an object"),
        ("{not json", "not readable as JSON"),
    ],
)
def test_each_error_has_its_line(inputs: Path, row: object, words: str) -> None:
    out = inputs / "out"
    out.mkdir()
    (out / "link").symlink_to(inputs)
    path = write_jsonl(inputs, ROW, "", row, {**ROW, "output": "two.mp4"})
    with pytest.raises(ManifestError) as caught:
        read_manifest(path, out)
    (line,) = str(caught.value).splitlines()
    assert line.startswith("jobs.jsonl line 3: ")
    assert words in line
    assert not list(out.glob("*.mp4"))


def test_all_errors_are_told_at_once(inputs: Path) -> None:
    path = write_jsonl(inputs, {**ROW, "stepz": 1}, ROW, {**ROW, "source": "none.png", "output": "x.mp4"})
    with pytest.raises(ManifestError) as caught:
        read_manifest(path, inputs / "out")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "jobs.jsonl line 1",
        "jobs.jsonl line 3",
    ]


@pytest.mark.parametrize("second", ["one.mp4", "./one.mp4", "sub/../one.mp4"])
def test_no_output_is_written_twice(inputs: Path, second: str) -> None:
    with pytest.raises(ManifestError, match="line 2"):
        read_manifest(write_jsonl(inputs, ROW, {**ROW, "output": second}), inputs / "out")


def test_reports_may_not_collide_either(inputs: Path) -> None:
    pose = {"source": "a.png", "pose": "b.png", "output": "one.png"}  # one.report.json as well
    with pytest.raises(ManifestError, match=r"line 2.*already"):
        read_manifest(write_jsonl(inputs, ROW, pose), inputs / "out")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("jobs.csv", "source,source\na.png,b.png\n", "named twice"),
        ("jobs.csv", "source,driving\na.png,v.mp4,more\n", "line 2: 3 cells"),
        ("jobs.csv", "source,driving\n'a.png,\"v.mp4\n", "line 2"),
        ("jobs.yaml", "source: a.png\n", "expected a list"),
        ("jobs.yaml", "- [1, 2]\n", "line 1: expected a mapping"),
        (
            "jobs.yaml",
            "- {source: a.png, source: b.png, driving: v.mp4}\n",
            "line 1: key source appears twice",
        ),
        ("jobs.yaml", "- !!python/object/apply:os.system [true]\n", "line 1"),
        ("jobs.jsonl", "", "no rows"),
    ],
)
def test_damaged_manifests(inputs: Path, name: str, content: str, words: str) -> None:
    path = inputs / name
    path.write_text(content)
    with pytest.raises(ManifestError, match=words):
        read_manifest(path, inputs / "out")


TABLE = (
    "source{0}driving{0}pose{0}output{0}steps{0}blend{0}side_by_side",
    "a.png{0}v.mp4{0}{0}one.mp4{0}4{0}{1}{0}TRUE",
    'b.png{0}{0}a.png{0}"sub/two{0}2.png"{0}{0}{0}',
)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_as_spreadsheets_save_them(inputs: Path, separator: str, end: str, encoding: str) -> None:
    text = end.join(TABLE).format(separator, "0.25" if separator == "," else "0,25") + end
    (inputs / "jobs.csv").write_bytes(text.encode(encoding))
    first, second = read_manifest(inputs / "jobs.csv", inputs / "out")
    assert isinstance(first.options, RunOptions)
    assert (first.options.steps, first.options.blend, first.options.side_by_side) == (4, 0.25, True)
    assert (first.output, second.output) == ("one.mp4", f"sub/two{separator}2.png")
    assert (first.line, second.line) == (2, 3)


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\nsource;driving;output\r\na.png;v.mp4;one.mp4\r\n",
        "source;driving;output;;\n;;;;\na.png;v.mp4;one.mp4;;\n",
        '"source","driving","output"\n"a.png","v.mp4","one.mp4"\n',
    ],
)
def test_what_spreadsheets_add(inputs: Path, text: str) -> None:
    (inputs / "jobs.csv").write_text(text, newline="")
    (row,) = read_manifest(inputs / "jobs.csv", inputs / "out")
    assert (row.options.source, row.output) == (inputs / "a.png", "one.mp4")


@pytest.mark.parametrize("name", ["jobs.txt", "jobs", "jobs.csv", "jobs.jsonl", "jobs.yaml"])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROW),
        "\n\n" + json.dumps(ROW) + "\r\n",
        "source\tdriving\toutput\na.png\tv.mp4\tone.mp4\n",
        "# jobs\n- source: a.png\n  driving: v.mp4\n  output: one.mp4\n",
        json.dumps([ROW]),
    ],
)
def test_the_content_shows_the_format(inputs: Path, name: str, text: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (inputs / name).write_bytes(text.encode(encoding))
        (row,) = read_manifest(inputs / name, inputs / "out")
        assert row.output == "one.mp4"


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
def test_separators_inside_a_json_string(inputs: Path, sign: str) -> None:
    name = f"per{sign}son.png"
    (inputs / name).write_bytes(b"x")
    escaped = json.dumps({**ROW, "source": name}, ensure_ascii=False)  # control characters stay escaped
    (row,) = read_manifest(write_jsonl(inputs, escaped), inputs / "out")
    assert row.options.source == inputs / name


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"source driving output\na.png v.mp4 one.mp4\n", "separated by commas, semicolons or tabs"),
        (b"PK\x03\x04\0\0 a workbook", "saved as CSV UTF-8"),
        ("source;driving\nM\xfcller.png;v.mp4\n".encode("cp1252"), "saved as CSV UTF-8"),
        ("source;driving\na.png;v.mp4\n".encode("utf-16-le"), "saved as CSV UTF-8"),
        (b"source;driving;blend\na.png;v.mp4;much\n", "line 2"),
    ],
)
def test_other_tables_are_refused_in_a_sentence(inputs: Path, content: bytes, words: str) -> None:
    (inputs / "jobs.csv").write_bytes(content)
    with pytest.raises(ManifestError, match=words) as caught:
        read_manifest(inputs / "jobs.csv", inputs / "out")
    assert "\n" not in str(caught.value)


def test_a_manifest_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="does not exist"):
        read_manifest(tmp_path / "none.jsonl", tmp_path)
    with pytest.raises(ManifestError, match="it is a folder"):
        read_manifest(tmp_path, tmp_path)
    (tmp_path / "jobs.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="UTF-8"):
        read_manifest(tmp_path / "jobs.csv", tmp_path)
