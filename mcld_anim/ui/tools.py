"""The tools of the MCP server: animate, transfer and report, as jobs of the same queue.

Gradio makes a tool of each public event: its name, its parameters and its description come from the function, its types
from components that no page shows.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcld_anim.core.tables import read_json
from mcld_anim.ui.controls import choices_of
from mcld_anim.ui.desk import Desk, Refused, uploads
from mcld_anim.ui.job import Job
from mcld_anim.ui.queue import owner_of
from mcld_anim.ui.web import token_in


class Tools:
    """The functions of the tools."""

    def __init__(self, gradio: Any, desk: Desk, folder: Path) -> None:
        """`folder`: for results, from which Gradio serves them."""
        self._gr, self._desk, self._folder = gradio, desk, folder

    def animate(
        self, request: Any, photo: str, driving: str, preset: str = "balanced", max_frames: float | None = None
    ) -> tuple[str, str]:
        """Animate the person of a photo with the motion of a driving video; returns the video and its report page.

        Args:
            photo: Photo of the person to show.
            driving: Video that drives the motion.
            preset: Steps and guidance together: fast, balanced or best.
            max_frames: Largest number of frames; all of them if absent.
        """
        given: dict[str, Any] = {"preset": preset} | ({} if not max_frames else {"max_frames": int(max_frames)})
        begin: Callable[[str], Job] = lambda owner: self._desk.animate(  # noqa: E731
            owner, uploads(photo), next(iter(uploads(driving)), None), given
        )
        job = self._done(request, begin)
        return self._given(job, job.result), self._given(job, job.page or "")

    def transfer(self, request: Any, photo: str, pose: str) -> str:
        """Show the person of a photo in the pose of another picture; returns the picture.

        Args:
            photo: Photo of the person to show.
            pose: Picture of a person in the pose.
        """
        job = self._done(request, lambda owner: self._desk.transfer(owner, *uploads([photo, pose])))
        return self._given(job, job.result)

    def report(self, request: Any, video: str, photo: str) -> tuple[str, dict[str, Any]]:
        """Compare a video of a person, made by any program, with a photo; returns the report page and its summary.

        Args:
            video: Video to examine.
            photo: Photo of the person that it should show.
        """
        job = self._done(request, lambda owner: self._desk.report(owner, *uploads([video, photo])))
        summary = read_json(job.folder / next(name for name in job.files if name.endswith(".report.json")))["summary"]
        return self._given(job, job.page or ""), summary

    def _done(self, request: Any, begin: Callable[[str], Job]) -> Job:
        """A job that has ended well; Gradio's error, of one sentence, if it has not."""
        try:
            job = begin(owner_of(token_in(request.headers.get("cookie", "")) or ""))
        except Refused as error:
            raise self._gr.Error(str(error), print_exception=False) from None
        self._desk.jobs.wait(job)
        if job.state != "done":
            raise self._gr.Error(job.error or "The job was cancelled", print_exception=False)
        return job

    def _given(self, job: Job, name: str) -> str:
        folder = self._folder / job.id
        folder.mkdir(exist_ok=True)
        return str(shutil.copyfile(job.folder / name, folder / name))


def add_tools(gradio: Any, desk: Desk, folder: Path) -> None:
    """Add the tools to the page that is being described."""
    gr, tools = gradio, Tools(gradio, desk, folder)
    with gr.Column(visible=False):
        photo, other, video = gr.File(label="photo"), gr.File(label="pose"), gr.File(label="video")
        preset, most = gr.Radio(list(choices_of("preset")), value="balanced"), gr.Number(precision=0)
        made, page, summary, button = gr.File(), gr.File(), gr.JSON(), gr.Button()
    ends: list[tuple[Callable[..., Any], list[Any], list[Any]]] = [
        (tools.animate, [photo, video, preset, most], [made, page]),
        (tools.transfer, [photo, other], [made]),
        (tools.report, [video, photo], [page, summary]),
    ]
    for function, inputs, outputs in ends:
        function.__func__.__annotations__["request"] = gr.Request  # type: ignore[attr-defined]  # by which it is given
        button.click(function, inputs, outputs, api_name=function.__name__, concurrency_limit=None)
