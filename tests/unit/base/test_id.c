/* Random bytes, UUIDs, check sums, keys, digests, SipHash. */
#include "base/id.h"

#include "check.h"

TEST(random_bytes_fill_all_of_it)
{
    /* 700 bytes: more than one call to the system can give. A byte stays 0 in 20 draws by chance
     * once in 10^48. */
    unsigned char seen[700] = {0}, drawn[700];
    for (int round = 0; round < 20; round++) {
        random_bytes(drawn, sizeof drawn);
        for (size_t i = 0; i < sizeof seen; i++)
            seen[i] |= drawn[i];
    }
    CHECK(memchr(seen, 0, sizeof seen) == NULL);
    random_bytes(NULL, 0);
}

static unsigned count_disorder(struct uuid_state *state, const int64_t *times, size_t count)
{
    struct uuid last = {{0}};
    unsigned wrong = 0;
    for (size_t i = 0; i < count; i++) {
        struct uuid id = uuid_new(state, times[i]);
        wrong += memcmp(&last, &id, sizeof id) >= 0;
        wrong += id.b[6] >> 4 != 7 || id.b[8] >> 6 != 2;
        last = id;
    }
    return wrong;
}

TEST(uuids_ascend)
{
    static int64_t times[20000];
    struct uuid_state state = {0};
    for (size_t i = 0; i < 20000; i++)
        times[i] = INT64_C(1795409580123456); /* more than a millisecond can hold */
    CHECK_INT(count_disorder(&state, times, 20000), 0);
    for (size_t i = 0; i < 20000; i++)
        times[i] =
            INT64_C(1795409580123456) + (int64_t)(i % 7) * 300 - (int64_t)i; /* back and forth */
    struct uuid_state other = {0};
    CHECK_INT(count_disorder(&other, times, 20000), 0);
}

TEST(uuid_holds_the_time)
{
    struct uuid_state state = {0};
    struct uuid id = uuid_new(&state, INT64_C(0x017F22E279B0) * 1000 + 999);
    char out[UUID_TEXT_BYTES];
    str text = uuid_text(id, out);
    CHECK_INT(text.len, 36);
    CHECK_STR(str_sub(text, 0, 15), "017f22e2-79b0-7");
    CHECK_INT(out[36], 0);
    struct uuid back;
    CHECK(uuid_parse(text, &back));
    CHECK_MEM(&back, sizeof back, &id, sizeof id);
    struct uuid later = uuid_new(&state, INT64_C(0x017F22E279B1) * 1000);
    CHECK_STR(str_sub(uuid_text(later, out), 0, 15), "017f22e2-79b1-7");
    /* Different states differ in more than the time. */
    struct uuid_state other = {0};
    struct uuid twin = uuid_new(&other, INT64_C(0x017F22E279B0) * 1000);
    CHECK(memcmp(twin.b + 8, id.b + 8, 8) != 0);
}

TEST(uuid_parsing_is_strict)
{
    struct uuid id;
    CHECK(uuid_parse(STR("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), &id));
    CHECK_INT(id.b[15], 0x8F);
    CHECK(!uuid_parse(STR(""), &id));
    CHECK(!uuid_parse(STR("017f22e2-79b0-7cc3-98c4-dc0c0c07398"), &id));
    CHECK(!uuid_parse(STR("017f22e2-79b0-7cc3-98c4-dc0c0c07398ff"), &id));
    CHECK(!uuid_parse(STR("017f22e2-79b0-7cc3-98c4-dc0c0c07398g"), &id));
    CHECK(!uuid_parse(STR("017f22e2079b0-7cc3-98c4-dc0c0c07398f"), &id));
    CHECK(!uuid_parse(STR("017f22e-279b0-7cc3-98c4-dc0c0c07398f"), &id));
}

/* Bit by bit, as in the definition. */
static uint32_t slow_crc(uint32_t poly, const unsigned char *p, size_t len)
{
    uint32_t crc = ~UINT32_C(0);
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 1) != 0 ? crc >> 1 ^ poly : crc >> 1;
    }
    return ~crc;
}

TEST(check_sums)
{
    unsigned char bytes[300];
    CHECK_INT(crc32_ieee(0, "123456789", 9), 0xCBF43926);
    CHECK_INT(crc32c(0, "123456789", 9), 0xE3069283);
    CHECK_INT(crc32c(0, "", 0), 0);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + i / 7);
    unsigned wrong = 0;
    for (size_t len = 0; len <= sizeof bytes; len++) {
        wrong += crc32_ieee(0, bytes, len) != slow_crc(0xEDB88320, bytes, len);
        uint32_t want = slow_crc(0x82F63B78, bytes, len);
        wrong += crc32c(0, bytes, len) != want;
        /* In pieces, also so short that they take the table. */
        uint32_t chained = 0;
        for (size_t at = 0; at < len; at += 5)
            chained = crc32c(chained, bytes + at, len - at < 5 ? len - at : 5);
        wrong += chained != want;
    }
    CHECK_INT(wrong, 0);
}

