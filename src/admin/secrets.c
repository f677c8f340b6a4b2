/* secrets.c - signs and checks sessions and tokens. Keeps nothing: what has ended or was used is
 * the doorman's. */
#include "admin/secrets.h"

#include <assert.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#define TIME_BYTES    8u
#define SESSION_BYTES (SESSION_ID_BYTES + 2 * TIME_BYTES)
#define TOKEN_BYTES   (TOKEN_ID_BYTES + TIME_BYTES)

static_assert(SESSION_TEXT_BYTES == 2 * (SESSION_BYTES + DIGEST_BYTES) + 1, "hexadecimal");
static_assert(TOKEN_TEXT_BYTES == 2 * (TOKEN_BYTES + DIGEST_BYTES) + 1, "hexadecimal");
static_assert(CSRF_TEXT_BYTES == 2 * DIGEST_BYTES + 1, "hexadecimal");

/* ---- keys and signatures ---- */

static struct digest derive(str admin_key, const char *purpose)
{
    static const char salt[] = "relay admin 1";
    struct digest out;
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    char sha256[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha256, 0),
                           OSSL_PARAM_construct_octet_string(
                               OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)admin_key.p, admin_key.len),
                           OSSL_PARAM_construct_octet_string(
                               OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, sizeof salt - 1),
                           OSSL_PARAM_construct_octet_string(
                               OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)purpose, strlen(purpose)),
                           OSSL_PARAM_construct_end()};
    int done = EVP_KDF_derive(ctx, out.b, sizeof out.b, params);
    assert(done == 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return out;
}

struct secrets secrets_of(str admin_key)
{
    return (struct secrets){.session = derive(admin_key, "session"),
                            .token = derive(admin_key, "token"),
                            .csrf = derive(admin_key, "csrf")};
}

static struct digest sign(const struct digest *key, const uint8_t *bytes, size_t len)
{
    struct digest mac;
    unsigned got = 0;
    const unsigned char *made = HMAC(EVP_sha256(), key->b, sizeof key->b, bytes, len, mac.b, &got);
    assert(made != NULL && got == sizeof mac.b);
    return mac;
}

/* ---- bytes as text ---- */

static char *add_hex(char *to, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *to++ = digits[bytes[i] >> 4];
        *to++ = digits[bytes[i] & 15];
    }
    *to = '\0';
    return to;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(str text, uint8_t *out, size_t len)
{
    if (text.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = digit(text.p[2 * i]), low = digit(text.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void put_time(uint8_t *to, int64_t us)
{
    for (unsigned i = 0; i < TIME_BYTES; i++)
        to[i] = (uint8_t)((uint64_t)us >> (8 * (TIME_BYTES - 1 - i)));
}

static int64_t get_time(const uint8_t *from)
{
    uint64_t us = 0;
    for (unsigned i = 0; i < TIME_BYTES; i++)
        us = us << 8 | from[i];
    return (int64_t)us;
}

static str seal(const struct digest *key, const uint8_t *bytes, size_t len, char *out)
{
    struct digest mac = sign(key, bytes, len);
    char *end = add_hex(add_hex(out, bytes, len), mac.b, sizeof mac.b);
    return str_of(out, (size_t)(end - out));
}

/* The signed bytes are left in `bytes`. */
static bool unseal(const struct digest *key, str text, uint8_t *bytes, size_t len)
{
    struct digest told;
    if (text.len != 2 * (len + DIGEST_BYTES) || !read_hex(str_sub(text, 0, 2 * len), bytes, len) ||
        !read_hex(str_sub(text, 2 * len, text.len), told.b, sizeof told.b))
        return false;
    struct digest mac = sign(key, bytes, len);
    return bytes_equal_secret(&mac, &told, sizeof mac);
}

/* ---- sessions ---- */

struct session session_new(int64_t now_us)
{
    struct session s = {.ends_us = now_us + SESSION_LENGTH_US, .idle_us = now_us + SESSION_IDLE_US};
    random_bytes(s.id, sizeof s.id);
    return s;
}

bool session_touch(struct session *session, int64_t now_us)
{
    int64_t until = now_us + SESSION_IDLE_US;
    if (until - session->idle_us < SESSION_IDLE_US / 16)
        return false;
    session->idle_us = until;
    return true;
}

str session_seal(const struct secrets *s, const struct session *session,
                 char out[SESSION_TEXT_BYTES])
{
    uint8_t bytes[SESSION_BYTES];
    memcpy(bytes, session->id, SESSION_ID_BYTES);
    put_time(bytes + SESSION_ID_BYTES, session->ends_us);
    put_time(bytes + SESSION_ID_BYTES + TIME_BYTES, session->idle_us);
    return seal(&s->session, bytes, sizeof bytes, out);
}

bool session_open(const struct secrets *s, str text, int64_t now_us, struct session *out)
{
    uint8_t bytes[SESSION_BYTES];
    if (!unseal(&s->session, text, bytes, sizeof bytes))
        return false;
    memcpy(out->id, bytes, SESSION_ID_BYTES);
    out->ends_us = get_time(bytes + SESSION_ID_BYTES);
    out->idle_us = get_time(bytes + SESSION_ID_BYTES + TIME_BYTES);
    return now_us < out->ends_us && now_us < out->idle_us;
}

str session_csrf(const struct secrets *s, const struct session *session, char out[CSRF_TEXT_BYTES])
{
    struct digest mac = sign(&s->csrf, session->id, SESSION_ID_BYTES);
    return str_of(out, (size_t)(add_hex(out, mac.b, sizeof mac.b) - out));
}

/* ---- tokens ---- */

str token_new(const struct secrets *s, int64_t now_us, char out[TOKEN_TEXT_BYTES])
{
    uint8_t bytes[TOKEN_BYTES];
    random_bytes(bytes, TOKEN_ID_BYTES);
    put_time(bytes + TOKEN_ID_BYTES, now_us + TOKEN_LENGTH_US);
    return seal(&s->token, bytes, sizeof bytes, out);
}

bool token_open(const struct secrets *s, str text, int64_t now_us, struct token *out)
{
    uint8_t bytes[TOKEN_BYTES];
    if (!unseal(&s->token, text, bytes, sizeof bytes))
        return false;
    memcpy(out->id, bytes, TOKEN_ID_BYTES);
    out->ends_us = get_time(bytes + TOKEN_ID_BYTES);
    return now_us < out->ends_us;
}
