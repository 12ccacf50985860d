"""The papers of the model families, to link and to cite."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """Where a family comes from. What we do not know of a paper is left out of its BibTeX entry."""

    family_name: str
    arxiv: str
    bibtex: str


PAPERS = {
    "joyful": Paper(
        family_name="JOYFUL",
        arxiv="2311.11009",
        bibtex="""\
@inproceedings{li-etal-2023-joyful,
  title     = {Joyful: Joint Modality Fusion and Graph Contrastive Learning for Multimodal Emotion Recognition},
  author    = {Li, Dongyuan and Wang, Yusong and Funakoshi, Kotaro and Okumura, Manabu},
  booktitle = {Proceedings of EMNLP 2023},
  pages     = {16051--16069},
  year      = {2023}
}""",
    ),
    "ar-iigcn": Paper(
        family_name="AR-IIGCN",
        arxiv="2312.16778",
        bibtex="""\
@misc{shou-etal-2023-adversarial,
  title         = {Adversarial Representation with Intra-Modal and Inter-Modal Graph Contrastive Learning for
                   Multimodal Emotion Recognition},
  author        = {Shou, Yuntao and Meng, Tao and Ai, Wei and Yin, Nan and Li, Keqin},
  year          = {2023},
  eprint        = {2312.16778},
  archivePrefix = {arXiv}
}""",
    ),
    "foal-net": Paper(
        family_name="Foal-Net",
        arxiv="2408.09438",
        bibtex="""\
@inproceedings{li-etal-2024-enhancing,
  title     = {Enhancing Modal Fusion by Alignment and Label Matching for Multimodal Emotion Recognition},
  author    = {Li, Qifei and Gao, Yingming and Wen, Yuhua and Wang, Cong and Li, Ya},
  booktitle = {Proceedings of Interspeech 2024},
  pages     = {4663--4667},
  year      = {2024},
  doi       = {10.21437/Interspeech.2024-1462}
}""",
    ),
}
"""Name of the family, as in `FAMILIES`, -> its paper."""
