/*
 * Clients: who may come with a key.  One file a client, NAME.pub in a folder (proto/seal/
 * curve_file.h has its format).  The folder is read as a whole into a new table; one that does not
 * read leaves its reader with the table it had.  Locking is the owner's business.
 *
 * A file counts if its name ends in .pub and does not begin with a dot.  It must be a regular file
 * that nobody but its owner can write, be called as the client in it, and give a key that no other
 * file gives.  A role admin does not stand beside privacy: who may erase and who may hand out keys
 * are two.
 */
#ifndef LETHE_SERVE_CLIENTS_H
#define LETHE_SERVE_CLIENTS_H

#include "proto/seal/curve_file.h"

#include <stddef.h>

struct client_entry {
    struct curve_entry file; /* name, role as written, public key */
    unsigned roles;          /* bits of curve_role */
    char print[CURVE_PRINT_SIZE];
};

struct clients;

/*
 * Reads a folder.  NOT_FOUND: no such folder; PERMISSION_DENIED: others may write to it or to a
 * file in it; INVALID_ARGUMENT, ALREADY_EXISTS: a file is at fault (the text names it, and the line
 * where there is one); RESOURCE_EXHAUSTED: more than LIMIT_CLIENTS.
 */
enum status
clients_load(const char *folder, struct clients **ret_clients, struct fault *f) MUST_CHECK;
/* A table without anybody; NULL without memory. */
struct clients *clients_nobody(void);
/* NULL allowed. */
void clients_free(struct clients *c);

size_t clients_count(const struct clients *c);
/* In the order of their names; i below clients_count. */
const struct client_entry *clients_at(const struct clients *c, size_t i);
/* NULL: not one of them.  Borrowed until the table changes. */
const struct client_entry *clients_by_key(const struct clients *c, const struct curve_key *key);
const struct client_entry *clients_by_print(const struct clients *c, const char *print);
const struct client_entry *clients_by_name(const struct clients *c, const char *name);

/* Errors as of a file that is read: roles, a name or key that is there, no room. */
enum status
clients_add(struct clients *c, const struct curve_entry *entry, struct fault *f) MUST_CHECK;
/* Nothing happens if there is no such key. */
void clients_drop(struct clients *c, const struct curve_key *key);

/* Whether a client may have these roles together: at least one, and not privacy with admin. */
enum status clients_check_roles(unsigned roles, struct fault *f) MUST_CHECK;

/*
 * Adds the file of a client, whole and durable or not at all.  ALREADY_EXISTS: there is one of this
 * name; others as the system says.
 */
enum status
clients_file_add(const char *folder, const struct curve_entry *entry, struct fault *f) MUST_CHECK;
/* Removes it durably; one that is gone already will do. */
enum status clients_file_remove(const char *folder, const char *name, struct fault *f) MUST_CHECK;

#endif
