#include "bench/data/set_file.h"

#include "client/dataset/npz_file.h"
#include "client/dataset/zstream.h"
#include "daemon/base/arena.h"
#include "daemon/base/sysio.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum status set_file_init(
    struct set_file *s, uint32_t n, uint32_t side, uint32_t classes, int hot, struct fault *f)
{
    *s = (struct set_file){.n = n, .side = side, .classes = classes};
    s->images = sysio_alloc((size_t)n + 1, (size_t)side * side);
    if (hot)
        s->hot = sysio_alloc((size_t)n + 1, classes);
    else
        s->labels = sysio_alloc((size_t)n + 1, sizeof *s->labels);
    if (s->images && (s->hot || s->labels))
        return STATUS_OK;
    set_file_fini(s);
    FAIL(f, STATUS_NO_MEMORY, "images", "no memory for %u images of %ux%u", n, side, side);
}

void set_file_fini(struct set_file *s)
{
    sysio_free(s->images);
    sysio_free(s->labels);
    sysio_free(s->hot);
    *s = (struct set_file){0};
}

static enum status make_folder(const char *path, struct fault *f)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return STATUS_OK;
    FAIL(f, status_from_errno(errno), "out", "cannot create %.100s: %s", path, strerror(errno));
}

enum status set_file_folder(const char *path, struct fault *f)
{
    char part[PATH_MAX];
    const size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        FAIL(f, STATUS_INVALID_ARGUMENT, "out", "a path of %zu bytes", n);
    for (size_t i = 1; i < n; i++) {
        if (path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        TRY(make_folder(part, f));
    }
    return make_folder(path, f);
}

static enum status
file_path(const char *folder, const char *name, char path[PATH_MAX], struct fault *f)
{
    const int n = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    if (n < 0 || n >= PATH_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "out", "the path of %.80s is too long", name);
    return STATUS_OK;
}

enum status
set_file_write(const struct set_file *s, const char *folder, const char *name, struct fault *f)
{
    char path[PATH_MAX], file[NPZ_MAX_NAME];
    struct npz_member m[] = {
        {"images",
         {.type = NPY_U8, .dims = 3, .shape = {s->n, s->side, s->side}, .data = s->images}},
        {"labels", {.type = NPY_U8, .dims = 2, .shape = {s->n, s->classes}, .data = s->hot}}};
    if (s->labels)
        m[1].array = (struct npy_array){
            .type = NPY_I32, .dims = 1, .shape = {s->n}, .data = (const uint8_t *)s->labels};
    (void)snprintf(file, sizeof file, "%s.npz", name);
    TRY(file_path(folder, file, path, f));
    return npz_file_write(path, m, 2, f);
}

enum status
set_file_write_names(const char *folder, const char *const *names, uint32_t n, struct fault *f)
{
    char path[PATH_MAX];
    size_t size = 0;
    TRY(file_path(folder, "classes.txt", path, f));
    for (uint32_t i = 0; i < n; i++)
        size += strlen(names[i]) + 1;
    char *text = sysio_alloc(size + 1, 1);
    if (!text)
        FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for %u names", n);
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, size + 1 - at, "%s\n", names[i]);
    const enum status st = sysio_write_file(path, text, size, f);
    sysio_free(text);
    return st;
}

uint32_t set_file_sum(const struct set_file *s)
{
    const uint32_t pixels = zstream_crc32(s->images, (size_t)s->n * s->side * s->side);
    const uint32_t labels =
        s->hot ? zstream_crc32(s->hot, (size_t)s->n * s->classes)
               : zstream_crc32((const uint8_t *)s->labels, (size_t)s->n * sizeof *s->labels);
    return pixels * 31u + labels;
}