TEST(keys)
{
    char out[KEY_TEXT_BYTES], again[KEY_TEXT_BYTES];
    for (int i = 0; i < 200; i++) {
        str key = key_generate("glw_", out);
        CHECK_INT(key.len, 44);
        CHECK_INT(strlen(out), 44);
        CHECK(str_starts(key, STR("glw_")));
        CHECK(key_is_well_formed(key, "glw_"));
        CHECK(!key_is_well_formed(key, "gla_"));
        CHECK_INT(strspn(out + 4, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
                  40);
    }
    str key = key_generate("gla_", out);
    CHECK(key_is_well_formed(key, "gla_"));
    CHECK(!str_eq(key, key_generate("gla_", again)));
    str tag = key_tag(key);
    CHECK_INT(tag.len, 8);
    CHECK_MEM(tag.p, tag.len, out, 8);
}

TEST(a_key_with_any_character_changed_is_refused)
{
    char out[KEY_TEXT_BYTES];
    str key = key_generate("glw_", out);
    unsigned accepted = 0;
    for (size_t i = 0; i < key.len; i++) {
        char right = out[i];
        for (int c = 0; c < 256; c++) {
            out[i] = (char)c;
            accepted += out[i] != right && key_is_well_formed(key, "glw_");
        }
        out[i] = right;
    }
    CHECK_INT(accepted, 0);
    CHECK(!key_is_well_formed(str_sub(key, 0, 43), "glw_"));
    CHECK(!key_is_well_formed(STR(""), "glw_"));
    CHECK(!key_is_well_formed((str){NULL, 0}, "glw_"));
}

TEST(key_check_is_crc32_in_base62)
{
    /* The check sum is made here from its definition, without the code under test. */
    char key[] = "glw_0000000000000000000000000000000000??????";
    uint32_t crc = slow_crc(0xEDB88320, (const unsigned char *)key, 38);
    for (size_t i = 44; i-- > 38; crc /= 62)
        key[i] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[crc % 62];
    CHECK(key_is_well_formed(str_of_c(key), "glw_"));
}

static void check_hex(struct digest d, const char *want)
{
    char hex[2 * DIGEST_BYTES + 1];
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", d.b[i]);
    CHECK_CSTR(hex, want);
}

TEST(sha256)
{
    check_hex(digest_of(STR("")),
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_hex(digest_of(STR("abc")),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    char bytes[5000]; /* more than waits to be hashed at once */
    memset(bytes, 'a', sizeof bytes);
    struct digest whole = digest_of(str_of(bytes, sizeof bytes));
    for (size_t piece = 1; piece < 2500; piece += piece < 130 ? 1 : 47) {
        struct digest_stream d;
        digest_begin(&d);
        for (size_t at = 0; at < sizeof bytes; at += piece)
            digest_add(&d, bytes + at, sizeof bytes - at < piece ? sizeof bytes - at : piece);
        struct digest pieces = digest_end(&d);
        CHECK_MEM(&pieces, sizeof pieces, &whole, sizeof whole);
    }
}

TEST(secret_comparison)
{
    CHECK(bytes_equal_secret("abcd", "abcd", 4));
    CHECK(!bytes_equal_secret("abcd", "abce", 4));
    CHECK(!bytes_equal_secret("xbcd", "abcd", 4));
    CHECK(bytes_equal_secret("a", "b", 0));
}

TEST(siphash_1_3)
{
    /* CPython 3.11 hashes bytes with SipHash-1-3, and with a key of zeros when PYTHONHASHSEED=0. */
    static const struct {
        const char *text;
        uint64_t hash;
    } rows[] = {
        {"a", UINT64_C(0x407448d2b89b1813)},
        {"abcdefg", UINT64_C(0x6db12aae9070f506)},
        {"abcdefgh", UINT64_C(0x3f7b849c0b8e35ea)},
        {"relay-gateway-01", UINT64_C(0x9c6422cfdaa671ed)},
        {"relay-gateway-012", UINT64_C(0x05b54ac54e03e315)},
    };
    struct sip_key zero = {0, 0}, other = {1, 0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t len = strlen(rows[i].text);
        CHECK(sip_hash(&zero, rows[i].text, len) == rows[i].hash);
        CHECK(sip_hash(&other, rows[i].text, len) != rows[i].hash);
    }
    CHECK(sip_hash(&zero, NULL, 0) == sip_hash(&zero, "", 0));
}

CHECK_MAIN
