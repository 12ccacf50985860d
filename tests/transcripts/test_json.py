"""JSON of whisper, whisperX, AssemblyAI, Deepgram and AWS Transcribe, in each tool's documented layout."""

import json

import pytest

from joyful_hf.processing import DialogueError


def dump(value):
    return json.dumps(value, ensure_ascii=False)


WHISPER = {
    "text": " Hello there. How are you?",
    "segments": [
        {
            "id": 0,
            "seek": 0,
            "start": 0.0,
            "end": 2.44,
            "text": " Hello there.",
            "tokens": [50364, 2425],
            "temperature": 0.0,
            "avg_logprob": -0.3,
            "words": [
                {"word": " Hello", "start": 0.0, "end": 0.6, "probability": 0.9},
                {"word": " there.", "start": 0.6, "end": 2.44, "probability": 0.9},
            ],
        },
        {"id": 1, "seek": 0, "start": 4.0, "end": 5.125, "text": " How are you?", "tokens": []},
    ],
    "language": "en",
}


def test_whisper_has_segments(rows):
    assert rows("a.json", dump(WHISPER)) == [
        ("unknown", 0.0, 2.44, "Hello there."),
        ("unknown", 4.0, 5.125, "How are you?"),
    ]


def test_a_bare_list_of_segments_is_read_too(rows):
    assert rows("a.json", dump(WHISPER["segments"])) == rows("b.json", dump(WHISPER))


def test_speakers_that_are_numbers_keep_their_spelling(rows):
    assert rows("a.json", dump([{"start": 0, "end": 1, "text": "Hi", "speaker": 0}])) == [("0", 0.0, 1.0, "Hi")]


def whisperx(*words, text=None, speaker="SPEAKER_00"):
    """A segment of words (text, start, end, speaker)."""
    segment = {
        "start": words[0][1],
        "end": words[-1][2],
        "text": text or " ".join(word[0] for word in words),
        "words": [
            {"word": word, "score": 0.8}
            | ({} if start is None else {"start": start, "end": end})
            | ({} if who is None else {"speaker": who})
            for word, start, end, who in words
        ],
    }
    return segment | ({"speaker": speaker} if speaker else {})


def test_whisperx_has_speakers(rows):
    data = {
        "segments": [
            whisperx(("Hello", 0.031, 0.5, "SPEAKER_00"), ("there.", 0.6, 1.2, "SPEAKER_00")),
            whisperx(("Hi.", 1.4, 1.9, "SPEAKER_01"), speaker="SPEAKER_01"),
        ],
        "word_segments": [],
        "language": "en",
    }
    assert rows("a.json", dump(data)) == [
        ("SPEAKER_00", 0.031, 1.2, "Hello there."),
        ("SPEAKER_01", 1.4, 1.9, "Hi."),
    ]


def test_a_segment_is_split_at_the_word_where_its_speaker_changes(rows, report):
    segment = whisperx(
        ("So", 0.0, 0.4, "A"), ("far?", 0.5, 1.2, "A"), ("Yes,", 1.5, 2.0, "B"), ("fine.", 2.1, 3.0, "B")
    )  # fmt: skip
    text = dump({"segments": [segment]})
    assert rows("a.json", text) == [("A", 0.0, 1.2, "So far?"), ("B", 1.5, 3.0, "Yes, fine.")]
    assert report("a.json", text).split == 1


@pytest.mark.parametrize(
    "flicker",
    [
        [("Yes.", 1.5, 2.9, "B")],
        [("Oh", 1.5, 1.7, "B"), ("yes.", 1.8, 2.2, "B")],
    ],
    ids=["one word", "less than a second"],
)
def test_words_too_few_or_too_short_do_not_split_a_segment(rows, flicker):
    segment = whisperx(("So", 0.0, 0.4, "A"), ("far", 0.5, 1.2, "A"), *flicker, speaker="A")
    assert [row[0] for row in rows("a.json", dump({"segments": [segment]}))] == ["A"]


def test_text_without_spaces_is_split_without_spaces(rows):
    segment = whisperx(("好", 0.0, 0.5, "A"), ("吧", 0.5, 1.0, "A"), ("再", 1.0, 1.5, "B"), ("见", 1.5, 2.0, "B"),
                       text="好吧再见")  # fmt: skip
    assert [row[3] for row in rows("a.json", dump({"segments": [segment]}))] == ["好吧", "再见"]


