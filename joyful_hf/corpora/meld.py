"""Read MELD, and its dyadic variant, from the release's CSV files and clips (`MELD.Raw`)."""

from dataclasses import replace

from .base import TEST, TRAIN, VALIDATION, LabelScheme, PublishedCounts, counts_by_label
from .csv_release import CsvCorpus, CsvLayout

# Users of the release reported these, and its maintainers have not mended them.
_KNOWN_BAD = {
    (TRAIN, "dia125_utt3"): "the clip is damaged and cannot be decoded",
    (TRAIN, "dia309_utt0"): "the clip is cut wrongly",
    (TRAIN, "dia485_utt0"): "the clip is far too long",
    (VALIDATION, "dia110_utt7"): "the clip is not in the release",
    (TEST, "dia38_utt4"): "the clip is cut wrongly and lasts 5 minutes",
    (TEST, "dia220_utt0"): "the clip is cut wrongly and lasts 4 minutes",
}

# In the order of the feature pickles that papers share.
EMOTIONS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
SENTIMENTS = ("neutral", "positive", "negative")
LABEL_SCHEMES = {
    "7-way": LabelScheme("the seven emotions of the CSV files", EMOTIONS),
    "sentiment": LabelScheme("the three sentiments of the CSV files", SENTIMENTS),
}
_LAYOUT = CsvLayout(
    corpus="MELD",
    csv_files={TRAIN: "train_sent_emo.csv", VALIDATION: "dev_sent_emo.csv", TEST: "test_sent_emo.csv"},
    clip_folders={
        TRAIN: "train_splits",
        VALIDATION: "dev_splits_complete",
        TEST: "output_repeated_splits_test",
    },
    dialogue_columns=("Dialogue_ID",),
    dialogue_id="{split}_dia{0}",
    clip="dia{0}_utt{1}",
    clip_columns=("Dialogue_ID", "Utterance_ID"),
    label_columns={"7-way": "Emotion", "sentiment": "Sentiment"},
    known_bad=_KNOWN_BAD,
)
# Dialogues of two, cut out of those of MELD: an utterance may be part of several, and its clip is that of MELD.
_DYADIC_LAYOUT = replace(
    _LAYOUT,
    corpus="MELD_Dyadic",
    csv_files={
        TRAIN: "train_sent_emo_dya.csv",
        VALIDATION: "dev_sent_emo_dya.csv",
        TEST: "test_sent_emo_dya.csv",
    },
    clip_columns=("Old_Dialogue_ID", "Old_Utterance_ID"),
)
PUBLISHED = PublishedCounts(
    "JOYFUL's Table 1 and Appendix I",
    {TRAIN: 1039, VALIDATION: 114, TEST: 280},
    {TRAIN: 9989, VALIDATION: 1109, TEST: 2610},
    counts_by_label(
        EMOTIONS,
        (4710, 1205, 268, 683, 1743, 271, 1109),
        (470, 150, 40, 111, 163, 22, 153),
        (1256, 281, 50, 208, 402, 68, 345),
    ),
    "The release itself has 1038 training dialogues; the papers print 1039.",
)
DYADIC_PUBLISHED = PublishedCounts(
    "the numbers of the dialogues in the release", {TRAIN: 2160, VALIDATION: 270, TEST: 577}
)
_MELD = CsvCorpus(
    _LAYOUT,
    LABEL_SCHEMES,
    PUBLISHED,
    "names of the series' characters, the same people throughout; several at once have a name of their own",
    "the release's own training, development and test files",
)
MELD = _MELD.as_corpus()
# An utterance may occur in several of its dialogues.
MELD_DYADIC = replace(_MELD, layout=_DYADIC_LAYOUT, published=DYADIC_PUBLISHED).as_corpus()
