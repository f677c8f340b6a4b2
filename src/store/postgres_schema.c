/* postgres_schema.c - the tables in PostgreSQL, as numbered migrations; the one in force stands in
 * schema_version.
 *
 * The base tables hold integers and uuids; the views `requests`, `attempts`, `contents` and `keys`
 * show them to people. request_log, attempt_log and content_log are divided by UTC days: an id
 * begins with its milliseconds and ids compare byte by byte, so a day is a range of ids, the id
 * stays the only key, a range of time touches the days it covers and no others, and a day that is
 * past its retention goes as a whole. Days are made with log_day_make() and dropped with
 * log_day_drop(); a table is filled before it is attached, which needs no lock that stops others.
 *
 * Triggers number every change of a key, whoever makes it, and notify the running gateways. A
 * migration is never changed once it was released; a new one is added. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/postgres_internal.h"

/* SQL for people: a time, and money without trailing zeros. */
#define TIME_OF(c) "timestamptz 'epoch' + " c " * interval '1 microsecond'"
#define USD_OF(c)  "trim_scale(" c " * 0.000000000001)"

/* clang-format off */
static const char *const migration_1[] = {
    "CREATE TABLE key_record (id uuid PRIMARY KEY, tag text NOT NULL, hash bytea NOT NULL UNIQUE,"
    " name text NOT NULL, cache_group text, rpm bigint, tpm bigint, budget_pusd bigint,"
    " budget_period text, models text NOT NULL DEFAULT '[]', tags text NOT NULL DEFAULT '{}',"
    " created_us bigint NOT NULL, expires_us bigint, revoked_us bigint,"
    " changed bigint NOT NULL DEFAULT 0);"
    "CREATE INDEX key_changed ON key_record (changed);"
    "CREATE TABLE counter (name text PRIMARY KEY, value bigint NOT NULL);"
    "INSERT INTO counter VALUES ('key_changes', 0), ('key_deletions', 0);"
    /* The counter's row is locked until the commit: changes become visible in their order. */
    "CREATE FUNCTION key_changes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " PERFORM pg_notify('relay_keys', '');"
    " IF TG_OP = 'DELETE' THEN"
    "  UPDATE counter SET value = value + 1 WHERE name = 'key_deletions'; RETURN OLD;"
    " END IF;"
    " UPDATE counter SET value = value + 1 WHERE name = 'key_changes'"
    "  RETURNING value INTO NEW.changed;"
    " RETURN NEW; END $$;"
    "CREATE TRIGGER key_changes BEFORE INSERT OR UPDATE OR DELETE ON key_record"
    " FOR EACH ROW EXECUTE FUNCTION key_changes();"
    "CREATE VIEW keys AS SELECT id, tag, encode(hash, 'hex') AS hash, name, cache_group, rpm, tpm,"
    " " USD_OF("budget_pusd") " AS budget_usd, budget_period, models, tags,"
    " " TIME_OF("created_us") " AS created_at, " TIME_OF("expires_us") " AS expires_at,"
    " " TIME_OF("revoked_us") " AS revoked_at FROM key_record;"
    /* Few rows, updated over and over: room in their pages keeps that cheap. */
    "CREATE TABLE key_spend (key_id uuid, day bigint, pusd bigint NOT NULL,"
    " last_us bigint NOT NULL, PRIMARY KEY (key_id, day)) WITH (fillfactor = 50);",

    "CREATE TABLE request_log (id uuid PRIMARY KEY, at_us bigint NOT NULL, key_id uuid,"
    " endpoint text, model_asked text, provider text, model text, route text, stream boolean,"
    " status integer, error_code text, prompt_tokens bigint, cached_tokens bigint,"
    " cache_write_tokens bigint, completion_tokens bigint, reasoning_tokens bigint,"
    " usage_source text, cost_pusd bigint,"
    " cost_source text, cache_saved_pusd bigint, routing_saved_pusd bigint, cache text,"
    " similarity double precision, source_id uuid, ttft_ms double precision,"
    " latency_ms double precision, overhead_us bigint, attempts integer, finish_reason text,"
    " max_latency_ms double precision, min_quality double precision, target_met boolean,"
    " user_tag text, tags text, decision text, steps bytea) PARTITION BY RANGE (id);"
    /* For a key's requests, and for those that failed; by time they are in order anyway. Searches by
     * model or provider find enough of them nearby. */
    "CREATE INDEX request_log_key ON request_log (key_id, id);"
    "CREATE INDEX request_log_errors ON request_log (id) WHERE status >= 400;"
    "CREATE TABLE attempt_log (request_id uuid, n integer, provider text, model text,"
    " status integer, error_code text, started_us bigint, ttft_ms double precision,"
    " latency_ms double precision, prompt_tokens bigint, completion_tokens bigint,"
    " cost_pusd bigint, usage_source text, PRIMARY KEY (request_id, n))"
    " PARTITION BY RANGE (request_id);"
    "CREATE TABLE content_log (request_id uuid PRIMARY KEY, request text, answer text)"
    " PARTITION BY RANGE (request_id);",

    /* The smallest id that a request of this time can have; for people, too, who ask for
     * requests WHERE id >= request_id_at(now() - interval '1 hour'). */
    "CREATE FUNCTION request_id_at(at timestamptz) RETURNS uuid LANGUAGE sql STABLE AS $$"
    " SELECT (lpad(to_hex(greatest(floor(extract(epoch FROM at) * 1000), 0)::bigint), 12, '0')"
    "  || repeat('0', 20))::uuid $$;"
    "CREATE FUNCTION log_day_make(day bigint) RETURNS void LANGUAGE plpgsql AS $$"
    " DECLARE"
    "  parent text; part text;"
    "  low text := lpad(to_hex(day * 86400000), 12, '0') || repeat('0', 20);"
    "  high text := lpad(to_hex((day + 1) * 86400000), 12, '0') || repeat('0', 20);"
    " BEGIN"
    "  PERFORM pg_advisory_xact_lock(" POSTGRES_LOCKS ", 2);"
    "  FOREACH parent IN ARRAY ARRAY['request_log', 'attempt_log', 'content_log'] LOOP"
    "   part := parent || to_char(date '1970-01-01' + day::integer, '_YYYYMMDD');"
    "   IF NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    "     WHERE i.inhparent = parent::regclass AND c.relname = part) THEN"
    "    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, parent);"
    "    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%s)', parent,"
    /* Ids have 48 bits of milliseconds, so the last day has no id at its end. */
    "     part, low, CASE WHEN day < 3257811 THEN quote_literal(high) ELSE 'MAXVALUE' END);"
    "   END IF;"
    "  END LOOP; END $$;"
    /* Drops the oldest of a table's days that are before the one given; false: there is none. */
    "CREATE FUNCTION log_day_drop(parent text, before_day bigint) RETURNS boolean"
    " LANGUAGE plpgsql AS $$"
    " DECLARE"
    "  part oid;"
    "  first_kept text := parent || to_char(date '1970-01-01' + before_day::integer, '_YYYYMMDD');"
    " BEGIN"
    "  SELECT c.oid INTO part FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    "   WHERE i.inhparent = parent::regclass AND (length(c.relname), c.relname::text COLLATE \"C\")"
    "    < (length(first_kept), first_kept COLLATE \"C\")"
    "   ORDER BY length(c.relname), c.relname LIMIT 1;"
    "  IF part IS NULL THEN RETURN false; END IF;"
    "  EXECUTE format('DROP TABLE %s', part::regclass);"
    "  RETURN true; END $$;",

    "CREATE VIEW requests AS SELECT id, " TIME_OF("at_us") " AS at, key_id, endpoint, model_asked,"
    " provider, model, route, stream, status, error_code, prompt_tokens, cached_tokens,"
    " cache_write_tokens, completion_tokens, reasoning_tokens, usage_source,"
    " " USD_OF("cost_pusd") " AS cost_usd, cost_source,"
    " " USD_OF("cache_saved_pusd") " AS cache_saved_usd,"
    " " USD_OF("routing_saved_pusd") " AS routing_saved_usd, cache, similarity, source_id, ttft_ms,"
    " latency_ms, overhead_us, attempts, finish_reason, max_latency_ms, min_quality, target_met,"
    " user_tag, tags, decision FROM request_log;"
    "CREATE VIEW attempts AS SELECT request_id, n, provider, model, status, error_code,"
    " " TIME_OF("started_us") " AS started_at, ttft_ms, latency_ms, prompt_tokens,"
    " completion_tokens, " USD_OF("cost_pusd") " AS cost_usd, usage_source FROM attempt_log;"
    "CREATE VIEW contents AS SELECT request_id, request, answer FROM content_log;",
    NULL};

