"""Print the emotion of every clip in a folder of recordings. Copy this file and change what you like.

    python examples/predict_recordings.py joyful-demo/model joyful-demo/data/test/test-0000

Each folder of audio or video clips is a dialogue, and each clip is an utterance: `01_Ross.wav` is spoken by Ross, and
`01_Ross.txt` beside it, if there is one, holds what he says. The model must have been trained on raw media, like the
one that `joyful demo` makes together with such recordings.
"""

import argparse
from typing import Any

from transformers import pipeline

import joyful_hf  # noqa: F401  (makes the task known to transformers)


def main() -> None:
    """Read, predict, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Folder or Hub id of a checkpoint.")
    parser.add_argument("recordings", help="Folder of clips.")
    parser.add_argument("--device", help="Such as cuda:1 or cpu; by default the machine's accelerator.")
    arguments = parser.parse_args()

    task: Any = "emotion-recognition"  # transformers' types list only its own
    recognizer = pipeline(task, model=arguments.model, device=arguments.device)
    print(f"running on {recognizer.device}")
    for dialogue in recognizer(arguments.recordings):
        print(dialogue["dialogue_id"])
        for utterance in dialogue["utterances"]:
            label, text = utterance["label"], utterance.get("text", "")  # a clip may have no transcript
            score = f"{utterance['scores'][label]:4.0%}" if label else "    "  # nothing could be read without a label
            print(f"  {utterance['speaker']:<12} {label or '-':<12} {score}  {text}".rstrip())


if __name__ == "__main__":
    main()
