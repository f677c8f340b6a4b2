"""The soak's three books: what the clients saw, what the providers told, and the rows in the log."""

import collections
from decimal import Decimal

from soak_keeper import Cost
from support import usd

Row = collections.namedtuple("Row", "id tag status error_code prompt completion cost_usd cache key")
SELECT = ("SELECT id, user_tag, status, error_code, prompt_tokens, completion_tokens, cost_usd, cache, key_id "
          "FROM requests")
HITS = ("exact", "semantic", "shared")


def read_rows(site):
    rows = []
    for id, tag, status, error_code, prompt, completion, cost, cache, key in site.select(SELECT):
        rows.append(Row(str(id), tag, int(status), error_code, int(prompt or 0), int(completion or 0), cost, cache,
                        str(key)))
    return rows


class Books:
    """Of one site, compared as soon as it is made. totals: what the three books say of the requests that all know."""

    def __init__(self, run, site):
        self.soak, self.site = run, site
        self.totals = {book: [0, 0, 0, Decimal(0)] for book in ("clients", "providers", "rows")}
        self.rows = read_rows(site)
        self.by_id = {row.id: row for row in self.rows}
        self.compared, self.whole = 0, 0
        names = {g.name for g in site.gateways}
        mine = [seen for seen in run.seen if seen.gateway in names]
        self.check_tags(mine)
        for seen in mine:
            self.check(seen)
        if self.compared < len(mine) / 4:
            self.complain("too few costs could be compared")
        self.check_logs()

    def complain(self, text):
        self.soak.complain(f"{self.site.name}: {text}")

    def check_tags(self, mine):
        by_tag = collections.Counter(row.tag for row in self.rows if row.tag)
        asked = {seen.tag for seen in mine}
        for tag, count in by_tag.items():
            if count > 1:
                self.complain(f"{count} rows of one request: {tag}")
            if tag not in asked and tag not in self.site.probed:
                self.complain(f"a row that nobody asked for: {tag}")
        # Who was refused before the body was read left no tag.
        for row in self.rows:
            if not row.tag and row.status == 200:
                self.complain(f"a row without its tag: {row}")

    def check(self, seen):
        row = self.by_id.get(seen.id)
        if row is None:
            # A refused key has none; nor have failures while the journal takes none.
            if seen.id is not None and (seen.whole or seen.calm and seen.status not in (401, 503)):
                self.complain(f"no row: {seen}")
            return
        if seen.status == 401:
            self.complain(f"a refused key has a row: {seen}")
        if row.tag not in (seen.tag, None):
            self.complain(f"the row of another request: {seen} {row}")
        if not seen.ended:
            return
        self.whole += 1
        cut = seen.status == 200 and row.error_code is not None
        if row.status != seen.status and not cut:
            self.complain(f"the row says {row.status}: {seen}")
        if row.status == 200 and not cut:
            self.compare(seen, row)

    def compare(self, seen, row):
        told = self.soak.reader.book.get(seen.tag) or Cost()
        # While something is broken a provider may have told all to a connection that had been cut.
        if told.unknown or told.attempts > 1 and not seen.calm:
            return
        if row.cache in HITS or seen.kind == "local embeddings":
            if usd(row.cost_usd) != told.usd:
                self.complain(f"a hit costs {row.cost_usd}, the provider says {told.usd}: {seen} {row}")
            return
        self.compared += 1
        if usd(row.cost_usd) != told.usd:
            self.complain(f"costs {row.cost_usd}, the provider says {told.usd}: {seen} {row}")
        tokens = row.prompt, row.completion
        if tokens != (told.prompt, told.completion):
            self.complain(f"{tokens} tokens, the provider says {(told.prompt, told.completion)}: {seen} {row}")
        if seen.prompt is not None and tokens != (seen.prompt, seen.completion):
            self.complain(f"{tokens} tokens, the client was told {(seen.prompt, seen.completion)}: {seen} {row}")
        if seen.prompt is None:
            return
        for book, prompt, completion, cost in (
                ("clients", seen.prompt, seen.completion, None), ("rows", *tokens, usd(row.cost_usd)),
                ("providers", told.prompt, told.completion, told.usd)):
            total = self.totals[book]
            total[0] += 1
            total[1] += prompt
            total[2] += completion
            total[3] += cost or 0

    def cost(self):
        return sum(usd(row.cost_usd) or 0 for row in self.rows)

    def check_sums(self, keys, usage):
        """What each key has spent, and the summaries, are the sums of the rows."""
        spent = collections.defaultdict(Decimal)
        for row in self.rows:
            spent[row.key] += usd(row.cost_usd) or 0
        for key in keys:
            if key["budget_usd"] is not None and usd(key["budget_spent_usd"]) != spent[key["id"]]:
                self.complain(f"{key['name']} has spent {key['budget_spent_usd']}, its rows say {spent[key['id']]}")
        total = usage["total"]
        if (total["requests"], usd(total["cost_usd"])) != (len(self.rows), self.cost()):
            self.complain(f"the summaries say {total}, {len(self.rows)} rows cost {self.cost()}")

    def check_logs(self):
        for process in (*self.site.gateways, *self.soak.sims.values()):
            log = process.log()
            for sign in ("Sanitizer", "runtime error:", "Assertion"):
                if sign in log:
                    self.complain(log[max(0, log.index(sign) - 200):][:6000])
