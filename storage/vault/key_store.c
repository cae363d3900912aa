#include "storage/vault/key_store.h"

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "proto/seal/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEK_MAGIC     "lethekek"
#define KEK_FORMAT    1u
#define KEK_CONTEXT   "lethe/kek/v1"
#define KEK_TAGGED    (8 + 4 + 8 + REQUEST_ID_SIZE + SEAL_KEY_SIZE)
#define KEK_FILE_SIZE (KEK_TAGGED + SEAL_TAG_SIZE)
#define KEK_NAME_SIZE 80
#define KEK_PATH_SIZE (KEY_STORE_PATH_SIZE + KEK_NAME_SIZE)

const char *key_store_backend(void)
{
    return "file";
}

static enum status fail_errno(const char *what, const char *path, int cause, struct fault *f)
{
    FAIL(f, status_from_errno(cause), "kek_folder", "cannot %s %.90s: %s", what, path,
         strerror(cause));
}

/* ---------------------------------------------------------------- names */

/* The part of the file name that says whose key it is. */
static void prefix_of(const struct key_store *s, char to[2 * REQUEST_ID_SIZE + 2])
{
    hex_format(s->identity.b, REQUEST_ID_SIZE, to);
    memcpy(to + (size_t)2 * REQUEST_ID_SIZE, "-", 2);
}

static void path_of(const struct key_store *s, uint64_t epoch, char to[KEK_PATH_SIZE])
{
    char prefix[2 * REQUEST_ID_SIZE + 2];
    prefix_of(s, prefix);
    (void)snprintf(to, KEK_PATH_SIZE, "%s/%s%llu.kek", s->folder, prefix,
                   (unsigned long long)epoch);
}

