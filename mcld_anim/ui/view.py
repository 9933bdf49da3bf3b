"""What the page shows of jobs, as HTML. Every text of a user is escaped."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from mcld_anim.ui.job import THUMBNAIL, Job
from mcld_anim.ui.plan import Plan
from mcld_anim.ui.web import ALL_FILES, address

PLAYED = (".mp4", ".webm", ".m4v", ".mov", ".mkv")
"""Suffixes of videos that a browser may play."""
STAGES = {
    "start": "Starting: reading the photo and the first frames, loading the networks",
    "source": "Source: the photo's body, texture and background",
    "driving poses": "Driving poses: the motion of the video",
    "frames": "Frames",
}
"""What the page says in each stage."""


@dataclass(frozen=True)
class Screen:
    """The parts of the page that change while a job runs."""

    said: str  # to screen readers, only when something has happened
    status: str
    preview: str
    result: str
    gallery: str
    can_cancel: bool
    can_repeat: bool


def screen(job: Job | None, jobs: Sequence[Job], before: int, owner: str) -> Screen:
    """The page with `job` shown and `jobs` in the gallery; `before`: jobs that a waiting one waits for."""
    gallery = _gallery(jobs, job)
    if job is None:
        return Screen(
            "", _hint("Drop a photo and a video, or take the sample, and press Animate."), "", "", gallery, False, False
        )
    mine = job.owner == owner
    shown = job.preview is not None and job.is_active
    return Screen(
        said=f"<p role='status'>{escape(_headline(job, before))}</p>",
        status=_status(job, before),
        preview=_preview(job) if shown else "",
        result=_result(job) if job.state == "done" else "",
        gallery=gallery,
        can_cancel=job.is_active and mine,
        can_repeat=not job.is_active and job.verb == "run" and mine,
    )


def picture(jpeg: bytes, alternative: str, kind: str) -> str:
    """A picture inside the page."""
    content = base64.b64encode(jpeg).decode()
    return f'<img class="{kind}" src="data:image/jpeg;base64,{content}" alt="{escape(alternative, quote=True)}">'


def problem(text: str) -> str:
    """An error."""
    return f'<p class="problem" role="alert">{escape(text)}</p>'


def clip_ends(frames: Sequence[tuple[float, bytes]]) -> str:
    """The first and the last chosen frame of the driving video."""
    names = ("First frame", "Last frame")
    figures = [
        f"<figure>{picture(jpeg, name, 'frame')}<figcaption>{name}, at {seconds:.2f} s</figcaption></figure>"
        for name, (seconds, jpeg) in zip(names, frames, strict=True)
    ]
    return f'<div class="thumbs">{"".join(figures)}</div>'


def planned(plan: Plan) -> str:
    """What will run."""
    facts = [f"model {plan.model} on {plan.device}", f"{plan.frames} frames", plan.size]
    if plan.seconds is None or plan.memory is None:
        facts.append("the first result here tells how long a frame takes")
    else:
        by = "roughly, on a machine as fast as this" if plan.is_guess else "by the last result like it"
        facts.append(f"about {duration(plan.seconds)} and {plan.memory / 1e9:.1f} GB, {by}")
    return f"<p>Animate makes: {escape(', '.join(facts))}.</p>"


def _hint(text: str) -> str:
    return f'<p class="hint">{escape(text)}</p>'


def _headline(job: Job, before: int) -> str:
    match job.state:
        case "waiting":
            return f"Waiting for {before} other job{'s' * (before != 1)}" if before else "Waiting"
        case "running":
            return STAGES.get(job.stage, job.stage.capitalize())
        case "done":
            return "Done"
    return "Failed"


def _status(job: Job, before: int) -> str:
    title, head = escape(job.title), escape(_headline(job, before))
    if job.state == "failed":
        return f"<h2>{title}</h2>{problem(job.error)}{_notices(job)}"
    if job.state == "done":
        return f"<h2>{title}</h2><p>Done in {duration(job.seconds)}.</p>{_notices(job)}"
    bar, words = "", ""
    if job.state == "running" and job.total:
        bar = f'<progress aria-label="{head}" max="{job.total}" value="{job.done}"></progress>'
        words = f"{job.done} of {job.total}"
        if (left := job.seconds_left) is not None:
            words += f", {duration(left)} left in this stage"
    elif job.state == "running":
        bar = f'<progress aria-label="{head}"></progress>'
    return f"<h2>{title}</h2><p><strong>{head}</strong> <span class='count'>{words}</span></p>{bar}"


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _notices(job: Job) -> str:
    if not job.notices:
        return ""
    items = "".join(f"<li>{escape(one)}</li>" for one in job.notices)
    return f"<details><summary>{len(job.notices)} notes</summary><ul>{items}</ul></details>"


def _preview(job: Job) -> str:
    assert job.preview is not None
    count = f"Frame {job.preview_index + 1}" + (f" of {job.total}" if job.stage == "frames" and job.total else "")
    return f"<figure>{picture(job.preview, count, 'preview')}<figcaption>{count}</figcaption></figure>"


def _result(job: Job) -> str:
    driving = str(job.options.get("driving", ""))
    both = _player(job, driving, "Driving video") + _player(job, job.result, "Result")
    play = ""
    if all(Path(name).suffix.lower() in PLAYED for name in (driving, job.result)):
        play = '<button type="button" class="play-both" data-play="both">Play both from the start</button>'
    report = ""
    if job.page is not None:
        report = f'<iframe class="report" title="Report" src="{address(job, job.page)}"></iframe>'
    return f'<div class="pair">{both}</div>{play}{_downloads(job)}{report}'


def _player(job: Job, name: str, label: str) -> str:
    suffix = Path(name).suffix.lower()
    if not name:
        return ""
    if suffix in (".png", ".jpg", ".jpeg", ".webp"):
        inside = f'<img src="{address(job, name)}" alt="{label}">'
    elif suffix in PLAYED:
        inside = f'<video src="{address(job, name)}" aria-label="{label}" controls playsinline muted loop></video>'
    else:
        inside = '<p class="hint">Browsers do not play this format: download it.</p>'
    return f"<figure>{inside}<figcaption>{label}</figcaption></figure>"


def _downloads(job: Job) -> str:
    links = [
        f'<a href="{address(job, name)}" download="{escape(name, quote=True)}">{escape(name)}</a>'
        for name in sorted(job.files, key=lambda name: name != job.result)
    ]
    links.append(f'<a href="{address(job, ALL_FILES)}" download>all files (.zip)</a>')
    return f'<p class="downloads">Download: {", ".join(links)}</p>'


def _gallery(jobs: Sequence[Job], chosen: Job | None) -> str:
    if not jobs:
        return _hint("Results appear here and stay, also after the page is closed.")
    items = "".join(f"<li>{_card(job, job is chosen)}</li>" for job in jobs)
    return f'<ul class="gallery">{items}</ul>'


def _card(job: Job, is_chosen: bool) -> str:
    image = '<span class="blank" aria-hidden="true"></span>'
    if job.file(THUMBNAIL) is not None:
        image = f'<img src="{address(job, THUMBNAIL)}" alt="">'
    elif job.state == "done" and job.result.endswith(".png"):
        image = f'<img src="{address(job, job.result)}" alt="">'
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.created))
    return (
        f'<button type="button" data-job="{job.id}" aria-pressed="{str(is_chosen).lower()}">{image}'
        f"<span>{escape(job.title)}</span><small>{made}, {job.state}</small></button>"
    )
