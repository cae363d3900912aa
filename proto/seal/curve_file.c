#include "proto/seal/curve_file.h"

#include "proto/seal/key_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ------------------------------------------------------------ reading */

/* One line of a text; false at its end. */
static int next_line(const char **at, const char *end, const char **ret_line, size_t *ret_n)
{
    while (*at < end && (**at == '\n' || **at == '\r'))
        (*at)++;
    if (*at == end)
        return 0;
    *ret_line = *at;
    while (*at < end && **at != '\n' && **at != '\r')
        (*at)++;
    *ret_n = (size_t)(*at - *ret_line);
    return 1;
}

/* The only line that counts. */
static int parse_key_text(const char *text, size_t n, struct curve_key *ret_key)
{
    const char *at = text, *line;
    size_t length;
    int found = 0;
    while (next_line(&at, text + n, &line, &length)) {
        if (line[0] == '#')
            continue;
        if (found || curve_key_parse(line, length, ret_key) != 0)
            return -1;
        found = 1;
    }
    return found ? 0 : -1;
}

static enum status
read_key(const char *path, int secret, struct curve_key *ret_key, struct fault *f)
{
    char text[CURVE_FILE_MAX];
    size_t n;
    TRY(key_file_read(path, secret, text, &n, f));
    const int bad = parse_key_text(text, n, ret_key);
    explicit_bzero(text, sizeof text);
    if (bad)
        FAIL(f, STATUS_INVALID_ARGUMENT, NULL,
             "%.64s is no key file: one line of 40 Z85 characters is expected", path);
    return STATUS_OK;
}

enum status curve_file_read_public(const char *path, struct curve_key *ret_key, struct fault *f)
{
    return read_key(path, 0, ret_key, f);
}

enum status curve_file_read_secret(const char *path, struct curve_key *ret_key, struct fault *f)
{
    return read_key(path, 1, ret_key, f);
}

/* ------------------------------------------------------------ entries */

int curve_name_good(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const size_t n = strlen(name);
    return n > 0 && n < CURVE_NAME_SIZE && strspn(name, allowed) == n && name[0] != '.' &&
           name[0] != '-';
}

unsigned curve_roles_parse(const char *text)
{
    static const char *const names[] = {"privacy", "mlops", "predict", "auditor", "admin"};
    unsigned roles = 0;
    for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        const size_t n = strcspn(at, ",");
        unsigned role = 0;
        for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strlen(names[i]) == n && memcmp(names[i], at, n) == 0)
                role = 1u << i;
        if (role == 0 || (roles & role))
            return 0;
        roles |= role;
    }
    return roles;
}

