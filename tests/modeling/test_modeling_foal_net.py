"""Foal-Net as a whole: alignment, matching, cross-attention, streams that come and go, and a pretrained encoder."""

import math

import pytest
import torch
from torch.nn import functional
from transformers import AutoConfig, AutoModel

from joyful_hf import (
    DialogueError,
    FoalNetConfig,
    FoalNetForEmotionRecognition,
    FoalNetModel,
    FoalNetOutput,
)
from joyful_hf.modeling.alignment import EmotionAlignment
from joyful_hf.modeling.cross_attention import CrossAttention
from joyful_hf.modeling.emotion_pairs import same_emotion
from joyful_hf.modeling.matching import hard_negatives, matching_loss
from joyful_hf.modeling.streams import FrameStream
from tests.modeling.test_audio_encoder import SMALL as SMALL_ENCODER

SIZES = {"audio_dim": 8, "video_dim": 12, "projection_size": 6, "num_attention_heads": 2, "num_labels": 3}
LABELS = torch.tensor([0, 1, 0, 2, 1])


def make_model(seed: int = 0, **settings) -> FoalNetForEmotionRecognition:
    torch.manual_seed(seed)
    return FoalNetForEmotionRecognition(FoalNetConfig(**(SIZES | settings))).eval()


def make_stream(dim: int, lengths=(4, 2, 3, 1, 4), seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    frames = torch.randn(len(lengths), max(lengths), dim, generator=torch.Generator().manual_seed(seed))
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return frames * mask[..., None], mask


def make_batch(**changes) -> dict[str, torch.Tensor]:
    audio, audio_mask = make_stream(8, seed=1)
    video, video_mask = make_stream(12, (2, 5, 1, 3, 2), seed=2)
    batch = {
        "audio_frames": audio,
        "audio_frame_mask": audio_mask,
        "video_frames": video,
        "video_frame_mask": video_mask,
        "labels": LABELS,
    }
    return batch | changes


def run(model, **batch) -> FoalNetOutput:
    with torch.no_grad():
        return model(**batch)


class TestSizes:
    def test_the_default_is_the_size_of_the_paper(self):
        with torch.device("meta"):
            model = FoalNetForEmotionRecognition(FoalNetConfig(num_labels=4))
        encoder = model.foal_net.audio_encoder
        assert encoder.encoder.config.model_type == "wavlm"
        assert encoder.shortest == 400
        assert sum(parameter.numel() for parameter in encoder.parameters()) == pytest.approx(315.5e6, rel=0.01)
        assert model.classifier.weight.shape == (4, 1024 + 768 + 2 * 512)
        with torch.device("meta"):
            released = FoalNetForEmotionRecognition(FoalNetConfig.released(num_labels=4))
        assert released.classifier.weight.shape == (4, 1024 + 768)
        attention = model.foal_net.cross_attention
        assert [len(attention[name].layers) for name in ("audio_to_video", "video_to_audio")] == [2, 2]

    def test_an_encoder_decides_the_size_of_its_frames(self):
        config = FoalNetConfig(audio_config={"hidden_size": 32, "num_attention_heads": 2})
        assert (config.audio_dim, config.audio_config.model_type) == (32, "wavlm")
        assert FoalNetConfig.from_dict(config.to_dict()).to_dict() == config.to_dict()
        with pytest.raises(Exception, match=r"audio_dim is 8.*32"):
            FoalNetConfig(audio_config={"hidden_size": 32}, audio_dim=8)

    @pytest.mark.parametrize(("audio_dim", "heads"), [(1024, 4), (73, 1), (6, 3)])
    def test_the_published_number_of_heads_gives_way_to_a_width_that_it_does_not_divide(self, audio_dim, heads):
        config = FoalNetConfig(audio_dim=audio_dim)
        assert config.num_attention_heads == heads
        assert FoalNetConfig.from_dict(config.to_dict()).num_attention_heads == heads

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"audio_dim": 0, "video_dim": 0}, "all 0"),
            ({"num_attention_heads": 5}, "does not divide audio_dim=8"),
            ({"temperature_mode": "warm"}, "temperature_mode must be one of clip, released"),
            ({"initial_temperature": 0}, "initial_temperature must be above 0"),
            ({"mem_loss_weight": -1}, "mem_loss_weight must be 0 or more"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, settings, message):
        with pytest.raises(Exception, match=message):
            FoalNetConfig(**(SIZES | settings))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"video_frames": None}, "no video_frames.*video_dim=12"),
            ({"video_frames": torch.zeros(5, 12)}, r"video_frames have shape \(5, 12\).*12"),
            ({"video_frame_mask": torch.ones(5, 9)}, r"video_frame_mask has shape \(5, 9\).*\(5, 5\)"),
            ({"video_frames": torch.zeros(4, 5, 12), "video_frame_mask": None}, "5 of audio, 4 of video"),
            ({"labels": torch.tensor([0, 1, 2, 3, 0])}, "label 3.*num_labels=3"),
        ],
    )
    def test_a_batch_that_does_not_fit_is_refused(self, change, message):
        with pytest.raises(DialogueError, match=message):
            make_model()(**make_batch(**change))


