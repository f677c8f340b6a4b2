/* A thread's own priority. */
#include "check.h"

#include <pthread.h>
#include <sys/resource.h>

#include "base/thread.h"

static void *lower(void *arg)
{
    thread_set_nice(2);
    thread_set_nice(1);
    *(int *)arg = getpriority(PRIO_PROCESS, 0);
    return NULL;
}

TEST(a_thread_steps_back_alone)
{
    int before = getpriority(PRIO_PROCESS, 0), there = -100;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, lower, &there) == 0);
    pthread_join(thread, NULL);
#ifdef __linux__
    CHECK_INT(there, before < 16 ? before + 3 : 19);
#endif
    CHECK_INT(getpriority(PRIO_PROCESS, 0), before);
}

CHECK_MAIN
