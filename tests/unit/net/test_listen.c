/* Listening sockets: addresses, several on one port, and what is wrong with the rest. */
#include "rig.h"

static void opens(const char *address, const char *begins, bool loopback)
{
    struct listener l;
    char *why = NULL;
    if (!CHECK(listener_open(&l, str_of_c(address), 3, 1, &why))) {
        fprintf(stderr, "%s\n", why);
        free(why);
        return;
    }
    CHECK(strncmp(l.address, begins, strlen(begins)) == 0);
    CHECK(rig_port(l.address) != 0);
    CHECK_INT(l.loopback, loopback);
    CHECK_INT(l.count, 3);
    CHECK_INT(l.index, 1);
    for (unsigned i = 0; i < 3; i++) {
        struct sockaddr_storage a;
        socklen_t len = sizeof a;
        CHECK_INT(getsockname(l.fds[i], (struct sockaddr *)&a, &len), 0);
        CHECK_INT(ntohs(((struct sockaddr_in *)&a)->sin_port), rig_port(l.address));
    }
    listener_close(&l);
    CHECK_INT(l.fds[0], -1);
}

TEST(addresses)
{
    opens("127.0.0.1:0", "127.0.0.1:", true);
    opens("localhost:0", "127.0.0.1:", true);
    opens("0.0.0.0:0", "0.0.0.0:", false);
    opens(":0", "", false);
}

TEST(what_is_no_address)
{
    static const char *const bad[] = {
        "",        "127.0.0.1",      "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
        "[::1:80", "198.51.100.7:80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct listener l;
        char *why = NULL;
        if (CHECK(!listener_open(&l, str_of_c(bad[i]), 1, 0, &why))) {
            CHECK(why != NULL && strlen(why) > 10);
        }
        free(why);
    }
}

TEST(a_port_in_use_is_known_at_once)
{
    struct listener first, second;
    char *why = NULL;
    CHECK(listener_open(&first, STR("127.0.0.1:0"), 2, 0, &why));
    CHECK(!listener_open(&second, str_of_c(first.address), 2, 0, &why));
    CHECK(why != NULL && strstr(why, first.address) != NULL && strstr(why, "in use") != NULL);
    free(why);
    listener_close(&first);
    CHECK(listener_open(&second, str_of_c(first.address[0] ? first.address : ""), 1, 0, &why));
    listener_close(&second);
}

CHECK_MAIN
