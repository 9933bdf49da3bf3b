"""Names and checks of output files, and the working folder of unfinished ones."""

from pathlib import Path

import pytest

from mcld_anim.core.errors import OutputError, UsageError
from mcld_anim.core.outputs import OutputFiles, check_writable, name_output, publish, working_folder


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


def test_finished_files_appear_and_the_working_folder_goes(tmp_path: Path) -> None:
    files = OutputFiles(tmp_path / "new" / "x.mp4")
    with working_folder(files) as work:
        for path in files.inside(work).all:
            path.write_text(path.name)
        assert not any(path.exists() for path in files.all)
        publish(files.inside(work), files, overwrite=False)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(p.name for p in files.all)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_removes_its_own_folders_only(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "old").mkdir()
    files = OutputFiles(tmp_path / "old" / "new" / "deep" / "x.mp4")

    def fail() -> None:
        with working_folder(files) as work:
            (work / "half").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == [tmp_path / "old"]
    assert not list((tmp_path / "old").iterdir())


def test_a_file_that_appeared_meanwhile_is_kept(tmp_path: Path) -> None:
    files = OutputFiles(tmp_path / "x.mp4")

    def be_late() -> None:
        with working_folder(files) as work:
            for path in files.inside(work).all:
                path.write_text("mine")
            files.result.write_text("theirs")
            publish(files.inside(work), files, overwrite=False)

    with pytest.raises(OutputError):
        be_late()
    assert files.result.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [files.result]