/* The summaries (usage_internal.h). What a log holds already is summed up after this, backwards from
 * the hour after its newest row. */
static const char *const migration_2[] = {
    "CREATE TABLE usage_sum (part integer, span integer, hour bigint, name bytea,"
    " data bytea NOT NULL, PRIMARY KEY (part, span, hour, name));"
    "CREATE TABLE usage_delta (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " hour bigint NOT NULL, data bytea NOT NULL);"
    "INSERT INTO counter VALUES ('usage_days', 0), ('usage_from', coalesce("
    " (SELECT ('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint"
    "   / 3600000 + 1 FROM request_log ORDER BY id DESC LIMIT 1), 0));",
    NULL};
/* clang-format on */

/* Each in pieces, NULL at their end. */
static const char *const *const migrations[] = {migration_1, migration_2};
#define VERSION ((int)(sizeof migrations / sizeof *migrations))

static bool refuse(struct postgres_db *d, const char *what, char **why)
{
    char text[640];
    snprintf(text, sizeof text, "%s: %s", what, d->problem);
    *why = xmemdup0(text, strlen(text));
    return false;
}

/* 0: there are no tables yet. -1: it cannot be read. */
static int read_version(struct postgres_db *d)
{
    /* The catalogue's rows, and not what the session remembers of names: another one may just have
     * made the table. */
    PGresult *r = postgres_query(d, POSTGRES_ONCE,
                                 "SELECT EXISTS (SELECT FROM pg_class WHERE relname ="
                                 " 'schema_version' AND pg_table_is_visible(oid))",
                                 NULL);
    if (r == NULL) {
        return -1;
    }
    bool there = value_bool(r, 0, 0);
    PQclear(r);
    if (!there) {
        return 0;
    }
    r = postgres_query(d, POSTGRES_ONCE, "SELECT max(version) FROM schema_version", NULL);
    int version = r != NULL ? (int)value_int(r, 0, 0) : -1;
    PQclear(r);
    return version;
}

