"""How well audits judge two answers (src/path/audit.c): its rule on sentence pairs that people have graded.

    tests/bench/audits.py DATA     DATA: a folder with sts.tsv (text1, text2, label 0 to 5, source)
"""
import sys
from pathlib import Path

import numpy as np

from guards import Guards
from vectors import Vectors

TELLING = ["number", "date", "time", "version", "negation", "antonym", "language", "script"]
SAME_COSINE, OTHER_COSINE = 0.75, 0.6
SAME_GRADE, OTHER_GRADE = 4, 3


def main():
    lines = (Path(sys.argv[1]) / "sts.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    left, right = [row[0] for row in rows], [row[1] for row in rows]
    grades = np.array([float(row[2]) for row in rows])
    vectors, guards = Vectors("build/bench-cache"), Guards()
    cosine = (vectors.of(left) * vectors.of(right)).sum(1)
    vectors.save()
    vetoes, _ = guards.compare(left, right)
    told = (vetoes & sum(1 << guards.rules.index(rule) for rule in TELLING)) != 0
    different = told | (cosine < OTHER_COSINE)
    same = ~different & (cosine >= SAME_COSINE)
    for name, which in ((f"graded {SAME_GRADE} and above", grades >= SAME_GRADE),
                        (f"graded below {OTHER_GRADE}", grades < OTHER_GRADE)):
        print(f"{name}: {which.sum()} pairs, judged the same {same[which].mean():.1%}, different "
              f"{different[which].mean():.1%}, undecided {(~same & ~different)[which].mean():.1%}")


if __name__ == "__main__":
    main()
