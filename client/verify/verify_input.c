#include "client/verify/verify_input.h"

#include "daemon/base/sysio.h"
#include "proto/seal/lines.h"

#include <string.h>

#define KEYS_MAX 16384 /* bytes of a file of keys */

enum status
verify_input_read(const char *path, size_t max, struct verify_file *ret_file, struct fault *f)
{
    struct verify_file file = {0};
    const enum status st = sysio_read_file(path, max, &file.bytes, &file.size, f);
    if (st != STATUS_OK) {
        const int says = st == STATUS_DATA_LOSS || st == STATUS_BAD_FORMAT;
        return says ? fault_set(f, STATUS_INVALID_ARGUMENT, __FILE__, __LINE__, path,
                                "not a regular file")
                    : st;
    }
    if (file.size == 0) {
        sysio_free(file.bytes);
        FAIL(f, STATUS_INVALID_ARGUMENT, path, "the file is empty");
    }
    *ret_file = file;
    return STATUS_OK;
}

void verify_input_free(struct verify_file *file)
{
    sysio_free(file->bytes);
    *file = (struct verify_file){0};
}

/* ---------------------------------------------------------------- keys */

static enum status add_key(const char *text,
                           size_t n,
                           enum sign_type type,
                           struct sign_vkey *list,
                           size_t max,
                           size_t *n_list,
                           struct fault *f)
{
    struct sign_vkey v;
    TRY(sign_vkey_parse(text, n, &v, f));
    if (v.type != type)
        FAIL(f, STATUS_INVALID_ARGUMENT, "key", "%.80s is a key of a %s", v.name,
             v.type == SIGN_LOG ? "log" : "witness");
    for (size_t i = 0; i < *n_list; i++)
        if (strcmp(list[i].name, v.name) == 0 && memcmp(list[i].id, v.id, SIGN_KEY_ID_SIZE) == 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, "key", "%.80s is given twice", v.name);
    if (*n_list == max)
        FAIL(f, STATUS_INVALID_ARGUMENT, "key", "more than %zu keys", max);
    list[(*n_list)++] = v;
    return STATUS_OK;
}

static enum status add_lines(const struct verify_file *file,
                             enum sign_type type,
                             struct sign_vkey *list,
                             size_t max,
                             size_t *n,
                             struct fault *f)
{
    const size_t before = *n;
    struct lines in = lines_of(file->bytes, file->size);
    while (in.left) {
        const char *line = in.at;
        size_t size = in.left;
        if (lines_next(&in, &line, &size) != 0)
            in.left = 0; /* the last line has no newline */
        if (size > 0 && line[0] != '#')
            TRY(add_key(line, size, type, list, max, n, f));
    }
    if (*n == before)
        FAIL(f, STATUS_INVALID_ARGUMENT, "key", "no verifier key in the file");
    return STATUS_OK;
}

enum status verify_input_keys(const char *from,
                              enum sign_type type,
                              struct sign_vkey *list,
                              size_t max,
                              size_t *n,
                              struct fault *f)
{
    struct sign_vkey v;
    struct verify_file file = {0};
    if (sign_vkey_parse(from, strlen(from), &v, NULL) == STATUS_OK)
        return add_key(from, strlen(from), type, list, max, n, f);
    TRY(verify_input_read(from, KEYS_MAX, &file, f));
    const enum status st = add_lines(&file, type, list, max, n, f);
    verify_input_free(&file);
    if (st != STATUS_OK)
        fault_prefix(f, "%.80s", from);
    return st;
}