def test_words_without_times_are_interpolated(rows):
    segment = whisperx(
        ("In", 0.0, 1.0, "A"), ("2014", None, None, None), ("and", 2.0, 3.0, "A"),
        ("no", None, None, "B"), ("2", None, None, "B"), ("now", 5.0, 6.0, "B"),
    )  # fmt: skip
    assert rows("a.json", dump({"segments": [segment]})) == [
        ("A", 0.0, 3.0, "In 2014 and"),
        ("B", 3.0, 6.0, "no 2 now"),
    ]


ASSEMBLY = {
    "id": "5552830",
    "status": "completed",
    "audio_url": "https://example.com/a.wav",
    "audio_duration": 4,
    "text": "Hi, I'm Joy. Hello.",
    "words": [
        {"text": "Hi,", "start": 250, "end": 650, "confidence": 0.97, "speaker": "A"},
        {"text": "I'm", "start": 730, "end": 1022, "confidence": 0.99, "speaker": "A"},
        {"text": "Joy.", "start": 1076, "end": 1466, "confidence": 0.99, "speaker": "A"},
        {"text": "Hello.", "start": 2500, "end": 3001, "confidence": 0.99, "speaker": "B"},
    ],
    "utterances": [
        {"confidence": 0.9, "start": 250, "end": 1466, "text": "Hi, I'm Joy.", "speaker": "A", "words": []},
        {"confidence": 0.9, "start": 2500, "end": 3001, "text": "Hello.", "speaker": "B", "words": []},
    ],
}


def test_assemblyai_counts_milliseconds(rows):
    expected = [("A", 0.25, 1.466, "Hi, I'm Joy."), ("B", 2.5, 3.001, "Hello.")]
    assert rows("a.json", dump(ASSEMBLY)) == expected
    assert rows("a.json", dump(ASSEMBLY | {"utterances": None})) == expected


def test_assemblyai_counts_channels_from_one(read):
    utterances = [each | {"channel": str(i), "speaker": str(i)} for i, each in enumerate(ASSEMBLY["utterances"], 1)]
    text = dump(ASSEMBLY | {"utterances": utterances, "audio_channels": 2})
    assert [(each["speaker"], each["channel"]) for each in read("a.json", text)] == [("1", 0), ("2", 1)]
    assert [each["speaker"] for each in read("a.json", text, channels=["Ana", "Bob"])] == ["Ana", "Bob"]


@pytest.mark.parametrize(("status", "error"), [("error", "no speech"), ("processing", None)])
def test_an_unfinished_transcript_of_assemblyai_says_so(rows, status, error):
    with pytest.raises(DialogueError, match=f"status '{status}'"):
        rows("a.json", dump(ASSEMBLY | {"status": status, "error": error, "utterances": None, "words": None}))


def word(text, start, end, **more):
    return {"word": text.lower().strip(".,?"), "start": start, "end": end, "confidence": 0.9,
            "punctuated_word": text} | more  # fmt: skip


DEEPGRAM_WORDS = [word("Hello", 0.08, 0.32, speaker=0), word("there.", 0.32, 0.7999, speaker=0),
                  word("Hi.", 1.5, 2.0, speaker=1)]  # fmt: skip


def deepgram(channels, utterances=None):
    results = {
        "channels": [{"alternatives": [{"transcript": "…", "confidence": 0.9, "words": words}]} for words in channels]
    } | ({"utterances": utterances} if utterances else {})
    return dump({"metadata": {"request_id": "x", "channels": len(channels)}, "results": results})


def test_deepgram_has_words_with_speakers(rows):
    assert rows("a.json", deepgram([DEEPGRAM_WORDS])) == [
        ("0", 0.08, 0.8, "Hello there."),
        ("1", 1.5, 2.0, "Hi."),
    ]


def test_deepgram_may_have_utterances(rows):
    utterances = [
        {"start": 0.08, "end": 0.8, "channel": 0, "transcript": "Hello there.", "words": DEEPGRAM_WORDS[:2],
         "speaker": 0, "id": "u1"},
        {"start": 1.5, "end": 2.0, "channel": 0, "transcript": "Hi.", "words": DEEPGRAM_WORDS[2:], "speaker": 1,
         "id": "u2"},
    ]  # fmt: skip
    assert rows("a.json", deepgram([DEEPGRAM_WORDS], utterances)) == rows("b.json", deepgram([DEEPGRAM_WORDS]))


def test_deepgram_hears_each_channel_for_itself(read, rows):
    left = [word("Hello", 0.1, 0.5), word("there.", 0.5, 1.0)]
    text = deepgram([left, [word("Hi.", 0.75, 2.0)]])
    assert rows("a.json", text) == [("channel 0", 0.1, 1.0, "Hello there."), ("channel 1", 0.75, 2.0, "Hi.")]
    named = read("a.json", text, channels=["Ana", "Bob"])
    assert [(each["speaker"], each["channel"]) for each in named] == [("Ana", 0), ("Bob", 1)]


