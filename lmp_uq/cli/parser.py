# SPDX-License-Identifier: GPL-2.0-or-later
"""What the verbs of ``lmp-uq`` share: how words are read, numbers checked, and options that mean the same everywhere."""

from __future__ import annotations

import argparse
import math
import re
import sys
from typing import Any

from lmp_uq.errors import UqError, did_you_mean

MODELS_FOLLOW = ("committee",)
"""Options of several model files: a file behind them is one of theirs."""

# help is Markdown: the pages of the verbs are made of it
JSON = "write what was found here, as JSON; `-`: to standard output, the text then goes to standard error"
BOUNDS = "K of the bounds, at most the members of the file; without it all of them"
DEVICE = (
    "`auto`, `cpu`, `cuda` or `cuda:N`; `auto` is a CUDA device where one can be used, else the CPU; see [cuda.md](cuda.md), a GPU is "
    "not verified"
)
ENGINE = (
    "`native` (C++, many times faster), `torch`, or `auto`: native where it can run the model on the device that is asked for, and torch "
    "where it cannot"
)
PRECISION = "arithmetic of a foundation model: `file`, `float32` or `float64`"
THREADS = "threads of the backbone; 0 is `OMP_NUM_THREADS` or all cores, of several ranks one for each"


WITHOUT_VALUE = ("required", "off", "none")
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def default_text(action: argparse.Action) -> str:
    """What an option is when it is not given, or one of `WITHOUT_VALUE`."""
    if action.required:
        return "required"
    if action.nargs == 0:
        return "off"
    if action.default is None or action.default == []:
        return "none"
    return " ".join(action.default) if isinstance(action.default, list) else str(action.default)


class Parser(argparse.ArgumentParser):
    """Parser whose errors are short and whose options are written out; a model may stand behind an option of several values."""

    def __init__(self, **keywords):
        self.markdown: dict[str, str] = {}  # help by destination, where it is kept
        super().__init__(allow_abbrev=False, **keywords)

    def verbs(self) -> dict[str, Parser]:
        """Names to parsers."""
        return next(action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction))

    def show_plain_help(self) -> None:
        """Keep the help of every option, which is Markdown, for the pages, and show it as plain text with its default."""
        for action in self._actions:
            self.markdown[action.dest] = action.help or ""
            action.help = LINK.sub(r"\1", self.markdown[action.dest]).replace("`", "")
            if default_text(action) not in WITHOUT_VALUE:
                action.help += f" (default {default_text(action)})"

    def parse_args(self, args=None, namespace=None):
        """See `argparse.ArgumentParser.parse_args`."""
        options, rest = self.parse_known_args(args, namespace)
        if rest:
            parser = getattr(options, "parser", self)
            parser.error(f"unknown argument {rest[0]!r}")
        return options

    def parse_known_args(self, args=None, namespace=None):
        """See `argparse.ArgumentParser.parse_known_args`."""
        words = list(sys.argv[1:] if args is None else args)
        if not any(isinstance(action, argparse._SubParsersAction) for action in self._actions):
            self._refuse_unknown(words)
        return super().parse_known_args(self._model_first(words), namespace)

    def error(self, message):
        """Two lines and exit code 2; argparse prints all options."""
        self.exit(2, f"usage: {self._short_usage()}\n{self.prog}: error: {message}; all options: {self.prog} --help\n")

    def _refuse_unknown(self, words):
        for name in (word.partition("=")[0] for word in words):
            if name == "--":  # all behind it are no options
                return
            if name.startswith("--") and name not in self._option_string_actions:  # before argparse says what is missing instead
                self.error(f"there is no option {name}{did_you_mean(name, self._option_string_actions)}")

    def _short_usage(self):
        needed = [action for action in self._actions if action.required]
        formatter = self._get_formatter()
        words = [" ".join([*action.option_strings[:1], formatter._format_args(action, action.dest)]) for action in needed]
        return " ".join([self.prog, *words, "[options]"])

    def _model_first(self, words):
        """The words, with a *.uq file that an option of several values would take in as the model before them all."""
        if "--" in words or not any(action.dest == "model" and not action.option_strings for action in self._actions):
            return words
        current, room = None, 0.0
        taken: dict[Any, list[int]] = {}
        for k, word in enumerate(words):
            action = self._option_string_actions.get(word.partition("=")[0])
            if action is not None:
                current = action
                room = 0.0 if "=" in word else _room(action)
            elif room > 0:
                room -= 1
                taken.setdefault(current, []).append(k)
            else:
                return words  # it has a place of its own
        for action, places in taken.items():
            last = places[-1]
            if action.nargs == "+" and action.dest not in MODELS_FOLLOW and len(places) > 1 and _is_model(words[last]):
                return [words[last], *words[:last], *words[last + 1 :]]
        return words


