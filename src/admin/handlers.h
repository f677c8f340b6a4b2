/* handlers.h - what the rows of the routing table (routes.c) call. */
#ifndef RELAY_ADMIN_HANDLERS_H
#define RELAY_ADMIN_HANDLERS_H

#include "admin/call.h"

/* session.c */
bool session_post_ask(struct admin_call *c);
void session_get_answer(struct admin_call *c);
void session_delete_answer(struct admin_call *c);

/* keys.c */
bool keys_list_ask(struct admin_call *c);
bool keys_list_work(struct admin_call *c, struct db *d);
void keys_list_answer(struct admin_call *c);
bool keys_post_ask(struct admin_call *c);
bool keys_post_work(struct admin_call *c, struct db *d);
bool keys_patch_ask(struct admin_call *c);
bool keys_patch_work(struct admin_call *c, struct db *d);
bool keys_delete_ask(struct admin_call *c);
bool keys_delete_work(struct admin_call *c, struct db *d);
void key_answer(struct admin_call *c);

/* models.c */
bool models_work(struct admin_call *c, struct db *d);
void models_answer(struct admin_call *c);

/* route.c */
bool route_ask(struct admin_call *c);
bool route_work(struct admin_call *c, struct db *d);
void route_answer(struct admin_call *c);

/* cache.c */
bool cache_ask(struct admin_call *c);
bool cache_work(struct admin_call *c, struct db *d);
void cache_answer(struct admin_call *c);
bool cache_delete_ask(struct admin_call *c);
bool cache_delete_entry_ask(struct admin_call *c);

/* config.c */
void config_answer(struct admin_call *c);
bool config_reload_ask(struct admin_call *c);

/* usage.c */
bool usage_ask(struct admin_call *c);
bool usage_work(struct admin_call *c, struct db *d);
void usage_answer(struct admin_call *c);

/* requests.c */
bool requests_ask(struct admin_call *c);
bool requests_work(struct admin_call *c, struct db *d);
void requests_answer(struct admin_call *c);
bool request_ask(struct admin_call *c);
bool request_work(struct admin_call *c, struct db *d);
void request_answer(struct admin_call *c);

/* live.c */
bool live_ask(struct admin_call *c);

/* openapi.c */
void openapi_answer(struct admin_call *c);

#endif
