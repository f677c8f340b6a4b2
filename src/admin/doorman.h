/* doorman.h - what a gateway remembers of those who signed in, or tried to: sessions that have
 * ended, one-time tokens that were used, and wrong admin keys by address.
 *
 * All three are tables of a fixed size behind one lock. Sessions themselves are signed (secrets.h)
 * and in nobody's memory; a gateway that forgets an ended one, at a restart, would take it again
 * until its time is over. Any thread. */
#ifndef RELAY_ADMIN_DOORMAN_H
#define RELAY_ADMIN_DOORMAN_H

#include "admin/secrets.h"

struct doorman;
struct doorman *doorman_new(void);
void doorman_free(struct doorman *d);

#define TRIES_PER_ADDRESS 10u  /* wrong keys in a minute */
#define TRIES_IN_ALL      300u /* in a minute, by addresses that are not this machine's own */

/* May somebody at this address (16 bytes; of IPv6 the network's 8 count) offer a key? False: not
 * before the minute is over. */
bool doorman_may_try(struct doorman *d, const uint8_t address[16], bool loopback, int64_t now_us);
/* It was wrong. */
void doorman_note_wrong(struct doorman *d, const uint8_t address[16], int64_t now_us);

/* True the first time for a token; also false while too many are remembered. */
bool doorman_take_token(struct doorman *d, const struct token *t, int64_t now_us);

/* Signed out. */
void doorman_end_session(struct doorman *d, const struct session *s, int64_t now_us);
bool doorman_has_ended(struct doorman *d, const struct session *s);

#endif
