/* thread.c - names and priorities of threads, as the kernel has them. Starts no thread. */
#include "base/thread.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>

void thread_set_name(const char *name)
{
    char kept[16];
    (void)snprintf(kept, sizeof kept, "%s", name);
#ifdef __APPLE__
    (void)pthread_setname_np(kept);
#else
    (void)pthread_setname_np(pthread_self(), kept);
#endif
}

void thread_set_nice(int nice)
{
#ifdef __linux__
    /* Relative: a process that was started with `nice` has its threads below that. */
    int own = getpriority(PRIO_PROCESS, 0);
    (void)setpriority(PRIO_PROCESS, 0, own + nice);
#else
    (void)nice;
#endif
}
