/* thread.h - a thread's name, as ps -L, a debugger and the benchmark show it. */
#ifndef RELAY_BASE_THREAD_H
#define RELAY_BASE_THREAD_H

/* Names the calling thread. The kernel keeps the first 15 bytes. */
void thread_set_name(const char *name);

#endif
