"""The GRU over each speaker's own utterances: torch's, one speaker at a time, is what it must equal."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from joyful_hf.modeling.packing import DialogueLayout
from joyful_hf.modeling.speaker_encoder import SpeakerGRU

SIZE = 6

both_ways = pytest.mark.parametrize("causal", [False, True])
dialogues = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=7), min_size=1, max_size=4)
"""The speaker of each utterance of some dialogues."""


def make_encoder(causal: bool) -> SpeakerGRU:
    torch.manual_seed(0)
    return SpeakerGRU(SIZE, dropout=0.3, causal=causal).eval()


def layout_of(speakers: list[list[int]], **kwargs) -> DialogueLayout:
    ids = torch.tensor([speaker for dialogue in speakers for speaker in dialogue])
    return DialogueLayout(torch.tensor([len(dialogue) for dialogue in speakers]), len(ids), speaker_ids=ids, **kwargs)


def random_rows(speakers: list[list[int]]) -> torch.Tensor:
    count = sum(map(len, speakers))
    return torch.randn(count, SIZE, generator=torch.Generator().manual_seed(count))


def one_by_one(encoder: SpeakerGRU, rows: torch.Tensor, speakers: list[list[int]]) -> torch.Tensor:
    gru = torch.nn.GRU(SIZE, encoder.gru.hidden_size, bidirectional=encoder.gru.bidirectional)
    gru.load_state_dict(encoder.gru.state_dict())
    expected, start = torch.empty_like(rows), 0
    for dialogue in speakers:
        for speaker in set(dialogue):
            own = [start + place for place, who in enumerate(dialogue) if who == speaker]
            expected[own] = gru(rows[own])[0]
        start += len(dialogue)
    return expected


@both_ways
@given(speakers=dialogues)
def test_it_reads_each_speakers_utterances_as_a_sequence_of_their_own(causal, speakers):
    encoder, rows = make_encoder(causal), random_rows(speakers)
    torch.testing.assert_close(encoder(rows, layout_of(speakers)), one_by_one(encoder, rows, speakers))


@both_ways
@settings(max_examples=8)  # each is compiled
@given(speakers=dialogues)
def test_a_compilers_form_is_the_same(causal, speakers):
    encoder, rows = make_encoder(causal), random_rows(speakers)
    layout = layout_of(speakers)
    layout._blocks = [layout._traced_block()]
    torch.testing.assert_close(encoder._scan(rows, layout), one_by_one(encoder, rows, speakers))


@given(speakers=st.lists(st.integers(0, 3), min_size=2, max_size=8), data=st.data())
def test_a_dialogue_in_two_pieces_is_the_whole_of_it(speakers, data):
    encoder, rows = make_encoder(causal=True), random_rows([speakers])
    cut = data.draw(st.integers(1, len(speakers) - 1))
    states: dict = {}
    first = encoder(rows[:cut], layout_of([speakers[:cut]], recurrent_states=states))
    states = {layer: after[-1:] for layer, after in states.items()}
    second = encoder(rows[cut:], layout_of([speakers[cut:]], recurrent_states=states))
    torch.testing.assert_close(torch.cat([first, second]), encoder(rows, layout_of([speakers])))


def test_the_states_are_those_after_each_utterance():
    encoder, speakers = make_encoder(causal=True), [0, 1, 0]
    states: dict = {}
    after = encoder(random_rows([speakers]), layout_of([speakers], recurrent_states=states))
    torch.testing.assert_close(states[encoder][1], after[:2])
    torch.testing.assert_close(states[encoder][2], torch.stack([after[2], after[1]]))


def test_an_odd_width_is_refused_where_two_directions_share_it():
    with pytest.raises(ValueError, match="needs an even width, got 5"):
        SpeakerGRU(5, 0.0)
    assert SpeakerGRU(5, 0.0, causal=True).gru.hidden_size == 5
