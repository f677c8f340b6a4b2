/* log.c - one event, one line, one write.
 *
 * A line is put together on the stack. A field that does not fit is left out and the line ends with
 * cut=true, so that a JSON line is valid JSON however long its values were. */
#include "base/log.h"

#include <errno.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#define LINE_BYTES_MAX   16384
#define VALUE_BYTES_MAX  4096 /* a longer message or string is cut */
#define ENDING_BYTES_MAX 32   /* room kept for the mark of a cut line and its end */

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};

void log_init(struct log *l, int fd, enum log_level level, enum log_format format)
{
    l->fd = fd;
    atomic_init(&l->level, (int)level);
    atomic_init(&l->format, (int)format);
}

/* At most VALUE_BYTES_MAX bytes, not ending inside a character. */
static str cut_value(str s)
{
    if (s.len <= VALUE_BYTES_MAX)
        return s;
    size_t end = VALUE_BYTES_MAX;
    while (end > VALUE_BYTES_MAX - 4 && ((unsigned char)s.p[end] & 0xC0) == 0x80)
        end--;
    return (str){s.p, end};
}

/* In text lines a value stands bare unless a reader could take it for something else. */
static bool needs_quotes(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '"' || s.p[i] == '=' || s.p[i] == '\\' ||
            (unsigned char)s.p[i] >= 0x7F)
            return true;
    return s.len == 0;
}

static bool add_string(struct buf *b, enum log_format format, str s)
{
    s = cut_value(s);
    return format == LOG_TEXT && !needs_quotes(s) ? buf_add(b, s) : json_add_str(b, s);
}

static bool add_value(struct buf *b, enum log_format format, const struct log_field *f)
{
    switch (f->kind) {
    case LOG_F_STR:
        return add_string(b, format, f->v.s);
    case LOG_F_INT:
        return buf_add_i64(b, f->v.i);
    case LOG_F_NUM:
        return json_add_double(b, f->v.d);
    case LOG_F_BOOL:
        return buf_add(b, f->v.i != 0 ? STR("true") : STR("false"));
    case LOG_F_RAW:
        return buf_add(b, f->v.s.len != 0 ? f->v.s : STR("null"));
    }
    return false;
}

static bool add_name(struct buf *b, enum log_format format, const char *name)
{
    if (format == LOG_TEXT)
        return (b->len == 0 || buf_add_char(b, ' ')) && buf_add(b, str_of_c(name)) &&
               buf_add_char(b, '=');
    return buf_add_char(b, b->len == 0 ? '{' : ',') && json_add_str(b, str_of_c(name)) &&
           buf_add_char(b, ':');
}

/* All of the field or nothing of it. */
static bool add_field(struct buf *b, enum log_format format, const struct log_field *f)
{
    size_t before = b->len;
    if (add_name(b, format, f->name) && add_value(b, format, f))
        return true;
    b->len = before;
    return false;
}

static void write_line(int fd, str line)
{
    ssize_t done;
    do {
        done = write(fd, line.p, line.len);
    } while (done < 0 && errno == EINTR);
    /* Who cannot take a log line cannot be told so either: it is lost. */
}

void log_write(struct log *l, enum log_level level, const char *message,
               const struct log_field *fields, size_t count)
{
    if (!log_enabled(l, level) || level >= LOG_OFF)
        return;
    enum log_format format =
        (enum log_format)atomic_load_explicit(&l->format, memory_order_relaxed);
    char line[LINE_BYTES_MAX], now[CLOCK_TEXT_BYTES];
    /* A buf over the stack: it is at its maximum from the start, so it never takes memory. */
    struct buf b = {.p = line, .cap = sizeof line, .max = sizeof line - ENDING_BYTES_MAX};
    b.cap = b.max;
    const struct log_field head[] = {
        LOG_S("time", clock_utc_text(clock_utc_us(), now)),
        LOG_S("level", str_of_c(level_names[level])),
        LOG_S("msg", str_of_c(message)),
    };
    bool cut = false;
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        cut |= !add_field(&b, format, &head[i]);
    for (size_t i = 0; i < count; i++)
        cut |= !add_field(&b, format, &fields[i]);
    b.cap = b.max = sizeof line;
    if (cut)
        add_field(&b, format, &LOG_B("cut", 1));
    buf_add(&b, format == LOG_TEXT ? STR("\n") : STR("}\n"));
    write_line(l->fd, buf_str(&b));
}
