#!/usr/bin/env python3
"""A columnar copy of the request log: a Parquet file for each UTC day, from SQLite or PostgreSQL.

    scripts/export_parquet.py STORE FOLDER [--since DAY] [--until DAY]

STORE is as in the configuration: sqlite:data/relay.db or postgresql://user@host/db (RELAY_STORE if it is
left out as -). Needs pyarrow, and for PostgreSQL psycopg:  pip install pyarrow 'psycopg[binary]'

It writes FOLDER/requests/day=2026-11-23/requests.parquet and the same for attempts, a layout that DuckDB,
Spark, Polars and others read as one table divided by `day`. Prompts and answers are not copied.

Run it once a day. A day is written when it has ended an hour ago, under another name first, so that an
interrupted run leaves no half file and the next goes on where it stopped. A day that is there is left
alone, unless the store has more rows of it: a gateway that was away may bring some later. What the
store's retention has deleted stays in the copy.

Money is decimal(24, 12), exact to the last of its twelve digits; a cost that nobody knows is null."""

import argparse
import datetime as dt
import os
import sqlite3
import sys
import uuid
from decimal import Decimal
from pathlib import Path

DAY = dt.timedelta(days=1)
SETTLED = dt.timedelta(hours=1)  # for what is still in a journal
BATCH = 20_000
GROUP = 8 * BATCH

# The tables under the views of docs/reference/request-log.md: both stores have them with the same columns.
# (column there, name in the copy, kind)
TABLES = {
    "requests": ("request_log", "id", """
        id:uuid at_us>at:time key_id:uuid endpoint:text model_asked:text provider:text model:text route:text
        stream:bool status:int error_code:text prompt_tokens:int cached_tokens:int cache_write_tokens:int
        completion_tokens:int reasoning_tokens:int usage_source:text cost_pusd>cost_usd:money cost_source:text
        cache_saved_pusd>cache_saved_usd:money routing_saved_pusd>routing_saved_usd:money cache:text
        similarity:real source_id:uuid ttft_ms:real latency_ms:real overhead_us:int attempts:int
        finish_reason:text max_latency_ms:real min_quality:real target_met:bool user_tag:text tags:text
        decision:text"""),
    "attempts": ("attempt_log", "request_id", """
        request_id:uuid n:int provider:text model:text status:int error_code:text started_us>started_at:time
        ttft_ms:real latency_ms:real prompt_tokens:int completion_tokens:int cost_pusd>cost_usd:money
        usage_source:text"""),
}


def fail(text):
    sys.exit(f"export_parquet: {text}")


try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    fail("needs pyarrow: pip install pyarrow")


def money(value):
    return Decimal(value).scaleb(-12)


# kind: (type, what makes its value of the store's)
KINDS = {
    "uuid": (pa.string(), lambda v: str(uuid.UUID(bytes=v)) if isinstance(v, bytes) else str(v)),
    "time": (pa.timestamp("us", tz="UTC"), None),
    "text": (pa.string(), None),
    "int": (pa.int64(), None),
    "real": (pa.float64(), None),
    "bool": (pa.bool_(), bool),
    "money": (pa.decimal128(24, 12), money),
}


class Table:
    def __init__(self, name):
        self.name = name
        self.source, self.id, words = TABLES[name]
        columns = []
        for word in words.split():
            column, kind = word.split(":")
            source, _, shown = column.partition(">")
            columns.append((source, shown or source, kind))
        self.sources = [source for source, _, _ in columns]
        self.makers = [KINDS[kind][1] for _, _, kind in columns]
        self.schema = pa.schema([(shown, KINDS[kind][0]) for _, shown, kind in columns])

    def batch(self, rows):
        arrays = []
        for values, make, field in zip(zip(*rows), self.makers, self.schema):
            if make is not None:
                values = [None if v is None else make(v) for v in values]
            arrays.append(pa.array(values, field.type))
        return pa.record_batch(arrays, schema=self.schema)


def first_id(day):
    """The least id that a request of this day or a later one can have: ids begin with milliseconds."""
    ms = (day - dt.date(1970, 1, 1)).days * 86_400_000
    return uuid.UUID(int=ms << 80)


