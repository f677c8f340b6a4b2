/* secrets.h - what is signed with keys that follow from the admin key: sessions, the tokens of
 * one-time addresses, and the tokens that prove that a request comes from the dashboard's own page.
 *
 * Every gateway with the same admin key has the same signing keys (HKDF-SHA256), so a session that
 * one of them began is known to all. A signed text is hexadecimal and has its own end in it; what
 * is not signed, damaged or over is refused without telling which. */
#ifndef RELAY_ADMIN_SECRETS_H
#define RELAY_ADMIN_SECRETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/str.h"

struct secrets {
    struct digest session, token, csrf; /* signing keys */
};
struct secrets secrets_of(str admin_key);

#define SESSION_ID_BYTES   32u
#define SESSION_TEXT_BYTES 161u /* with its NUL */
struct session {
    uint8_t id[SESSION_ID_BYTES];
    int64_t ends_us; /* UTC, whatever happens */
    int64_t idle_us; /* UTC, unless it is used before */
};
#define SESSION_LENGTH_US (INT64_C(12) * 3600 * 1000000)
#define SESSION_IDLE_US   (INT64_C(2) * 3600 * 1000000)

struct session session_new(int64_t now_us);
str session_seal(const struct secrets *s, const struct session *session,
                 char out[SESSION_TEXT_BYTES]);
bool session_open(const struct secrets *s, str text, int64_t now_us, struct session *out);

/* It is used now: lives on for SESSION_IDLE_US. True: by so much that it is worth sealing again. */
bool session_touch(struct session *session, int64_t now_us);

/* The token that a changing request of this session must carry. */
#define CSRF_TEXT_BYTES 65u
str session_csrf(const struct secrets *s, const struct session *session, char out[CSRF_TEXT_BYTES]);

/* A token signs in once, within ten minutes. */
#define TOKEN_ID_BYTES   16u
#define TOKEN_TEXT_BYTES 113u
#define TOKEN_LENGTH_US  (INT64_C(600) * 1000000)
struct token {
    uint8_t id[TOKEN_ID_BYTES];
    int64_t ends_us;
};
str token_new(const struct secrets *s, int64_t now_us, char out[TOKEN_TEXT_BYTES]);
bool token_open(const struct secrets *s, str text, int64_t now_us, struct token *out);

#endif
