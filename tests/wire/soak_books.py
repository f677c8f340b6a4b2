"""The books of soak.py: what the clients saw, what the providers answered, and the rows in the log."""

import collections
import json
import re
from decimal import Decimal

from support import usd

# (provider, model) -> USD per million tokens in and out
PRICES = {("a", "m"): (Decimal("0.5"), Decimal("1.5")), ("b", "m"): (Decimal("3"), Decimal("15"))}

# (chance, what happens). What is told after these the simulator's own book cannot know.
FAULTS = [
    (0.01, {"status": 500}), (0.01, {"status": 503}), (0.01, {"error": "overloaded"}),
    (0.01, {"error": "rate", "retry_after": 1}), (0.01, {"reset_at": 0}), (0.01, {"close_at": 120}),
    (0.01, {"reset_event": 3}), (0.01, {"close_event": 4}), (0.01, {"malformed_event": 3}),
    (0.02, {"stall_event": 2, "stall_ms": 400}), (0.002, {"stall_event": 2, "stall_ms": 8000}),
    (0.002, {"ttft": 7000}), (0.05, {"split": 7, "split_gap_ms": 0}), (0.02, {"close_unsaid": True}),
]
HARMLESS = ("split", "close_unsaid", "stall_event", "status", "error")


def provider_book(soak):
    """{tag: cost in USD, or None where the provider cannot know what Relay saw}"""
    book = {}
    for (name, _), record in soak.upstream.items():
        body = json.loads(record["body"])
        cost = None
        if record["status"] >= 400:
            cost = Decimal(0)
        elif record["outcome"] == "complete" and (
                record["rule"] is None or next(iter(FAULTS[record["rule"]][1])) in HARMLESS):
            text = body["messages"][-1]["content"]
            tokens = [int(re.search(rf"{kind}_tokens=(\d+)", text)[1]) for kind in ("prompt", "completion")]
            cost = sum(t * p for t, p in zip(tokens, PRICES[name, record["model"]])) / 1000000
        before = book.get(body["user"], Decimal(0))
        book[body["user"]] = None if cost is None or before is None else before + cost
    return book


def check_books(soak, spent):
    rows = soak.relay.rows()
    by_tag, by_id = collections.defaultdict(list), {row["id"]: row for row in rows}
    for row in rows:
        by_tag[row["user_tag"]].append(row)
    book = provider_book(soak)
    checked, total_rows, total_book = 0, Decimal(0), Decimal(0)
    for seen in soak.seen:
        mine = by_tag[seen.tag]
        row = by_id.get(seen.id)
        if seen.status == 401:
            if row is not None or mine:
                soak.complain(f"a refused key has a row: {seen}")
            continue
        if len(mine) > 1:
            soak.complain(f"{len(mine)} rows: {seen}")
        if row is None and (seen.ended or seen.id is not None and seen.life_begin == seen.life_end):
            soak.complain(f"no row: {seen}")
        if row is None or not seen.ended:
            continue
        cut = seen.status == 200 and row["error_code"] is not None
        if row["status"] != seen.status and not cut:
            soak.complain(f"the row says {row['status']}: {seen}")
        if row["status"] != 200:
            continue
        expected = book.get(seen.tag, Decimal(0))
        if expected is None:
            continue
        checked += 1
        total_rows, total_book = total_rows + usd(row["cost_usd"]), total_book + expected
        if usd(row["cost_usd"]) != expected:
            soak.complain(f"costs {row['cost_usd']}, the provider says {expected}: {seen} {row}")
    print(f"soak: {len(rows)} rows, {checked} costs compared: {total_rows} and {total_book} USD")
    if checked < len(soak.seen) / 4:
        soak.complain("too few costs could be compared")
    names = {row["id"]: row["name"] for row in soak.relay.keys()}
    cost = sum(usd(row["cost_usd"]) or 0 for row in rows if names[row["key_id"]] == "poor")
    if cost != spent:
        soak.complain(f"the key with a budget has spent {spent}, its rows say {cost}")
    if soak.relay.query("PRAGMA integrity_check")[0]["integrity_check"] != "ok":
        soak.complain("the database is damaged")
    for process in (soak.relay, *soak.sims.values()):
        log = process.log()
        for sign in ("Sanitizer", "runtime error:", "Assertion"):
            if sign in log:
                soak.complain(log[log.index(sign) - 200:][:6000])
