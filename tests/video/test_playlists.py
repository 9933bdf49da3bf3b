"""Texts that name other files or addresses, under the names of videos: refused, with nothing contacted or opened."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcld_anim.cli.main import app
from mcld_anim.core.errors import VideoError
from mcld_anim.video.container import open_input
from mcld_anim.video.probe import probe

IN_OPEN = 0x20  # inotify(7)

HLS = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{target}\n#EXT-X-ENDLIST\n"
KINDS = {
    "HLS": HLS,
    "HLS, live": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n",
    "HLS of HLS": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n",
    "HLS with a key": HLS.replace("#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF'),
    "HLS with a map": HLS.replace("#EXTINF", '#EXT-X-MAP:URI="{target}"\n#EXTINF'),
    "concat": "ffconcat version 1.0\nfile '{target}'\nduration 1\n",
    "concat, old": "file '{target}'\n",
    "DASH": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT5S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
    'bandwidth="1" width="64" height="64"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\na=control:{target}\n",
    "IMF": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">'
    "<Id>{target}</Id></CompositionPlaylist>",
    "SMIL": '<smil><body><video src="{target}"/></body></smil>',
    "M3U": "{target}\n",
    "lavfi": "movie={target}\n",
    "ffmetadata": ";FFMETADATA1\ntitle={target}\n",
    "WebVTT": "WEBVTT\n\n00:00.000 --> 00:05.000\n{target}\n",
    "VobSub": "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n"
    "timestamp: 00:00:01:000, filepos: 0\n",
}
NAMES = ("list.mp4", "list.mkv", "list.ts", "own")
OWN = {"HLS": "m3u8", "DASH": "mpd", "SDP": "sdp", "VobSub": "idx", "IMF": "xml", "WebVTT": "vtt", "SMIL": "smil"}


class Opened:
    """The files of a folder that are opened from now on, by inotify."""

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._handle = self._libc.inotify_init1(os.O_NONBLOCK)
        assert self._handle >= 0
        assert self._libc.inotify_add_watch(self._handle, os.fsencode(folder), IN_OPEN) >= 0

    def names(self) -> set[str]:
        found = set()
        while select.select([self._handle], [], [], 0)[0]:
            events = os.read(self._handle, 65536)
            while events:
                length = struct.unpack_from("iIII", events)[3]
                found.add(os.fsdecode(events[16 : 16 + length].rstrip(b"\0")))
                events = events[16 + length :]
        return found - {""}

    def close(self) -> None:
        os.close(self._handle)


@pytest.fixture(scope="module")
def server() -> Iterator[socket.socket]:
    """A port that accepts nobody by itself: who connects waits in its queue."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def has_visitor(server: socket.socket) -> bool:
    visited = bool(select.select([server], [], [], 0)[0])
    if visited:
        server.accept()[0].close()
    return visited


def targets(folder: Path, port: int) -> list[str]:
    return [
        *(f"{scheme}://127.0.0.1:{port}/a.ts" for scheme in ("http", "tcp", "rtmp", "rtsp", "ftp")),
        *(
            str(folder / "secret.ts"),
            "secret.ts",
            f"file:{folder / 'secret.ts'}",
            f"subfile,,start,0,end,9,,:{folder}/pipe",
        ),
        *(
            "pipe",
            str(folder / "pipe"),
            "concat:secret.ts|pipe",
            f"crypto:{folder / 'secret.ts'}",
            "/dev/zero",
            "pipe:0",
        ),
    ]


@pytest.mark.timeout(120, method="thread")
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_a_playlist_names_is_contacted_or_opened(
    kind: str, tmp_path: Path, media, server: socket.socket
) -> None:
    port = server.getsockname()[1]
    (tmp_path / "secret.ts").write_bytes(media.video("inner.ts").read_bytes())
    (tmp_path / "list.sub").write_bytes(b"\0\0\1\xba" + bytes(100))
    (tmp_path / "own.sub").write_bytes(b"\0\0\1\xba" + bytes(100))
    os.mkfifo(tmp_path / "pipe")
    before = Path.cwd()
    os.chdir(tmp_path)
    opened = Opened(tmp_path)
    try:
        for target in targets(tmp_path, port):
            for name in NAMES:
                path = tmp_path / (f"own.{OWN.get(kind.split(',')[0].split()[0], 'txt')}" if name == "own" else name)
                path.write_text(KINDS[kind].replace("{target}", target).replace("{port}", str(port)))
                for read in (probe, lambda path: open_input(path).__enter__()):
                    with pytest.raises(VideoError) as caught:
                        read(path)
                    assert "\n" not in str(caught.value)
        assert not opened.names() & {"secret.ts", "pipe", "list.sub", "own.sub"}
        assert not has_visitor(server)
    finally:
        opened.close()
        os.chdir(before)


def test_the_watchers_see(tmp_path: Path, server: socket.socket) -> None:
    """What the test above relies on: opened files and connections are noticed."""
    (tmp_path / "secret.ts").touch()
    opened = Opened(tmp_path)
    assert opened.names() == set()
    (tmp_path / "secret.ts").read_bytes()
    assert opened.names() == {"secret.ts"}
    opened.close()
    assert not has_visitor(server)
    socket.create_connection(server.getsockname()).close()
    assert has_visitor(server)


def test_a_name_with_a_pattern_is_one_file(tmp_path: Path, media) -> None:
    """FFmpeg reads `a%03d.png` as a sequence of files."""
    whole = media.video("whole.mp4", frames=3)
    opened = Opened(tmp_path)
    for name in ("a%03d.png", "a%d.jpg"):
        (tmp_path / name).write_text("text")
        (tmp_path / name.replace("%03d", "001").replace("%d", "1")).write_bytes(b"\x89PNG\r\n\x1a\n")
        opened.names()
        with pytest.raises(VideoError):
            probe(tmp_path / name)
        assert opened.names() == {name}
    (tmp_path / "a%03d.mp4").write_bytes(whole.read_bytes())
    assert probe(tmp_path / "a%03d.mp4").frames == 3
    opened.close()


@pytest.mark.timeout(120, method="thread")
@pytest.mark.parametrize("flag", ["--driving", "--audio", "--background"])
@pytest.mark.parametrize("target", ["pipe", "http"])
def test_on_the_command_line(
    flag: str,
    target: str,
    tmp_path: Path,
    media,
    server: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
    Path("list.mp4").write_text(HLS.replace("{target}", address if target == "http" else "pipe"))
    samples = Path(__file__).parents[2] / "samples"
    given = {"--source": str(samples / "person.png"), "--driving": str(samples / "dance.mp4"), flag: "list.mp4"}
    with pytest.raises(SystemExit) as caught:
        app(["run", *(part for pair in given.items() for part in pair)])
    (line,) = capsys.readouterr().err.splitlines()
    assert (caught.value.code, "list.mp4" in line) == (3, True)
    assert not has_visitor(server)


@pytest.mark.timeout(120, method="thread")
def test_a_folder_that_holds_pipes_is_read_without_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As poses, whose frames or header are pipes, and as weights."""
    samples = Path(__file__).parents[2] / "samples"
    for name in ("000000.png", "sequence.json", "vae.safetensors", "table.yaml"):
        os.mkfifo(tmp_path / name)
    run = ["run", "--source", str(samples / "person.png"), "--driving", str(samples / "dance.mp4")]
    for flags in (["--densepose", str(tmp_path)], ["--model", str(tmp_path)]):
        with pytest.raises(SystemExit) as caught:
            app([*run, *flags])
        (line,) = capsys.readouterr().err.splitlines()
        assert caught.value.code in (2, 3)
        assert line.startswith("mcld-anim: ")
