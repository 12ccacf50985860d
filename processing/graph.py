"""The speaker graph of a dialogue (JOYFUL, section 3.4.1): windowed directed edges and their relations."""

from collections.abc import Mapping

import numpy as np

RELATION_SCHEMES = ("speaker_pair", "same_or_other")


def num_relations(relation_scheme: str, max_speakers: int) -> int:
    """Return how many relation ids a scheme has: `2 * max_speakers**2`, or 4 for any number of speakers.

    Raises:
        ValueError: an unknown scheme.
    """
    if relation_scheme == "speaker_pair":
        return 2 * max_speakers**2
    if relation_scheme == "same_or_other":
        return 4
    raise ValueError(f"unknown relation_scheme {relation_scheme!r}; choose from {', '.join(RELATION_SCHEMES)}")


def check_speaker_ids(speaker_to_id: Mapping[str, int], most: int | None) -> None:
    """Raise a ValueError unless the ids of speakers fit the relation scheme.

    Args:
        most: number of speakers that the scheme can tell apart; None for any number.
    """
    for speaker, speaker_id in speaker_to_id.items():
        if speaker_id < 0 or (most is not None and speaker_id >= most):
            raise ValueError(
                f"speaker_to_id gives {speaker!r} the id {speaker_id}; ids start at 0, "
                f"and 'speaker_pair' holds max_speakers={most} of them"
            )


def describe_graph(window_past: int, window_future: int, relation_scheme: str, max_speakers: int) -> str:
    """Say in a sentence what an utterance sees in the graph."""
    past, future = (
        "all utterances" if size < 0 else f"{size} utterance{'' if size == 1 else 's'}"
        for size in (window_past, window_future)
    )
    relations = {
        "same_or_other": "whether two utterances have the same speaker, of any number of speakers",
        "speaker_pair": f"which of up to {max_speakers} speakers speaks to which",
    }[relation_scheme]
    return (
        f"In the graph an utterance sees itself, {past} before it and {future} after it; the relations tell "
        f"{relations} (relation_scheme is {relation_scheme}), and which of the two came first."
    )


def window_edges(dialogue_lengths: np.ndarray, window_past: int, window_future: int) -> np.ndarray:
    """Make the edges of all dialogues at once; node i receives from `i - window_past` to `i + window_future`.

    Args:
        dialogue_lengths: (num_dialogues,) int64, utterances of each dialogue.
        window_past, window_future: number of utterances; -1 is unlimited.

    Returns:
        (2, num_edges) int64, rows source and target, ordered by target and then by source.
    """
    total = int(dialogue_lengths.sum())
    ends = np.cumsum(dialogue_lengths)
    first = np.repeat(ends - dialogue_lengths, dialogue_lengths)
    last = np.repeat(ends - 1, dialogue_lengths)
    node = np.arange(total)
    low = first if window_past < 0 else np.maximum(first, node - window_past)
    high = last if window_future < 0 else np.minimum(last, node + window_future)
    in_degree = high - low + 1
    edges_before = np.cumsum(in_degree) - in_degree
    edges = np.empty((2, int(in_degree.sum())), np.int64)
    edges[1] = np.repeat(node, in_degree)
    edges[0] = np.repeat(low - edges_before, in_degree)
    edges[0] += np.arange(edges.shape[1])
    return edges


def relation_ids(
    edge_index: np.ndarray, speaker_ids: np.ndarray, relation_scheme: str, max_speakers: int
) -> np.ndarray:
    """Return the relation id of each edge, (num_edges,) int64: who speaks to whom, and whether the source came first.

    `speaker_pair` is the papers' `2 * (source_speaker * max_speakers + target_speaker) + direction`;
    `same_or_other` is `2 * (source_speaker != target_speaker) + direction`. Direction is 0 from the past and
    1 from the future; an utterance's edge to itself counts as 1, as in the released code.
    """
    source, target = edge_index
    # In place and with `take`: this takes most of the time of packing a batch.
    relations = speaker_ids.take(source)
    if relation_scheme == "speaker_pair":
        relations *= max_speakers
        relations += speaker_ids.take(target)
    else:
        relations = (relations != speaker_ids.take(target)).astype(np.int64)
    relations *= 2
    relations += source >= target
    return relations
