/* session.c - signing in and out. */
#include "admin/doorman.h"
#include "admin/handlers.h"
#include "path/pages.h"

static void add_session(struct admin_call *c, const struct session *s)
{
    char csrf[CSRF_TEXT_BYTES];
    buf_add_char(&c->out, '{');
    json_member_str(&c->out, "csrf", session_csrf(&c->admin->options.secrets, s, csrf));
    json_member_time(&c->out, "expires_at", s->ends_us);
    json_member_str(&c->out, "version", str_of_c(c->admin->options.version));
    buf_add_char(&c->out, '}');
}

/* A token is looked up before it is taken, so that only right ones use memory. */
static bool take_token(struct admin_call *c, str text)
{
    struct token token;
    bool right = token_open(&c->admin->options.secrets, text, c->now_us, &token) &&
                 doorman_take_token(c->admin->doorman, &token, c->now_us);
    if (admin_try_key(c, right))
        return true;
    if (c->status == err_info(ERR_INVALID_ADMIN_KEY)->status)
        (void)admin_fail(c, ERR_INVALID_TOKEN, NULL, "%s", "");
    return false;
}

bool session_post_ask(struct admin_call *c)
{
    str key = {0}, token = {0};
    bool wrong = false;
    bool has_key = json_get_str(c->body, "key", &key, &wrong);
    bool has_token = json_get_str(c->body, "token", &token, &wrong);
    if (wrong || has_key == has_token)
        return admin_fail(c, ERR_INVALID_REQUEST, "key",
                          "Send {\"key\": \"gla_...\"} or {\"token\": \"...\"}.");
    bool ok = has_key ? admin_try_key(c, page_is_admin_key(c->worker->gateway, str_trim(key)))
                      : take_token(c, token);
    if (!ok)
        return false;
    struct session s = session_new(c->now_us);
    char text[SESSION_TEXT_BYTES];
    admin_set_cookie(c, session_seal(&c->admin->options.secrets, &s, text),
                     SESSION_LENGTH_US / 1000000);
    add_session(c, &s);
    return true;
}

/* With the admin key as bearer there is no session; what is told then is good for nothing but looks
 * the same. */
void session_get_answer(struct admin_call *c)
{
    struct session s = c->by_session ? c->session : session_new(c->now_us);
    add_session(c, &s);
}

void session_delete_answer(struct admin_call *c)
{
    if (c->by_session)
        doorman_end_session(c->admin->doorman, &c->session, c->now_us);
    buf_clear(&c->head); /* not the cookie of a session that was used */
    admin_set_cookie(c, (str){NULL, 0}, 0);
}