class Sqlite:
    def __init__(self, path):
        if not Path(path).exists():
            fail(f"there is no SQLite file {path}")
        self.db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)
        self.db.isolation_level = None

    def snapshot(self):
        """Count and rows of a day are of one moment."""
        if self.db.in_transaction:
            self.db.execute("COMMIT")
        self.db.execute("BEGIN")

    def ask(self, sql, *ids):
        return self.db.execute(sql, [i.bytes for i in ids]).fetchone()

    def rows(self, sql, *ids):
        cursor = self.db.execute(sql, [i.bytes for i in ids])
        while rows := cursor.fetchmany(BATCH):
            yield rows


class Postgres:
    def __init__(self, url):
        try:
            import psycopg
        except ImportError:
            fail("needs psycopg for PostgreSQL: pip install 'psycopg[binary]'")
        try:
            self.db = psycopg.connect(url)
        except psycopg.Error as e:
            fail(f"cannot reach the store: {str(e).strip().splitlines()[0]}")
        self.db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self.db.read_only = True

    def snapshot(self):
        self.db.rollback()

    def ask(self, sql, *ids):
        return self.db.execute(sql.replace("?", "%s"), ids).fetchone()

    def rows(self, sql, *ids):
        with self.db.cursor(name="export") as cursor:
            cursor.execute(sql.replace("?", "%s"), ids)
            while rows := cursor.fetchmany(BATCH):
                yield rows


def open_store(text):
    if text == "-":
        text = os.environ.get("RELAY_STORE", "")
    if text.startswith("sqlite:"):
        return Sqlite(text[len("sqlite:"):])
    if text.startswith(("postgresql://", "postgres://")):
        return Postgres(text)
    return fail("STORE is sqlite:PATH or postgresql://user@host/db; - takes it from RELAY_STORE")


def day_of(id):
    value = uuid.UUID(bytes=id) if isinstance(id, bytes) else id
    return dt.date(1970, 1, 1) + dt.timedelta(milliseconds=value.int >> 80)


def days(store, table, since, until):
    """The days that the store has rows of, as far as wanted, oldest first."""
    store.snapshot()
    day = since
    while True:
        found = store.ask(f"SELECT {table.id} FROM {table.source} WHERE {table.id} >= ? ORDER BY {table.id} LIMIT 1",
                          first_id(day))
        if found is None or day_of(found[0]) > until:
            return
        day = day_of(found[0])
        yield day
        day += DAY


def write_day(store, table, day, path):
    """How many rows were written; None where the copy has them already."""
    span = f"FROM {table.source} WHERE {table.id} >= ? AND {table.id} < ?"
    ids = first_id(day), first_id(day + DAY)
    store.snapshot()
    count = store.ask(f"SELECT count(*) {span}", *ids)[0]
    if path.exists() and pq.read_metadata(path).num_rows >= count:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    waiting = []
    with pq.ParquetWriter(part, table.schema, compression="zstd") as writer:
        for rows in store.rows(f"SELECT {', '.join(table.sources)} {span} ORDER BY {table.id}", *ids):
            waiting.append(table.batch(rows))
            if len(waiting) * BATCH >= GROUP:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting))
    written = pq.read_metadata(part).num_rows
    if written != count:
        fail(f"{part} has {written} rows of {count}: nothing was replaced")
    os.replace(part, path)
    return written


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", metavar="STORE")
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--since", type=dt.date.fromisoformat, default=dt.date(1970, 1, 1), metavar="DAY",
                        help="first day, YYYY-MM-DD (UTC)")
    parser.add_argument("--until", type=dt.date.fromisoformat, metavar="DAY",
                        help="last day; by default the last that ended an hour ago")
    options = parser.parse_args()
    until = options.until or (dt.datetime.now(dt.timezone.utc) - SETTLED).date() - DAY
    store = open_store(options.store)
    for name in TABLES:
        table = Table(name)
        for day in list(days(store, table, options.since, until)):
            path = options.folder / name / f"day={day}" / f"{name}.parquet"
            written = write_day(store, table, day, path)
            if written is not None:
                print(f"{path}: {written} rows, {path.stat().st_size} bytes", flush=True)


if __name__ == "__main__":
    main()
