/*
 * For tests of keys and of what they destroy: the key files of a store, bytes looked for in all
 * files under a folder, and a store turned back into one from before encryption.
 */
#ifndef LETHE_TESTS_SUPPORT_VAULT_FIXTURE_H
#define LETHE_TESTS_SUPPORT_VAULT_FIXTURE_H

#include "tests/support/store_fixture.h"

#include <dirent.h>
#include <sys/stat.h>

/* Number of files in a folder; the name of the last one, if wanted. */
static inline unsigned folder_files(const char *folder, char *ret_name, size_t size)
{
    unsigned n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (e->d_name[0] == '.')
            continue;
        n++;
        if (ret_name)
            (void)snprintf(ret_name, size, "%s", e->d_name);
    }
    (void)closedir(d);
    return n;
}

/* How often the bytes occur in one file. */
static inline size_t file_occurrences(const char *path, const void *bytes, size_t n)
{
    unsigned char *content = NULL;
    size_t size = 0;
    size_t found = 0;
    assert_ok(sysio_read_file(path, (size_t)1 << 30, &content, &size, THE_FAULT));
    const unsigned char *p = content;
    while ((p = memmem(p, size - (size_t)(p - content), bytes, n)) != NULL) {
        found++;
        p++;
    }
    sysio_free(content);
    return found;
}

/* The same in all files under a folder. */
static inline size_t folder_occurrences(const char *folder, const void *bytes, size_t n)
{
    size_t found = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        char path[2048];
        struct stat info;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        assert_int_equal(stat(path, &info), 0);
        if (S_ISDIR(info.st_mode))
            found += folder_occurrences(path, bytes, n);
        else if (S_ISREG(info.st_mode))
            found += file_occurrences(path, bytes, n);
    }
    (void)closedir(d);
    return found;
}

#endif
