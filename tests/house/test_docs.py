# SPDX-License-Identifier: GPL-2.0-or-later
"""The pages say what the code accepts, none is missing, and the rooms of the code import only whom they may."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import options
import pytest

from lmp_uq import cli

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
STYLES_FOLDER = ROOT / "csrc" / "lammps"
PACKAGE = ROOT / "lmp_uq"
SPDX = "SPDX-License-Identifier: GPL-2.0-or-later"
MAX_LINES = 400
SOURCE_FOLDERS = ("csrc", "lmp_uq", "tests", "examples", "benchmarks")
SUFFIXES = (".py", ".pyx", ".cpp", ".h", ".cu")

HEADINGS = {
    "pair": "Mixing, shift, table, tail correction, restart, rRESPA info",
    "compute": "Output info",
    "fix": "Restart, fix_modify, output, run start/stop, minimize info",
}
"""The heading of LAMMPS' own pages that stands between Description and Restrictions."""


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def source_files() -> list[Path]:
    found = [p for folder in SOURCE_FOLDERS for p in (ROOT / folder).rglob("*") if p.suffix in SUFFIXES]
    return sorted(found)


def pages() -> list[Path]:
    return sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md"), *(ROOT / "examples").rglob("*.md")])


# ---- LAMMPS styles ----------------------------------------------------------------------------------------


def registered_styles() -> list[tuple[str, str]]:
    """(kind, name) in the order of registration."""
    return re.findall(r'add\("(\w+)", "([^"]+)"', read(STYLES_FOLDER / "uqplugin.cpp"))


STYLES = [style for style in registered_styles() if not style[1].isupper()]  # LAMMPS' way to say: not for users
STYLE_PAGES = {f"{kind}_{name.replace('/', '_')}": (kind, name) for kind, name in STYLES}


def headings_missing(text: str, kind: str) -> list[str]:
    """Headings of LAMMPS' pages that are not there, or not in their place."""
    order = ["Syntax", "Examples", "Description", HEADINGS[kind], "Restrictions", "Related commands", "Default"]
    found = re.findall(r"^## (.+)$", text, re.M)
    return [] if found == order else [h for h in order if h not in found] or ["order"]


def accepted_words(source: str) -> set[str]:
    """Words that a parser accepts: of its messages and of what it compares the input with."""
    lists = re.findall(r"accepted: ([^)\"]*)\)", source)
    words = {word.strip() for line in lists for word in line.split(",")}
    words |= set(re.findall(r'(?:keyword|word|suffix) == "([^"]+)"', source))
    words |= set(re.findall(r'(?:word\(|positive\(|\{)"(\w+)", (?:s\.|\[)', source))
    tables = re.findall(r'(?:KEYWORDS = |word\("\w+", s\.\w+, |one_of\([^{}]*, )\{([^}]*)\}', source)
    words |= set(re.findall(r'"([^"]+)"', " ".join(tables)))
    words |= set(re.findall(r'strcmp\(arg\[[^\]]+\], "([^"]+)"\)', source))
    return {w for w in words if w and "{" not in w and w != "*"}


def field_names(table: str = "FIELDS") -> list[str]:
    """Names of the per-atom fields, or of the other quantities (TOTALS)."""
    table = re.search(rf"{table}\[\w[^\]]*\] = \{{(.*?)\n\}};", read(STYLES_FOLDER / "fields.cpp"), re.S)
    return re.findall(r'^\s*\{"(\w+)"', table.group(1), re.M)


def words_missing(text: str, words) -> list[str]:
    """Words that do not stand in the page as code."""
    code = " ".join(re.findall(r"`+([^`]+)`+", text))
    return sorted(w for w in words if not re.search(rf"(?<![\w-]){re.escape(w)}(?![\w-])", code))


WORDS_ELSEWHERE = {"pair_mace_uq": ["settings.cpp"]}
"""Sources that read words of a style's command beside the one that is named after it."""


def sources_of(page: str) -> str:
    return "\n".join(read(STYLES_FOLDER / name) for name in (f"{page}.cpp", *WORDS_ELSEWHERE.get(page, ())))


def test_styles_are_found():
    assert ("pair", "mace/uq") in STYLES and ("fix", "uq/select") in STYLES
    assert accepted_words(sources_of("pair_mace_uq")) >= {"device", "members", "conservative", "float32"}
    assert accepted_words(sources_of("fix_uq_halt")) >= {">", ">=", "consecutive", "error", "soft", "hard"}
    assert accepted_words(sources_of("fix_uq_select")) >= {"file", "max", "append", "INF"}
    assert {"energy_std", "grade"} <= set(field_names()) and "stress_std" in field_names("TOTALS")


@pytest.mark.parametrize("page", STYLE_PAGES)
def test_every_style_has_a_page_in_the_order_of_lammps(page):
    kind, name = STYLE_PAGES[page]
    text = read(DOCS / f"{page}.md")
    assert name in text.splitlines()[0]
    assert not headings_missing(text, kind)


