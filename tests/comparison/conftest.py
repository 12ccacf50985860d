"""Small corpora that comparisons run on."""

import pytest

from joyful_hf import make_toy_corpus
from joyful_hf.comparison.corpora import Corpus, CorpusSource
from joyful_hf.data.jsonl import write_dialogues


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory):
    """A toy corpus of few dialogues in a folder as `joyful prepare` writes it; every dialogue names its session."""
    folder = tmp_path_factory.mktemp("corpus")
    for split, dialogues in make_toy_corpus(num_train=12, num_validation=4, num_test=6).items():
        records = [dialogue | {"session": f"Ses{place % 3}"} for place, dialogue in enumerate(dialogues)]
        write_dialogues(records, folder / f"{split}.jsonl")
    return folder


@pytest.fixture(scope="session")
def source(toy_folder):
    """Where that corpus comes from."""
    files = {f"{split}_file": str(toy_folder / f"{split}.jsonl") for split in ("train", "validation", "test")}
    return CorpusSource("small", **files)


@pytest.fixture(scope="session")
def corpus(source) -> Corpus:
    """The corpus itself."""
    from joyful_hf.comparison.corpora import read_corpus

    return read_corpus(source)
