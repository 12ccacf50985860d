"""What every processor says of itself: sizes, inputs, packages, and an example."""

import numpy as np
import pytest

from joyful_hf import FoalNetProcessor, JoyfulProcessor
from joyful_hf.processing import MODALITIES, EmotionRecognitionProcessor
from tests.support.helpers import DIMS, make_dialogues, make_tokenizer


class OutsideProcessor(EmotionRecognitionProcessor):
    """A processor of a family from outside the package, with nothing but what it must say."""

    def __init__(self, size: int = 3) -> None:
        super().__init__()
        self.size = size

    @property
    def dims(self) -> dict[str, int | None]:
        return {"text": None, "audio": self.size}


class TestDims:
    def test_they_are_the_sizes_of_the_modalities_that_are_part_of_the_model(self, family):
        model, processor = family.make(make_dialogues())
        assert tuple(processor.dims) == family.modalities
        assert list(model.config.modality_dims) == list(processor.dims)
        sizes = {modality: size for modality, size in processor.dims.items() if size is not None}
        assert sizes == {modality: DIMS[modality] for modality in sizes}
        assert sizes.items() <= model.config.modality_dims.items()
        assert processor.reads_anything

    @pytest.mark.parametrize("modality", MODALITIES)
    def test_a_modality_that_no_utterance_has_is_not_among_them(self, family, modality):
        if modality not in family.modalities:
            pytest.skip("the family does not read it")
        _, processor = family.make(make_dialogues(modalities=[modality]))
        assert tuple(processor.dims) == (modality,)

    def test_they_are_none_where_the_model_encodes_the_medium_itself(self):
        assert FoalNetProcessor(video_dim=4).dims == {"audio": None, "visual": 4}
        assert JoyfulProcessor(audio_dim=2, tokenizer=make_tokenizer()).dims == {"text": None, "audio": 2}

    def test_nothing_is_read_without_any(self):
        assert JoyfulProcessor().dims == FoalNetProcessor(audio_dim=0, video_dim=0).dims == {}
        assert not JoyfulProcessor().reads_anything


class TestDescription:
    def test_every_modality_is_described(self, family):
        model, processor = family.make(make_dialogues())
        inputs = processor.describe_inputs(model.config)
        assert [given.modality for given in inputs] == list(processor.dims)
        assert all(given.keys and given.size for given in inputs)

    def test_the_example_can_be_predicted(self, family):
        model, processor = family.make(make_dialogues())
        (predicted,) = model.predict(processor.example_dialogue(), processor)
        assert [utterance["speaker"] for utterance in predicted["utterances"]] == ["Ross", "Rachel"]

    def test_the_example_has_everything_that_is_read(self, family):
        _, processor = family.make(make_dialogues())
        present = np.concatenate([part.present for part in processor.encode(processor.example_dialogue())])
        assert present[:, [modality in family.modalities for modality in MODALITIES]].all()

    def test_packages_are_those_of_the_media_that_are_read(self):
        assert JoyfulProcessor(text_dim=2, text_extractor="hashing").extras == ()
        assert JoyfulProcessor(text_dim=2).extras == ()
        assert JoyfulProcessor(video_extractor="frame-statistics").extras == ("media",)
        assert JoyfulProcessor(audio_extractor="opensmile:emobase").extras == ("media", "opensmile")
        assert FoalNetProcessor().extras == ("media",)
        assert FoalNetProcessor(audio_dim=2).extras == ()

    def test_a_family_from_outside_is_described_by_its_sizes(self):
        processor = OutsideProcessor()
        text, audio = processor.describe_inputs(config=None)
        assert (text.keys, text.size, text.made_by) == (("text",), "any length", "an encoder inside the model")
        assert (audio.keys, audio.size, audio.made_by) == (("audio_features",), "3", None)
        assert processor.describe_context(config=None) == []
        assert processor.extras == ()
        assert processor.extractors == {}
        assert processor.reads_media is None
        (first, _) = processor.example_dialogue()["utterances"]
        assert first.keys() == {"speaker", "text", "audio_features"}
        assert first["audio_features"].shape == (3,)
