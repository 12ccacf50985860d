"""`StreamingRecognizer`: an utterance gets at once what the batch would give it, from its past alone."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from joyful_hf import DialogueError, FoalNetForEmotionRecognition, StreamingRecognizer
from joyful_hf.modeling.reach import UNKNOWN
from tests.support.helpers import (
    CAUSAL_CASES,
    FAMILY_CASES,
    LABELS,
    make_causal,
    make_dialogue,
    make_dialogues,
    without_modality,
)

# A whole-dialogue transformer is causal, and yet no part of the past says all that it needs.
EXACT_CASES = [case for case in CAUSAL_CASES if case[1] not in ("transformer", "paper", "released")]
each_exact_form = pytest.mark.parametrize("case", EXACT_CASES, ids=lambda case: case[1])
OF_UTTERANCES = [case for case in FAMILY_CASES if case.model_class is FoalNetForEmotionRecognition]
OF_DIALOGUES = [case for case in FAMILY_CASES if case not in OF_UTTERANCES]
GRU, WINDOW = (next(case for case in CAUSAL_CASES if case[1] == name) for name in ("two-grus", "window"))


def predicted(model, processor, utterances):
    return model.predict({"utterances": utterances}, processor)[0]["utterances"]


def assert_same(streamed, expected):
    assert len(streamed) == len(expected)
    for one, other in zip(streamed, expected, strict=True):
        assert one.keys() == other.keys()
        assert (one["speaker"], one.get("text")) == (other["speaker"], other.get("text"))
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)


def rows_seen(model, recognizer, utterances) -> list[int]:
    """How many utterances the model computes for each that arrives."""
    rows = []
    hook = model.register_forward_hook(lambda module, given, output: rows.append(len(output.logits)))
    list(recognizer.stream(utterances))
    hook.remove()
    return rows


class TestExact:
    @each_exact_form
    @settings(max_examples=6)
    @given(length=st.integers(1, 40), speakers=st.integers(1, 3), seed=st.integers(0, 9), data=st.data())
    def test_scores_are_those_of_the_whole_dialogue(self, case, length, speakers, seed, data):
        model, processor = make_causal(case)
        utterances = make_dialogue(length, seed, speakers)["utterances"]
        for modality in ("text", "audio", "visual"):
            missing = data.draw(st.sets(st.integers(1, 40)))  # the first one has something to say
            utterances = [
                without_modality(utterance, modality) if index in missing else utterance
                for index, utterance in enumerate(utterances)
            ]
        recognizer = StreamingRecognizer(model, processor)
        assert recognizer.is_exact
        assert_same(list(recognizer.stream(utterances)), predicted(model, processor, utterances))

    @each_exact_form
    def test_an_utterance_costs_the_same_however_many_came_before(self, case):
        model, processor = make_causal(case)
        rows = rows_seen(model, StreamingRecognizer(model, processor), make_dialogue(50)["utterances"])
        most = max(rows)
        assert most <= 1 + 3 * 3 + 2 * 2  # graph: three steps of window_past; context: two layers of context_window
        assert rows == [min(index + 1, most) for index in range(50)]

    def test_without_a_graph_a_gru_takes_one_step_an_utterance(self):
        model, processor = make_causal(GRU, graph_num_layers=0)
        assert rows_seen(model, StreamingRecognizer(model, processor), make_dialogue(9)["utterances"]) == [1] * 9

    @pytest.mark.parametrize("window_past", [0, 8])
    def test_with_any_window(self, window_past):
        for case in (GRU, WINDOW):
            model, processor = make_causal(case, window_past=window_past)
            utterances = make_dialogue(60, speakers=3)["utterances"]
            recognizer = StreamingRecognizer(model, processor)
            assert recognizer.is_exact
            assert_same(list(recognizer.stream(utterances)), predicted(model, processor, utterances))

    def test_with_fixed_speakers(self):
        model, processor = make_causal(GRU)
        processor.speaker_to_id = {"speaker 0": 2, "speaker 1": 0, "speaker 2": 1}
        utterances = make_dialogue(20, speakers=3)["utterances"]
        utterances[7] = {"speaker": "speaker 1", "text": "nobody heard it"}
        streamed = list(StreamingRecognizer(model, processor).stream(utterances))
        assert_same(streamed, predicted(model, processor, utterances))

    @pytest.mark.parametrize("family", OF_UTTERANCES, ids=lambda family: family.name)
    def test_single_utterances_need_no_past(self, family):
        model, processor = family.make(make_dialogues())
        utterances = make_dialogue(4)["utterances"]
        recognizer = StreamingRecognizer(model, processor)
        assert recognizer.is_exact
        assert_same(list(recognizer.stream(utterances)), predicted(model, processor, utterances))


class TestFromThePastOnly:
    @pytest.mark.parametrize("family", OF_DIALOGUES, ids=lambda family: family.name)
    def test_a_model_that_knows_the_future_answers_as_if_the_dialogue_ended_there(self, family):
        model, processor = family.make(make_dialogues())
        utterances = make_dialogue(9)["utterances"]
        recognizer = StreamingRecognizer(model, processor, max_utterances=9)
        assert recognizer.is_exact is False
        for index, utterance in enumerate(utterances):
            ended = predicted(model, processor, utterances[: index + 1])
            assert_same([recognizer.add(utterance)], ended[-1:])

    def test_of_a_model_that_does_not_state_its_reach_nobody_knows_how_exact_it_is(self, monkeypatch):
        model, processor = make_causal(GRU)
        monkeypatch.setattr(type(model.joyful.context_encoder or model.joyful.fusion), "reach", UNKNOWN)
        utterances = make_dialogue(9)["utterances"]
        recognizer = StreamingRecognizer(model, processor, max_utterances=9)
        assert recognizer.is_exact is None
        assert_same(list(recognizer.stream(utterances)), predicted(model, processor, utterances))
        assert max(rows_seen(model, StreamingRecognizer(model, processor, max_utterances=4), utterances)) == 4

    @pytest.mark.parametrize("fields", [{"context_window": 0}, {"window_past": -1}], ids=str)
    def test_so_does_one_that_sees_all_of_the_past(self, fields):
        model, processor = make_causal(WINDOW, **fields)
        utterances = make_dialogue(12, speakers=3)["utterances"]
        recognizer = StreamingRecognizer(model, processor)
        assert not recognizer.is_exact
        assert_same(list(recognizer.stream(utterances)), predicted(model, processor, utterances))

    def test_of_a_longer_dialogue_the_last_utterances_are_seen(self):
        model, processor = FAMILY_CASES[0].make(make_dialogues())
        utterances = make_dialogue(30, speakers=1)["utterances"]
        recognizer = StreamingRecognizer(model, processor, max_utterances=5)
        *_, last = recognizer.stream(utterances)
        assert_same([last], predicted(model, processor, utterances[-5:])[-1:])
        assert max(rows_seen(model, recognizer, utterances)) == 5

    def test_speakers_keep_their_ids_when_their_first_words_are_no_longer_seen(self):
        model, processor = FAMILY_CASES[0].make(make_dialogues(), window_future=1)
        processor.speaker_to_id = {"A": 0, "B": 1}
        ids = []
        for numbering in ({"A": 0, "B": 1}, None):
            processor.speaker_to_id = numbering
            recognizer = StreamingRecognizer(model, processor, max_utterances=2)
            spoken = zip("AABBB", make_dialogue(5)["utterances"], strict=True)
            ids.append([recognizer.add(utterance | {"speaker": speaker}) for speaker, utterance in spoken])
        assert_same(*ids)

    @pytest.mark.parametrize("most", [0, -1])
    def test_less_than_one_utterance_is_refused(self, most):
        with pytest.raises(ValueError, match=f"max_utterances must be 1 or more, got {most}"):
            StreamingRecognizer(*FAMILY_CASES[0].make(make_dialogues()), max_utterances=most)


@pytest.mark.parametrize("case", [GRU, WINDOW], ids=lambda case: case[1])
class TestTheStream:
    def test_after_a_reset_the_dialogue_is_new(self, case):
        model, processor = make_causal(case)
        recognizer = StreamingRecognizer(model, processor)
        for dialogue in make_dialogues((23, 9), speakers=3):
            recognizer.reset()
            streamed = list(recognizer.stream(dialogue["utterances"]))
            assert_same(streamed, predicted(model, processor, dialogue["utterances"]))

    def test_several_dialogues_can_go_on_with_one_model(self, case):
        model, processor = make_causal(case)
        dialogues = [make_dialogue(20, seed)["utterances"] for seed in range(2)]
        recognizers = [StreamingRecognizer(model, processor) for _ in dialogues]
        answers: list[list] = [[], []]
        for turn in zip(*dialogues, strict=True):
            for recognizer, utterance, streamed in zip(recognizers, turn, answers, strict=True):
                streamed.append(recognizer.add(utterance))
        for streamed, utterances in zip(answers, dialogues, strict=True):
            assert_same(streamed, predicted(model, processor, utterances))

    def test_a_dialogue_can_be_continued_from_a_copy(self, case):
        model, processor = make_causal(case)
        recognizer = StreamingRecognizer(model, processor)
        first, *rest = make_dialogue(20)["utterances"]
        recognizer.add(first)
        saved = copy.copy(recognizer)
        assert list(recognizer.stream(rest)) == list(saved.stream(rest))

    def test_a_bad_utterance_is_as_if_it_had_never_been(self, case):
        model, processor = make_causal(case)
        utterances = make_dialogue(20, speakers=2)["utterances"]
        recognizer = StreamingRecognizer(model, processor)
        recognizer.reset()
        streamed = []
        for index, utterance in enumerate(utterances):
            for bad, message in BAD_UTTERANCES:
                with pytest.raises(DialogueError, match=rf"^dialogues\[1\], utterances\[{index}\]: {message}"):
                    recognizer.add(bad)
            streamed.append(recognizer.add(utterance))
        assert_same(streamed, predicted(model, processor, utterances))

    @pytest.mark.parametrize("training", [False, True])
    def test_the_mode_of_the_model_stays(self, case, training):
        model, processor = make_causal(case)
        model.train(training)
        utterances = make_dialogue(5)["utterances"]
        streamed = list(StreamingRecognizer(model, processor).stream(utterances))
        assert model.training is training
        assert_same(streamed, predicted(model, processor, utterances))


BAD_UTTERANCES = [
    ("hello", "expected a mapping with 'speaker', got str"),
    ({"text": "hello"}, "no speaker"),
    ({"speaker": "a stranger", "text_features": [1.0]}, "'text_features' has size 1, expected 12"),
    ({"speaker": "a stranger", "text_features": [math.nan] * 12}, r"'text_features'\[0\] is nan"),
]


def test_raw_media_alone_are_refused_from_the_beginning():
    recognizer = StreamingRecognizer(*make_causal(GRU))
    for _ in range(2):
        with pytest.raises(DialogueError, match="there is 'text' but no 'text_features'"):
            recognizer.add({"speaker": "A", "text": "hello"})


def test_too_many_speakers_are_refused_by_number():
    recognizer = StreamingRecognizer(*make_causal(GRU))
    *known, fourth = make_dialogue(4, speakers=4)["utterances"]
    list(recognizer.stream(known))
    with pytest.raises(DialogueError, match=r"utterances\[3\]: speaker 'speaker 3' is number 4"):
        recognizer.add(fourth)


@pytest.mark.parametrize("problem_type", ["regression", "multi_label_classification"])
def test_every_task(problem_type):
    label = {"regression": lambda rng: float(rng.normal()), "multi_label_classification": lambda rng: [LABELS[0]]}
    dialogues = make_dialogues((6, 4), label=label[problem_type])
    model, processor = FAMILY_CASES[0].make(dialogues, window_future=0, causal=True)
    utterances = dialogues[0]["utterances"]
    streamed = list(StreamingRecognizer(model, processor).stream(utterances))
    assert_same(streamed, predicted(model, processor, utterances))


@pytest.mark.gpu
def test_on_a_gpu():
    model, processor = make_causal(GRU)
    utterances = make_dialogue(20)["utterances"]
    expected = predicted(model, processor, utterances)
    streamed = list(StreamingRecognizer(model.to("cuda"), processor).stream(utterances))
    for one, other in zip(streamed, expected, strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-3)
    assert torch.cuda.memory_allocated() > 0
