/* Tables for people: widths in cells, narrow terminals, colours, and texts that came from clients.
 */
#include "cli/table.h"

#include "check.h"

static const struct table_column columns[] = {
    {"NAME", .least = 6}, {.head = ">N"}, {"EXTRA", .spare = 1}, {"MORE", .spare = 2}, {0},
};

static const struct screen elsewhere = {0};

struct made {
    struct arena arena;
    struct buf out;
};

static void begin(struct made *m)
{
    arena_init(&m->arena, 4096);
    buf_init(&m->out, 1 << 20);
}

static void end(struct made *m)
{
    buf_deinit(&m->out);
    arena_deinit(&m->arena);
}

static const char *text(struct made *m)
{
    return arena_copy(&m->arena, str_of(m->out.p, m->out.len)).p;
}

static const char *print(struct made *m, const struct screen *screen, const char *name)
{
    struct table t;
    table_begin(&t, &m->arena, screen, columns);
    table_add(&t, str_of_c(name));
    table_add_int(&t, 12345);
    table_add(&t, STR("e"));
    table_add(&t, STR("m"));
    table_print(&t, &m->out);
    return text(m);
}

TEST(columns_are_aligned_and_lines_end_without_blanks)
{
    struct made m;
    begin(&m);
    CHECK_CSTR(print(&m, &elsewhere, "abcdefgh"), "NAME          N  EXTRA  MORE\n"
                                                  "abcdefgh  12345  e      m\n");
    end(&m);
}

TEST(wide_and_combining_characters_take_their_cells)
{
    struct made m;
    begin(&m);
    CHECK_INT(screen_cells(STR("日本")), 4);
    CHECK_INT(screen_cells(STR("e\u0301")), 1);
    CHECK_INT(screen_cells(STR("ÄÖ")), 2);
    CHECK_INT(screen_cells(STR("🚢")), 2);
    CHECK_CSTR(print(&m, &elsewhere, "日本語"), "NAME        N  EXTRA  MORE\n"
                                                "日本語  12345  e      m\n");
    end(&m);
}

TEST(a_narrow_terminal_cuts_names_then_leaves_columns_out_and_says_so)
{
    struct made m;
    begin(&m);
    struct screen screen = {.is_terminal = true, .columns = 26};
    CHECK_CSTR(print(&m, &screen, "abcdefgh"), "NAME        N  EXTRA  MORE\n"
                                               "abcde…  12345  e      m\n");
    buf_clear(&m.out);
    screen.columns = 25;
    CHECK_CSTR(print(&m, &screen, "abcdefgh"), "NAME          N  EXTRA\n"
                                               "abcdefgh  12345  e\n"
                                               "no room for: MORE\n");
    buf_clear(&m.out);
    screen.columns = 13;
    CHECK_CSTR(print(&m, &screen, "日本語の"), "NAME        N\n"
                                               "日本…   12345\n"
                                               "no room for: EXTRA, MORE\n");
    buf_clear(&m.out);
    screen.columns = 3; /* what must stay stays */
    CHECK_CSTR(print(&m, &screen, "abcdef"), "NAME        N\n"
                                             "abcdef  12345\n"
                                             "no room for: EXTRA, MORE\n");
    end(&m);
}

TEST(rows_one_by_one_keep_the_usual_widths)
{
    static const struct table_column usual[] = {
        {"A", .least = 4, .usual = 6}, {.head = ">B", .usual = 3}, {0}};
    struct made m;
    struct table t;
    begin(&m);
    struct screen screen = {.is_terminal = true, .columns = 40};
    table_begin(&t, &m.arena, &screen, usual);
    table_print_head(&t, &m.out);
    table_add(&t, STR("x"));
    table_add_int(&t, 1);
    table_print_rows(&t, &m.out);
    table_add(&t, STR("toolong"));
    table_add_int(&t, 22);
    table_print_rows(&t, &m.out);
    CHECK_CSTR(text(&m), "A         B\n"
                         "x         1\n"
                         "toolo…   22\n");
    end(&m);
}

TEST(colours_stand_around_the_text_and_not_around_its_blanks)
{
    struct made m;
    struct table t;
    begin(&m);
    struct screen screen = {.is_terminal = true, .color = true, .columns = 80};
    table_begin(&t, &m.arena, &screen, columns);
    table_add_ink(&t, INK_BAD, STR("x"));
    table_add_int(&t, 1);
    table_add(&t, STR(""));
    table_add_ink(&t, INK_GOOD, STR("y"));
    table_print(&t, &m.out);
    CHECK_CSTR(text(&m), "\x1b[1mNAME\x1b[0m  \x1b[1mN\x1b[0m  \x1b[1mEXTRA\x1b[0m  "
                         "\x1b[1mMORE\x1b[0m\n\x1b[31mx\x1b[0m     1         \x1b[32my\x1b[0m\n");
    end(&m);
}

TEST(what_a_client_wrote_cannot_steer_the_terminal)
{
    struct made m;
    begin(&m);
    CHECK_STR(screen_clean(&m.arena, STR("a\x1b[31m\nb\x7f")), "a?[31m?b?");
    CHECK_STR(screen_clean(&m.arena, STR("a\xc2\x9b"
                                         "1m")),
              "a?1m");
    CHECK_STR(screen_clean(&m.arena, STR("a\u202eb\u2066c\u2028")), "a?b?c?");
    CHECK_STR(screen_clean(&m.arena, STR("a\xff\xc3")), "a??");
    CHECK_STR(screen_clean(&m.arena, STR("ü日")), "ü日");
    end(&m);
}

TEST(sentences_go_on_under_their_beginning)
{
    struct made m;
    begin(&m);
    struct screen screen = {.is_terminal = true, .columns = 20};
    screen_add_wrapped(&m.out, &screen, 4, 4, STR("one two three four fivesixseveneightnine"));
    screen_add_wrapped(&m.out, &elsewhere, 4, 4, STR("one two three four five six seven"));
    CHECK_CSTR(text(&m), "one two three\n    four\n    fivesixseveneightnine\n"
                         "one two three four five six seven\n");
    end(&m);
}

CHECK_MAIN
