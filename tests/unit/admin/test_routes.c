/* The routing table, and queries taken apart. */
#include "admin/call.h"
#include "check.h"

static const struct admin_route *find(struct arena *a, const char *method, const char *path,
                                      str *id, enum err *err, str *allow)
{
    *id = *allow = (str){0};
    return route_find(str_of_c(method), str_of_c(path), id, err, allow, a);
}

TEST(paths_are_found_segment_by_segment)
{
    struct arena a;
    arena_init(&a, 0);
    str id, allow;
    enum err err;
    REQUIRE(find(&a, "GET", "/admin/v1/keys", &id, &err, &allow) != NULL);
    CHECK_INT(id.len, 0);
    REQUIRE(find(&a, "PATCH", "/admin/v1/keys/a%2Fb%20c", &id, &err, &allow) != NULL);
    CHECK_STR(id, "a/b c");
    static const char *const none[] = {
        "/admin/v1/",        "/admin/v1",          "/admin/v1/key",
        "/admin/v1/keys/",   "/admin/v1/keys/a/b", "/admin/v1//keys",
        "/admin/v2/keys",    "/admin/v1/keyss",    "/admin/v1/cache/entries",
        "/admin/v1/keys/%z", "/admin/v1/keys/%00"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        CHECK(find(&a, "DELETE", none[i], &id, &err, &allow) == NULL);
        CHECK_INT(err, ERR_NOT_FOUND);
    }
    CHECK(find(&a, "PUT", "/admin/v1/keys/x", &id, &err, &allow) == NULL);
    CHECK_INT(err, ERR_METHOD_NOT_ALLOWED);
    CHECK_STR(allow, "PATCH, DELETE");
    arena_deinit(&a);
}

TEST(every_row_says_what_it_does)
{
    for (const struct admin_route *r = admin_routes; r->method != NULL; r++) {
        CHECK(r->summary != NULL);
        CHECK(r->ask != NULL || r->work != NULL || r->answer != NULL);
        CHECK((r->work != NULL) == (r->store != ADMIN_MEMORY));
        /* Signing in is the one thing that needs no key. */
        CHECK((r->who == ADMIN_ANYONE) == (str_eq(str_of_c(r->path), STR("session")) &&
                                           str_eq(str_of_c(r->method), STR("POST"))));
        for (const struct admin_param *p = r->params; p != NULL && p->name != NULL; p++)
            CHECK(p->type != NULL && p->about != NULL);
    }
}

TEST(queries_are_decoded_or_refused)
{
    struct arena a;
    struct query q;
    arena_init(&a, 0);
    REQUIRE(query_parse(&a, STR("a=1&b=x+y%26z&c&&d="), &q));
    CHECK_INT(q.count, 4);
    CHECK_STR(query_get(&q, "a"), "1");
    CHECK_STR(query_get(&q, "b"), "x y&z");
    CHECK(query_get(&q, "c").p != NULL && query_get(&q, "c").len == 0);
    CHECK(query_get(&q, "e").p == NULL);
    static const char *const bad[] = {"a=1&a=2", "a=%", "a=%4", "a=%zz", "a=%00", "a=%ff", "%ff=1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!query_parse(&a, str_of_c(bad[i]), &q));
    CHECK(query_parse(&a, (str){0}, &q));
    arena_deinit(&a);
}

CHECK_MAIN
