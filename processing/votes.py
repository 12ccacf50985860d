"""Labels that are the votes of several annotators: counts or shares by class -> soft targets, and the majority."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .dialogues import DialogueError, Utterance, utterance_name
from .labels import IGNORED_LABEL, SINGLE_LABEL, encode_labels, get_label, join_labels, label_index, vote_shares


def encode_targets(
    utterances: Sequence[Utterance], problem_type: str | None, label2id: Mapping[str, int] | None, name: str
) -> dict[str, np.ndarray | None]:
    """Encode the labels of one dialogue's utterances, as an example holds them.

    Args:
        problem_type: of the processor; None leaves labels out.
        name: how messages call the dialogue.

    Returns:
        `labels` of `encode_labels`, and `label_shares` (num_utterances, num_labels) float32, the share of the votes
        that each class has, all 0 where the label is unknown; None where no label is made of votes.

    Raises:
        DialogueError: an unknown label, or a label of another kind than `problem_type`.
    """
    if problem_type is None:
        return {"labels": None, "label_shares": None}
    labels = encode_labels(utterances, problem_type, label2id, name)
    given = [get_label(utterance) for utterance in utterances]
    shares = None
    if problem_type == SINGLE_LABEL and any(isinstance(label, Mapping) for label in given):
        if not label2id:
            raise DialogueError(f"{name}: labels that are votes need a processor with `label2id`")
        shares = np.zeros((len(utterances), len(label2id)), np.float32)
        for index, label in enumerate(given):
            if label is not None:
                shares[index] = _row(label, label2id, utterance_name(name, index))
    return {"labels": labels, "label_shares": shares}


def _row(label: Any, label2id: Mapping[str, int], place: str) -> np.ndarray:
    row = np.zeros(len(label2id), np.float32)
    if isinstance(label, Mapping):
        for name, share in vote_shares(label, place).items():
            row[label_index(name, label2id, place)] = share
    else:
        row[label_index(label, label2id, place)] = 1
    return row


def join_targets(examples: Sequence[Any]) -> dict[str, np.ndarray]:
    """Join the labels of examples: `labels` if any label is known, and `label_shares` if any is made of votes.

    An example without votes has the whole share in its label.
    """
    labels = join_labels([example.labels for example in examples])
    width = next((each.label_shares.shape[1] for each in examples if each.label_shares is not None), None)
    if width is None:
        return {} if labels is None else {"labels": labels}
    rows = [_one_hot(each.labels, width) if each.label_shares is None else each.label_shares for each in examples]
    shares = np.concatenate(rows)
    if labels is None:
        labels = np.full(len(shares), IGNORED_LABEL, np.int64)  # votes without a majority
    return {"labels": labels, "label_shares": shares}


def _one_hot(labels: np.ndarray | None, width: int) -> np.ndarray:
    labels = np.empty(0, np.int64) if labels is None else labels
    rows = np.zeros((len(labels), width), np.float32)
    known = labels != IGNORED_LABEL
    rows[np.flatnonzero(known), labels[known]] = 1
    return rows
