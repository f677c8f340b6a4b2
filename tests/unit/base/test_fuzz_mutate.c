/* The fuzzers' mutators: what they change stays what it was, JSON or a stream of whole lines, and
 * every kind of change happens. A mutator that made rubbish would still run, and find nothing. */
#include "base/json.h"
#include "check.h"

#define MUTATE_PREFIX_BYTES 0
#include "fuzz/mutate_stream.h"

#define ROUNDS    20000
#define BYTES_MAX 2048

static size_t same_bytes(uint8_t *data, size_t size, size_t max)
{
    (void)data, (void)max;
    return size;
}

struct desk {
    char one[BYTES_MAX], two[BYTES_MAX];
    struct mutation m;
};

static struct mutation *lay(struct desk *d, str text, uint64_t chance)
{
    d->m = (struct mutation){.chance = (chance + 1) * 0x9E3779B97F4A7C15u,
                             .text = d->one,
                             .spare = d->two,
                             .len = text.len,
                             .max = BYTES_MAX,
                             .bytes = same_bytes};
    memcpy(d->one, text.p, text.len);
    return &d->m;
}

static const char request_text[] =
    "{\"model\":\"a\",\"n\":1,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
    "\"text\":\"x\"}]},{\"role\":\"assistant\",\"content\":null}],\"stop\":[]}";
static const str request = {request_text, sizeof request_text - 1};

/* JSON but for the two values that are meant not to be: no double, and half a pair. */
static bool is_good(struct arena *a, const struct mutation *m)
{
    str text = str_of(m->text, m->len);
    return json_parse(a, text, NULL) != NULL || str_find(text, STR("1e999"), 0) != SIZE_MAX ||
           str_find(text, STR("ud800"), 0) != SIZE_MAX;
}

TEST(json_stays_json)
{
    static struct desk d;
    struct arena a;
    arena_init(&a, 0);
    size_t shorter = 0, longer = 0, same = 0;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct mutation *m = lay(&d, request, i);
        CHECK(mutate_json(m, 0, m->len));
        CHECK(is_good(&a, m));
        shorter += m->len < request.len;
        longer += m->len > request.len;
        same += m->len == request.len;
        mutate_json_with(m, 0, m->len, request);
        CHECK(is_good(&a, m));
        arena_reset(&a);
    }
    CHECK(shorter > ROUNDS / 20 && longer > ROUNDS / 20 && same > ROUNDS / 20);
    arena_deinit(&a);
}

TEST(what_is_no_json_is_left_alone)
{
    static struct desk d;
    static const char *const bad[] = {"", " ", "{", "[1", "{\"a\"}", "{\"a\":}", "\"a", "{1 2}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct mutation *m = lay(&d, str_of_c(bad[i]), i);
        CHECK(!mutate_json(m, 0, m->len));
        CHECK(m->len == strlen(bad[i]));
    }
}

TEST(nothing_grows_beyond_its_room)
{
    static struct desk d;
    struct mutation *m = lay(&d, request, 1);
    for (int i = 0; i < ROUNDS; i++) {
        mutate_once(m);
        mutate_with(m, request);
        CHECK(m->len <= BYTES_MAX);
    }
}

/* An event is moved, doubled and left out as a whole; ends of lines are changed, too. */
TEST(streams_change_by_events_and_line_ends)
{
    static struct desk d;
    const str stream = STR("data: {\"a\":1}\n\ndata: {\"b\":2}\n\ndata: [DONE]\n\n");
    size_t swapped = 0, doubled = 0, left_out = 0, returns = 0, inside = 0;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct mutation *m = lay(&d, stream, i);
        mutate_once(m);
        str now = str_of(m->text, m->len);
        swapped += str_starts(now, STR("data: {\"b\":2}\n\ndata: {\"a\":1}\n\n"));
        doubled += str_starts(now, STR("data: {\"a\":1}\n\ndata: {\"a\":1}\n\n"));
        left_out += str_eq(now, STR("data: {\"a\":1}\n\ndata: [DONE]\n\n"));
        returns += str_starts(now, STR("data: {\"a\":1}\r\n\r\ndata:"));
        inside += str_starts(now, STR("data: {\"a\":null}\n\ndata:"));
    }
    CHECK(swapped > 0 && doubled > 0 && left_out > 0 && returns > 0 && inside > 0);
}

CHECK_MAIN
