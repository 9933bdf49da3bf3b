"""DIR/index.html: many results on one page, each with a thumbnail, its face similarity and links to its files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from mcld_anim.core.names import printable


@dataclass(frozen=True)
class Card:
    """One result. Paths are relative to the page, with forward slashes."""

    title: str
    origin: str  # the names of its inputs
    status: str  # "done", "failed" or "waiting"
    thumbnail: str | None = None
    similarity: float | None = None  # mean cosine of the faces with the source's, -1..1
    least_similarity: float | None = None
    frames: int | None = None
    seconds: float | None = None  # that it took
    events: int = 0
    links: Mapping[str, str] = field(default_factory=dict)  # name -> path
    error: str | None = None


def write_index_page(path: Path, record: str, cards: Sequence[Card]) -> None:
    """Write the page; `record`: the name of the JSON file beside it with the same rows."""
    assets = resources.files("mcld_anim.report") / "assets"
    counts = {status: sum(card.status == status for card in cards) for status in ("done", "failed", "waiting")}
    parts = {
        "style": (assets / "report.css").read_text("utf-8") + (assets / "index.css").read_text("utf-8"),
        "counts": ", ".join(f"{count} {status}" for status, count in counts.items()),
        "record": escape(record),
    }
    with path.open("w", encoding="utf-8") as file:
        for number, piece in enumerate(re.split(r"<!--(\w+)-->", (assets / "index.html").read_text("utf-8"))):
            if number % 2 == 0:
                file.write(piece)
            elif piece == "cards":
                file.writelines(_card(card) for card in cards)
            else:
                file.write(parts[piece])


def _card(card: Card) -> str:
    name = escape(printable(card.title))
    picture = '<div class="no-picture">No picture</div>'
    if card.thumbnail is not None:
        picture = f'<img loading="lazy" alt="A frame of {name}" src="{_address(card.thumbnail)}">'
    if "result" in card.links:
        picture = f'<a href="{_address(card.links["result"])}">{picture}</a>'
    links = " ".join(f'<a href="{_address(place)}">{escape(what)}</a>' for what, place in card.links.items())
    origin = escape(printable(card.origin))
    return (
        f'<li class="{escape(card.status)}">{picture}<h2>{name}</h2><p class="quiet">{origin}</p>'
        f"<p>{escape('. '.join(_facts(card)))}</p>{f'<p>{links}</p>' if links else ''}</li>\n"
    )


def _facts(card: Card) -> Iterator[str]:
    if card.error is not None:
        yield f"Failed: {printable(card.error)}"
    if card.status == "waiting":
        yield "Not run yet"
    if card.status != "done":
        return
    if card.similarity is None:
        yield "Face similarity not measured"
    else:
        least = "" if card.least_similarity is None else f", lowest {card.least_similarity:.3f}"
        yield f"Face similarity {card.similarity:.3f}{least}"
    if card.frames is not None:
        yield f"{card.frames} frames" if card.frames != 1 else "1 frame"
    if card.seconds is not None:
        yield f"{card.seconds:.1f} s"
    if card.events:
        yield f"{card.events} events" if card.events != 1 else "1 event"


def _address(path: str) -> str:
    """A relative path as an address; "./" keeps a colon in a name from being read as a scheme."""
    return escape("./" + quote(os.fsencode(path)))
