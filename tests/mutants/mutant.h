/* mutant.h - which of the mutants that are compiled into this program is awake; included by every
 * file that has faults, as written by tests/mutants/mutants.py.
 *
 * RELAY_MUTANT=n wakes mutant n. RELAY_MUTANT_TRACE=file marks byte n of that file (which must
 * exist and be large enough) when mutant n is reached. */
#ifndef RELAY_TESTS_MUTANTS_MUTANT_H
#define RELAY_TESTS_MUTANTS_MUTANT_H

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((unused, noinline)) static int mutant(int n)
{
    static volatile int awake = -2;
    static unsigned char *volatile trace;
    if (awake == -2) {
        const char *path = getenv("RELAY_MUTANT_TRACE"), *text = getenv("RELAY_MUTANT");
        struct stat info;
        int file = path == NULL ? -1 : open(path, O_RDWR);
        if (file >= 0 && fstat(file, &info) == 0) {
            void *p = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            trace = p == MAP_FAILED ? NULL : p;
            close(file);
        }
        awake = text == NULL ? -1 : (int)strtol(text, NULL, 10);
    }
    if (trace != NULL) {
        trace[n] = 1;
    }
    return n == awake;
}

#endif
