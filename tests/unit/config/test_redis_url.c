/* The address of a Redis server. */
#include "config/redis_url.h"

#include "check.h"

TEST(every_part_of_an_address)
{
    struct arena a;
    struct redis_url u;
    arena_init(&a, 0);
    CHECK(redis_url_parse(&a, STR("redis://cache.example"), &u));
    CHECK_STR(u.host, "cache.example");
    CHECK_INT(u.port, 6379);
    CHECK_INT(u.database, 0);
    CHECK(!u.tls && u.user.len == 0 && u.password.len == 0 && u.ca_file.len == 0);
    CHECK_STR(u.address, "cache.example:6379");

    CHECK(redis_url_parse(
        &a, STR("rediss://ann:p%40ss%2fw%C3%A4@[::1]:7000/12?ca_file=/etc/c%20a.pem"), &u));
    CHECK(u.tls);
    CHECK_STR(u.user, "ann");
    CHECK_STR(u.password, "p@ss/w\xc3\xa4");
    CHECK_STR(u.host, "::1");
    CHECK_INT(u.port, 7000);
    CHECK_INT(u.database, 12);
    CHECK_STR(u.ca_file, "/etc/c a.pem");
    CHECK_STR(u.address, "[::1]:7000");

    CHECK(redis_url_parse(&a, STR("redis://:only@h/"), &u));
    CHECK_STR(u.user, "");
    CHECK_STR(u.password, "only");
    arena_deinit(&a);
}

TEST(what_is_no_address)
{
    static const char *const bad[] = {
        "memory",
        "redis:",
        "redis://",
        "redis:///0",
        "http://h",
        "redis://h:0",
        "redis://h:70000",
        "redis://h/x",
        "redis://h/70000",
        "redis://h/-1",
        "redis://user@h",
        "redis://a:%zz@h",
        "redis://a:%4@h",
        "redis://a:%0d@h",
        "redis://h?ca_file=/x",
        "rediss://h?x=1",
        "redis://h h",
        "rediss://h/0#x",
        "rediss://h?ca_file=",
    };
    struct arena a;
    struct redis_url u;
    arena_init(&a, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!CHECK(!redis_url_parse(&a, str_of_c(bad[i]), &u))) {
            fprintf(stderr, "  %s\n", bad[i]);
        }
    }
    arena_deinit(&a);
}

CHECK_MAIN
