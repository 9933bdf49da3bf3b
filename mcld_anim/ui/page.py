"""The page: Gradio's components and what they call. Gradio itself is an argument, see `mcld_anim.ui.start`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mcld_anim.ui import view
from mcld_anim.ui.controls import Control, choices_of, number, shown_values
from mcld_anim.ui.desk import Desk, Refused, uploads
from mcld_anim.ui.job import Job
from mcld_anim.ui.queue import owner_of
from mcld_anim.ui.samples import samples_in
from mcld_anim.ui.tools import add_tools
from mcld_anim.ui.web import token_in

TICK = 0.5
"""Seconds between two looks at the jobs."""
HOUR, DAY = 3600, 86_400
"""How often uploads are looked through, and the age in seconds at which they are deleted."""

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""Of every event of the page: it answers at once, and is none of the programming interface."""

CHOOSE = """element.addEventListener('click', event => {
  const chosen = event.target.closest('[data-job]');
  if (chosen) trigger('select', {job: chosen.dataset.job});
});"""
"""A click on a card of the gallery is an event of the component."""
PLAY_BOTH = """element.addEventListener('click', event => {
  if (!event.target.closest('[data-play]')) return;
  for (const video of element.querySelectorAll('.pair video')) { video.currentTime = 0; video.play(); }
});"""


