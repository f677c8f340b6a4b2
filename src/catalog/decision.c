/* decision.c - a decision as one short line of JSON, for the request log and `relay route`.
 *
 * Tried with everything first, and then with less and less until it fits: fewer others, no
 * refusals, shortened names. The last form always fits. */
#include "base/buf.h"
#include "base/json.h"
#include "catalog/choose.h"

#define OTHERS_MAX       4u
#define SHORT_NAME_BYTES 24u

struct detail {
    unsigned others;
    bool refusals;
    size_t name_bytes; /* longer names are cut */
};

static void add_share(struct buf *b, double share)
{
    buf_printf(b, "%.3g", share);
}

static void add_candidate(struct buf *b, const struct ask *ask, const struct candidate *k,
                          size_t name_bytes)
{
    str name = k->model != NULL ? k->model->id : ask->among->name;
    size_t end = name.len < name_bytes ? name.len : name_bytes;
    while (end < name.len && end > 0 && ((unsigned char)name.p[end] & 0xC0) == 0x80)
        end--;
    buf_add(b, STR("{\"model\":"));
    json_add_str(b, str_sub(name, 0, end));
    buf_add(b, STR(",\"cost_usd\":"));
    if (pusd_known(k->expected_cost)) {
        buf_add_char(b, '"');
        pusd_print(b, k->expected_cost);
        buf_add_char(b, '"');
    } else {
        buf_add(b, STR("null"));
    }
    buf_add(b, STR(",\"chance\":"));
    add_share(b, k->chance);
    if (k->missed != REFUSED_NONE)
        buf_printf(b, ",\"missed\":\"%s\"", refusal_reason_text(k->missed));
    if (k->unhealthy)
        buf_add(b, STR(",\"unhealthy\":true"));
    buf_add_char(b, '}');
}

static void add_bars(struct buf *b, const struct ask *ask)
{
    buf_add(b, STR("{\"bars\":{"));
    if (ask->max_latency_ms >= 0)
        buf_printf(b, "\"max_latency_ms\":%.6g,", ask->max_latency_ms);
    buf_printf(b, "\"min_quality\":%.4g,\"confidence\":", ask->min_quality);
    add_share(b, ask->confidence);
    buf_add_char(b, '}');
}

static void add_refusals(struct buf *b, const struct decision *d)
{
    const char *before = ",\"refused\":{";
    for (unsigned i = 0; i < REFUSED_REASON_COUNT; i++) {
        if (d->refused[i] == 0)
            continue;
        buf_printf(b, "%s\"%s\":%u", before, refusal_reason_text((enum refusal_reason)i),
                   d->refused[i]);
        before = ",";
    }
    if (before[1] == '\0')
        buf_add_char(b, '}');
}

static bool write_with(struct buf *b, const struct ask *ask, const struct decision *d,
                       struct detail detail)
{
    buf_clear(b);
    b->full = false;
    add_bars(b, ask);
    if (d->count > 0) {
        buf_add(b, STR(",\"chosen\":"));
        add_candidate(b, ask, &d->list[0], detail.name_bytes);
    }
    for (unsigned i = 1; i < d->count && i <= detail.others; i++) {
        buf_add(b, i == 1 ? STR(",\"others\":[") : STR(","));
        add_candidate(b, ask, &d->list[i], detail.name_bytes);
    }
    if (d->count > 1 && detail.others > 0)
        buf_add_char(b, ']');
    if (detail.refusals)
        add_refusals(b, d);
    if (d->explored)
        buf_add(b, STR(",\"explored\":true"));
    if (d->target_missed)
        buf_add(b, STR(",\"target_missed\":true"));
    buf_add_char(b, '}');
    return !b->full;
}

str decision_json(struct arena *a, const struct ask *ask, const struct decision *d,
                  size_t bytes_max)
{
    static const struct detail tries[] = {
        {OTHERS_MAX, true, SIZE_MAX}, {3, true, SIZE_MAX},         {2, true, SIZE_MAX},
        {1, true, SIZE_MAX},          {1, true, SHORT_NAME_BYTES}, {1, false, SHORT_NAME_BYTES},
        {0, false, SHORT_NAME_BYTES},
    };
    struct buf b;
    buf_init(&b, bytes_max);
    str result = STR("{}");
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        if (write_with(&b, ask, d, tries[i])) {
            result = arena_copy(a, buf_str(&b));
            break;
        }
    }
    buf_deinit(&b);
    return result;
}
