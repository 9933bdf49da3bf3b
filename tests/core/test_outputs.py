"""Names and checks of output files."""

from pathlib import Path

import pytest

from mcld_anim.core.errors import OutputError, UsageError
from mcld_anim.core.outputs import OutputFiles, check_writable, name_output


def test_names() -> None:
    files = name_output(None, Path("a/person.v2.jpg"), Path("b/dance.mp4"), ".mp4")
    assert [str(path) for path in files.all] == [
        "person.v2_dance.report.json",
        "person.v2_dance.report.csv",
        "person.v2_dance.report.html",
        "person.v2_dance.run.json",
        "person.v2_dance.mp4",
    ]
    with pytest.raises(UsageError, match=r"does not end in \.png"):
        name_output(Path("x.mp4"), Path("a"), Path("b"), ".png")


@pytest.mark.parametrize("taken", range(5))
def test_none_of_the_five_files_is_replaced(tmp_path: Path, taken: int) -> None:
    files = OutputFiles(tmp_path / "x.mp4")
    files.all[taken].write_text("precious")
    with pytest.raises(OutputError, match="--overwrite"):
        check_writable(files, overwrite=False)
    check_writable(files, overwrite=True)