class Page:
    """The page of a desk."""

    def __init__(self, gradio: Any, desk: Desk, folder: Path, tools: bool) -> None:
        """`folder`: an empty one, for files that the page shows; `tools`: offer those of `mcld_anim.ui.tools`."""
        self._gr, self._desk, self._folder, self._with_tools = gradio, desk, folder, tools
        self._samples = samples_in(folder / "samples")

    def blocks(self) -> Any:
        """Gradio's description of the page."""
        gr = self._gr
        with gr.Blocks(title="mcld-anim", analytics_enabled=False, delete_cache=(HOUR, DAY)) as blocks:
            gr.Markdown("# mcld-anim\nAnimate one photo of a person with the motion of a video.")
            with gr.Row():
                with gr.Column(scale=2, min_width=300):
                    self._form()
                with gr.Column(scale=3, min_width=300):
                    self._outcome()
            self._wire()
            if self._with_tools:
                add_tools(gr, self._desk, self._folder)
            blocks.load(self._as_owner(self._first_look), None, self._parts, **QUIET)
        return blocks

    def _form(self) -> None:
        gr = self._gr
        self._photos = gr.File(label="Photo of the person", file_count="multiple", elem_id="photos", height=140)
        self._photo_look = gr.HTML(elem_id="photo-look")
        self._driving = gr.Video(label="Driving video", sources=["upload", "webcam"], elem_id="driving", buttons=[])
        self._driving_look = gr.HTML(elem_id="driving-look")
        with gr.Row():
            self._start = gr.Number(0, label="Start, in seconds", minimum=0, elem_id="start", min_width=100)
            self._end = gr.Textbox(
                label="End, in seconds", placeholder="of the video", elem_id="end", min_width=100, max_lines=1
            )
        with gr.Row():
            self._sample_buttons = [gr.Button(sample.label, size="sm") for sample in self._samples]
        self._preset = gr.Radio(list(choices_of("preset")), value="balanced", label="Preset", elem_id="preset")
        self._plan = gr.HTML(elem_id="plan")
        with gr.Row():
            self._animate = gr.Button("Animate", variant="primary", elem_id="animate")
            self._cancel = gr.Button("Cancel", interactive=False, elem_id="cancel")
        self._problem = gr.HTML(elem_id="problem")
        with gr.Accordion("More", open=False, elem_id="more"):
            self._more = self._controls()

    def _outcome(self) -> None:
        gr = self._gr
        self._said = gr.HTML(elem_classes="said")
        self._status = gr.HTML(elem_id="status")
        self._preview = gr.HTML(elem_id="preview")
        self._result = gr.HTML(elem_id="result", js_on_load=PLAY_BOTH)
        self._repeat = gr.Button("Again with changes", visible=False, size="sm", elem_id="repeat")
        gr.Markdown("## Results")
        self._gallery = gr.HTML(elem_id="gallery", js_on_load=CHOOSE)
        self._chosen, self._seen = gr.State(""), gr.State({})
        self._parts = [
            *(self._said, self._status, self._preview, self._result, self._gallery, self._cancel, self._repeat),
            *(self._chosen, self._seen),
        ]

    def _controls(self) -> list[Any]:
        """The controls under "More", in the panels of `--help`; see `Desk.form` for their order."""
        panels: dict[str, list[Control]] = {}
        for control in self._desk.controls:
            panels.setdefault(control.option.panel, []).append(control)
        made: dict[str, list[Any]] = {}
        for panel, controls in panels.items():
            with self._gr.Accordion(panel, open=False):
                made |= {control.name: self._control(control) for control in controls}
        return [component for control in self._desk.controls for component in made[control.name]]

    def _control(self, control: Control) -> list[Any]:
        gr, option = self._gr, control.option
        words = {"label": option.flag, "info": option.text, "elem_id": f"option-{control.name}"}
        if control.kind == "switch":
            component = gr.Checkbox(value=bool(control.default), **words)
        elif control.kind == "choice":  # Gradio's lists that open have roles which screen readers cannot follow
            unset = [("default", "")] if control.default is None else []
            component = gr.Radio([*unset, *control.choices], value=control.default or "", **words)
        elif control.kind == "number" and control.default is not None:  # Gradio shows a number that is none as 0
            precision = 0 if control.whole else None
            component = gr.Number(
                control.default, minimum=control.least, maximum=control.most, precision=precision, **words
            )
        elif control.kind == "file":
            component = gr.File(label=f"{option.flag}: {option.text}", height=140, elem_id=words["elem_id"])
        else:
            component = gr.Textbox(control.default, max_lines=1, **words)
        return [component, gr.File(label=f"{option.flag}: a file", height=140)] if control.or_file else [component]

    def _wire(self) -> None:
        gr, inputs = self._gr, [self._photos, self._driving]
        for button, sample in zip(self._sample_buttons, self._samples, strict=True):
            button.click(lambda sample=sample: self._given(sample.photo, sample.driving), None, inputs, **QUIET)
        self._photos.change(self._look_at_photos, self._photos, self._photo_look, **QUIET)
        clip = [self._driving, self._start, self._end]
        gr.on([one.change for one in clip], self._look_at_driving, clip, self._driving_look, **QUIET)
        form = [*inputs, self._start, self._end, self._preset, *self._more]
        gr.on([one.change for one in form], self._tell_plan, form, self._plan, **QUIET)
        self._animate.click(self._as_owner(self._begin), form, [self._problem, self._chosen], **QUIET)
        self._cancel.click(self._as_owner(self._stop), self._chosen, self._chosen, **QUIET)
        self._gallery.select(self._choose(), None, self._chosen, **QUIET)
        self._repeat.click(self._as_owner(self._again), self._chosen, form, **QUIET)
        state = [self._chosen, self._seen]
        gr.Timer(TICK).tick(self._as_owner(self._look), state, self._parts, **QUIET)

    def _as_owner(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """An event that is told whose it is."""

        def event(request: Any, *values: Any) -> Any:
            return function(owner_of(token_in(request.headers.get("cookie", "")) or ""), *values)

        event.__annotations__ = {"request": self._gr.Request}  # by which Gradio knows what to give
        return event

    def _choose(self) -> Callable[..., str]:
        def event(data: Any) -> str:
            return str(data.job)

        event.__annotations__ = {"data": self._gr.EventData}
        return event

    def _given(self, photo: Path, driving: Path) -> tuple[list[str], str]:
        return [str(photo)], str(driving)

    def _look_at_photos(self, photos: Any) -> str:
        try:
            shown = list(self._desk.look_at_photos(uploads(photos)))
        except Refused as error:
            return view.problem(str(error))
        return f"<div class='thumbs'>{''.join(view.picture(one, 'The photo', 'photo') for one in shown)}</div>"

    def _look_at_driving(self, driving: str | None, start: float | None, end: str) -> str:
        if driving is None:
            return ""
        try:
            shown = self._desk.look_at_driving(uploads(driving)[0], start or 0.0, number(end) if end else None)
        except Refused as error:
            return view.problem(str(error))
        return view.clip_ends(shown)

    def _tell_plan(self, photos: Any, driving: str | None, *form: Any) -> str:
        try:
            clip = next(iter(uploads(driving)), None)
            plan = self._desk.plan(uploads(photos), clip, self._options(*form))
        except Refused as error:
            return view.problem(str(error))
        return "" if plan is None else view.planned(plan)

    def _begin(self, owner: str, photos: Any, driving: str | None, *form: Any) -> tuple[str, Any]:
        try:
            clip = next(iter(uploads(driving)), None)
            return "", self._desk.animate(owner, uploads(photos), clip, self._options(*form)).id
        except Refused as error:
            return view.problem(str(error)), self._gr.skip()

    def _options(self, start: float | None, end: str, preset: str, *more: Any) -> dict[str, Any]:
        """The options that the form holds."""
        clip = {"start": start or None, "end": number(end) if end else None}
        return {name: value for name, value in clip.items() if value is not None} | {
            "preset": preset,
            **self._desk.form(more),
        }

    def _stop(self, owner: str, chosen: str) -> str:
        job = self._desk.jobs.find(owner, chosen)
        if job is not None and job.is_active:
            self._desk.jobs.remove(owner, chosen)
        return ""

    def _again(self, owner: str, chosen: str) -> list[Any]:
        job = self._desk.jobs.find(owner, chosen)
        skipped = [self._gr.skip()] * (5 + len(self._more))
        if job is None or job.verb != "run":
            return skipped
        return self._filled(job)

    def _filled(self, job: Job) -> list[Any]:
        """The form as it was for a job."""
        folder = self._folder / job.id  # Gradio shows files of its own folders only
        folder.mkdir(exist_ok=True)

        def copied(name: str) -> str:
            return str(shutil.copyfile(job.folder / name, folder / name))

        source, options = job.options["source"], dict(job.options)
        photos = [copied(name) for name in ([source] if isinstance(source, str) else source)]
        clip = [options.get("start", 0), str(options.get("end", "")), options.get("preset", "balanced")]
        filled = [photos, copied(options["driving"]), *clip]
        for control, value in zip(self._desk.controls, shown_values(self._desk.controls, options), strict=True):
            is_file = isinstance(value, str) and value in job.input_names
            filled.append(control.default if is_file else value)
            if control.or_file:
                filled.append(copied(value) if is_file else None)
        return filled

    def _first_look(self, owner: str) -> list[Any]:
        """The page as it is opened or reloaded: with the newest job of the session."""
        jobs = [job for job in self._desk.jobs.jobs(owner) if job.owner == owner]
        newest = next((job for job in jobs if job.is_active), jobs[0] if jobs else None)
        chosen = "" if newest is None else newest.id
        *parts, _, seen = self._look(owner, chosen, {})
        return [*parts, chosen, seen]

    def _look(self, owner: str, chosen: str, seen: Mapping[str, Any]) -> list[Any]:
        """The parts of the page that have changed since it was `seen`."""
        gr, queue = self._gr, self._desk.jobs
        job = queue.find(owner, chosen)
        screen = view.screen(job, queue.jobs(owner), 0 if job is None else queue.before(job), owner)
        now = vars(screen)
        parts = [now[name] if seen.get(name) != now[name] else gr.skip() for name in list(now)[:5]]
        for name, what in (("can_cancel", "interactive"), ("can_repeat", "visible")):
            parts.append(gr.update(**{what: now[name]}) if seen.get(name) != now[name] else gr.skip())
        return [*parts, gr.skip(), dict(now)]  # the choice is the gallery's, perhaps meanwhile
