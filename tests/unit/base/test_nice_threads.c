/* A thread's own priority. */
#include "check.h"

#include <pthread.h>
#include <sys/resource.h>

#include "base/thread.h"

static void *lower(void *arg)
{
    thread_set_nice(3);
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
    CHECK_INT(there, 3);
#endif
    CHECK_INT(getpriority(PRIO_PROCESS, 0), before);
}

CHECK_MAIN
