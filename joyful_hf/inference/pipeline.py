"""`EmotionRecognitionPipeline`: `pipeline("emotion-recognition", model=...)`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import GeneratorType
from typing import Any

import torch
from transformers import AutoModel, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from ..modeling.prediction import is_read, with_predictions
from ..processing.devices import choose_device
from ..processing.dialogues import iterate_dialogues

TASK = "emotion-recognition"


@dataclass(frozen=True)
class _Dialogue:
    """Wraps a dialogue: transformers searches the values of a dict for tensors, but passes on unknown objects."""

    record: Mapping[str, Any]
    read: list[bool]
    """Whether anything was read of each utterance."""


class EmotionRecognitionPipeline(Pipeline):
    """Dialogues in, the same dialogues out with a `label` and `scores` in each utterance.

        import joyful_hf  # makes the task known to transformers

        recognizer = pipeline("emotion-recognition", model="user/joyful-iemocap")
        recognizer({"utterances": [{"speaker": "A", "text_features": [...]}, ...]})

    Without `import joyful_hf`, transformers knows neither the task nor the model; its error then asks for an upgrade
    of transformers, which does not help.

    One dialogue gives one result; several give a list of results, and a generator gives an iterator over them:
    {"dialogue_id", "utterances": [{"speaker", "text", "label", "scores": {label: probability}}, ...]}.
    The model runs on the machine's accelerator, or on `device=`.
    For large collections `model.predict(dialogues, processor)` batches by utterances and is faster.

    Raises:
        ValueError: a model object was given without `processor=`.
    """

    model: Any
    processor: Any

    _load_processor = True
    _load_tokenizer = False
    _load_image_processor = False
    _load_feature_extractor = False
    _load_video_processor = False

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("device") is None and getattr(model, "hf_device_map", None) is None:
            kwargs["device"] = choose_device()  # transformers asks for a fixed list of accelerators
        super().__init__(model, *args, **kwargs)
        if self.processor is None:
            raise ValueError(f"the {TASK} pipeline needs the processor that was saved with the model: processor=...")

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Recognise one dialogue or several, which any iterable can hold, a `datasets.Dataset` too.

        A path is read as a file of dialogues or a folder of recordings.
        """
        if isinstance(inputs, str | Path):
            from ..data.dialogue_files import load_dialogues

            inputs = load_dialogues(inputs)
        with self.processor.one_notice():  # of what a generator gives, one each time
            if isinstance(inputs, Iterable) and not isinstance(inputs, Mapping | list | str | GeneratorType):
                # One after the other: the vectors of a whole data set would not fit into memory as Python's numbers.
                one_by_one = (dialogue for dialogue in iterate_dialogues(inputs))
                return list(super().__call__(one_by_one, *args, **kwargs))
            return super().__call__(inputs, *args, **kwargs)

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if kwargs:
            raise TypeError(f"{TASK} takes no parameters, got {', '.join(kwargs)}")
        return {}, {}, {}

    def preprocess(self, input_: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        encoded = self.processor.encode(input_, return_labels=False)
        batch = self.processor.pack(encoded, return_tensors="pt")
        return {"batch": dict(batch), "dialogue": _Dialogue(input_, is_read(encoded))}

    def _forward(self, input_tensors: dict[str, Any], **_: Any) -> Any:
        logits = self.model(**input_tensors["batch"], return_loss=False).logits
        return {"logits": logits, "dialogue": input_tensors["dialogue"]}

    def postprocess(self, model_outputs: dict[str, Any], **_: Any) -> dict[str, Any]:
        named = self.model.name_scores(self.model.scores(torch.as_tensor(model_outputs["logits"])))
        dialogue = model_outputs["dialogue"]
        return with_predictions(dialogue.record, iter(named), iter(dialogue.read))

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """Save model and processor; the method of transformers leaves the processor out."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory, **kwargs)

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> Any:
        """Push model and processor with their card in one commit; arguments as in `joyful_hf.hub.push.push_model`."""
        from ..hub.push import push_model

        return push_model(self.model, repo_id, processor=self.processor, **kwargs)


def register_pipeline() -> None:
    """Make `pipeline("emotion-recognition")` known to transformers."""
    PIPELINE_REGISTRY.register_pipeline(
        TASK, pipeline_class=EmotionRecognitionPipeline, pt_model=AutoModel, type="multimodal"
    )


register_pipeline()
