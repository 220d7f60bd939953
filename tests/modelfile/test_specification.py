# SPDX-License-Identifier: GPL-2.0-or-later
"""The specification of the model file stands once: the page is made of it, and the reader goes by it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from model_example import make_header, make_tensors, raw_container

from lmp_uq import _native, modelfile
from lmp_uq.errors import UqError

ROOT = Path(__file__).parents[2]
ONE_LEVEL = "one level, as version 0.1.0 wrote it"
SPECIFICATION = json.loads(_native.specification())


def page_maker():
    spec = importlib.util.spec_from_file_location("file_format", ROOT / "docs" / "file_format.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_is_up_to_date():
    """If not: python docs/file_format.py."""
    maker = page_maker()
    text = maker.PAGE.read_text(encoding="utf-8")
    assert maker.page(text) == text
    assert maker.page(text.replace("longest edge", "shortest edge")) == text
    with pytest.raises(ValueError, match="places"):
        maker.page(text.replace("specification: tensors", "specification: arrays"))


def entries_of(block, form=""):
    return next(one["entries"] for one in SPECIFICATION["blocks"] if (one["key"], one["form"]) == (block, form))


def needed(block, form=""):
    return [entry["key"] for entry in entries_of(block, form) if "absent" not in entry["accepted"] and "." not in entry["key"]]


@pytest.mark.parametrize(
    ("block", "form"),
    [("", ""), ("backbone", ""), ("posterior", ""), ("provenance", ""), ("calibration.force_error", ONE_LEVEL)],
)
def test_every_entry_that_is_needed_is_missed(tmp_path, block, form):
    assert needed(block, form)
    for key in needed(block, form):
        header = make_header()
        place = header
        for part in filter(None, block.split(".")):
            place = place[part]
        del place[key]
        with pytest.raises(UqError) as caught:
            modelfile.read(raw_container(tmp_path / "a.uq", header, make_tensors()))
        if key not in ("level", "factor"):    # without them it is of the other form
            assert f"{block}.{key}".lstrip(".") in str(caught.value)


def test_entries_and_tensors_have_a_meaning():
    for entry in (*SPECIFICATION["tensors"], *(e for block in SPECIFICATION["blocks"] for e in block["entries"])):
        name = entry.get("key", entry.get("name"))
        assert entry["meaning"] or name.startswith(("parameters.", "reference.styles.")), name
