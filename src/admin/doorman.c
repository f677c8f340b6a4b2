/* doorman.c - three tables of a fixed size behind one lock: ended sessions, used tokens, wrong keys
 * by address. The oldest makes room. */
#include "admin/doorman.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MINUTE_US      INT64_C(60000000)
#define ADDRESS_SETS   64u
#define ADDRESS_WAYS   4u
#define REMEMBERED_MAX 1024u

/* The wrong keys of one address in one minute. */
struct tries {
    uint8_t address[16];
    int64_t minute;
    unsigned count;
};

/* Something that is not to come again before its end, by the digest of its id. */
struct remembered {
    struct digest id;
    int64_t ends_us;
};

struct memory {
    struct remembered all[REMEMBERED_MAX];
    unsigned count;
};

struct doorman {
    pthread_mutex_t lock;
    struct sip_key hashing;
    struct tries tries[ADDRESS_SETS][ADDRESS_WAYS];
    int64_t minute; /* of `in_all` */
    unsigned in_all;
    struct memory tokens, sessions;
};

struct doorman *doorman_new(void)
{
    struct doorman *d = xcalloc(1, sizeof *d);
    pthread_mutex_init(&d->lock, NULL);
    random_bytes(&d->hashing, sizeof d->hashing);
    return d;
}

void doorman_free(struct doorman *d)
{
    if (d == NULL)
        return;
    pthread_mutex_destroy(&d->lock);
    free(d);
}

/* ---- wrong keys ---- */

static bool is_mapped(const uint8_t address[16])
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(address, prefix, sizeof prefix) == 0;
}

/* Its place; `make`: the one of longest ago gives way. */
static struct tries *tries_of(struct doorman *d, const uint8_t address[16], int64_t minute,
                              bool make)
{
    uint8_t who[16] = {0};
    memcpy(who, address, is_mapped(address) ? 16 : 8);
    struct tries *set = d->tries[sip_hash(&d->hashing, who, sizeof who) % ADDRESS_SETS];
    struct tries *oldest = &set[0];
    for (unsigned i = 0; i < ADDRESS_WAYS; i++) {
        if (set[i].count > 0 && set[i].minute == minute &&
            memcmp(set[i].address, who, sizeof who) == 0)
            return &set[i];
        if (set[i].minute < oldest->minute)
            oldest = &set[i];
    }
    if (!make)
        return NULL;
    *oldest = (struct tries){.minute = minute};
    memcpy(oldest->address, who, sizeof who);
    return oldest;
}

bool doorman_may_try(struct doorman *d, const uint8_t address[16], bool loopback, int64_t now_us)
{
    int64_t minute = now_us / MINUTE_US;
    pthread_mutex_lock(&d->lock);
    const struct tries *t = tries_of(d, address, minute, false);
    bool may = t == NULL || t->count < TRIES_PER_ADDRESS;
    if (!loopback && d->minute == minute && d->in_all >= TRIES_IN_ALL)
        may = false;
    pthread_mutex_unlock(&d->lock);
    return may;
}

void doorman_note_wrong(struct doorman *d, const uint8_t address[16], int64_t now_us)
{
    int64_t minute = now_us / MINUTE_US;
    pthread_mutex_lock(&d->lock);
    tries_of(d, address, minute, true)->count++;
    if (d->minute != minute)
        d->in_all = 0;
    d->minute = minute;
    d->in_all++;
    pthread_mutex_unlock(&d->lock);
}

/* ---- what is not to come again ---- */

static bool remembers(const struct memory *m, const struct digest *id)
{
    for (unsigned i = 0; i < m->count; i++) {
        if (bytes_equal_secret(&m->all[i].id, id, sizeof *id))
            return true;
    }
    return false;
}

static void forget_old(struct memory *m, int64_t now_us)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < m->count; i++) {
        if (m->all[i].ends_us > now_us)
            m->all[kept++] = m->all[i];
    }
    m->count = kept;
}

static bool remember(struct memory *m, struct digest id, int64_t ends_us)
{
    if (m->count == REMEMBERED_MAX)
        return false;
    m->all[m->count++] = (struct remembered){id, ends_us};
    return true;
}

bool doorman_take_token(struct doorman *d, const struct token *t, int64_t now_us)
{
    struct digest id = digest_of(str_of((const char *)t->id, sizeof t->id));
    pthread_mutex_lock(&d->lock);
    forget_old(&d->tokens, now_us);
    bool first = !remembers(&d->tokens, &id) && remember(&d->tokens, id, t->ends_us);
    pthread_mutex_unlock(&d->lock);
    return first;
}

/* The one that would end first by itself gives way. */
static void make_room(struct memory *m)
{
    unsigned first = 0;
    for (unsigned i = 1; i < m->count; i++) {
        if (m->all[i].ends_us < m->all[first].ends_us)
            first = i;
    }
    if (m->count == REMEMBERED_MAX)
        m->all[first] = m->all[--m->count];
}

static struct digest session_name(const struct session *s)
{
    return digest_of(str_of((const char *)s->id, sizeof s->id));
}

void doorman_end_session(struct doorman *d, const struct session *s, int64_t now_us)
{
    struct digest id = session_name(s);
    pthread_mutex_lock(&d->lock);
    forget_old(&d->sessions, now_us);
    if (!remembers(&d->sessions, &id)) {
        make_room(&d->sessions);
        (void)remember(&d->sessions, id, s->ends_us);
    }
    pthread_mutex_unlock(&d->lock);
}

bool doorman_has_ended(struct doorman *d, const struct session *s)
{
    struct digest id = session_name(s);
    pthread_mutex_lock(&d->lock);
    bool ended = remembers(&d->sessions, &id);
    pthread_mutex_unlock(&d->lock);
    return ended;
}
