"""The scorecard's rows, and how they are printed."""

import statistics


def quarters(values):
    if len(values) < 2:
        return values[0], values[0]
    cut = statistics.quantiles(values, n=4, method="inclusive")
    return cut[0], cut[2]


class Row:
    """What was measured round by round, nginx in the same rounds, and what is wanted: `ratio`, the most
    that the median of the paired ratios may be, or `most`, the most that the value itself may be."""

    def __init__(self, name, unit, mine, beside, ratio, most=None):
        self.name, self.unit = name, unit
        self.value = statistics.median(mine)
        self.nginx = statistics.median(beside) if beside else None
        ratios = [a / b for a, b in zip(mine, beside) if b > 0]
        self.ratio = statistics.median(ratios) if ratios else None
        self.spread = quarters(ratios) if len(ratios) > 1 else None
        self.target = f"≤ {ratio:.2f} ×" if ratio else f"≤ {most:g} {unit}" if most else ""
        self.met = None
        if ratio:
            self.met = self.ratio is not None and self.ratio <= ratio
        elif most:
            self.met = self.value <= most

    def cells(self):
        def number(value):
            return "" if value is None else f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        if self.spread:
            ratio += f" ({self.spread[0]:.2f}-{self.spread[1]:.2f})"
        verdict = "" if self.met is None else "met" if self.met else "NOT MET"
        return [self.name, self.unit, number(self.value), number(self.nginx), ratio, self.target, verdict]


HEAD = ["", "", "Relay", "nginx", "ratio (p25-p75)", "target", ""]


def print_rows(about, rows):
    for name, value in about.items():
        print(f"{name + ':':11} {value}")
    cells = [HEAD] + [row.cells() for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEAD))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def print_markdown(path, about, rows):
    with open(path, "w", encoding="utf-8") as out:
        for name, value in about.items():
            out.write(f"- {name}: {value}\n")
        out.write("\n| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD) + "\n")
        for row in rows:
            out.write("| " + " | ".join(row.cells()) + " |\n")
