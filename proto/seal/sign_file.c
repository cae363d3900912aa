#include "proto/seal/sign_file.h"

#include "proto/seal/key_file.h"

#include <stdio.h>

enum status sign_file_read(const char *path, struct sign_key **ret_key, struct fault *f)
{
    char text[KEY_FILE_MAX];
    size_t n = 0;
    TRY(key_file_read(path, 1, text, &n, f));
    const enum status st = sign_key_parse(text, n, ret_key, f);
    sign_wipe(text, sizeof text);
    if (st != STATUS_OK)
        fault_prefix(f, "%.90s", path);
    return st;
}

enum status sign_file_write(const char *path, const struct sign_key *key, struct fault *f)
{
    char text[SIGN_SECRET_SIZE];
    (void)sign_key_format(key, text);
    const enum status st = key_file_write_new(path, 0600, text, f);
    sign_wipe(text, sizeof text);
    return st;
}

enum status sign_file_write_public(const char *path, const struct sign_vkey *vkey, struct fault *f)
{
    char text[SIGN_VKEY_SIZE], line[SIGN_VKEY_SIZE + 1];
    sign_vkey_format(vkey, text);
    (void)snprintf(line, sizeof line, "%s\n", text);
    return key_file_write_new(path, 0644, line, f);
}
