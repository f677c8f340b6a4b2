/* decision.c - a decision as one short line of JSON, for the request log and `relay route`.
 *
 * Written once, from the most to the least important: the bars, the chosen, who was refused, the
 * others. Each part is kept if the line still fits with it; nothing is written twice. Every request
 * has such a line, so it is put together without printf. */
#include <math.h>

#include "base/buf.h"
#include "base/json.h"
#include "catalog/choose.h"

#define OTHERS_MAX       4u
#define SHORT_NAME_BYTES 24u
#define CLOSING_BYTES    2u /* of the line itself, and of the list of others */
#define PARTS_MAX        1000000.0

/* At most six digits before the point, three behind it, no zeros at the end. */
static void add_number(struct buf *b, double number)
{
    if (!(number >= 0 && number < PARTS_MAX)) {
        (void)buf_printf(b, "%.6g", isfinite(number) ? number : 0.0);
        return;
    }
    uint32_t thousandths = (uint32_t)(int64_t)(number * 1000 + 0.5);
    buf_add_u64(b, thousandths / 1000);
    unsigned rest = thousandths % 1000;
    if (rest == 0)
        return;
    char digits[4] = {'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
                      (char)('0' + rest % 10)};
    size_t len = sizeof digits;
    while (digits[len - 1] == '0')
        len--;
    buf_add(b, str_of(digits, len));
}

/* Takes back what was written since `before` if it did not fit. */
static bool keep(struct buf *b, size_t before)
{
    if (!b->full)
        return true;
    b->len = before;
    b->full = false;
    return false;
}

static void add_name(struct buf *b, const struct ask *ask, const struct candidate *k,
                     size_t bytes_max)
{
    str name = k->model != NULL ? k->model->id : ask->among->name;
    if (k->model != NULL && name.len <= bytes_max) {
        buf_add(b, k->model->id_json);
        return;
    }
    size_t end = name.len < bytes_max ? name.len : bytes_max;
    while (end < name.len && end > 0 && ((unsigned char)name.p[end] & 0xC0) == 0x80)
        end--;
    json_add_str(b, str_sub(name, 0, end));
}

static bool add_candidate(struct buf *b, str opening, const struct ask *ask,
                          const struct candidate *k, size_t name_bytes)
{
    size_t before = b->len;
    buf_add(b, opening);
    buf_add(b, STR("{\"model\":"));
    add_name(b, ask, k, name_bytes);
    if (pusd_known(k->expected_cost)) {
        buf_add(b, STR(",\"cost_usd\":\""));
        pusd_print(b, k->expected_cost);
        buf_add(b, STR("\",\"chance\":"));
    } else {
        buf_add(b, STR(",\"cost_usd\":null,\"chance\":"));
    }
    add_number(b, k->chance);
    if (k->missed != REFUSED_NONE) {
        buf_add(b, STR(",\"missed\":\""));
        buf_add(b, str_of_c(refusal_reason_text(k->missed)));
        buf_add_char(b, '"');
    }
    buf_add(b, k->unhealthy ? STR(",\"unhealthy\":true}") : STR("}"));
    return keep(b, before);
}

static bool add_bars(struct buf *b, const struct ask *ask)
{
    buf_add(b, STR("{\"bars\":{"));
    if (ask->max_latency_ms >= 0) {
        buf_add(b, STR("\"max_latency_ms\":"));
        add_number(b, ask->max_latency_ms);
        buf_add_char(b, ',');
    }
    buf_add(b, STR("\"min_quality\":"));
    add_number(b, ask->min_quality);
    buf_add(b, STR(",\"confidence\":"));
    add_number(b, ask->confidence);
    buf_add_char(b, '}');
    return keep(b, 0);
}

static void add_refusals(struct buf *b, const struct decision *d)
{
    size_t before = b->len;
    str opening = STR(",\"refused\":{\"");
    for (unsigned i = 0; i < REFUSED_REASON_COUNT; i++) {
        if (d->refused[i] == 0)
            continue;
        buf_add(b, opening);
        buf_add(b, str_of_c(refusal_reason_text((enum refusal_reason)i)));
        buf_add(b, STR("\":"));
        buf_add_u64(b, d->refused[i]);
        opening = STR(",\"");
    }
    if (opening.len == 2)
        buf_add_char(b, '}');
    (void)keep(b, before);
}

/* Uses one of the bytes set apart. */
static void add_closing(struct buf *b, char bracket)
{
    b->cap = ++b->max;
    buf_add_char(b, bracket);
}

static void add_others(struct buf *b, const struct ask *ask, const struct decision *d)
{
    unsigned i = 1;
    while (i < d->count && i <= OTHERS_MAX &&
           add_candidate(b, i == 1 ? STR(",\"others\":[") : STR(","), ask, &d->list[i], SIZE_MAX))
        i++;
    if (i > 1)
        add_closing(b, ']');
}

static void add_flag(struct buf *b, bool is_so, str member)
{
    size_t before = b->len;
    if (is_so)
        buf_add(b, member);
    (void)keep(b, before);
}

str decision_json(struct arena *a, const struct ask *ask, const struct decision *d,
                  size_t bytes_max)
{
    if (bytes_max <= CLOSING_BYTES)
        return STR("{}");
    size_t room = bytes_max - CLOSING_BYTES;
    struct buf b = {.p = arena_alloc(a, bytes_max), .cap = room, .max = room};
    str result = STR("{}");
    if (add_bars(&b, ask)) {
        str chosen = STR(",\"chosen\":");
        if (d->count > 0 && !add_candidate(&b, chosen, ask, &d->list[0], SIZE_MAX))
            (void)add_candidate(&b, chosen, ask, &d->list[0], SHORT_NAME_BYTES);
        add_flag(&b, d->explored, STR(",\"explored\":true"));
        add_flag(&b, d->target_missed, STR(",\"target_missed\":true"));
        add_refusals(&b, d);
        add_others(&b, ask, d);
        add_closing(&b, '}');
        result = buf_str(&b);
    }
    return result;
}
