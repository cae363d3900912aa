#include "client/client_key.h"

#include "client/client_error.h"
#include "daemon/base/sysio.h"

#include <string.h>
#include <sys/stat.h>

#define KEY_FILE_MAX 4096

static const char Z85[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                          ".-:+=^!/*?&<>()[]{}@%$#";

/* Copies the only line of `text` that counts; false if there is none, several or a malformed one.
 */
static bool key_from_text(const char *text, char ret_key[CLIENT_KEY_TEXT])
{
    bool found = false;
    for (const char *line = text; *line != '\0';) {
        const size_t n = strcspn(line, "\r\n");
        if (n > 0 && line[0] != '#') {
            if (found || n != CLIENT_KEY_TEXT - 1 || strspn(line, Z85) < n)
                return false;
            memcpy(ret_key, line, n);
            ret_key[n] = '\0';
            found = true;
        }
        line += n;
        line += strspn(line, "\r\n");
    }
    return found;
}

static bool others_can_read(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0;
}

enum lethe_code client_key_read(const char *path,
                                bool secret,
                                const char *field,
                                char ret_key[CLIENT_KEY_TEXT],
                                struct lethe_error *e)
{
    if (secret && others_can_read(path))
        return client_error_set(e, LETHE_INVALID_ARGUMENT, LETHE_FROM_CALLER, field,
                                "%s holds a secret key and others can read it; chmod 600 %s", path,
                                path);
    unsigned char *bytes;
    size_t size;
    struct fault f;
    if (sysio_read_file(path, KEY_FILE_MAX, &bytes, &size, &f) != STATUS_OK) {
        (void)client_error_fault(e, LETHE_FROM_CALLER, &f);
        return e ? e->code : LETHE_NOT_FOUND;
    }
    char key[CLIENT_KEY_TEXT];
    const bool good =
        strlen((const char *)bytes) == size && key_from_text((const char *)bytes, key);
    explicit_bzero(bytes, size);
    sysio_free(bytes);
    if (good)
        memcpy(ret_key, key, sizeof key);
    explicit_bzero(key, sizeof key);
    if (!good)
        return client_error_set(e, LETHE_INVALID_ARGUMENT, LETHE_FROM_CALLER, field,
                                "%s is no key file: one line of 40 Z85 characters is expected",
                                path);
    return LETHE_OK;
}
