#include "daemon/serve/clients.h"

#include "daemon/base/sysio.h"
#include "proto/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX      ".pub"
#define SUFFIX_SIZE (sizeof SUFFIX - 1)

struct clients {
    size_t n;
    struct client_entry at[LIMIT_CLIENTS]; /* by name */
};

struct clients *clients_nobody(void)
{
    return sysio_alloc(1, sizeof(struct clients));
}

void clients_free(struct clients *c)
{
    sysio_free(c);
}

/* ------------------------------------------------------------ looking up */

size_t clients_count(const struct clients *c)
{
    return c->n;
}

const struct client_entry *clients_at(const struct clients *c, size_t i)
{
    return &c->at[i];
}

const struct client_entry *clients_by_key(const struct clients *c, const struct curve_key *key)
{
    for (size_t i = 0; i < c->n; i++)
        if (curve_key_equal(&c->at[i].file.key, key))
            return &c->at[i];
    return NULL;
}

const struct client_entry *clients_by_print(const struct clients *c, const char *print)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->at[i].print, print) == 0)
            return &c->at[i];
    return NULL;
}

const struct client_entry *clients_by_name(const struct clients *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->at[i].file.name, name) == 0)
            return &c->at[i];
    return NULL;
}

/* ------------------------------------------------------------ changing */

enum status clients_check_roles(unsigned roles, struct fault *f)
{
    if (roles == 0 || (roles & ~(unsigned)CURVE_ROLE_ALL))
        FAIL(f, STATUS_INVALID_ARGUMENT, "role",
             "privacy, mlops, predict, auditor, admin, with commas between");
    if ((roles & CURVE_ROLE_ADMIN) && (roles & CURVE_ROLE_PRIVACY))
        FAIL(f, STATUS_INVALID_ARGUMENT, "role",
             "admin and privacy are the roles of two different keys");
    return STATUS_OK;
}

static enum status check_new(const struct clients *c, const struct client_entry *e, struct fault *f)
{
    if (!curve_name_good(e->file.name))
        FAIL(f, STATUS_INVALID_ARGUMENT, "name",
             "1 to %d letters, digits, '.', '_', '-', not first '.' or '-'", CURVE_NAME_SIZE - 1);
    TRY(clients_check_roles(e->roles, f));
    if (clients_by_name(c, e->file.name))
        FAIL(f, STATUS_ALREADY_EXISTS, "name", "there is a client %s already", e->file.name);
    const struct client_entry *other = clients_by_print(c, e->print);
    if (other)
        FAIL(f, STATUS_ALREADY_EXISTS, "key", "%s has the same key", other->file.name);
    if (c->n == LIMIT_CLIENTS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "clients", "more than %u clients", LIMIT_CLIENTS);
    return STATUS_OK;
}

enum status clients_add(struct clients *c, const struct curve_entry *entry, struct fault *f)
{
    struct client_entry e = {.file = *entry, .roles = curve_roles_parse(entry->role)};
    curve_key_print(&entry->key, e.print);
    TRY(check_new(c, &e, f));
    size_t i = c->n++;
    for (; i > 0 && strcmp(c->at[i - 1].file.name, entry->name) > 0; i--)
        c->at[i] = c->at[i - 1];
    c->at[i] = e;
    return STATUS_OK;
}

void clients_drop(struct clients *c, const struct curve_key *key)
{
    size_t i = 0;
    while (i < c->n && !curve_key_equal(&c->at[i].file.key, key))
        i++;
    if (i == c->n)
        return;
    c->n--;
    memmove(&c->at[i], &c->at[i + 1], (c->n - i) * sizeof c->at[0]);
}

/* ------------------------------------------------------------ reading */

static bool counts(const char *name)
{
    const size_t n = strlen(name);
    return name[0] != '.' && n > SUFFIX_SIZE && strcmp(name + n - SUFFIX_SIZE, SUFFIX) == 0;
}

/* A name that is a file of ours is that of its client with the suffix. */
static bool is_file_of(const char *file, const char *client)
{
    const size_t n = strlen(client);
    return strncmp(file, client, n) == 0 && strcmp(file + n, SUFFIX) == 0;
}

static enum status place(const char *folder, const char *name, char path[PATH_MAX], struct fault *f)
{
    const int n = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    if (n < 0 || n >= PATH_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "clients", "the path is longer than %d bytes",
             PATH_MAX - 1);
    return STATUS_OK;
}

