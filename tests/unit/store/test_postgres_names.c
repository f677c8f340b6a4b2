/* A name server that does not answer: who connects to PostgreSQL goes on with what it has to do
 * besides, and leaves when it is told to. libpq asks for addresses here. */
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "store/postgres_internal.h"

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int asked, answered;
    bool open;
} names = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, false};

typedef int getaddrinfo_fn(const char *host, const char *service, const struct addrinfo *hints,
                           struct addrinfo **out);

/* The system's, and for one name a wait until the test lets it go. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    if (host == NULL || strcmp(host, "silent.test") != 0) {
        getaddrinfo_fn *real = NULL;
        void *found = dlsym(RTLD_NEXT, "getaddrinfo");
        memcpy(&real, &found, sizeof real);
        return real(host, service, hints, out);
    }
    pthread_mutex_lock(&names.lock);
    names.asked++;
    pthread_cond_broadcast(&names.changed);
    while (!names.open) {
        pthread_cond_wait(&names.changed, &names.lock);
    }
    names.answered++;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.lock);
    return EAI_NONAME;
}

static bool go_on(void *ctx)
{
    int *turns = ctx;
    pthread_mutex_lock(&names.lock);
    bool asked = names.asked > 0;
    pthread_mutex_unlock(&names.lock);
    *turns += asked;
    return *turns < 3;
}

TEST(duties_go_on_while_a_name_has_no_answer)
{
    int turns = 0;
    bool away = false;
    char *why = NULL;
    const struct db_waiter waiter = {go_on, &turns};
    struct postgres_db *d = postgres_connect(STR("postgresql://relay@silent.test/relay"), DB_WRITER,
                                             &waiter, &away, &why);
    CHECK(d == NULL && away);
    CHECK_INT(turns, 3);
    CHECK(why != NULL && strstr(why, "write addresses into the URL") != NULL);
    free(why);
    /* The thread that still asks ends by itself, when it has its answer: for the connection, and
     * for the ping that tells what is wrong with it. */
    pthread_mutex_lock(&names.lock);
    CHECK_INT(names.asked, 1);
    CHECK_INT(names.answered, 0);
    names.open = true;
    pthread_cond_broadcast(&names.changed);
    while (names.answered < 2) {
        pthread_cond_wait(&names.changed, &names.lock);
    }
    pthread_mutex_unlock(&names.lock);
}

TEST(a_name_that_nobody_has_is_said)
{
    bool away = false;
    char *why = NULL;
    CHECK(postgres_connect(STR("postgresql://relay@silent.test/relay"), DB_TOOL, NULL, &away,
                           &why) == NULL);
    CHECK(away && why != NULL && strstr(why, "could not translate host name") != NULL);
    free(why);
}

CHECK_MAIN
