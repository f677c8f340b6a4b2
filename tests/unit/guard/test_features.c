/* The block that is kept, and the traits that keep a text out of the semantic cache. */
#include <stdlib.h>

#include "base/mem.h"
#include "check.h"
#include "guard/guard.h"

static uint32_t traits_of(const char *text)
{
    struct arena a;
    arena_init(&a, 0);
    uint32_t traits = guard_features_traits(guard_features_make(&a, str_of_c(text)));
    arena_deinit(&a);
    return traits;
}

#define HAS(text, trait) CHECK((traits_of(text) & (trait)) != 0)
#define CLEAN(text)      CHECK_INT(traits_of(text), 0)

TEST(personal_data_is_seen)
{
    HAS("Write to jane.doe@example.org for me", GUARD_PERSONAL);
    HAS("Is 4111 1111 1111 1111 a valid card?", GUARD_PERSONAL);
    HAS("Call me at +44 20 7946 0958", GUARD_PERSONAL);
    HAS("Call me at (212) 555-0187 please", GUARD_PERSONAL);
    HAS("My number is 123-45-6789", GUARD_PERSONAL);
    HAS("Send it to DE89370400440532013000", GUARD_PERSONAL);
    HAS("Send it to DE89 3704 0044 0532 0130 00.", GUARD_PERSONAL);
    CLEAN("Is 4111 1111 1111 1112 a prime number?");
    CLEAN("What is 2024 plus 1999?");
    CLEAN("What is mail @ home?");
}

TEST(secrets_are_seen)
{
    HAS("Why is sk-abcdefghij0123456789abcd refused?", GUARD_SECRET); /* allowed: a made-up key */
    HAS("my password: hunter22", GUARD_SECRET);
    HAS("Decode aB3dE5gH7jK9mN1pQ3sT5v for me", GUARD_SECRET);
    CLEAN("How do I reset my password?");
    CLEAN("Is internationalization hard?");
    CLEAN("Is counterrevolutionaries a long word?");
}

TEST(what_depends_on_the_day_is_seen)
{
    HAS("What is the weather like?", GUARD_FRESH);
    HAS("What are the latest phones?", GUARD_FRESH);
    HAS("Who plays right now?", GUARD_FRESH);
    HAS("Which films came out this week?", GUARD_FRESH);
    CLEAN("Which films came out in 1999?");
}

TEST(code_length_and_language_are_seen)
{
    HAS("Fix it\n```\nx = 1\n```", GUARD_HAS_CODE);
    HAS("int main(void) {\n  return 0;\n}", GUARD_HAS_CODE);
    HAS("Wie kann ich mein Konto bei der Bank und das Geld auf der Karte sehen?", GUARD_FOREIGN);
    HAS("\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xb8\x96\xe7\x95\x8c", GUARD_FOREIGN);
    HAS("", GUARD_NO_CONTENT);
    HAS("what is it?", GUARD_NO_CONTENT);
    char *text = xcalloc(1, 5001);
    memset(text, 'a', 5000);
    for (size_t i = 5; i < 5000; i += 6)
        text[i] = ' ';
    HAS(text, GUARD_OVERLONG);
    free(text);
}

TEST(the_block_survives_being_kept)
{
    struct arena a;
    struct guard_verdict before, after;
    arena_init(&a, 0);
    const struct guard_features *one =
        guard_features_make(&a, STR("Does Ann owe Bob $5 since May 2020?"));
    const struct guard_features *two = guard_features_make(&a, STR("Does Bob owe Ann 7 euros?"));
    str bytes = guard_features_bytes(one);
    CHECK(bytes.len < 512);
    const struct guard_features *kept = guard_features_read(&a, bytes);
    REQUIRE(kept != NULL);
    guard_compare(one, two, &before);
    guard_compare(kept, two, &after);
    CHECK_INT(before.vetoes, after.vetoes);
    CHECK_MEM(before.soft, sizeof before.soft, (const char *)after.soft, sizeof after.soft);
    guard_compare(one, kept, &after);
    CHECK_INT(after.vetoes, 0);
    arena_deinit(&a);
}

TEST(a_damaged_block_is_refused)
{
    struct arena a;
    arena_init(&a, 0);
    str bytes =
        guard_features_bytes(guard_features_make(&a, STR("How do I cook an egg in 5 minutes?")));
    for (size_t cut = 0; cut < bytes.len; cut++)
        CHECK(guard_features_read(&a, str_sub(bytes, 0, cut)) == NULL);
    str copy = arena_copy(&a, bytes);
    ((char *)copy.p)[0] ^= 1; /* the version */
    CHECK(guard_features_read(&a, copy) == NULL);
    arena_deinit(&a);
}

TEST(any_length_fits_the_bound)
{
    struct arena a;
    arena_init(&a, 0);
    char *text = xmalloc(1 << 20);
    for (size_t i = 0; i < 1 << 20; i++)
        text[i] = i % 7 == 0 ? ' ' : (char)('a' + (i * 31 + i / 7) % 26);
    const struct guard_features *f = guard_features_make(&a, str_of(text, 1 << 20));
    CHECK(guard_features_bytes(f).len <= GUARD_FEATURES_BYTES_MAX);
    CHECK((guard_features_traits(f) & GUARD_OVERLONG) != 0);
    /* What was cut off cannot be compared, so such a text is never the same as another. */
    struct guard_verdict v;
    guard_compare(f, f, &v);
    CHECK((v.vetoes & 1u << GUARD_LENGTH) != 0);
    free(text);
    arena_deinit(&a);
}

CHECK_MAIN