@pytest.mark.parametrize("page", STYLE_PAGES)
def test_every_accepted_word_of_a_style_is_in_its_page(page):
    words = accepted_words(sources_of(page))
    if page == "compute_uq":  # max, tag and mean are ends of words there
        words = words - {"max", "tag", "mean"} | {"X_max", "X_tag", "X_mean"}
    assert not words_missing(read(DOCS / f"{page}.md"), words | set(field_names()))


def test_planted_errors_in_a_style_page_are_seen():
    text = read(DOCS / "fix_uq_halt.md")
    assert headings_missing(text.replace("## Restrictions", "## Limits"), "fix") == ["Restrictions"]
    swapped = text.replace("## Syntax", "## X").replace("## Examples", "## Syntax")
    swapped = swapped.replace("## X", "## Examples")
    assert headings_missing(swapped, "fix") == ["order"]
    assert words_missing(text.replace("consecutive", "in_a_row"), ["consecutive"]) == ["consecutive"]
    assert words_missing(text.replace("`hard`", "hard").replace("error hard", ""), ["hard"]) == ["hard"]


# ---- command line -----------------------------------------------------------------------------------------


VERBS = options.verbs()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_page_with_the_options_of_its_parser(verb):
    text = read(DOCS / f"{verb}.md")
    assert text.startswith(f"# lmp-uq {verb}\n")
    for action in options.options_of(VERBS[verb]):
        markdown = VERBS[verb].markdown[action.dest]
        assert markdown and all(f"`{choice}`" in markdown for choice in action.choices or ()), action.option_strings
        assert "`" not in action.help and "](" not in action.help
    if options.options_of(VERBS[verb]):
        assert text == options.with_table(text, VERBS[verb]), "stale: python docs/options.py writes it anew"


def test_planted_errors_in_a_verb_page_are_seen():
    text, parser = read(DOCS / "fit.md"), VERBS["fit"]
    for old, new in (("`--seed SEED`", "`--sed SEED`"), ("| 512 |", "| 500 |"), ("Also `-q`", "Also `-p`"), (r"\|F\|", "|F|")):
        assert old in text and options.with_table(text.replace(old, new, 1), parser) == text
    with pytest.raises(ValueError, match="page without"):
        options.with_table(text.replace(options.END, ""), parser)


def shell_commands() -> list[tuple[str, str]]:
    """Commands lmp-uq in the sh blocks of all pages, continuation lines joined."""
    out = []
    for page in pages():
        for block in re.findall(r"^ *```sh\n(.*?)^ *```", read(page), re.M | re.S):
            lines = re.sub(r"\\\n\s*", "", block).splitlines()
            found = [re.search(r"(?:^|-n \d+ )lmp-uq (.+)", line.strip()) for line in lines]
            out += [(page.name, match.group(1)) for match in found if match]
    return out


@pytest.mark.parametrize(("page", "command"), shell_commands())
def test_commands_in_the_pages_are_accepted(page, command):
    if command == "--version" or command.startswith("run "):
        return
    cli._parser().parse_args(shlex.split(command))


def lammps_commands() -> list[tuple[str, list[str]]]:
    """Commands in the LAMMPS blocks of all pages that are meant to be run, as words."""
    out = []
    for page in pages():
        for block in re.findall(r"^ *```LAMMPS\n(.*?)^ *```", read(page), re.M | re.S):
            lines = [line.split("#")[0].split() for line in block.splitlines()]
            out += [(page.name, words) for words in lines if words and not {"field", "keyword"} & set(words)]
    return out


def without_thresholds(words: list[str]) -> list[str]:
    """Without the words behind error_above, reliability_max and the like, if they are numbers."""
    pairs = zip(["", *words], words, strict=False)
    return [word for before, word in pairs if not (before.startswith(("error_above", "reliability")) and re.fullmatch(r"[\d.]+", word))]


def foreign_words(words: list[str]) -> set[str]:
    """Fields and keywords of a style command that its parser would refuse."""
    words = without_thresholds(words)
    fields = set(field_names())
    ends = {f"{f}_{end}" for f in fields for end in ("max", "tag", "mean")}
    if words[:2] == ["pair_style", "mace/uq"]:
        return set(words[2::2]) - accepted_words(sources_of("pair_mace_uq"))
    if words[0] == "compute" and words[3] == "uq/atom":
        return set(words[4:]) - fields
    if words[0] == "compute" and words[3] == "uq":
        return set(words[4:]) - ends - {f for f in fields if f.startswith("energy")} - set(field_names("TOTALS"))
    if words[0] == "fix" and words[3] in ("uq/halt", "uq/select"):
        keywords = accepted_words(sources_of(f"fix_{words[3].replace('/', '_')}"))
        operator = {words[6]} if words[3] == "uq/halt" else set()
        watched = {words[5]} - fields if not words[5].startswith("c_") else set()
        return watched | ({*words[8::2], *operator} - keywords)
    if words[0] == "fix" and words[3] == "uq/bias":
        keywords = accepted_words(sources_of("fix_uq_bias"))
        return {word for word in words[4:] if not re.fullmatch(r"[\d.]+", word)} - keywords
    return set()