static bool judge_version(struct postgres_db *d, int version, char **why)
{
    char text[200];
    if (version == VERSION) {
        return true;
    }
    if (version < 0) {
        return refuse(d, "cannot read the store", why);
    }
    if (version == 0) {
        snprintf(text, sizeof text,
                 "the store's database has no tables yet; 'relay serve' or "
                 "'relay keys create' makes them");
    } else {
        snprintf(text, sizeof text, "the store's tables have version %d, this program needs %d: %s",
                 version, VERSION,
                 version > VERSION ? "they were used by a newer Relay"
                                   : "start 'relay serve' once to bring them up to date");
    }
    *why = xmemdup0(text, strlen(text));
    return false;
}

bool postgres_check(struct postgres_db *d, char **why)
{
    return judge_version(d, read_version(d), why);
}

static bool run_migrations(struct postgres_db *d, int version)
{
    bool ok =
        version > 0 || postgres_script(d, "CREATE TABLE schema_version (version integer NOT NULL)");
    for (int i = version; ok && i < VERSION; i++) {
        char note[80];
        snprintf(note, sizeof note, "INSERT INTO schema_version VALUES (%d)", i + 1);
        for (const char *const *piece = migrations[i]; ok && *piece != NULL; piece++) {
            ok = postgres_script(d, *piece);
        }
        ok = ok && postgres_script(d, note);
    }
    return ok && postgres_script(d, "COMMIT");
}

bool postgres_migrate(struct postgres_db *d, char **why)
{
    if (read_version(d) == VERSION) {
        return true;
    }
    if (!postgres_script(d, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
                            "SELECT pg_advisory_xact_lock(" POSTGRES_LOCKS ", 1)")) {
        return refuse(d, "cannot lock the store for its migration", why);
    }
    /* Another process may have done it while this one waited for the lock. */
    int version = read_version(d);
    bool ok = version >= 0 && version < VERSION
                  ? run_migrations(d, version) ||
                        refuse(d, "cannot bring the store's tables up to date", why)
                  : judge_version(d, version, why);
    if (PQtransactionStatus(d->conn) != PQTRANS_IDLE) {
        (void)postgres_script(d, "ROLLBACK");
    }
    return ok;
}
