"""File names as text: any bytes can be one, and not every place can hold them.

Python keeps a byte that is not UTF-8 as a lone surrogate, U+DC80 to U+DCFF (PEP 383), which opens the file again but
cannot be encoded. Names of old archives and of other systems have them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

JSON_ERRORS = "backslashreplace"
"""Error handler of files that hold JSON: a lone surrogate becomes JSON's own escape, `\\udce9`, and reads back as it
was."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def printable(text: object) -> str:
    """Text for people, in one line that every place can hold: bytes that are not UTF-8, and control characters, which
    would steer a terminal, are escaped (`caf\\xe9.mp4`)."""
    return _UNPRINTABLE.sub(_escaped, str(text))


def write_json(path: Path, content: Any) -> None:
    """Write readable JSON: indented, with keys in order and without escapes but those of `JSON_ERRORS`."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", errors=JSON_ERRORS)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # the byte itself
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
