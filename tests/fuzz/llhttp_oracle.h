/* llhttp_oracle.h - a second opinion on heads: what our reader lets through, llhttp in its strict
 * mode lets through, with the same fields. */
#ifndef RELAY_TESTS_FUZZ_LLHTTP_ORACLE_H
#define RELAY_TESTS_FUZZ_LLHTTP_ORACLE_H

#include <assert.h>
#include <llhttp.h>
#include <stdlib.h>
#include <string.h>

#include "net/http1.h"

struct oracle {
    struct oracle_field {
        str name, value;
    } fields[HEAD_FIELDS_MAX];
    unsigned count;
    str head;
    const char *copy;
    bool complete, closes;
    int status;
};

/* The same bytes of the head itself. */
static inline str oracle_str(const struct oracle *o, const char *at, size_t len)
{
    return str_of(o->head.p + (at - o->copy), len);
}

static inline int oracle_on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct oracle *o = parser->data;
    assert(o->count < HEAD_FIELDS_MAX);
    o->fields[o->count++] = (struct oracle_field){oracle_str(o, at, len), {at + len, 0}};
    return 0;
}

static inline int oracle_on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct oracle *o = parser->data;
    o->fields[o->count - 1].value = str_trim(oracle_str(o, at, len));
    return 0;
}

static inline int oracle_on_complete(llhttp_t *parser)
{
    struct oracle *o = parser->data;
    o->complete = true;
    return HPE_PAUSED;
}

/* Reads the whole head; asserts that llhttp takes it. It gets blanks for tabs, which it forgets to
 * skip after a length. */
static inline void oracle_read(struct oracle *o, llhttp_type_t type, str head)
{
    static const llhttp_settings_t settings = {
        .on_header_field = oracle_on_field,
        .on_header_value = oracle_on_value,
        .on_headers_complete = oracle_on_complete,
    };
    llhttp_t parser;
    char *copy = malloc(head.len);
    for (size_t i = 0; i < head.len; i++) {
        copy[i] = head.p[i];
        if (copy[i] == '\t') {
            copy[i] = ' ';
        }
    }
    memset(o, 0, sizeof *o);
    o->head = head;
    o->copy = copy;
    llhttp_init(&parser, type, &settings);
    parser.data = o;
    llhttp_errno_t result = llhttp_execute(&parser, copy, head.len);
    free(copy);
    assert(result == HPE_PAUSED && o->complete);
    o->closes = (parser.flags & F_CONNECTION_CLOSE) != 0;
    o->status = parser.status_code;
}

static inline unsigned oracle_count(const struct oracle *o, const char *name)
{
    unsigned n = 0;
    for (unsigned i = 0; i < o->count; i++) {
        n += str_eq_nocase(o->fields[i].name, str_of_c(name)) ? 1 : 0;
    }
    return n;
}

#endif
