"""What a soak has found, as tables in Markdown."""

import collections


def lines_of(head, rows):
    out = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return out + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows] + [""]


def requests(soak):
    kinds = collections.defaultdict(collections.Counter)
    for seen in soak.seen:
        kinds[seen.kind]["asked"] += 1
        kinds[seen.kind]["whole"] += seen.ended
        kinds[seen.kind]["ok"] += seen.ended and seen.status == 200
    rows = [(kind, n["asked"], n["whole"], n["ok"]) for kind, n in sorted(kinds.items())]
    total = [sum(row[i] for row in rows) for i in (1, 2, 3)]
    return lines_of(("requests", "asked", "end seen", "of these 200"), [*rows, ("all", *total)])


def faults(soak):
    rows = []
    for site in soak.sites:
        for name, struck in sorted(site.struck.items()):
            recovered = sorted(r for _, r in struck)
            rows.append((site.name, name.replace("_", " "), len(struck), f"{max(d for d, _ in struck):.1f}",
                         f"{recovered[len(recovered) // 2]:.2f}", f"{recovered[-1]:.2f}"))
    return lines_of(("place", "fault", "times", "longest, s", "p99 back after, s: median", "worst"), rows)


def gateways(soak):
    shares = sorted({look.share for looks in soak.looks.values() for look in looks})
    rows = []
    for site in soak.sites:
        for gateway in site.gateways:
            told = site.probes.told[gateway.name]
            begin, end = (told[0].began, told[-1].began) if told else (0, 0)
            part = (end - begin) / 5
            p99 = [site.probes.percentile(gateway.name, 0.99, begin + part * n, begin + part * (n + 1)) for n in range(5)]
            looks = {look.share: look for look in soak.looks[gateway.name]}
            memory = [f"{looks[s].bytes / 1e6:.1f}" + f" ({looks[s].lives})" * bool(looks[s].lives) if s in looks else "-"
                      for s in shares]
            files = [str(looks[s].files["other"]) if s in looks else "-" for s in shares]
            rows.append((gateway.name, " → ".join(memory), " → ".join(files),
                         " → ".join("-" if p is None else f"{p * 1000:.0f}" for p in p99)))
    at = ", ".join(f"{s:.0%}" for s in shares)
    return lines_of(("gateway", f"MB resident at {at} (times killed)", "descriptors but for peers", "p99 of probes, ms, by fifths"), rows)


def books(soak):
    rows = []
    for book in soak.books:
        for name, (count, prompt, completion, cost) in book.totals.items():
            rows.append((book.site.name, name, count, prompt, completion, cost if name != "clients" else "-"))
        rows.append((book.site.name, "all rows", len(book.rows), "", "", book.cost()))
    return lines_of(("place", "book", "requests", "prompt tokens", "completion tokens", "USD"), rows)


def table(soak):
    events = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in sorted(soak.counts.items()))
    head = f"{soak.seconds / 60:g} minutes, seed {soak.seed}: {len(soak.seen)} requests, {len(soak.complaints)} complaints; {events}."
    return "\n".join([head, "", *requests(soak), *faults(soak), *gateways(soak), *books(soak)])
