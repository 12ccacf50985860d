"""`joyful extract`: how it divides its work."""

import pytest

from joyful_hf.cli import extract


@pytest.mark.parametrize(
    ("extractors", "expected"),
    [
        ({"audio": "logmel"}, 3),
        ({"text": "hashing", "audio": "opensmile:eGeMAPSv02", "visual": "frame-statistics"}, 3),
        ({"text": "hashing"}, 1),
        ({"audio": "user/wavlm"}, 1),
        ({"text": "user/bert#-4:", "audio": "logmel"}, 1),
    ],
)
def test_recordings_are_read_on_all_cores_unless_an_encoder_wants_them(extractors, expected, monkeypatch):
    monkeypatch.setattr(extract, "usable_cores", lambda: 3)
    assert extract.processes_for(extractors) == expected


@pytest.mark.parametrize(("given", "expected"), [([], 3), (["--num-proc", "2"], 2)])
def test_the_user_decides(joyful, monkeypatch, given, expected, tmp_path):
    from joyful_hf.data import extraction

    asked = []

    def extract_features(dialogues, processor, num_proc, **options):
        asked.append(num_proc)
        return dialogues

    monkeypatch.setattr(extract, "usable_cores", lambda: 3)
    monkeypatch.setattr(extraction, "extract_features", extract_features)
    (tmp_path / "a.jsonl").write_text('{"utterances": [{"speaker": "A", "text": "hello"}]}')
    files = ["--data-file", "a.jsonl", "--output-file", "b.jsonl"]
    result = joyful("extract", *files, "--audio-extractor", "logmel", *given)
    assert (result.status, asked) == (0, [expected]), result.err