class TestAlignment:
    def alignment(self, **settings):
        return EmotionAlignment(FoalNetConfig(**(SIZES | settings)))

    def embeddings(self):
        generator = torch.Generator().manual_seed(0)
        return [functional.normalize(torch.randn(5, 6, generator=generator), dim=-1) for _ in range(2)]

    @pytest.mark.parametrize("normalize", [False, True])
    def test_the_loss_by_hand(self, normalize):
        alignment = self.alignment(avel_normalize=normalize)
        similarity = alignment.similarity(*self.embeddings()).detach()
        takes_part = torch.tensor([True, True, True, False, True])
        rows = [0, 1, 2, 4]
        total = 0.0
        for logits in (similarity, similarity.T):
            for anchor in rows:
                log_probabilities = logits[anchor, rows].log_softmax(-1)
                positives = [log_probabilities[i] for i, other in enumerate(rows) if LABELS[other] == LABELS[anchor]]
                total -= sum(positives) / (len(positives) if normalize else 1)
        loss = alignment.loss(similarity, same_emotion(LABELS), takes_part)
        assert loss.item() == pytest.approx(total.item() / (2 * len(rows)), rel=1e-5)

    def test_the_scale_is_clips_and_never_above_100(self):
        audio, video = self.embeddings()
        alignment = self.alignment()
        torch.testing.assert_close(alignment.similarity(audio, video), audio @ video.T / 0.07)
        alignment.logit_scale.data.fill_(10.0)
        torch.testing.assert_close(alignment.similarity(audio, video), audio @ video.T * 100)

    def test_the_released_divisor(self):
        audio, video = self.embeddings()
        alignment = self.alignment(temperature_mode="released")
        torch.testing.assert_close(alignment.similarity(audio, video), audio @ video.T / math.log(1 / 0.07))

    def test_without_anyone_it_is_0(self):
        alignment = self.alignment()
        similarity = alignment.similarity(*self.embeddings())
        loss = alignment.loss(similarity, same_emotion(LABELS), torch.zeros(5, dtype=torch.bool))
        loss.backward()
        assert loss == 0
        assert torch.isfinite(alignment.logit_scale.grad)

    @pytest.mark.parametrize("normalize", [True, False])
    def test_averaged_its_gradient_does_not_grow_with_the_positives(self, normalize):
        """The released code's sum grows with them."""
        alignment, size = self.alignment(avel_normalize=normalize), 64
        generator = torch.Generator().manual_seed(0)
        embeddings = [functional.normalize(torch.randn(size, 6, generator=generator), dim=-1) for _ in range(2)]
        norms = []
        for num_classes in (32, 8, 2, 1):
            similarity = alignment.similarity(*embeddings).detach().requires_grad_()
            same = same_emotion(torch.arange(size) % num_classes)
            alignment.loss(similarity, same, torch.ones(size, dtype=torch.bool)).backward()
            norms.append(similarity.grad.norm().item())
        assert (max(norms) < 2 * norms[0]) == normalize

    def test_it_reaches_what_the_classifier_reads_of_precomputed_frames(self):
        assert self.shared_parameters(make_model()) >= {
            f"foal_net.projections.{stream}.{layer}.weight"
            for stream in ("audio", "video")
            for layer in ("input", "correction", "norm")
        }
        assert not self.shared_parameters(make_model(classify_embeddings=False))

    def shared_parameters(self, model):
        """Those that the gradients of the alignment and of the classification both move."""
        moved = []
        for part in ("avel", "classification"):
            model.zero_grad()
            model(**make_batch()).losses[part].backward()
            moved.append(
                {name for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()}
            )
        return set.intersection(*moved)

    def test_it_brings_the_same_emotion_together(self):
        model, batch = make_model(projection_dropout_prob=0.0), make_batch()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(60):
            optimizer.zero_grad()
            model(**batch).losses["avel"].backward()
            optimizer.step()
        output = run(model, **batch)
        similarity, same = output.audio_embedding @ output.video_embedding.T, same_emotion(LABELS)
        assert similarity[same].min() > similarity[~same].max()