def style_words(words: list[str]) -> bool:
    return words[:2] == ["pair_style", "mace/uq"] or (len(words) > 3 and words[3].startswith("uq"))


@pytest.mark.parametrize(("page", "words"), [c for c in lammps_commands() if style_words(c[1])])
def test_style_commands_in_the_pages_are_accepted(page, words):
    assert not foreign_words(words)


@pytest.mark.parametrize(
    ("command", "foreign"),
    [
        ("pair_style mace/uq devise cpu", {"devise"}),
        ("compute a all uq/atom grade_max", {"grade_max"}),
        ("compute a all uq grade", {"grade"}),
        ("compute a all uq/atom grade 0.3 error_above x", {"0.3", "x"}),
        ("compute a all uq/atom stress_std", {"stress_std"}),
        ("compute a all uq stress_std members force_std force_std_max", {"force_std"}),
        ("fix h all uq/halt 1 grade < 2 consecutive 2", {"<"}),
        ("fix b all uq/bias grad 0.3 cap 1.0 till 2", {"grad", "till"}),
        ("fix s all uq/select 1 grad 1 2 file f maximum 3", {"grad", "maximum"}),
    ],
)
def test_planted_errors_in_style_commands_are_seen(command, foreign):
    assert foreign_words(command.split()) == foreign


# ---- links, versions, citations ---------------------------------------------------------------------------


def slug(heading: str) -> str:
    """Anchor that GitHub gives a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.replace("`", ""))
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def broken_links(page: Path, text: str) -> list[str]:
    out = []
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose):
        name, _, anchor = target.partition("#")
        if re.match(r"\w+:", target):
            continue
        other = (page.parent / name) if name else page
        is_page = other.suffix == ".md" and other.is_file()
        anchors = {slug(h) for h in re.findall(r"^#+ (.+)$", read(other), re.M)} if is_page else set()
        if not other.exists() or (anchor and anchor not in anchors):
            out.append(target)
    return out


@pytest.mark.parametrize("page", pages(), ids=lambda p: str(p.relative_to(ROOT)))
def test_local_links_resolve(page):
    assert not broken_links(page, read(page))


def test_planted_broken_links_are_seen():
    page = DOCS / "index.md"
    assert broken_links(page, "[a](no-such-page.md) [b](fit.md#labels) [c](fit.md#no-such-heading)") == [
        "no-such-page.md",
        "fit.md#no-such-heading",
    ]


def paths_missing(text: str) -> list[str]:
    """Paths of the tree, as code in a text, that are not there."""
    named = re.findall(r"`((?:csrc|lmp_uq|tests|docs|examples|benchmarks|cmake)/[\w./-]*)`", text)
    assert named
    return [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_paths_in_the_plans_are_there(page):
    text = read(ROOT / page)
    assert not paths_missing(text) and paths_missing(text + "`csrc/no/such.cpp`") == ["csrc/no/such.cpp"]


def test_rooms_in_the_plan_are_those_of_the_tree():
    rooms = re.search(r"^    lmp_uq/\n(.*?)^    tests/", read(ROOT / "ARCHITECTURE.md"), re.M | re.S).group(1)
    named = set(re.findall(r"(\w+)/(?= )", rooms)) | {"models"}
    assert named >= {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}


def test_index_names_every_page():
    linked = set(re.findall(r"\]\((\w+\.md)\)", read(DOCS / "index.md")))
    assert linked == {p.name for p in DOCS.glob("*.md")} - {"index.md"}


def test_version_is_the_same_everywhere():
    version = re.search(r'^version = "([^"]+)"$', read(ROOT / "pyproject.toml"), re.M).group(1)
    assert re.search(r'__version__ = "([^"]+)"', read(PACKAGE / "__init__.py")).group(1) == version
    assert re.search(r"^version: (\S+)$", read(ROOT / "CITATION.cff"), re.M).group(1) == version
    changes = read(ROOT / "CHANGELOG.md")
    assert f"## [{version}]" in changes and "## [Unreleased]" in changes


def test_lammps_prints_the_citations_of_the_citation_file():
    cited = set(re.findall(r"doi: (\S+)", read(ROOT / "CITATION.cff")))
    printed = set(re.findall(r"doi:(10\.[^\s,;\\]+)", read(STYLES_FOLDER / "pair_mace_uq.cpp")))
    assert printed and printed == cited
