"""Praat's TextGrid and ELAN's .eaf."""

import pytest

from joyful_hf.processing import DialogueError

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 5.25
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "Ana"
        xmin = 0
        xmax = 5.25
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "She said ""hi"" at 10 %"
        intervals [2]:
            xmin = 1.5
            xmax = 2
            text = ""
        intervals [3]:
            xmin = 2
            xmax = 5.25
            text = "Two
lines" ! a comment
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 5.25
        points: size = 1
        points [1]:
            number = 0.5
            mark = "x"
    item [3]:
        class = "IntervalTier"
        name = "Bob"
        xmin = 0
        xmax = 5.25
        intervals: size = 1
        intervals [1]:
            xmin = 1.25
            xmax = 2.125
            text = "Yes"
"""
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
5.25
<exists>
3
"IntervalTier"
"Ana"
0
5.25
3
0
1.5
"She said ""hi"" at 10 %"
1.5
2
""
2
5.25
"Two
lines"
"TextTier"
"clicks"
0
5.25
1
0.5
"x"
"IntervalTier"
"Bob"
0
5.25
1
1.25
2.125
"Yes"
"""
GRID_ROWS = [
    ("Ana", 0.0, 1.5, 'She said "hi" at 10 %'),
    ("Bob", 1.25, 2.125, "Yes"),
    ("Ana", 2.0, 5.25, "Two\nlines"),
]


