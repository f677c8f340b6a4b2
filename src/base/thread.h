/* thread.h - a thread's name, as ps -L, a debugger and the benchmark show it. */
#ifndef RELAY_BASE_THREAD_H
#define RELAY_BASE_THREAD_H

/* Names the calling thread. The kernel keeps the first 15 bytes. */
void thread_set_name(const char *name);

/* Lets the calling thread run after others of this process: it gets so much more niceness than it
 * has (setpriority; the kernel stops at 19), where a thread has a priority of its own: on Linux.
 * Elsewhere, and where it is refused, nothing. */
void thread_set_nice(int nice);

#endif
