"""`joyful demo`: the whole way on a toy corpus, from dialogues to a checkpoint and back to emotions."""

from pathlib import Path

from .checkpoints import load_checkpoint
from .dialogue_files import load_dialogues, write_dialogues
from .toy_corpus import accuracy_of_best_decisions, best_possible_accuracy, make_toy_corpus
from .training_args import JoyfulTrainingArguments
from .training_run import load_run_data, prepare_output_dir, run_training

_EPOCHS = 15


def run_demo(output_dir: Path, overwrite: bool = False) -> dict[str, float]:
    """Make the toy corpus, train on it, test, load the checkpoint back, and print one dialogue's emotions.

    Writes `data/train.jsonl`, `validation.jsonl` and `test.jsonl` (the record every command reads) and the
    checkpoint with its results, in `model/`.

    Returns:
        The metrics of the run.

    Raises:
        DialogueError: the folder holds a finished demo, and `overwrite` is False.
    """
    data_dir, model_dir = output_dir / "data", output_dir / "model"
    resume_from = prepare_output_dir(model_dir, overwrite)
    data_dir.mkdir(parents=True, exist_ok=True)
    for split, dialogues in make_toy_corpus().items():
        write_dialogues(dialogues, data_dir / f"{split}.jsonl")
    files = [str(data_dir / f"{split}.jsonl") for split in ("train", "validation", "test")]
    print(f"toy corpus: {data_dir}, made by rules: six emotions that follow what both speakers felt last")

    args = JoyfulTrainingArguments(str(model_dir), num_train_epochs=_EPOCHS)
    data = load_run_data(*files, seed=args.seed)
    metrics = run_training(args, data, resume_from=resume_from, overwrite=overwrite)

    test = load_dialogues(files[2])
    best, reached = best_possible_accuracy(test), accuracy_of_best_decisions(test)
    accuracy = metrics["test_accuracy"]
    print()
    print(f"test accuracy       {accuracy:.3f}   weighted F1 {metrics['test_weighted_f1']:.3f}")
    print(f"best possible       {best:.3f}   expected of exact inference with the corpus's own rules")
    print(f"                    {reached:.3f}   what exact inference reaches on the labels of this test set")
    print(f"share of the best   {accuracy / best:.1%} and {accuracy / reached:.1%}")

    print(f"\nThe checkpoint, loaded back from {model_dir}, on one test dialogue:\n")
    model, processor = load_checkpoint(model_dir)
    dialogue = test[0]
    (prediction,) = model.predict(dialogue, processor)
    width = max(len(utterance["text"]) for utterance in dialogue["utterances"])
    for utterance, found in zip(dialogue["utterances"], prediction["utterances"], strict=True):
        mark = "" if found["label"] == utterance["label"] else f"(true: {utterance['label']})"
        score = found["scores"][found["label"]]
        print(f"  {found['speaker']:<6} {found['text']:<{width}}  {found['label']:<10} {score:4.0%}  {mark}".rstrip())
    print(f'\nUse it:  JoyfulForEmotionRecognition.from_pretrained("{model_dir}")')
    return metrics
