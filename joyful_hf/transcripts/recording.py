"""The recordings of a transcript: the file and channel of each speaker, and a check that all cues lie within them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..io.messages import did_you_mean
from ..processing.dialogues import DialogueError
from ..processing.media import MediaError
from ..processing.media_files import check_decodable, open_container, reason_of
from ..processing.media_sound import check_rate
from ..processing.optional_imports import import_optional
from .segments import Segment

# How far the last cue may end after its recording, in seconds: whisper rounds it to whole seconds.
_CUT_TOLERANCE = 1.0
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Recording:
    """The length and the streams of a recording."""

    path: Path
    seconds: float
    has_pictures: bool
    channels: int

    @classmethod
    def of(cls, path: Path) -> "Recording":
        """Inspect a file.

        Raises:
            DialogueError: the file is missing or is not a recording.
            ImportError: PyAV is not installed.
        """
        av = import_optional("av", "media", "reading how long a recording is")
        if not path.is_file():
            raise DialogueError(f"{path}: there is no such recording")
        try:
            with open_container(f"file:{path}") as container:
                # Cover art is a picture, but not a video.
                cover = av.stream.Disposition.attached_pic
                videos = [stream for stream in container.streams.video if not stream.disposition & cover]
                audios = list(container.streams.audio)
                if not videos and not audios:
                    raise DialogueError(f"{path}: the file has neither sound nor pictures")
                if audios:
                    check_decodable(audios[0])
                    check_rate(audios[0].sample_rate)
                channels = audios[0].codec_context.layout.nb_channels if audios else 0
                return cls(path, _seconds_of(container, [*videos, *audios]), bool(videos), channels)
        except MediaError as error:
            raise DialogueError(f"{path}: {error}") from None
        except av.FFmpegError as error:
            raise DialogueError(f"{path}: cannot be decoded ({reason_of(error)})") from None


def _seconds_of(container: Any, streams: Sequence[Any]) -> float:
    """The duration from the header, or from the packets if the header has none."""
    if container.duration is not None:
        return container.duration / _MICROSECONDS
    ends = [
        float((packet.pts + (packet.duration or 0)) * packet.time_base)
        for packet in container.demux(streams)
        if packet.pts is not None
    ]
    return max(ends, default=0.0) - (container.start_time or 0) / _MICROSECONDS


@dataclass(frozen=True)
class Media:
    """One recording of all speakers, one per speaker, or none."""

    shared: Recording | None
    own: Mapping[str, Recording]

    @classmethod
    def of(cls, media: str | Path | Mapping[str, str | Path] | None) -> "Media":
        """Inspect the files that the user named."""
        if isinstance(media, Mapping):
            if not media:
                raise DialogueError('`media` names no recording; give a path, or {"Alice": "alice.wav", …}')
            return cls(None, {str(speaker): Recording.of(Path(path)) for speaker, path in media.items()})
        return cls(None if media is None else Recording.of(Path(media)), {})

    @property
    def names(self) -> list[str]:
        """File names of the recordings, without suffixes."""
        return [recording.path.stem for recording in [self.shared, *self.own.values()] if recording is not None]

    def recording_of(self, speaker: str | None) -> Recording | None:
        return self.own.get(speaker or "", self.shared)

    def check_ends(self, segments: Sequence[Segment], path: Path) -> list[str]:
        """Cut the last cue where it ends a little after the recording.

        Returns:
            Notes on what was cut.

        Raises:
            DialogueError: a cue lies past the end; most cues do if the transcript belongs to another recording.
        """
        longest = max((each.seconds for each in [self.shared, *self.own.values()] if each is not None), default=None)
        timed = [segment for segment in segments if segment.start is not None]
        if longest is None:
            return []
        if len(timed) < len(segments):
            bare = next(segment for segment in segments if segment.start is None)
            raise DialogueError(f"{bare.place}: no start and end, without which the recording cannot be cut")
        limits = [each.seconds if (each := self.recording_of(segment.speaker)) else longest for segment in timed]
        outside = [segment for segment, limit in zip(timed, limits, strict=True) if segment.times[0] >= limit]
        if 2 * len(outside) > len(timed) and len(outside) > 1:
            raise DialogueError(
                f"{path}: {len(outside)} of {len(timed)} cues start past the end of the recording ({longest:.3f} s); "
                "is it the transcript of another one?"
            )
        notes = []
        for segment, limit in zip(timed, limits, strict=True):
            start, end = segment.times
            if start >= limit or end > limit + _CUT_TOLERANCE:
                raise DialogueError(
                    f"{segment.place}: the cue from {start:.3f} s to {end:.3f} s lies past the end of the recording "
                    f"({limit:.3f} s); remove it, or give the recording that the transcript is of"
                )
            if end > limit:
                segment.end = limit
                notes.append(f"{segment.place}: ends {end - limit:.3f} s after the recording, and was cut there")
        return notes


def name_channels(segments: Sequence[Segment], channels: Sequence[str | None], path: Path) -> None:
    """Name the speaker of each segment after its channel, if the transcript gives channels.

    Raises:
        DialogueError: `channels` is not a list of different names, or there is speech on a channel without a name.
    """
    names = [] if isinstance(channels, str) else [name for name in channels if name is not None]
    if not names or len(set(names)) < len(names):
        raise DialogueError(
            f'`channels` must name one speaker for each channel, as in ["Alice", "Bob"], got {channels!r}'
        )
    for segment in segments:
        if segment.channel is None:
            continue
        name = channels[segment.channel] if segment.channel < len(channels) else None
        if name is None:
            raise DialogueError(
                f"{segment.place}: speech on channel {segment.channel + 1}, and `channels` names nobody there "
                f"({', '.join(names)})"
            )
        segment.speaker = name
        for word in segment.words:
            word.speaker = name


def put_on_recordings(
    utterances: Sequence[Segment], media: Media, channels: Sequence[str | None] | None, path: Path
) -> list[str]:
    """Add to each utterance the file, and the channel of the file, that it is heard in.

    Returns:
        Notes for the user.

    Raises:
        DialogueError: a speaker in `media` or `channels` who says nothing, or a channel that the recording lacks.
    """
    _refuse_unknown(media.own, utterances, "media", path)
    numbers = {name: number for number, name in enumerate(channels or ()) if name is not None}
    _refuse_unknown(numbers, utterances, "channels", path)
    notes = []
    for utterance in utterances:
        recording = media.recording_of(utterance.speaker)
        if recording is not None:
            utterance.extra = utterance.extra | {"video" if recording.has_pictures else "audio": str(recording.path)}
        if channels is not None or media.own:  # a file of one speaker has none of the others' channels
            utterance.channel = numbers.get(str(utterance.speaker))
        if utterance.channel is None or recording is None or utterance.channel < recording.channels:
            continue
        if channels is not None:
            raise DialogueError(
                f"{recording.path}: `channels` puts {utterance.speaker!r} on channel {utterance.channel + 1}, and the "
                f"recording has {recording.channels}; give the recording as it was before it was mixed down"
            )
        utterance.channel = None
        note = f"{recording.path}: has fewer channels than the transcript tells of; its channels are not told apart"
        if note not in notes:
            notes.append(note)
    speakers = {str(utterance.speaker) for utterance in utterances}
    if media.own and (silent := sorted(speakers - media.own.keys())):
        notes.append(f"`media` has no recording of: {', '.join(silent)}")
    if channels is not None and (others := sorted(speakers - numbers.keys())):
        notes.append(f"on all channels, as `channels` does not name them: {', '.join(others)}")
    return notes


def show_faces(
    utterances: Sequence[Segment], openface: str | Path | None, faces: Mapping[str, int] | None, path: Path
) -> None:
    """Make OpenFace's table of the recording the `video` of each utterance, and say whose face is which.

    Raises:
        DialogueError: there is no such table, `faces` comes without one, or it names somebody who says nothing.
    """
    if openface is None:
        if faces is not None:
            raise DialogueError("`faces` are those of a CSV file of OpenFace; give the file as `openface`")
        return
    if Path(openface).suffix.lower() != ".csv" or not Path(openface).is_file():
        raise DialogueError(f"{openface}: there is no such CSV file of OpenFace; make it with FaceLandmarkVidMulti")
    _refuse_unknown(faces or {}, utterances, "faces", path)
    for utterance in utterances:
        recording = utterance.extra.get("video")
        sound = {} if recording is None else {"audio": recording}
        face = (faces or {}).get(str(utterance.speaker))
        utterance.extra = utterance.extra | sound | {"video": str(openface)} | ({} if face is None else {"face": face})


def _refuse_unknown(names: Iterable[str], utterances: Sequence[Segment], parameter: str, path: Path) -> None:
    known = sorted({str(utterance.speaker) for utterance in utterances})
    for name in names:
        if name not in known:
            raise DialogueError(
                f"{path}: `{parameter}` names {name!r}, who does not speak here{did_you_mean(name, known)} "
                f"(speakers found: {', '.join(known)})"
            )