static enum status sync_folder(const struct key_store *s, struct fault *f)
{
    const int fd = sysio_open(s->folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fail_errno("open", s->folder, errno, f);
    const int bad = sysio_fsync(fd);
    const int cause = errno;
    (void)close(fd);
    return bad ? fail_errno("sync", s->folder, cause, f) : STATUS_OK;
}

enum status key_store_open(const char *folder,
                           const struct request_id *identity,
                           struct key_store *ret_store,
                           struct fault *f)
{
    struct stat info;
    struct key_store s = {.identity = *identity};
    if (strlen(folder) >= sizeof s.folder)
        FAIL(f, STATUS_INVALID_ARGUMENT, "kek_folder", "the path is longer than %zu bytes",
             sizeof s.folder - 1);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return fail_errno("make", folder, errno, f);
    if (stat(folder, &info) != 0)
        return fail_errno("read", folder, errno, f);
    if (!S_ISDIR(info.st_mode) || (info.st_mode & 077) != 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "kek_folder",
             "%.90s must be a folder of this user alone (mode 0700)", folder);
    (void)snprintf(s.folder, sizeof s.folder, "%s", folder);
    *ret_store = s;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- one file */

static void encode(const struct key_store *s,
                   uint64_t epoch,
                   const struct seal_key *kek,
                   uint8_t to[KEK_FILE_SIZE])
{
    uint8_t tag[SEAL_TAG_SIZE];
    struct byte_writer w = byte_writer_make(to, KEK_FILE_SIZE);
    put_bytes(&w, KEK_MAGIC, 8);
    put_u32(&w, KEK_FORMAT);
    put_u64(&w, epoch);
    put_bytes(&w, s->identity.b, REQUEST_ID_SIZE);
    put_bytes(&w, kek->b, SEAL_KEY_SIZE);
    seal_tag(KEK_CONTEXT, sizeof KEK_CONTEXT - 1, to, KEK_TAGGED, tag);
    put_bytes(&w, tag, sizeof tag);
    INVARIANT(!w.failed && w.used == KEK_FILE_SIZE);
}

static int decode(const struct key_store *s,
                  uint64_t epoch,
                  const uint8_t *bytes,
                  size_t size,
                  struct seal_key *ret_kek)
{
    char magic[8];
    uint8_t tag[SEAL_TAG_SIZE], found[SEAL_TAG_SIZE];
    struct request_id identity;
    struct byte_reader r = byte_reader_make(bytes, size);
    get_bytes(&r, magic, sizeof magic);
    const uint32_t format = get_u32(&r);
    const uint64_t its_epoch = get_u64(&r);
    get_bytes(&r, identity.b, sizeof identity.b);
    get_bytes(&r, ret_kek->b, SEAL_KEY_SIZE);
    get_bytes(&r, tag, sizeof tag);
    if (!byte_reader_done(&r) || memcmp(magic, KEK_MAGIC, sizeof magic) != 0 ||
        format != KEK_FORMAT || its_epoch != epoch || !request_id_equal(&identity, &s->identity))
        return 0;
    seal_tag(KEK_CONTEXT, sizeof KEK_CONTEXT - 1, bytes, KEK_TAGGED, found);
    return memcmp(tag, found, sizeof tag) == 0;
}

static enum status
write_all(int fd, const char *path, const uint8_t *bytes, size_t n, struct fault *f)
{
    while (n > 0) {
        const ssize_t done = sysio_write(fd, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fail_errno("write", path, errno, f);
        bytes += done;
        n -= (size_t)done;
    }
    return sysio_fsync(fd) == 0 ? STATUS_OK : fail_errno("sync", path, errno, f);
}

/* Random bytes over the file, then it goes.  Absence of the file is no error. */
static enum status shred_file(const char *path, struct fault *f)
{
    uint8_t noise[KEK_FILE_SIZE];
    struct stat info;
    const int fd = sysio_open(path, O_WRONLY, 0);
    if (fd < 0 && errno == ENOENT)
        return STATUS_OK;
    if (fd < 0)
        return fail_errno("open", path, errno, f);
    enum status st = fstat(fd, &info) == 0 ? STATUS_OK : fail_errno("read", path, errno, f);
    for (off_t at = 0; st == STATUS_OK && at < info.st_size; at += (off_t)sizeof noise) {
        seal_random(noise, sizeof noise);
        st = write_all(fd, path, noise, sizeof noise, f);
    }
    (void)close(fd);
    TRY(st);
    if (unlink(path) != 0)
        return fail_errno("remove", path, errno, f);
    return STATUS_OK;
}

enum status key_store_put(const struct key_store *s,
                          uint64_t epoch,
                          const struct seal_key *kek,
                          struct fault *f)
{
    char path[KEK_PATH_SIZE], fresh[KEK_PATH_SIZE + 8];
    uint8_t bytes[KEK_FILE_SIZE];
    path_of(s, epoch, path);
    (void)snprintf(fresh, sizeof fresh, "%s.new", path);
    TRY(shred_file(path, f));
    TRY(shred_file(fresh, f));
    const int fd = sysio_open(fresh, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return fail_errno("make", fresh, errno, f);
    encode(s, epoch, kek, bytes);
    enum status st = write_all(fd, fresh, bytes, sizeof bytes, f);
    seal_wipe(bytes, sizeof bytes);
    if (close(fd) != 0 && st == STATUS_OK)
        st = fail_errno("close", fresh, errno, f);
    if (st == STATUS_OK && sysio_rename(fresh, path) != 0)
        st = fail_errno("rename", fresh, errno, f);
    if (st == STATUS_OK)
        return sync_folder(s, f);
    /* The first error is the one to report; should this one fail too, the next start deals with it.
     */
    if (shred_file(fresh, NULL) != STATUS_OK)
        fault_prefix(f, "a half-written key stays");
    return st;
}

enum status
key_store_get(const struct key_store *s, uint64_t epoch, struct seal_key *ret_kek, struct fault *f)
{
    char path[KEK_PATH_SIZE];
    unsigned char *bytes = NULL;
    size_t size = 0;
    struct seal_key kek;
    path_of(s, epoch, path);
    if (access(path, F_OK) != 0 && errno == ENOENT)
        FAIL(f, STATUS_NOT_FOUND, "kek",
             "the key of epoch %llu is not in %.80s: without it nothing in the store can be read",
             (unsigned long long)epoch, s->folder);
    TRY(sysio_read_file(path, KEK_FILE_SIZE, &bytes, &size, f));
    const int good = decode(s, epoch, bytes, size, &kek);
    seal_wipe(bytes, size);
    sysio_free(bytes);
    if (good)
        *ret_kek = kek;
    seal_key_wipe(&kek);
    if (!good)
        FAIL(f, STATUS_DATA_LOSS, "kek", "the key file of epoch %llu in %.80s is damaged",
             (unsigned long long)epoch, s->folder);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- destroying */

static enum status check_absent(const char *path, struct fault *f)
{
    if (access(path, F_OK) == 0 || errno != ENOENT)
        FAIL(f, STATUS_IO_ERROR, "kek_folder", "%.90s is still there", path);
    return STATUS_OK;
}

enum status key_store_destroy(const struct key_store *s, uint64_t epoch, struct fault *f)
{
    char path[KEK_PATH_SIZE];
    path_of(s, epoch, path);
    TRY(shred_file(path, f));
    TRY(sync_folder(s, f));
    return check_absent(path, f);
}

/* Is this directory entry a key file of this store, whole or half-written, that has to go? */
static int must_go(const struct key_store *s, const char *name, uint64_t kept)
{
    char prefix[2 * REQUEST_ID_SIZE + 2];
    char keep[KEK_NAME_SIZE];
    prefix_of(s, prefix);
    (void)snprintf(keep, sizeof keep, "%s%llu.kek", prefix, (unsigned long long)kept);
    return strncmp(name, prefix, strlen(prefix)) == 0 && strcmp(name, keep) != 0;
}

/* The first file that has to go; 0 if there is none. */
static enum status find_one(const struct key_store *s,
                            uint64_t kept,
                            char to[KEK_PATH_SIZE],
                            int *ret_found,
                            struct fault *f)
{
    DIR *d = opendir(s->folder);
    if (!d)
        return fail_errno("read", s->folder, errno, f);
    const struct dirent *e;
    *ret_found = 0;
    while (!*ret_found && (e = readdir(d)) != NULL) {
        if (!must_go(s, e->d_name, kept))
            continue;
        const int n = snprintf(to, KEK_PATH_SIZE, "%s/%s", s->folder, e->d_name);
        *ret_found = n > 0 && n < KEK_PATH_SIZE;
    }
    (void)closedir(d);
    return STATUS_OK;
}

enum status key_store_keep_only(const struct key_store *s,
                                uint64_t epoch,
                                size_t *ret_destroyed,
                                struct fault *f)
{
    char path[KEK_PATH_SIZE];
    size_t n = 0;
    for (;; n++) {
        int found = 0;
        TRY(find_one(s, epoch, path, &found, f));
        if (!found)
            break;
        TRY(shred_file(path, f));
        TRY(sync_folder(s, f));
        TRY(check_absent(path, f));
    }
    *ret_destroyed = n;
    return STATUS_OK;
}