/* "name = value" without the blanks around both; -1: no '='. */
static int split(const char *line, size_t n, char key[8], char value[CURVE_NAME_SIZE])
{
    const char *equals = memchr(line, '=', n);
    if (!equals)
        return -1;
    const char *end = line + n, *from = equals + 1, *stop = equals;
    while (line < stop && (*line == ' ' || *line == '\t'))
        line++;
    while (stop > line && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    while (from < end && (*from == ' ' || *from == '\t'))
        from++;
    while (end > from && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (stop - line >= 8 || end - from >= CURVE_NAME_SIZE)
        return -1;
    memcpy(key, line, (size_t)(stop - line));
    key[stop - line] = '\0';
    memcpy(value, from, (size_t)(end - from));
    value[end - from] = '\0';
    return 0;
}

enum { SEEN_NAME = 1, SEEN_ROLE = 2, SEEN_KEY = 4 };

static enum status take_once(unsigned *seen, unsigned which, const char *key, struct fault *f)
{
    if (*seen & which)
        FAIL(f, STATUS_INVALID_ARGUMENT, key, "%s stands twice", key);
    *seen |= which;
    return STATUS_OK;
}

static enum status take_line(
    struct curve_entry *e, unsigned *seen, const char *key, const char *value, struct fault *f)
{
    if (strcmp(key, "name") == 0) {
        TRY(take_once(seen, SEEN_NAME, key, f));
        if (!curve_name_good(value))
            FAIL(f, STATUS_INVALID_ARGUMENT, "name",
                 "1 to 64 letters, digits, '.', '_', '-', not first '.' or '-'");
        memcpy(e->name, value, strlen(value) + 1);
        return STATUS_OK;
    }
    if (strcmp(key, "role") == 0) {
        TRY(take_once(seen, SEEN_ROLE, key, f));
        if (strlen(value) >= CURVE_ROLE_SIZE || curve_roles_parse(value) == 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, "role",
                 "\"%.32s\": privacy, mlops, predict, auditor, admin, with commas between", value);
        memcpy(e->role, value, strlen(value) + 1);
        return STATUS_OK;
    }
    if (strcmp(key, "key") == 0) {
        TRY(take_once(seen, SEEN_KEY, key, f));
        if (curve_key_parse(value, strlen(value), &e->key) != 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, "key", "a public key is 40 Z85 characters");
        return STATUS_OK;
    }
    FAIL(f, STATUS_INVALID_ARGUMENT, key, "unknown key \"%.8s\"", key);
}

static enum status
parse_line(struct curve_entry *e, unsigned *seen, const char *line, size_t length, struct fault *f)
{
    char key[8], value[CURVE_NAME_SIZE];
    if (line[0] == '#' || strspn(line, " \t") >= length)
        return STATUS_OK;
    if (split(line, length, key, value) != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, NULL, "not name, role or key = value");
    return take_line(e, seen, key, value, f);
}

/* Number of the line that begins at `line`, from 1. */
static unsigned line_number(const char *text, const char *line)
{
    unsigned n = 1;
    for (; text < line; text++)
        n += *text == '\n';
    return n;
}

enum status
curve_entry_parse(const char *text, size_t n, struct curve_entry *ret_entry, struct fault *f)
{
    struct curve_entry e = {0};
    const char *at = text, *line;
    size_t length;
    unsigned seen = 0;
    if (memchr(text, '\0', n))
        FAIL(f, STATUS_INVALID_ARGUMENT, NULL, "a NUL byte: this is not a text file");
    while (next_line(&at, text + n, &line, &length)) {
        const enum status st = parse_line(&e, &seen, line, length, f);
        if (st != STATUS_OK) {
            fault_prefix(f, "line %u", line_number(text, line));
            return st;
        }
    }
    static const char *const names[] = {"name", "role", "key"};
    for (unsigned i = 0; i < 3; i++)
        if (!(seen & 1u << i))
            FAIL(f, STATUS_INVALID_ARGUMENT, names[i], "%s is missing", names[i]);
    *ret_entry = e;
    return STATUS_OK;
}

enum status curve_file_read_entry(const char *path, struct curve_entry *ret_entry, struct fault *f)
{
    char text[CURVE_FILE_MAX];
    size_t n;
    TRY(key_file_read(path, 0, text, &n, f));
    const enum status st = curve_entry_parse(text, n, ret_entry, f);
    if (st != STATUS_OK)
        fault_prefix(f, "%.90s", path);
    return st;
}

/* ------------------------------------------------------------ writing */

enum status curve_file_write_secret(const char *path, const struct curve_key *key, struct fault *f)
{
    char z85[CURVE_TEXT_SIZE], text[256];
    curve_key_text(key, z85);
    (void)snprintf(text, sizeof text, "# lethe: SECRET CURVE key, never give it away\n%s\n", z85);
    const enum status st = key_file_write_new(path, S_IRUSR | S_IWUSR, text, f);
    explicit_bzero(z85, sizeof z85);
    explicit_bzero(text, sizeof text);
    return st;
}

enum status curve_file_write_public(const char *path,
                                    const char *comment,
                                    const struct curve_key *key,
                                    struct fault *f)
{
    char z85[CURVE_TEXT_SIZE], text[256];
    curve_key_text(key, z85);
    (void)snprintf(text, sizeof text, "# lethe: %.100s\n%s\n", comment, z85);
    return key_file_write_new(path, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH, text, f);
}

enum status
curve_file_write_entry(const char *path, const struct curve_entry *entry, struct fault *f)
{
    char z85[CURVE_TEXT_SIZE], text[320];
    curve_key_text(&entry->key, z85);
    (void)snprintf(text, sizeof text, "# lethe client\nname = %s\nrole = %s\nkey = %s\n",
                   entry->name, entry->role, z85);
    return key_file_write_new(path, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH, text, f);
}