/* Looked at before it is opened: a FIFO would hold us up for ever. */
static enum status check_file(const char *path, struct fault *f)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        FAIL(f, status_from_errno(errno), "clients", "%.110s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        FAIL(f, STATUS_INVALID_ARGUMENT, "clients", "%.110s is no regular file", path);
    if (info.st_mode & (S_IWGRP | S_IWOTH))
        FAIL(f, STATUS_PERMISSION_DENIED, "clients",
             "%.60s: others than its owner may write it; chmod 644 %.50s", path, path);
    return STATUS_OK;
}

static enum status
read_file(struct clients *c, const char *folder, const char *name, struct fault *f)
{
    char path[PATH_MAX];
    struct curve_entry e;
    TRY(place(folder, name, path, f));
    TRY(check_file(path, f));
    TRY(curve_file_read_entry(path, &e, f));
    enum status st = clients_add(c, &e, f);
    if (st == STATUS_OK && !is_file_of(name, e.name))
        st = fault_set(f, STATUS_INVALID_ARGUMENT, __FILE__, __LINE__, "name",
                       "the client in it is called %s: name the file %s" SUFFIX, e.name, e.name);
    if (st != STATUS_OK)
        fault_prefix(f, "%.90s", path);
    return st;
}

static enum status check_folder(int fd, const char *folder, struct fault *f)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        FAIL(f, status_from_errno(errno), "clients", "%.110s: %s", folder, strerror(errno));
    if (info.st_mode & S_IWOTH)
        FAIL(f, STATUS_PERMISSION_DENIED, "clients", "everybody may write to %.80s; chmod o-w it",
             folder);
    return STATUS_OK;
}

static enum status read_folder(struct clients *c, const char *folder, struct fault *f)
{
    DIR *files = opendir(folder);
    if (!files)
        FAIL(f, status_from_errno(errno), "clients", "%.110s: %s", folder, strerror(errno));
    enum status st = check_folder(dirfd(files), folder, f);
    errno = 0;
    for (const struct dirent *e; st == STATUS_OK && (e = readdir(files)); errno = 0)
        if (counts(e->d_name))
            st = read_file(c, folder, e->d_name, f);
    if (st == STATUS_OK && errno != 0)
        st = fault_set(f, status_from_errno(errno), __FILE__, __LINE__, "clients", "%.110s: %s",
                       folder, strerror(errno));
    (void)closedir(files);
    return st;
}

enum status clients_load(const char *folder, struct clients **ret_clients, struct fault *f)
{
    struct clients *c = clients_nobody();
    if (!c)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the table of clients");
    const enum status st = read_folder(c, folder, f);
    if (st == STATUS_OK)
        *ret_clients = c;
    else
        clients_free(c);
    return st;
}

/* ------------------------------------------------------------ writing */

static enum status sync_folder(const char *folder, struct fault *f)
{
    const int fd = sysio_open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    const int bad = fd < 0 ? -1 : sysio_fsync(fd);
    const int errnum = errno;
    if (fd >= 0)
        (void)close(fd);
    if (bad != 0)
        FAIL(f, status_from_errno(errnum), "clients", "%.110s: %s", folder, strerror(errnum));
    return STATUS_OK;
}

/* Gives the finished file its name, unless that is taken. */
static enum status publish(const char *folder, const char *made, const char *path, struct fault *f)
{
    const int bad = link(made, path);
    const int errnum = errno;
    (void)unlink(made);
    if (bad != 0)
        FAIL(f, errnum == EEXIST ? STATUS_ALREADY_EXISTS : status_from_errno(errnum), "name",
             "%.100s: %s", path, strerror(errnum));
    const enum status st = sync_folder(folder, f);
    if (st != STATUS_OK)
        (void)unlink(path);
    return st;
}

enum status clients_file_add(const char *folder, const struct curve_entry *entry, struct fault *f)
{
    char name[CURVE_NAME_SIZE + 8], path[PATH_MAX], made[PATH_MAX];
    (void)snprintf(name, sizeof name, "%s" SUFFIX, entry->name);
    TRY(place(folder, name, path, f));
    (void)snprintf(name, sizeof name, ".%s.new", entry->name);
    TRY(place(folder, name, made, f));
    (void)unlink(made); /* of a daemon that was stopped half-way */
    TRY(curve_file_write_entry(made, entry, f));
    return publish(folder, made, path, f);
}

enum status clients_file_remove(const char *folder, const char *name, struct fault *f)
{
    char file[CURVE_NAME_SIZE + 8], path[PATH_MAX];
    (void)snprintf(file, sizeof file, "%s" SUFFIX, name);
    TRY(place(folder, file, path, f));
    if (unlink(path) != 0 && errno != ENOENT)
        FAIL(f, status_from_errno(errno), "name", "%.100s: %s", path, strerror(errno));
    return sync_folder(folder, f);
}