@pytest.mark.parametrize("text", [LONG, SHORT], ids=["long", "short"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
def test_a_textgrid_has_a_tier_for_each_speaker(rows, text, encoding):
    assert rows("a.TextGrid", text, encoded=encoding) == GRID_ROWS


def test_the_short_form_of_old_versions_is_read_too(rows):
    assert rows("a.TextGrid", SHORT.replace("ooTextFile", "ooTextFile short")) == GRID_ROWS


def test_tiers_of_points_are_reported(report):
    assert report("a.TextGrid", LONG).notes == ["tiers of points are not read: 'clicks'"]


def test_tiers_can_be_chosen_by_name(rows):
    assert rows("a.TextGrid", LONG, tiers=["Bob"]) == GRID_ROWS[1:2]
    with pytest.raises(DialogueError, match=r"no tier 'Anna'; did you mean Ana\? \(tiers found: 'Ana', 'Bob'\)"):
        rows("a.TextGrid", LONG, tiers=["Anna"])


def grid(*tiers):
    lines = [f'"ooTextFile"\n"TextGrid"\n0\n9\n<exists>\n{len(tiers)}']
    for name, intervals in tiers:
        lines.append(f'"IntervalTier"\n"{name}"\n0\n9\n{len(intervals)}')
        lines += [f'{start}\n{end}\n"{text}"' for start, end, text in intervals]
    return "\n".join(lines)


def test_words_of_a_forced_aligner_become_utterances_and_phones_are_left_out(rows, report):
    words = [(0, 0.5, "yes"), (0.5, 1, "indeed"), (1, 3, ""), (3, 4, "no")]
    text = grid(("Ana - words", words), ("Ana - phones", [(0, 0.2, "j")]))
    assert rows("a.TextGrid", text) == [("Ana", 0.0, 1.0, "yes indeed"), ("Ana", 3.0, 4.0, "no")]
    assert report("a.TextGrid", text).notes == ["tier 'Ana - phones' is not read; name it in `tiers` if it should be"]


def test_intervals_that_a_person_chose_are_not_joined_unless_asked(rows):
    text = grid(("Ana", [(0, 1, "One"), (1, 2, "two")]))
    assert len(rows("a.TextGrid", text)) == 2
    assert rows("a.TextGrid", text, merge_gap=0.1) == [("Ana", 0.0, 2.0, "One two")]


def eaf(tiers, slots="", units='TIME_UNITS="milliseconds"', head=""):
    return f"""<?xml version="1.0" encoding="UTF-8"?>{head}
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" {units}><MEDIA_DESCRIPTOR MEDIA_URL="file:///a.wav" MIME_TYPE="audio/x-wav"/></HEADER>
<TIME_ORDER>{slots}</TIME_ORDER>
{tiers}
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true" GRAPHIC_REFERENCES="false"/>
</ANNOTATION_DOCUMENT>"""


def slot(number, milliseconds=None):
    value = "" if milliseconds is None else f' TIME_VALUE="{milliseconds}"'
    return f'<TIME_SLOT TIME_SLOT_ID="ts{number}"{value}/>'


def aligned(number, start, end, text):
    return (
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{number}" TIME_SLOT_REF1="ts{start}" '
        f'TIME_SLOT_REF2="ts{end}"><ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>'
    )


def symbolic(number, parent, text, previous=None):
    before = f' PREVIOUS_ANNOTATION="a{previous}"' if previous else ""
    return (
        f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a{number}" ANNOTATION_REF="a{parent}"{before}>'
        f"<ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
    )


def tier(name, *annotations, **attributes):
    more = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<TIER TIER_ID="{name}" LINGUISTIC_TYPE_REF="default-lt"{more}>{"".join(annotations)}</TIER>'


SLOTS = slot(1, 100) + slot(2, 1500) + slot(3, 1250) + slot(4, 2000)
TIERS = tier("A-spch", aligned(1, 1, 2, "One &amp; two"), PARTICIPANT="Ana") + tier("Bob", aligned(2, 3, 4, "Yes"))


def test_elan_has_tiers_of_participants_or_of_their_own_name(rows):
    assert rows("a.eaf", eaf(TIERS, SLOTS)) == [("Ana", 0.1, 1.5, "One & two"), ("Bob", 1.25, 2.0, "Yes")]
    text = eaf(TIERS, SLOTS).replace("UTF-8", "UTF-16")
    assert rows("a.eaf", text, encoded="utf-16")[1] == ("Bob", 1.25, 2.0, "Yes")


def test_symbolic_subdivisions_share_the_time_of_their_parent(rows, report):
    parts = tier("Ana-parts", symbolic(5, 1, "two", 3), symbolic(4, 1, "three", 5), symbolic(3, 1, "one"),
                 PARENT_REF="A-spch")  # fmt: skip
    text = eaf(TIERS + parts, slot(1, 0) + slot(2, 3000) + slot(3, 1250) + slot(4, 2000))
    assert rows("a.eaf", text, tiers=["Ana-parts"]) == [
        ("Ana", 0.0, 1.0, "one"),
        ("Ana", 1.0, 2.0, "two"),
        ("Ana", 2.0, 3.0, "three"),
    ]
    assert len(rows("a.eaf", text)) == 2
    assert "not read: 'Ana-parts'" in str(report("a.eaf", text))


def test_a_tier_below_is_read_where_its_parent_only_numbers_utterances(rows):
    refs = tier("ref@Ana", aligned(1, 1, 2, ".001"), PARTICIPANT="Ana")
    texts = tier("tx@Ana", symbolic(2, 1, "Hello"), PARENT_REF="ref@Ana", PARTICIPANT="Ana")
    assert rows("a.eaf", eaf(refs + texts, SLOTS)) == [("Ana", 0.1, 1.5, "Hello")]
    empty = tier("Ana", aligned(1, 1, 2, ""))
    assert rows("a.eaf", eaf(empty + texts.replace("ref@", ""), SLOTS)) == [("Ana", 0.1, 1.5, "Hello")]


def test_time_slots_without_a_time_lie_evenly_between_their_neighbours(rows):
    words = tier("Ana", aligned(1, 1, 2, "one"), aligned(2, 2, 3, "two"), aligned(3, 3, 4, "three"))
    text = eaf(words, slot(1, 0) + slot(2) + slot(3) + slot(4, 3000))
    assert [row[1:3] for row in rows("a.eaf", text)] == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (eaf(TIERS, SLOTS, 'TIME_UNITS="PAL-frames"'), "times in PAL-frames, expected milliseconds"),
        (
            eaf(TIERS + '<HEADER TIME_UNITS="NTSC-frames"/>', SLOTS),
            r"several time units \(NTSC-frames, milliseconds\); save",
        ),
        (eaf(TIERS, SLOTS)[:500], "line 5, column 1: not XML"),
        (eaf(TIERS, ""), "tier 'A-spch', annotation 'a1': there is no time slot 'ts1'"),
        (eaf(TIERS, SLOTS.replace("100", "0.1")), "a time slot is no whole number"),
        (eaf(TIERS, slot(1, 0) + slot(2) + slot(3, 1) + slot(4, 2)), "last time slot, 'ts2', has no time"),
        (eaf(tier("Ana", symbolic(1, 9, "x")), SLOTS), "annotation 'a1': it has no times, and refers to 'a9'"),
        (eaf("", ""), "no cue was found in this ELAN file"),
        (
            eaf(TIERS, SLOTS, head='<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'),
            "has a document type",
        ),
        ("<html><ANNOTATION_DOCUMENT/></html>", "no file of ELAN"),
    ],
)
def test_bad_elan_files_are_refused(rows, text, message):
    with pytest.raises(DialogueError, match=rf"a\.eaf.*{message}"):
        rows("a.eaf", text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SHORT[:150], "tier 'Ana', interval 3: the file ends here; it is truncated"),
        (SHORT.replace('1.5\n"She', '"She'), "interval 1: expected a number, found '\"She said"),
        (SHORT.replace("TextGrid", "Pitch"), "no TextGrid"),
        (SHORT.replace("2.125", "1.1"), "tier 'Bob', interval 1: the cue at 0:00:01.250 ends at 0:00:01.100, before"),
        (b"ooBinaryFile\x08TextGrid", "a binary file of Praat; in Praat use"),
    ],
)
def test_bad_textgrids_are_refused(rows, text, message):
    with pytest.raises(DialogueError, match=message):
        rows("a.TextGrid", text)
