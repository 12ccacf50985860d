"""Turn one long recording and its transcript into a table and subtitles. Copy this file and change what you like.

    python examples/recording_to_table.py user/joyful-meld meeting.mp4 meeting.json

The transcript is what whisperX, Teams, Zoom, a service, or an annotation tool wrote; see "From a meeting to a table"
in the documentation. `joyful demo` makes a model, a recording and a transcript to try it with:

    python examples/recording_to_table.py joyful-demo/model joyful-demo/recording/test-0000.wav \\
        joyful-demo/recording/test-0000.srt
"""

import argparse
from pathlib import Path

from joyful_hf import load_transcript, to_frame, write_predictions
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.transcripts.summary import summary_table


def main() -> None:
    """Read, predict, write, and show who felt what."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Folder or Hub id of a checkpoint.")
    parser.add_argument("recording", type=Path, help="Audio or video file.")
    parser.add_argument("transcript", type=Path, help="Who said what when.")
    arguments = parser.parse_args()

    model, processor = load_checkpoint(arguments.model)
    dialogues = load_transcript(arguments.transcript, arguments.recording)
    predictions = model.predict(dialogues, processor)

    stem = f"{arguments.recording.stem}-emotions"
    for suffix in (".csv", ".vtt"):
        write_predictions(predictions, f"{stem}{suffix}", overwrite=True)
    print(summary_table(predictions))
    print(to_frame(predictions)[["speaker", "start", "end", "label", "score"]].head().to_string(index=False))
    print(f"all of it: {stem}.csv, {stem}.vtt")


if __name__ == "__main__":
    main()
