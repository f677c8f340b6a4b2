"""A plugin of pytest: where RELAY_RAN names a folder, FILE.ran there gets the names of the tests that passed, and
those that were skipped with a word behind them (scripts/check_proofs.py). With pytest-xdist the process that
shares out the tests hears of all of them. A second run of a file adds to what the first left.

Why a test that was run again had failed the first time is printed at the end."""

import os
from collections import defaultdict
from pathlib import Path

_said = defaultdict(lambda: defaultdict(set))


def pytest_runtest_logreport(report):
    file, _, rest = report.nodeid.partition("::")
    if report.when == "call" or not report.passed:
        _said[Path(file).stem][rest.partition("[")[0]].add(report.outcome)


def pytest_sessionfinish(session):
    folder = os.environ.get("RELAY_RAN")
    if not folder or hasattr(session.config, "workerinput"):
        return
    for program, tests in _said.items():
        path = Path(folder, program + ".ran")
        lines = set(path.read_text().splitlines()) if path.exists() else set()
        for name, outcomes in tests.items():
            if "failed" in outcomes:
                lines -= {name, f"{name} skipped"}
            elif "passed" in outcomes:
                lines = lines - {f"{name} skipped"} | {name}
            elif name not in lines:
                lines.add(f"{name} skipped")
        path.write_text("".join(f"{line}\n" for line in sorted(lines)))


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"the first time: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