def _room(action):
    """How many words an option takes."""
    return math.inf if action.nargs == "+" else 1.0 if action.nargs is None else float(action.nargs)


def _is_model(word):
    from lmp_uq.modelfile.file import SUFFIX, embedded_models

    return word.endswith(SUFFIX) or word in embedded_models()


def add_verb(verbs, name: str, run, text: str, **keywords) -> Parser:
    """Parser of a verb: `run(options, command)` does it; text is one line of help."""
    parser = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", **keywords)
    parser.set_defaults(verb=run, parser=parser)
    return parser


def add_engine(parser) -> None:
    """Options of what evaluates the backbone."""
    p = parser.add_argument_group("what evaluates the backbone")
    p.add_argument("--device", default="auto", help=DEVICE)
    p.add_argument("--engine", default="auto", choices=["auto", "native", "torch"], help=ENGINE)
    p.add_argument("--precision", default="file", choices=["file", "float32", "float64"], metavar="P", help=PRECISION)
    p.add_argument("--threads", type=count, default=0, metavar="N", help=THREADS)


def add_labels(parser):
    """Options of what labelled frames hold; returns their group."""
    p = parser.add_argument_group("labels")
    for label in ("energy", "forces", "stress"):
        p.add_argument(f"--{label}-key", metavar="KEY", help=f"name of the label; without it `REF_{label}`, then `{label}`")
    p.add_argument("--virials-key", metavar="KEY", help="name of the virials, in place of the stress")
    p.add_argument("--group-key", metavar="KEY", default="config_type", help="entry of the comment line that names a frame's group")
    return p


def add_messages(parser) -> None:
    """How much is said."""
    p = parser.add_argument_group("messages")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress bars and no notes; warnings stay")
    p.add_argument("-v", "--verbose", action="store_true", help="also versions, what is loaded and times; the traceback of an error")


def positive(text):
    """Type of a whole number of 1 or more."""
    return _whole(text, 1)


def count(text):
    """Type of a whole number of 0 or more."""
    return _whole(text, 0)


def _whole(text, least):
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"must be {least} or more, found {text}")
    return value


def positive_or_auto(text):
    """Type of a whole number of 1 or more; None for auto."""
    return None if text == "auto" else positive(text)


def scale(text):
    """Type of a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0.0:
        raise argparse.ArgumentTypeError(f"must be above 0, found {text}")
    return value


def number_or(*words):
    """Type of a number of 0 or more, or one of these words."""

    def parse(text):
        if text in words:
            return text
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not value >= 0.0:
            raise argparse.ArgumentTypeError(f"found {text}, accepted: a number >= 0 or {' or '.join(words)}")
        return value

    return parse


def shows_progress(options) -> bool:
    """Whether to show progress bars: on a terminal, unless --quiet."""
    return not options.quiet and sys.stderr.isatty()


def check_json(options) -> None:
    """Refuse a --json that cannot be written, or that would go where --out goes."""
    from lmp_uq.files import check_target

    if options.json is not None:
        check_target(options.json, "json")
        if options.json == getattr(options, "out", None):
            raise UqError(f"--json {options.json}: is where --out goes; accepted: another file")


def tell(options, text: str) -> None:
    """Print what a verb says beside its files: to standard error where one of them goes to standard output."""
    from lmp_uq.files import summary_stream

    print(text, file=summary_stream(getattr(options, "out", None), getattr(options, "json", None)), flush=True)


def present(options, text: str, figures) -> None:
    """Print what a verb found, and write its figures where --json says."""
    tell(options, text)
    if options.json is not None:
        from lmp_uq.report.files import write_json

        write_json(options.json, figures)