def aws_item(content, start=None, end=None, **more):
    times = {} if start is None else {"start_time": start, "end_time": end}
    kind = "punctuation" if start is None else "pronunciation"
    return times | {"alternatives": [{"confidence": "1.0", "content": content}], "type": kind} | more


AWS_ITEMS = [
    aws_item("On", "4.87", "5.02"),
    aws_item("hold", "5.02", "6.88"),
    aws_item("."),
    aws_item("Sorry", "8.49", "9.24"),
    aws_item("!"),
]
AWS_TURNS = {
    "speakers": 2,
    "segments": [
        {"start_time": "4.87", "end_time": "6.88", "speaker_label": "spk_0", "items": [
            {"start_time": "4.87", "end_time": "5.02", "speaker_label": "spk_0"},
            {"start_time": "5.02", "end_time": "6.88", "speaker_label": "spk_0"}]},
        {"start_time": "8.49", "end_time": "9.24", "speaker_label": "spk_1", "items": [
            {"start_time": "8.49", "end_time": "9.24", "speaker_label": "spk_1"}]},
    ],
}  # fmt: skip
AWS_ROWS = [("spk_0", 4.87, 6.88, "On hold."), ("spk_1", 8.49, 9.24, "Sorry!")]


def aws(**results):
    return dump({"jobName": "j", "accountId": "1", "status": "COMPLETED", "results": {"transcripts": [{}]} | results})


def test_aws_has_speaker_labels(rows):
    assert rows("a.json", aws(items=AWS_ITEMS, speaker_labels=AWS_TURNS)) == AWS_ROWS


def test_aws_may_have_segments_of_sound(rows):
    segments = [
        {"id": 0, "transcript": "On hold.", "start_time": "4.87", "end_time": "6.88", "speaker_label": "spk_0"},
        {"id": 1, "transcript": "Sorry!", "start_time": "8.49", "end_time": "9.24", "speaker_label": "spk_1"},
    ]
    assert rows("a.json", aws(items=AWS_ITEMS, audio_segments=segments)) == AWS_ROWS


def test_aws_without_speakers_is_cut_into_sentences(rows):
    assert rows("a.json", aws(items=AWS_ITEMS)) == [("unknown", *row[1:]) for row in AWS_ROWS]


def test_aws_has_channels(read, rows):
    channels = [
        {"channel_label": "ch_0", "items": [item | {"channel_label": "ch_0"} for item in AWS_ITEMS[:3]]},
        {"channel_label": "ch_1", "items": [item | {"channel_label": "ch_1"} for item in AWS_ITEMS[3:]]},
    ]
    text = aws(items=AWS_ITEMS, channel_labels={"channels": channels, "number_of_channels": 2})
    assert [row[0] for row in rows("a.json", text)] == ["ch_0", "ch_1"]
    named = read("a.json", text, channels=["Ana", "Bob"])
    assert [(each["speaker"], each["channel"], each["text"]) for each in named] == [
        ("Ana", 0, "On hold."),
        ("Bob", 1, "Sorry!"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (dump(WHISPER)[:-40], "line 1, column .*: not JSON .* the file is truncated, export it again"),
        ('{"segments": [}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        (dump({"segments": [], "text": "", "language": "en"}), "no cue was found in this whisper file"),
        (
            dump({"segments": [{"start": 0, "end": "x"}]}),
            r"segments\[0\]: 'end' must be a number, got 'x'",
        ),
        (dump({"segments": [{"start": 0, "text": "a"}]}), r"segments\[0\]: there is no 'end'"),
        (dump({"segments": [{"start": 0, "end": 1}]}), r"segments\[0\]: 'text' must be a text, got None"),
        (dump({"segments": [{"start": 0, "end": 1, "text": "a", "words": 3}]}), "'words' must be a list"),
        (dump({"monologues": []}), r"JSON of no known tool \(its keys: monologues\); known are whisper, whisperX"),
    ],
)
def test_bad_json_is_refused(rows, text, message):
    with pytest.raises(DialogueError, match=rf"a\.json.*{message}"):
        rows("a.json", text)


def test_words_of_a_script_without_spaces_are_joined_without_any(rows):
    words = [
        {"text": text, "start": 200 * index, "end": 200 * index + 200} for index, text in enumerate("你好，世界。")
    ]
    assert rows("a.json", json.dumps({"status": "completed", "words": words})) == [
        ("unknown", 0.0, 1.2, "你好，世界。")
    ]
