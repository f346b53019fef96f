"""Definitions and pipelines that would take minutes, gigabytes or a traceback: one short message with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from processor_time import at_most

from xcat.catalogues import load
from xcat.errors import ConfigError
from xcat.jobs import pipeline

DEFINITION = """\
name: mine
title: T
kind: optical
citation: me
sky: {area_deg2: 2.0}
position_error: {convention: axis_1sigma, constant: 0.1}
columns: {ra: RA, dec: DEC}
"""
PIPELINE = "name: p\nxray:\n  - catalogue: csc2\n"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
CHAIN = "k0: &k0 [x]\n" + "".join(f"k{i}: &k{i} [*k{i - 1}]\n" for i in range(1, 60))
MERGES = "m0: &m0 {x: 1, y: 2}\n" + "".join(
    f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 30)}], z{i}: 1}}\n" for i in range(1, 6)
)

SHARED = [
    (BOMB, r":\d+: more than 20,000 entries, those that its aliases stand for included"),
    (MERGES, r":\d+: more than 20,000 entries"),
    (CHAIN, r":\d+: nested more than 40 levels deep"),
    ("loop: &l [*l]\n", r":\d+: '\*l' contains itself"),
    ("loop: &l {a: {b: *l}}\n", r":\d+: '\*l' contains itself"),
    ("deep: " + "[" * 5000 + "]" * 5000 + "\n", r":\d+: nested more than 40 levels deep"),
    ("deep: " + "{a: " * 5000 + "1" + "}" * 5000 + "\n", r":\d+: nested more than 40 levels deep"),
    ("long: " + "a" * 20_000 + "\n", r":\d+: a text of 20,000 characters; at most 10,000 are read"),
    ("nulls: [" + "9" * 5000 + "]\n", r":\d+: a number of 5,000 digits; at most 40 are read"),
    ('nulls: ["a\\0b"]\n', r":\d+: a character that no text can have"),
    ('nulls: ["\\ud800"]\n', r":\d+: a character that no text can have"),
    ('"a\\0": 1\n', r":\d+: a character that no text can have"),
    ("? [a, b]\n: 1\n", r":\d+: a key is a word or a number"),
    ("# " + "x" * 1_100_000, "more than 1,048,576 bytes; is this a configuration"),
    ("? " + "a" * 9000 + "\n: 1\n", r":\d+: aaaa.* \.\.\. \(9,000 characters\): unknown key"),
    ("x: !!python/object/apply:os.system [ls]\n", r":\d+: not valid YAML: could not determine a constructor"),
    ("x: !!timestamp 2024-13-45\n", r":\d+: x: unknown key"),
]


@pytest.mark.parametrize(
    ("beginning", "read"), [(DEFINITION, load), (PIPELINE, pipeline.read)], ids=["definition", "pipeline"]
)
@pytest.mark.parametrize(("text", "message"), SHARED, ids=range(len(SHARED)))
def test_hostile_yaml_is_refused_at_once(
    tmp_path: Path, beginning: str, read: Callable[[Path], object], text: str, message: str
) -> None:
    path = tmp_path / "h.yaml"
    path.write_text(beginning + text)
    with at_most(2), pytest.raises(ConfigError, match=r"h\.yaml.*" + message) as refused:
        read(path)
    assert len(str(refused.value).replace(str(tmp_path), "")) < 1000


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: T", 'title: "a\\0"', r":2: a character that no text can have"),
        ("kind:", "read: {encoding: nonsense}\nkind:", ":3: read.encoding: no such encoding of text"),
        ("kind:", "read: {encoding: zip}\nkind:", ":3: read.encoding: no such encoding of text"),
        ("kind:", "read: {encoding: idna}\nkind:", ":3: read.encoding: no such encoding of text"),
        ("kind:", 'read: {separator: "\\0"}\nkind:', ":3: a character that no text can have"),
        ("kind:", 'read: {separator: "\\n"}\nkind:', ":3: read.separator: cannot separate values"),
        ("kind:", "read: {separator: é}\nkind:", ":3: read.separator: cannot separate values"),
        ("constant: 0.1", "constant: .inf", ":6: position_error.constant: .*finite"),
        ("constant: 0.1", "constant: .nan", ":6: position_error.constant"),
        ("kind:", "nulls: [.nan]\nkind:", ":3: nulls"),
        ("ra: RA", "ra: {from: RA, unit: 10**1000000000 m}", ":7: columns.ra: .* too long, or has too large a number"),
        ("ra: RA", "ra: {from: RA, transform: {scale: 1e999}}", ":7: columns.ra.*cannot do with inf"),
        ("name: mine", "name: " + "a" * 5000, r":1: name: .*at most 48 characters .* \.\.\. \(5,002 characters\)"),
        ("name: mine", "name: ../mine", ":1: name"),
        ("name: mine", "extends: " + "a" * 5000 + "\nname: mine", ":1: extends: no catalogue definition"),
        ("name: mine", "extends: " + "a/" * 2500 + "b.yaml\nname: mine", ":1: extends: .*no such file"),
    ],
)
def test_values_that_a_definition_cannot_have(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "d.yaml"
    path.write_text(DEFINITION.replace(old, new, 1))
    with pytest.raises(ConfigError, match=r"d\.yaml" + message) as refused:
        load(path)
    assert len(str(refused.value).replace(str(tmp_path), "")) < 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: -1\n", ":4: seed: .*greater than or equal to 0"),
        (f"seed: {2**63}\n", ":4: seed: .*less than"),
        ("seed: " + "1" * 10_000 + "\n", ":4: a number of 10,000 digits"),
        ("sharpness: .inf\n", ":4: sharpness"),
        ("classes: {AGN: 0.5, 2024-13-45: 0.5}\n", "classes need references"),
        ('classes: {AGN: 0.5, "C\\0": 0.5}\n', ":4: a character that no text can have"),
        ("".join(f"unknown_{i}_{'x' * 60}: 1\n" for i in range(100)), r"unknown key[\s\S]* and 9\d more$"),
    ],
)
def test_values_that_a_pipeline_cannot_have(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(PIPELINE + text)
    with pytest.raises(ConfigError, match=message) as refused:
        pipeline.read(path)
    assert len(str(refused.value).replace(str(tmp_path), "")) < 1000


def test_a_file_name_longer_than_any(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("name: p\nxray:\n  - {catalogue: xmm4_sources, files: [" + "g" * 3000 + ".fits]}\n")
    with pytest.raises(ConfigError, match=r"xmm4_sources: no such file: .*ggg") as refused:
        pipeline.Plan(pipeline.read(path), tmp_path)
    assert len(str(refused.value)) < 1000


def test_names_that_look_like_dates_or_numbers_stay_names(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    only = "read: {only: {code: [010, 12:30, 2024-13-45, 2024-01-02, 7, 1.5], 2001-02-03: [x]}}\n"
    path.write_text(DEFINITION + only)
    read = load(path).read.only
    assert read["code"] == ("010", "12:30", "2024-13-45", "2024-01-02", 7.0, 1.5)
    assert read["2001-02-03"] == ("x",)


def test_a_few_aliases_are_welcome(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    path.write_text(DEFINITION.replace("{ra: RA, dec: DEC}", "{ra: &p {from: RA}, dec: {<<: *p, from: DEC}}"))
    assert load(path).file_columns == ("RA", "DEC")
