/* Whose request is it, to the letter: where a key may stand, the moment it ends, the one resource
 * that is answered from the head alone. */
#include "check.h"
#include "world.h"

#include "base/clock.h"

static struct visit *get(struct world *w, const char *line, const char *key, const char *headers)
{
    struct visit *v = world_visit(w, line, key, headers, "");
    world_run(w);
    return v;
}

static void expect(const struct visit *v, int status, const char *text, const char *title)
{
    if (!CHECK_INT(v->status, status))
        fprintf(stderr, "  %s\n", title);
    CHECK(text_has(buf_str(&v->body), text, title, "body"));
}

/* One request in a world of its own. */
static void expect_alone(const char *line, const char *key, const char *headers, int status,
                         const char *text)
{
    struct world w;
    world_open(&w, NULL);
    expect(get(&w, line, key, headers), status, text, headers != NULL ? headers : line);
    CHECK_INT(fake_failures(), 0);
    world_close(&w);
}

TEST(a_key_stands_in_one_of_four_headers)
{
    static const struct {
        const char *before, *after;
    } good[] = {
        {"authorization: bearer ", "\n"},
        {"authorization: Bearer   ", " \n"},
        {"x-api-key: ", "\n"},
        {"api-key: ", "\n"},
        {"x-goog-api-key: ", "\n"},
        {"authorization: Basic YWxpY2U=\nx-api-key: ", "\n"}, /* no bearer: not a key */
        {"authorization: Bearer\napi-key: ", "\n"},
        {"x-api-key: ", "\napi-key: \n"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct world w;
        world_open(&w, NULL);
        char headers[256];
        (void)snprintf(headers, sizeof headers, "%s%s%s", good[i].before,
                       world_key(&w, "alice")->text, good[i].after);
        expect(get(&w, "GET /v1/models", NULL, headers), 200, "one/small", good[i].before);
        CHECK_INT(fake_failures(), 0);
        world_close(&w);
    }
}

TEST(two_keys_that_differ_are_refused_wherever_they_stand)
{
    static const char *const bad[] = {
        "authorization: Bearer x\nauthorization: Bearer y\n",
        "authorization: Bearer x\nx-api-key: y\n",
        "api-key: x\nx-goog-api-key: y\n",
        "x-goog-api-key: x\nx-goog-api-key: y\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_alone("GET /v1/models", NULL, bad[i], 400, "two different API keys");
    expect_alone("GET /v1/models", NULL, "authorization: Basic x\n", 401, "missing_api_key");
    expect_alone("GET /v1/models", NULL, "x-api-key: x\n", 401, "invalid_api_key");
}

TEST(a_key_ends_at_its_moment_and_a_revoked_one_whatever_the_clock_says)
{
    struct world w;
    world_open(&w, NULL);
    struct key *alice = &world_key(&w, "alice")->key;
    alice->revoked_us = clock_utc_us();
    expect(get(&w, "GET /v1/models", "alice", NULL), 401, "invalid_api_key", "revoked");
    /* The clock of the gateway that revoked it may be ahead of this one's. */
    alice->revoked_us = clock_utc_us() + INT64_C(86400000000);
    expect(get(&w, "GET /v1/models", "alice", NULL), 401, "invalid_api_key", "revoked ahead");
    alice->revoked_us = 0;
    alice->expires_us = clock_utc_us() + 1;
    expect(get(&w, "GET /v1/models", "alice", NULL), 200, "one/small", "expires a moment later");
    alice->expires_us = clock_utc_us();
    expect(get(&w, "GET /v1/models", "alice", NULL), 401, "expired_api_key", "expires");
    CHECK_INT(fake_failures(), 0);
    world_close(&w);
}

/* SDKs write the slash of an id as %2F; whatever is no such triple stays as it is. */
TEST(the_id_of_a_model_is_decoded)
{
    expect_alone("GET /v1/models/one%2Fsmall", "alice", NULL, 200, "\"id\":\"one/small\"");
    expect_alone("GET /v1/models/one%2fsmal%6c", "alice", NULL, 200, "\"id\":\"one/small\"");
    static const struct {
        const char *path, *read;
    } ids[] = {
        {"GET /v1/models/%40%49%4A%4F%50%59", "'@IJOPY'"},
        {"GET /v1/models/%6a%6f%7A%61", "'joza'"},
        {"GET /v1/models/a%4", "'a%4'"},
        {"GET /v1/models/a%", "'a%'"},
        {"GET /v1/models/%%41", "'%A'"},
        {"GET /v1/models/%4/%/4%4:%:4", "'%4/%/4%4:%:4'"},
        {"GET /v1/models/%4G%G4%4g%g4", "'%4G%G4%4g%g4'"},
        {"GET /v1/models/%4@%@4%4`%`4", "'%4@%@4%4`%`4'"},
        {"GET /v1/models/%09", "'\\t'"},
    };
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        expect_alone(ids[i].path, "alice", NULL, 404, ids[i].read);
}

CHECK_MAIN
