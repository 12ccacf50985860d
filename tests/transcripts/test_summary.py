"""The few lines at the end of a prediction."""

from joyful_hf.transcripts.summary import summary_table


def utterance(speaker, start, end, label, score, text="…"):
    scores = {label: score, "neutral": 1 - score} if isinstance(label, str) else None
    return {"speaker": speaker, "start": start, "end": end, "text": text, "label": label, "scores": scores}


def test_speakers_have_minutes_utterances_and_shares_and_strong_moments_have_times():
    dialogue = {"dialogue_id": "m", "utterances": [
        utterance("Ana", 0.0, 60.0, "neutral", 0.99),
        utterance("Bob", 60.0, 90.0, "neutral", 0.9),
        utterance("Ana", 90.0, 180.0, "joy", 0.8, "We won"),
        utterance("Bob", 3725.5, 3731.5, "anger", 0.955, "No " * 40),
        utterance("Bob", 3800.0, 3801.0, None, 0.0),
    ]}  # fmt: skip
    assert summary_table(dialogue) == (
        "  speaker  minutes  utterances  neutral   joy  anger\n"
        "  Ana          2.5           2     50 %  50 %    0 %\n"
        "  Bob          0.6           3     50 %   0 %   50 %\n"
        "\n"
        "strongest moments:\n"
        f"  1:02:05  Bob  anger 96 %  {('No ' * 40)[:47]}…\n"
        "  0:01:30  Ana  joy 80 %    We won\n"
        "\n"
        "nothing could be read: 1 of 5 utterances"
    )


def test_values_have_a_mean():
    dialogue = {"utterances": [utterance("Ana", 0, 30, -1.5, 0), utterance("Ana", 30, 60, 0.5, 0)]}
    assert summary_table(dialogue, moments=1) == (
        "  speaker  minutes  utterances   mean\n"
        "  Ana          1.0           2  -0.50\n"
        "\n"
        "strongest moments:\n"
        "  0:00:00  Ana  -1.50  …"
    )


def test_each_of_several_values_has_a_mean():
    first, second = {"valence": -1.5, "arousal": 0.25}, {"valence": 0.5, "arousal": 0.75}
    dialogue = {"utterances": [utterance("Ana", 0, 30, first, 0), utterance("Ana", 30, 60, second, 0)]}
    assert summary_table(dialogue, moments=1) == (
        "  speaker  minutes  utterances  arousal  valence\n"
        "  Ana          1.0           2    +0.50    -0.50\n"
        "\n"
        "strongest moments:\n"
        "  0:00:00  Ana  valence -1.50, arousal +0.25  …"
    )


def test_several_labels_count_for_each():
    dialogue = {"utterances": [
        {"speaker": "Ana", "label": ["joy", "fear"], "scores": {"joy": 0.9, "fear": 0.6}},
        {"speaker": "Ana", "label": [], "scores": {"joy": 0.1, "fear": 0.2}},
    ]}  # fmt: skip
    assert summary_table(dialogue) == (
        "  speaker  utterances   joy  fear\n"
        "  Ana               2  50 %  50 %\n"
        "\n"
        "strongest moments:\n"
        "  utterance 0  Ana  joy + fear 90 %"
    )
