/* What is signed with keys that follow from the admin key, and what a gateway remembers of it. */
#include "admin/doorman.h"

#include <stdio.h>
#include <string.h>

#include "check.h"

#define NOW_US INT64_C(1795406400000000)

TEST(sessions_open_with_the_key_that_sealed_them_until_their_end)
{
    struct secrets s = secrets_of(STR("gla_one")), other = secrets_of(STR("gla_two"));
    struct session made = session_new(NOW_US), got;
    char text[SESSION_TEXT_BYTES];
    str sealed = session_seal(&s, &made, text);
    CHECK_INT(sealed.len, SESSION_TEXT_BYTES - 1);
    CHECK(session_open(&s, sealed, NOW_US, &got));
    CHECK(memcmp(&made, &got, sizeof made) == 0);
    CHECK(!session_open(&other, sealed, NOW_US, &got));
    CHECK(session_open(&s, sealed, made.idle_us - 1, &got));
    CHECK(!session_open(&s, sealed, made.idle_us, &got));
    /* What is used lives on, but not beyond its end. */
    CHECK(!session_touch(&made, NOW_US + 1000000));
    int64_t later = NOW_US + SESSION_IDLE_US / 2;
    CHECK(session_touch(&made, later));
    sealed = session_seal(&s, &made, text);
    CHECK(session_open(&s, sealed, later + SESSION_IDLE_US - 1, &got));
    made.idle_us = made.ends_us + 1;
    sealed = session_seal(&s, &made, text);
    CHECK(session_open(&s, sealed, made.ends_us - 1, &got));
    CHECK(!session_open(&s, sealed, made.ends_us, &got));
}

TEST(no_changed_character_is_taken)
{
    struct secrets s = secrets_of(STR("gla_one"));
    struct session made = session_new(NOW_US), got;
    struct token token;
    char text[SESSION_TEXT_BYTES], short_text[TOKEN_TEXT_BYTES];
    str sealed = session_seal(&s, &made, text);
    for (size_t i = 0; i < sealed.len; i++) {
        char kept = text[i];
        text[i] = kept == '0' ? '1' : '0';
        CHECK(!session_open(&s, sealed, NOW_US, &got));
        text[i] = 'G';
        CHECK(!session_open(&s, sealed, NOW_US, &got));
        text[i] = kept;
    }
    CHECK(!session_open(&s, str_sub(sealed, 0, sealed.len - 2), NOW_US, &got));
    CHECK(!session_open(&s, (str){0}, NOW_US, &got));
    str t = token_new(&s, NOW_US, short_text);
    for (size_t i = 0; i < t.len; i++) {
        char kept = short_text[i];
        short_text[i] = kept == '0' ? '1' : '0';
        CHECK(!token_open(&s, t, NOW_US, &token));
        short_text[i] = kept;
    }
    /* One kind is not the other. */
    CHECK(!session_open(&s, t, NOW_US, &got));
    CHECK(!token_open(&s, sealed, NOW_US, &token));
}

TEST(the_page_token_is_of_the_session)
{
    struct secrets s = secrets_of(STR("gla_one"));
    struct session a = session_new(NOW_US), b = session_new(NOW_US);
    char one[CSRF_TEXT_BYTES], two[CSRF_TEXT_BYTES];
    CHECK(!str_eq(session_csrf(&s, &a, one), session_csrf(&s, &b, two)));
    CHECK(session_touch(&a, NOW_US + SESSION_IDLE_US));
    CHECK_STR(session_csrf(&s, &a, two), one);
}

TEST(tokens_sign_in_once_and_for_ten_minutes)
{
    struct secrets s = secrets_of(STR("gla_one"));
    struct doorman *d = doorman_new();
    struct token t;
    char text[TOKEN_TEXT_BYTES];
    str made = token_new(&s, NOW_US, text);
    CHECK(!token_open(&s, made, NOW_US + TOKEN_LENGTH_US, &t));
    REQUIRE(token_open(&s, made, NOW_US + TOKEN_LENGTH_US - 1, &t));
    CHECK(doorman_take_token(d, &t, NOW_US));
    CHECK(!doorman_take_token(d, &t, NOW_US + 1));
    /* As many as are remembered are taken; then none until the first are over. */
    unsigned taken = 1;
    for (int i = 0; i < 2000; i++) {
        REQUIRE(token_open(&s, token_new(&s, NOW_US, text), NOW_US, &t));
        taken += doorman_take_token(d, &t, NOW_US);
    }
    CHECK_INT(taken, 1024);
    REQUIRE(token_open(&s, token_new(&s, NOW_US + TOKEN_LENGTH_US, text), NOW_US, &t));
    CHECK(doorman_take_token(d, &t, NOW_US + TOKEN_LENGTH_US));
    doorman_free(d);
}

TEST(ended_sessions_are_remembered_and_the_table_is_bounded)
{
    struct doorman *d = doorman_new();
    struct session a = session_new(NOW_US), last = a;
    doorman_end_session(d, &a, NOW_US);
    CHECK(doorman_has_ended(d, &a));
    for (int i = 0; i < 3000; i++) {
        last = session_new(NOW_US + 1000);
        doorman_end_session(d, &last, NOW_US);
    }
    CHECK(doorman_has_ended(d, &last));
    CHECK(!doorman_has_ended(d, &a)); /* the one that would have ended first has given way */
    doorman_free(d);
}

static void address(uint8_t out[16], unsigned n)
{
    memset(out, 0, 16);
    out[10] = out[11] = 0xff;
    out[13] = (uint8_t)(n >> 16);
    out[14] = (uint8_t)(n >> 8);
    out[15] = (uint8_t)n;
}

TEST(wrong_keys_are_counted_by_address_and_in_all)
{
    struct doorman *d = doorman_new();
    uint8_t a[16], b[16];
    address(a, 1);
    address(b, 2);
    for (unsigned i = 0; i < TRIES_PER_ADDRESS; i++) {
        CHECK(doorman_may_try(d, a, false, NOW_US));
        doorman_note_wrong(d, a, NOW_US);
    }
    CHECK(!doorman_may_try(d, a, false, NOW_US));
    CHECK(doorman_may_try(d, b, false, NOW_US));
    CHECK(doorman_may_try(d, a, false, NOW_US + 60000000));
    for (unsigned i = 0; i < TRIES_IN_ALL; i++) {
        uint8_t many[16];
        address(many, 1000 + i);
        doorman_note_wrong(d, many, NOW_US);
    }
    CHECK(!doorman_may_try(d, b, false, NOW_US));
    CHECK(doorman_may_try(d, b, true, NOW_US)); /* this machine's own are not shut out */
    /* Of IPv6 the network counts. */
    uint8_t six[16] = {0x20, 1, 0xd, 0xb8}, neighbour[16] = {0x20, 1, 0xd, 0xb8, [15] = 9};
    for (unsigned i = 0; i < TRIES_PER_ADDRESS; i++)
        doorman_note_wrong(d, six, NOW_US + 60000000);
    CHECK(!doorman_may_try(d, neighbour, false, NOW_US + 60000000));
    doorman_free(d);
}

CHECK_MAIN
