"""Files that a browser can play."""

from pathlib import Path

from joyful_hf.processing.media_files import open_container
from joyful_hf.processing.optional_imports import import_optional

_PLAYED = ".wav .mp3 .m4a .aac .flac .ogg .oga .opus .mp4 .m4v .mov .webm .ogv"
PLAYED = frozenset(_PLAYED.split())
"""Suffixes of what browsers play as it is."""


def playable(file: str, folder: Path) -> str:
    """Return a file that browsers can play: this one, or a copy of its sound in `folder`."""
    if Path(file).suffix.lower() in PLAYED:
        return file
    av = import_optional("av", "media", "playing this kind of recording")
    copy = folder / f"{Path(file).stem}.m4a"
    with open_container(f"file:{file}") as source:
        if not source.streams.audio:
            return file
        heard = source.streams.audio[0]
        with av.open(str(copy), "w") as sink:
            written = sink.add_stream("aac", rate=heard.rate)
            written.layout = "stereo" if heard.layout.nb_channels > 1 else "mono"
            for frame in source.decode(heard):  # one by one: a recording may be long
                sink.mux(written.encode(frame))
            sink.mux(written.encode(None))
    return str(copy)
