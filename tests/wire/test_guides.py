"""Every command of README.md and docs/guides runs, in its page's order, and prints what the page shows."""

import pytest

import guides


def name_of(page):
    return page.stem


@pytest.mark.parametrize("page", guides.pages(), ids=name_of)
def test_commands_run(page, tmp_path):
    runner = guides.Runner(tmp_path)
    try:
        for block in guides.blocks_of(page):
            runner.run(block)
    finally:
        runner.stop()


def test_what_is_not_run_is_counted(record_property):
    """No page is all excuses: more blocks run than do not."""
    blocks = [block for page in guides.pages() for block in guides.blocks_of(page)]
    excused = [block for block in blocks if block.not_run]
    runs = [block for block in blocks if not block.not_run and block.language not in ("text", "c", "diff")]
    record_property("run", len(runs))
    record_property("not run", len(excused))
    assert len(runs) > len(excused), [f"{b}: {b.not_run}" for b in excused]


@pytest.mark.parametrize("said, lines, fits", [
    ("a  b\n", ["a b"], True),
    ("a b c\n", ["a … c"], True),
    ("a b\n", ["a c"], False),
    ("one\ntwo\nthree\n", ["one", "…"], True),
    ("one\ntwo\nthree\n", ["…", "three"], True),
    ("one\ntwo\n", ["one"], False),
    ("", [], True),
    ("x\n", [], False),
])
def test_what_a_page_shows_is_compared(said, lines, fits):
    assert bool(guides.re.fullmatch(guides.expected_pattern(lines), said)) == fits


def test_console_blocks_are_split_at_their_commands():
    body = "$ one \\\n  more\nout 1\nout 2\n$ two\n"
    assert guides.commands_of(body) == [("one \\\n  more", ["out 1", "out 2"]), ("two", [])]
