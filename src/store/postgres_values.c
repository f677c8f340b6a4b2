/* postgres_values.c - parameters and results in PostgreSQL's binary form: numbers big end first. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "store/postgres_internal.h"

static void add(struct postgres_args *a, Oid type, const void *bytes, size_t len)
{
    assert(a->count < POSTGRES_ARGS_MAX && len <= INT32_MAX);
    a->types[a->count] = type;
    a->values[a->count] = bytes;
    a->lengths[a->count] = (int)len;
    a->count++;
}

void arg_text(struct postgres_args *a, str value)
{
    add(a, OID_TEXT, value.len > 0 ? value.p : "", value.len);
}

void arg_text_or_null(struct postgres_args *a, str value)
{
    add(a, OID_TEXT, value.len > 0 ? value.p : NULL, value.len);
}

void arg_uuid(struct postgres_args *a, const struct uuid *id)
{
    add(a, OID_UUID, id->b, sizeof id->b);
}

void arg_bytes(struct postgres_args *a, const void *bytes, size_t len)
{
    add(a, OID_BYTEA, bytes, len);
}

void arg_int(struct postgres_args *a, int64_t value)
{
    assert(a->count < POSTGRES_ARGS_MAX);
    char *at = a->numbers[a->count];
    for (int i = 0; i < 8; i++) {
        at[i] = (char)(unsigned char)((uint64_t)value >> (8 * (7 - i)));
    }
    add(a, OID_BIGINT, at, 8);
}

static void add_null(struct postgres_args *a)
{
    add(a, OID_BIGINT, NULL, 0);
}

void arg_count(struct postgres_args *a, int64_t value)
{
    if (value < 0) {
        add_null(a);
    } else {
        arg_int(a, value);
    }
}

void arg_time(struct postgres_args *a, int64_t us)
{
    arg_count(a, us == 0 ? -1 : us);
}

void arg_money(struct postgres_args *a, pusd value)
{
    if (!pusd_known(value)) {
        add_null(a);
    } else {
        arg_int(a, value);
    }
}

/* ---- results ---- */

static uint64_t number(const PGresult *r, int row, int column)
{
    const char *at = PQgetvalue(r, row, column);
    int bytes = PQgetlength(r, row, column);
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value = value << 8 | (unsigned char)at[i];
    }
    return value;
}

int64_t value_int(const PGresult *r, int row, int column)
{
    switch (PQgetlength(r, row, column)) { /* 0 for NULL */
    case 2:
        return (int16_t)(uint16_t)number(r, row, column);
    case 4:
        return (int32_t)(uint32_t)number(r, row, column);
    case 8:
        return (int64_t)number(r, row, column);
    default:
        return 0;
    }
}

int64_t value_count(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? -1 : value_int(r, row, column);
}

pusd value_money(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? PUSD_UNKNOWN : value_int(r, row, column);
}

double value_num(const PGresult *r, int row, int column)
{
    double value = (double)NAN;
    if (PQgetlength(r, row, column) == (int)sizeof value) {
        uint64_t bits = number(r, row, column);
        memcpy(&value, &bits, sizeof value);
    }
    return value;
}

bool value_bool(const PGresult *r, int row, int column)
{
    return PQgetlength(r, row, column) == 1 && *PQgetvalue(r, row, column) != 0;
}

str value_text(const PGresult *r, int row, int column)
{
    return str_of(PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column));
}

struct uuid value_uuid(const PGresult *r, int row, int column)
{
    struct uuid id = {{0}};
    if (PQgetlength(r, row, column) == (int)sizeof id.b) {
        memcpy(id.b, PQgetvalue(r, row, column), sizeof id.b);
    }
    return id;
}
