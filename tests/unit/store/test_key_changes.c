/* What a running gateway reads of the keys: what changed since it looked, and one key by its hash.
 */
#include "backends.h"
#include "check.h"

struct seen_keys {
    unsigned count;
    char names[8][32];
    int64_t revoked_us[8], changed[8];
};

static void take(void *ctx, struct key *k, int64_t changed)
{
    struct seen_keys *s = ctx;
    if (CHECK(s->count < 8)) {
        snprintf(s->names[s->count], sizeof *s->names, STR_FMT, STR_ARG(k->name));
        s->revoked_us[s->count] = k->revoked_us;
        s->changed[s->count++] = changed;
    }
    key_unref(k);
}

static struct seen_keys look(struct db *d, struct keys_seen *seen, bool *all)
{
    struct seen_keys s = {0};
    CHECK(db_keys_read(d, seen, all, take, &s));
    return s;
}

static struct uuid make_key(struct db *d, const char *name, char text[KEY_TEXT_BYTES])
{
    struct arena a;
    struct uuid id = {{0}};
    str why = {0};
    str models[] = {STR("groq"), STR("fast \"x\"")};
    struct key_draft draft = {.name = str_of_c(name),
                              .rpm = 0,
                              .tpm = -1,
                              .budget = 5,
                              .period = BUDGET_MONTH,
                              .models = models,
                              .model_count = 2,
                              .tags = STR("{\"team\":\"x\"}"),
                              .cache_group = STR("g"),
                              .expires_us = 77};
    arena_init(&a, 0);
    CHECK(db_key_create(d, &draft, key_generate("glw_", text), 5, &a, &id, &why));
    arena_deinit(&a);
    return id;
}

TEST_BOTH(only_what_changed_is_read)
{
    struct place p;
    if (!place_make(&p, kind)) {
        return;
    }
    struct db *tool = place_open(&p, DB_TOOL), *d = place_open(&p, DB_WRITER);
    REQUIRE(tool != NULL && d != NULL);
    struct keys_seen seen = {0};
    bool all = false;
    char text[KEY_TEXT_BYTES];
    CHECK_INT(look(d, &seen, &all).count, 0);
    CHECK(all);
    struct uuid one = make_key(tool, "one", text);
    make_key(tool, "two", text);
    struct seen_keys s = look(d, &seen, &all);
    CHECK(!all);
    CHECK_INT(s.count, 2);
    CHECK_CSTR(s.names[0], "one");
    CHECK(s.changed[0] < s.changed[1]);
    CHECK_INT(look(d, &seen, &all).count, 0);

    struct arena a;
    str why;
    arena_init(&a, 0);
    CHECK(db_key_revoke(tool, &one, 99, &a, &why));
    s = look(d, &seen, &all);
    CHECK(!all);
    CHECK_INT(s.count, 1);
    CHECK_CSTR(s.names[0], "one");
    CHECK_INT(s.revoked_us[0], 99);

    /* A row that is gone cannot be told by what changed. */
    CHECK_CSTR(place_ask(&p, "DELETE FROM key_record WHERE name = 'two'"), "NULL");
    s = look(d, &seen, &all);
    CHECK(all);
    CHECK_INT(s.count, 1);
    CHECK_CSTR(s.names[0], "one");
    /* Nor can the state of an older copy of the store. */
    CHECK_CSTR(place_ask(&p, "UPDATE counter SET value = 1 WHERE name = 'key_changes'"), "NULL");
    CHECK_INT(look(d, &seen, &all).count, 1);
    CHECK(all);
    arena_deinit(&a);
    db_close(tool);
    db_close(d);
    place_remove(&p);
}

TEST_BOTH(a_key_is_found_by_its_hash_with_all_it_has)
{
    struct place p;
    if (!place_make(&p, kind)) {
        return;
    }
    struct db *tool = place_open(&p, DB_TOOL), *d = place_open(&p, DB_READER);
    REQUIRE(tool != NULL && d != NULL);
    char text[KEY_TEXT_BYTES];
    struct uuid id = make_key(tool, "it's; DROP TABLE key_record; --", text);
    struct digest hash = digest_of(str_of_c(text)), other = digest_of(STR("x"));
    struct key *k = NULL;
    int64_t changed = 0;
    REQUIRE(db_key_by_hash(d, &hash, &k, &changed) && k != NULL);
    CHECK_MEM(k->id.b, sizeof k->id.b, id.b, sizeof id.b);
    CHECK_MEM(k->hash.b, DIGEST_BYTES, hash.b, DIGEST_BYTES);
    CHECK_STR(k->name, "it's; DROP TABLE key_record; --");
    text[8] = '\0';
    CHECK_STR(k->tag, text);
    CHECK_STR(k->cache_group, "g");
    CHECK_STR(k->tags, "{\"team\":\"x\"}");
    CHECK_INT(k->rpm, 0);
    CHECK_INT(k->tpm, -1);
    CHECK_INT(k->budget, 5);
    CHECK_INT(k->period, BUDGET_MONTH);
    CHECK_INT(k->created_us, 5);
    CHECK_INT(k->expires_us, 77);
    CHECK_INT(k->revoked_us, 0);
    REQUIRE(k->model_count == 2);
    CHECK_STR(k->models[1], "fast \"x\"");
    CHECK(changed > 0);
    key_unref(k);
    CHECK(db_key_by_hash(d, &other, &k, &changed) && k == NULL);
    db_close(tool);
    db_close(d);
    place_remove(&p);
}

/* What cannot be read must not widen what a key may do. */
TEST_BOTH(an_allow_list_that_is_damaged_allows_nothing)
{
    struct place p;
    if (!place_make(&p, kind)) {
        return;
    }
    struct db *d = place_open(&p, DB_TOOL);
    REQUIRE(d != NULL);
    char text[KEY_TEXT_BYTES];
    make_key(d, "one", text);
    CHECK_CSTR(place_ask(&p, "UPDATE key_record SET models = '[\"groq\"'"), "NULL");
    struct digest hash = digest_of(str_of_c(text));
    struct key *k = NULL;
    int64_t changed;
    REQUIRE(db_key_by_hash(d, &hash, &k, &changed) && k != NULL);
    REQUIRE(k->model_count == 1);
    CHECK_STR(k->models[0], "");
    key_unref(k);
    db_close(d);
    place_remove(&p);
}

CHECK_MAIN
