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
    (void)setpriority(PRIO_PROCESS, 0, nice);
#else
    (void)nice;
#endif
}
