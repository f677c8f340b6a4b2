/* The reader of safetensors on files made here. */
#include "check.h"

#include <stdlib.h>

#include "embed/safetensors.h"

/* A file of this header and `data_bytes` zeros, read; its memory lasts until the next one. */
static struct arena arena;
static char *file;
static struct safetensors tensors;
static struct embed_error error;

static bool read_bytes(const char *bytes, size_t len)
{
    free(file);
    file = malloc(len ? len : 1);
    memcpy(file, bytes, len);
    arena_deinit(&arena);
    arena_init(&arena, 0);
    error.text[0] = 0;
    return safetensors_read(&tensors, &arena, str_of(file, len), &error);
}

static bool read_file(const char *header, size_t data_bytes)
{
    static char bytes[8192];
    size_t len = strlen(header);
    size_t padded = (len + 7) / 8 * 8; /* as writers do, so that the data is aligned */
    memset(bytes, 0, sizeof bytes);
    bytes[0] = (char)(padded & 255);
    bytes[1] = (char)(padded >> 8);
    memset(bytes + 8, ' ', padded);
    memcpy(bytes + 8, header, len);
    return read_bytes(bytes, 8 + padded + data_bytes);
}

static void refuse(const char *header, size_t data_bytes, const char *why)
{
    CHECK(!read_file(header, data_bytes));
    CHECK_CSTR(error.text, why);
}

#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}"
#define B "\"b\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[24,32]}"

TEST(reads_what_is_right)
{
    REQUIRE(read_file("{\"__metadata__\":{\"format\":\"pt\"}," B "," A "}  ", 32));
    CHECK_INT(tensors.count, 2);
    const struct tensor *a = safetensors_find(&tensors, STR("a"));
    REQUIRE(a != NULL);
    CHECK_INT(a->rank, 2);
    CHECK_INT(a->shape[1], 3);
    CHECK(safetensors_find(&tensors, STR("c")) == NULL);
    REQUIRE(read_file("{}", 0));
    CHECK_INT(tensors.count, 0);
}

TEST(finds_the_floats)
{
    REQUIRE(read_file("{\"bert.a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}," B
                      "}          ",
                      32));
    CHECK(safetensors_floats(&tensors, "a", 2, 3, &error) != NULL);
    CHECK(safetensors_floats(&tensors, "a", 3, 2, &error) == NULL);
    CHECK_CSTR(error.text, "the tensor \"a\" has not the shape [3, 2]");
    CHECK(safetensors_floats(&tensors, "a", 6, 0, &error) == NULL);
    CHECK_CSTR(error.text, "the tensor \"a\" has not the shape [6]");
    CHECK(safetensors_floats(&tensors, "b", 1, 0, &error) == NULL);
    CHECK_CSTR(error.text, "the tensor \"b\" has the type I64, not F32");
    CHECK(safetensors_floats(&tensors, "c", 1, 0, &error) == NULL);
    CHECK_CSTR(error.text, "there is no tensor \"c\"");
}

TEST(refuses_files_that_are_cut_short)
{
    CHECK(!read_bytes("abc", 3));
    CHECK_CSTR(error.text, "the file has 3 bytes, too few for safetensors");
    CHECK(!read_bytes("\xff\0\0\0\0\0\0\0{}", 10));
    CHECK_CSTR(error.text, "the file ends inside of its header: it is cut short");
    CHECK(!read_bytes("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10));
    CHECK_CSTR(error.text,
               "the header would have 18446744073709551615 bytes, at most 1048576 are read");
    refuse("{" A "," B "}", 31,
           "the tensor \"b\" ends at byte 32 of the data, which has 31: the file is cut short");
    refuse("{" A "," B "}", 33, "there are 1 bytes behind the last tensor");
}

TEST(refuses_broken_headers)
{
    refuse("[]", 0, "the header is no JSON object");
    refuse("{\"a\":1}", 0, "the entry \"a\" is no object");
    refuse("{" A "," A "}", 24, "the tensor \"a\" overlaps the one before it");
    refuse("{" A ",\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[20,24]}}", 24,
           "the tensor \"b\" overlaps the one before it");
    refuse("{" A ",\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[28,32]}}", 32,
           "the tensor \"b\" has a gap before it");
    refuse("{" A ",\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[24,28]}}", 28,
           "the tensor \"a\" is there twice");
    refuse("{\"a\":{\"dtype\":\"F8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1,
           "the tensor \"a\" has the unknown type \"F8\"");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1,
           "the shape of \"a\" is not made of whole numbers");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1,
           "the tensor \"a\" has no usable shape");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}}", 1,
           "the tensor \"a\" has no usable offsets");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1,
           "the tensor \"a\" has 1 bytes, not what its shape needs");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],"
           "\"data_offsets\":[0,0]}}",
           0, "the tensor \"a\" has 0 bytes, not what its shape needs");
    CHECK(!read_file("{\"a\":", 0));
    CHECK_STR(str_sub(str_of_c(error.text), 0, 26), "the header is not JSON: un");
    free(file);
    file = NULL;
    arena_deinit(&arena);
}

CHECK_MAIN