class TestMatching:
    CANDIDATES = torch.tensor([[False, True, True], [True, False, False], [False, False, False]])

    def test_negatives_are_drawn_by_similarity(self):
        similarity = torch.tensor([[9.0, 0.0, 1.0]]).expand(20000, 3)
        candidates = self.CANDIDATES[:1].expand(20000, 3)
        torch.manual_seed(0)
        drawn = hard_negatives(similarity, candidates, draw=True).bincount(minlength=3) / 20000
        expected = torch.tensor([0.0, *torch.tensor([0.0, 1.0]).softmax(-1)])
        torch.testing.assert_close(drawn, expected, atol=0.02, rtol=0)

    def test_the_most_similar_one_without_chance(self):
        similarity = torch.tensor([[9.0, 0.0, 1.0], [-5.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
        assert hard_negatives(similarity, self.CANDIDATES, draw=False)[:2].tolist() == [2, 0]

    def test_the_loss_by_hand(self):
        own, other = torch.randn(4, 2), torch.randn(4, 2)
        has_negative = torch.tensor([True, False, True, True])
        logits = torch.cat([own[has_negative], other[has_negative]])
        expected = functional.cross_entropy(logits, torch.tensor([1] * 3 + [0] * 3))
        torch.testing.assert_close(matching_loss(own, other, has_negative), expected)

    @pytest.mark.parametrize("training", [False, True])
    def test_negatives_are_of_another_emotion(self, training):
        model, batch = make_model(hidden_dropout_prob=0.0).train(training), make_batch()
        output = run(model, **batch)
        by_negative = [
            run(model, **make_batch(negative_video_index=torch.full((5,), index))).match_logits_a2v[5:]
            for index in range(5)
        ]
        for row in range(5):
            same = [torch.allclose(output.match_logits_a2v[5 + row], found[row]) for found in by_negative]
            assert any(same)
            assert LABELS[same.index(True)] != LABELS[row]

    def test_own_pairs_come_first_and_are_those_of_the_classifier(self):
        model, batch = make_model(), make_batch()
        output = run(model, **batch)
        audio, video, *_ = output.fused.split([8, 12, 6, 6], dim=-1)
        torch.testing.assert_close(output.match_logits_a2v[:5], model.matching["audio_to_video"](audio))
        torch.testing.assert_close(output.match_logits_v2a[:5], model.matching["video_to_audio"](video))

    def test_the_negative_half_equals_a_second_pass_over_those_pairs(self):
        model = make_model()
        videos, audios = torch.tensor([1, 0, 3, 2, 0]), torch.tensor([3, 2, 1, 0, 3])
        batch = make_batch(negative_video_index=videos, negative_audio_index=audios)
        output = run(model, **batch)
        other_video = {name: batch[name][videos] for name in ("video_frames", "video_frame_mask")}
        again = run(model, **(batch | other_video)).match_logits_a2v[:5]
        torch.testing.assert_close(output.match_logits_a2v[5:], again)
        other_audio = {name: batch[name][audios] for name in ("audio_frames", "audio_frame_mask")}
        again = run(model, **(batch | other_audio)).match_logits_v2a[:5]
        torch.testing.assert_close(output.match_logits_v2a[5:], again)

    @pytest.mark.parametrize("labels", [torch.ones(5, dtype=torch.long), torch.full((5,), -100)])
    def test_without_another_emotion_there_is_no_matching(self, labels):
        output = make_model().train()(**make_batch(labels=labels))
        output.loss.backward()
        assert output.losses["mem"] == 0
        assert torch.isfinite(output.loss)

    def test_an_utterance_that_lacks_a_stream_takes_no_part(self):
        model, batch = make_model(), make_batch()
        batch["video_frame_mask"] = batch["video_frame_mask"].clone()
        batch["video_frame_mask"][3] = False  # the only one of its emotion
        without = {name: tensor[[0, 1, 2, 4]] for name, tensor in batch.items()}
        output, expected = run(model, **batch), run(model, **without)
        for part in ("avel", "mem"):
            torch.testing.assert_close(output.losses[part], expected.losses[part])
        assert not output.video_embedding[3].any()


class TestFusion:
    def test_the_positive_half_is_computed_once(self, monkeypatch):
        calls = []
        forward = CrossAttention.forward

        def counted(self, stream, memory, mask, chosen=None):
            calls.append("own" if chosen is None else "chosen")
            return forward(self, stream, memory, mask, chosen)

        monkeypatch.setattr(CrossAttention, "forward", counted)
        model = make_model()
        run(model, **make_batch())
        assert sorted(calls) == ["chosen", "chosen", "own", "own"]
        calls.clear()
        run(model, **make_batch(labels=None))
        run(model, **make_batch(), return_loss=False)
        assert calls == ["own"] * 4

    def test_attention_is_torchs(self):
        attention = CrossAttention(8, 12, num_layers=1, num_heads=2, dropout=0.0)
        (layer,) = attention.layers
        reference = torch.nn.MultiheadAttention(8, 2, kdim=12, vdim=12, batch_first=True)
        with torch.no_grad():
            for name, ours in (("q", layer.query), ("k", layer.key), ("v", layer.value)):
                getattr(reference, f"{name}_proj_weight").copy_(ours.weight)
            reference.in_proj_bias.copy_(torch.cat([layer.query.bias, layer.key.bias, layer.value.bias]))
            reference.out_proj.load_state_dict(layer.output.state_dict())
        audio, video = FrameStream(*make_stream(8)), FrameStream(*make_stream(12, (2, 5, 1, 3, 2)))
        attended, _ = reference(audio.frames, video.frames, video.frames, key_padding_mask=~video.mask)
        expected = audio.mean(layer.norm(audio.frames + attended))
        torch.testing.assert_close(attention(audio, attention.memory(video), video.mask), expected)

    def test_the_mean_is_over_real_frames(self):
        frames, mask = make_stream(8)
        expected = torch.stack([row[kept].mean(0) for row, kept in zip(frames, mask, strict=True)])
        torch.testing.assert_close(FrameStream.of(frames, mask, torch.float32).mean(), expected)


class TestStreams:
    @pytest.mark.parametrize("alone", ["audio", "video"])
    def test_one_stream_looks_at_itself(self, alone):
        model = make_model(**{f"{name}_dim": 0 for name in ("audio", "video") if name != alone})
        output = run(model, **make_batch())
        assert list(model.foal_net.cross_attention) == [f"{alone}_to_{alone}"]
        assert set(output.losses) == {"classification"}
        assert output.audio_embedding is None

    def test_text_joins_in_by_config(self):
        model = make_model(text_dim=4)
        text, mask = make_stream(4, (3, 1, 2, 2, 5), seed=3)
        output = run(model, **make_batch(text_frames=text, text_frame_mask=mask))
        assert len(model.foal_net.cross_attention) == 6
        assert output.text_embedding.shape == (5, 6)
        assert set(output.losses) == {"classification", "avel", "mem"}

    def test_the_base_model_gives_what_the_classifier_reads(self, tmp_path):
        model, batch = make_model(), make_batch()
        expected = run(model, **batch)
        model.save_pretrained(tmp_path)
        base = FoalNetModel.from_pretrained(tmp_path).eval()
        batch.pop("labels")
        output = run(base, **batch)
        assert torch.equal(output.fused, expected.fused)
        assert torch.equal(output.audio_embedding, expected.audio_embedding)


class TestObjective:
    def test_the_loss_is_the_weighted_sum(self):
        output = run(make_model(), **make_batch())
        losses = output.losses
        assert set(losses) == {"classification", "avel", "mem"}
        torch.testing.assert_close(output.loss, losses["classification"] + losses["avel"] + 0.1 * losses["mem"])

    @pytest.mark.parametrize("part", ["avel", "mem"])
    def test_each_auxiliary_task_can_be_left_out(self, part):
        output = run(make_model(**{f"{part}_loss_weight": 0}), **make_batch())
        assert set(output.losses) == {"classification", "avel", "mem"} - {part}

    def test_evaluation_draws_nothing(self):
        model = make_model()
        first, again = (run(model, **make_batch()).losses for _ in range(2))
        assert first == again


class TestPretrainedEncoder:
    @pytest.fixture
    def folder(self, tmp_path):
        torch.manual_seed(3)
        AutoModel.from_config(AutoConfig.for_model("wavlm", **SMALL_ENCODER)).save_pretrained(tmp_path / "encoder")
        return tmp_path / "encoder"

    @pytest.fixture
    def model(self, folder):
        return FoalNetForEmotionRecognition.from_encoders(
            str(folder), video_dim=12, num_attention_heads=2, projection_size=6, num_labels=3
        )

    @pytest.fixture
    def batch(self):
        video, mask = make_stream(12)
        values = torch.randn(5, 900, generator=torch.Generator().manual_seed(0))
        batch = {"input_values": values, "attention_mask": torch.ones(5, 900, dtype=torch.long)}
        return batch | {"video_frames": video, "video_frame_mask": mask, "labels": LABELS}

    def test_its_weights_are_taken_over(self, model, folder):
        for name, tensor in AutoModel.from_pretrained(folder).state_dict().items():
            assert torch.equal(model.foal_net.audio_encoder.encoder.state_dict()[name], tensor), name

    @pytest.mark.parametrize("reloaded", [False, True])
    def test_its_front_is_frozen(self, model, batch, tmp_path, reloaded):
        if reloaded:
            model.save_pretrained(tmp_path / "saved")
            model = FoalNetForEmotionRecognition.from_pretrained(tmp_path / "saved")
        output = model.train()(**batch)
        output.loss.backward()
        still = {name for name, parameter in model.named_parameters() if parameter.grad is None}
        assert still
        assert all(".feature_extractor." in name for name in still)
        assert sum(".feature_extractor." in name for name, _ in model.named_parameters()) == len(still)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_it_is_saved_with_the_model(self, model, batch, tmp_path, dtype):
        model = model.to(dtype).eval()
        expected = run(model, **batch).logits
        model.save_pretrained(tmp_path / "saved")
        loaded = AutoModel.from_pretrained(tmp_path / "saved")
        assert {parameter.dtype for parameter in loaded.parameters()} == {dtype}
        assert torch.equal(run(loaded.eval(), **batch).logits, expected)

    def test_it_runs_in_mixed_precision(self, model, batch):
        with torch.autocast("cpu", torch.bfloat16):
            output = model.train()(**batch)
        output.loss.backward()
        assert torch.isfinite(output.loss)

    def test_a_fresh_model_has_nothing_frozen(self):
        model = make_model(audio_dim=None, audio_config={"model_type": "wavlm", **SMALL_ENCODER})
        assert all(parameter.requires_grad for parameter in model.parameters())

    def test_waveforms_are_asked_for(self, model):
        with pytest.raises(DialogueError, match="input_values"):
            model(**make_batch())
