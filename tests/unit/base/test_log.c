/* Log lines: their form, escaping, levels, and that they stay whole however long the values are. */
#include "base/log.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "check.h"

struct sink {
    int ends[2];
    struct log log;
    char line[70000];
    size_t len;
};

static void open_sink(struct sink *s, enum log_level level, enum log_format format)
{
    CHECK_INT(pipe(s->ends), 0);
    log_init(&s->log, s->ends[1], level, format);
}

/* What was written since the last call; a line is at most 16 KiB, which a pipe holds. */
static str take_line(struct sink *s)
{
    LOG0(&s->log, LOG_ERROR, "mark");
    ssize_t got = read(s->ends[0], s->line, sizeof s->line);
    s->len = got > 0 ? (size_t)got : 0;
    str all = str_of(s->line, s->len), head, tail;
    str_cut(all, '\n', &head, &tail);
    return tail.len != 0 ? head : STR("");
}

static void close_sink(struct sink *s)
{
    close(s->ends[0]);
    close(s->ends[1]);
}

static bool value_is(yyjson_val *o, const char *key, const char *want)
{
    str s = {NULL, 0};
    return json_get_str(o, key, &s, NULL) && str_eq(s, str_of_c(want));
}

TEST(json_line)
{
    struct sink s;
    struct arena a;
    open_sink(&s, LOG_INFO, LOG_JSON);
    arena_init(&a, 0);
    LOG(&s.log, LOG_WARN, "a \"quoted\"\nmessage", LOG_S("s", STR("x\t\xFF\\")), LOG_I("i", -5),
        LOG_D("d", 1.5), LOG_B("b", true), LOG_B("no", false), LOG_R("r", STR("{\"k\":[1]}")),
        LOG_S("empty", ((str){NULL, 0})), LOG_R("none", ((str){NULL, 0})));
    str line = take_line(&s);
    yyjson_val *o = json_parse(&a, line, NULL);
    REQUIRE(o != NULL);
    CHECK(str_starts(line, STR("{\"time\":\"20")));
    CHECK(value_is(o, "level", "warn"));
    CHECK(value_is(o, "msg", "a \"quoted\"\nmessage"));
    CHECK(value_is(o, "s", "x\t\xEF\xBF\xBD\\"));
    CHECK(value_is(o, "empty", ""));
    CHECK(str_ends(line, STR("\"i\":-5,\"d\":1.5,\"b\":true,\"no\":false,\"r\":{\"k\":[1]},"
                             "\"empty\":\"\",\"none\":null}")));
    arena_deinit(&a);
    close_sink(&s);
}

TEST(text_line)
{
    struct sink s;
    open_sink(&s, LOG_DEBUG, LOG_TEXT);
    LOG(&s.log, LOG_DEBUG, "started", LOG_S("a", STR("bare")), LOG_S("b", STR("two words")),
        LOG_S("c", STR("x=y")), LOG_S("d", STR("")), LOG_S("e", STR("line\nbreak")), LOG_I("n", 3));
    str line = take_line(&s), head, rest;
    CHECK(str_cut(line, ' ', &head, &rest));
    CHECK(str_starts(head, STR("time=20")) && str_ends(head, STR("Z")));
    CHECK_STR(rest, "level=debug msg=started a=bare b=\"two words\" c=\"x=y\" d=\"\" "
                    "e=\"line\\nbreak\" n=3");
    close_sink(&s);
}

TEST(levels)
{
    struct sink s;
    open_sink(&s, LOG_WARN, LOG_JSON);
    LOG0(&s.log, LOG_INFO, "no");
    LOG(&s.log, LOG_DEBUG, "no", LOG_I("i", 1));
    CHECK_INT(take_line(&s).len, 0);
    CHECK(!log_enabled(&s.log, LOG_INFO));
    CHECK(log_enabled(&s.log, LOG_WARN));
    atomic_store(&s.log.level, LOG_DEBUG);
    LOG0(&s.log, LOG_DEBUG, "yes");
    CHECK(take_line(&s).len != 0);
    close_sink(&s);
    struct log off;
    log_init(&off, -1, LOG_OFF, LOG_JSON);
    CHECK(!log_enabled(&off, LOG_ERROR));
    LOG0(&off, LOG_OFF, "nobody sees it");
}

TEST(long_values_leave_whole_lines)
{
    struct arena a;
    arena_init(&a, 0);
    char *text = arena_alloc(&a, 40000);
    for (int kind = 0; kind < 3; kind++) {
        /* Plain, all to be escaped (six bytes each), and characters of three bytes. */
        for (size_t i = 0; i < 40000; i++)
            text[i] = kind == 0 ? 'x' : kind == 1 ? '\1' : "\xE2\x82\xAC"[i % 3];
        for (int format = LOG_JSON; format <= LOG_TEXT; format++) {
            struct sink s;
            open_sink(&s, LOG_INFO, (enum log_format)format);
            str value = str_of(text, 40000);
            LOG(&s.log, LOG_INFO, "m", LOG_S("a", value), LOG_S("b", value), LOG_S("c", value),
                LOG_S("d", value), LOG_S("e", value), LOG_I("last", 1));
            str line = take_line(&s);
            CHECK(line.len > 4000 || kind == 1);
            CHECK(line.len < 16384);
            CHECK(str_find(line, STR("\xEF\xBF\xBD"), 0) == SIZE_MAX);
            CHECK(str_find(line, format == LOG_TEXT ? STR("last=1") : STR("\"last\":1"), 0) !=
                  SIZE_MAX);
            CHECK(str_ends(line, format == LOG_TEXT ? STR(" cut=true") : STR(",\"cut\":true}")));
            CHECK(format == LOG_TEXT || json_parse(&a, line, NULL) != NULL);
            close_sink(&s);
        }
    }
    arena_deinit(&a);
}

TEST(errors_are_a_table)
{
    for (int i = OK; i < ERR_COUNT; i++) {
        const struct err_info *info = err_info((enum err)i);
        REQUIRE(info->name != NULL);
        CHECK(info->status >= 200 && info->status < 600);
        CHECK(i == OK || (info->status >= 400 && info->code[0] != '\0' && info->type[0] != '\0'));
        CHECK(i == OK || str_ends(str_of_c(info->sentence), STR(".")));
    }
    CHECK_CSTR(err_info(ERR_BUDGET_EXCEEDED)->code, "budget_exceeded");
    CHECK_INT(err_info(ERR_BUDGET_EXCEEDED)->status, 402);
    CHECK_CSTR(err_info(ERR_UPSTREAM_TIMEOUT)->name, "UPSTREAM_TIMEOUT");
    CHECK(err_info(ERR_UPSTREAM_TIMEOUT)->try_elsewhere);
    CHECK(!err_info(ERR_INVALID_JSON)->try_elsewhere);
    CHECK_INT(err_info(ERR_INTERNAL)->level, LOG_ERROR);
}

CHECK_MAIN
