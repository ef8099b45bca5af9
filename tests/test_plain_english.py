"""Help texts, messages, docstrings and pages keep to plain English: old phrases do not come back.

Each phrase was really there once. The list names what was wrong with it, and a sentence in which
it stood. A new phrase needs both, and a new place is a line of PLACES.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PLACES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "experiments/*.toml",
    "gdcli/**/*.py",
)
FENCED = re.compile(r"^ *```.*?^ *```", flags=re.DOTALL | re.MULTILINE)


class Phrase(NamedTuple):
    """A phrase to give up."""

    pattern: str
    wrong: str
    found: str  # in this sentence


PASSIVE = "who says it, and where? name the subject: a note, an error, gdcli"
NONE = "'no' before the noun is inverted: write 'is not a ...'"
NO_VERB = "a fragment without a verb, or with one at its end: begin with the subject"
NO_NOUN = "a pronoun without a noun: say what is meant"
RIDDLE = "a riddle: use the word of PyTorch, NumPy or the field"
EACH = "'one a ...' is short for 'one for each ...'"

PHRASES = (
    Phrase(
        r"\b(is|are) told\b(?! apart)",
        PASSIVE,
        "A class that is too small for the test part is told.",
    ),
    Phrase(r"\bit is said\b", PASSIVE, "With a file it is said where it is not the plain case."),
    Phrase(r"\bthat is said\b", PASSIVE, "key points are left out, and that is said."),
    Phrase(r"\bis its own affair\b", PASSIVE, "What it does then is its own affair."),
    Phrase(r"\bwhat there is to say\b", PASSIVE, "What there is to say where it is used."),
    Phrase(r"\b(is|are) taken for\b", PASSIVE, "'n', 'k' are taken for an index"),
    Phrase(r"\bthat is none\b", NONE, "fall over the last quarter, over the level, that is none"),
    Phrase(r"\bwhich is none of\b", NONE, "its shape is 10 x 5 x 4, which is none of labels"),
    Phrase(
        r"(?<!\bthere )\b(is|are) no (?!(better|faster|larger|longer|lower|more|shorter)\b)",
        NONE,
        "a weight or the loss is no number any more",
    ),
    Phrase(r"\bno power here\b", NONE, "^ is no power here; write ** instead"),
    Phrase(r"\band no numbers\b", NONE, "its array holds |V8 and no numbers"),
    Phrase(r"\bgo(es|ne)? on with\b", NO_VERB, "An interrupted one is gone on with."),
    Phrase(
        r"\bas is done anyway\b", NO_VERB, "go on with what lies there already, as is done anyway"
    ),
    Phrase(
        r"\bas (it|they) stands?\b", NO_VERB, "'NA' and 'none' are taken for names, as they stand"
    ),
    Phrase(r"\bof what is\b", NO_VERB, "Of what is `decided`, the command has options of its own"),
    Phrase(r"\bin its turn\b", NO_VERB, "what code imports in its turn is not compared"),
    Phrase(r"\bwhat came of\b", NO_NOUN, "Return what came of the laws"),
    Phrase(r"\bis told of\b", NO_NOUN, "Each process is told of the others."),
    Phrase(r"\bis another one\b", NO_NOUN, "a loss is another one when it is measured again"),
    Phrase(r"\bcould be about\b", NO_NOUN, "there is no file that it could be about"),
    Phrase(r"\bover the start's\b", RIDDLE, "gap to the minimum, over the start's"),
    Phrase(r"\bbut for rounding\b", RIDDLE, "the same results but for rounding"),
    Phrase(r"\bas far as it goes\b", RIDDLE, "the same share of each class, as far as it goes"),
    Phrase(
        r"\bdo not go together\b", RIDDLE, "Raise UserError for options that do not go together."
    ),
    Phrase(r"\ba hair beside\b", RIDDLE, "from a hair beside the line that leads into it"),
    Phrase(r"\bwhose last digits\b", RIDDLE, "2^53, whose last digits float64 does not keep"),
    Phrase(r"\btravels with gdcli\b", RIDDLE, "digits, which travels with gdcli"),
    Phrase(r"\ba row a\b", EACH, "`summary.csv`, a row a trial, has the settings and then:"),
    Phrase(r"\b(line|one) a mistake\b", EACH, "The lines to print, one a mistake."),
)


@cache
def texts() -> dict[str, str]:
    """Return the text of each file without its transcripts, each run of blanks made one."""
    files = [file for place in PLACES for file in sorted(ROOT.glob(place))]
    held = {file: FENCED.sub("", file.read_text(encoding="utf-8")) for file in files}
    return {
        str(file.relative_to(ROOT)): re.sub(r"[\s#]+", " ", text) for file, text in held.items()
    }


@pytest.mark.parametrize("place", PLACES)
def test_there_are_files_in_each_place(place: str) -> None:
    assert any(ROOT.glob(place))


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.found)
def test_a_phrase_that_was_given_up_does_not_come_back(phrase: Phrase) -> None:
    pattern = re.compile(phrase.pattern, flags=re.IGNORECASE)
    assert pattern.search(phrase.found)
    for file, text in texts().items():
        again = [text[max(m.start() - 40, 0) : m.end() + 40] for m in pattern.finditer(text)]
        assert not again, f"{file}: {phrase.wrong}"
