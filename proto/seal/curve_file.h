/*
 * Files that hold CURVE keys.
 *
 * A key file is text: one line of 40 characters of Z85; blank lines and lines that begin with #
 * are skipped, anything else is an error.  The file of a secret key is for its owner alone (mode
 * 0600 or less); one that others can read is refused, because then it is no secret any more.  Files
 * of the service manager's credentials folder ($CREDENTIALS_DIRECTORY) may be readable for the
 * group: there the group bits are the mask of an access list.
 *
 * A client's entry, NAME.pub in the daemon's folder of clients, is text of "name = value" lines:
 *
 *     # lethe client
 *     name = alice            1 to 64 letters, digits, '.', '_', '-', not first '.' or '-'
 *     role = privacy          privacy, mlops, predict, auditor, admin; several with commas between
 *     key = ...               the public key, 40 characters of Z85
 *
 * Each of the three stands exactly once; blank lines and lines that begin with # are skipped.
 */
#ifndef LETHE_PROTO_SEAL_CURVE_FILE_H
#define LETHE_PROTO_SEAL_CURVE_FILE_H

#include "proto/seal/curve_key.h"
#include "proto/seal/key_file.h"

#define CURVE_FILE_MAX  KEY_FILE_MAX
#define CURVE_NAME_SIZE 65
#define CURVE_ROLE_SIZE 48

/* Roles of a client, as bits; what each may do is the daemon's business. */
enum curve_role {
    CURVE_ROLE_PRIVACY = 1u << 0,
    CURVE_ROLE_MLOPS = 1u << 1,
    CURVE_ROLE_PREDICT = 1u << 2,
    CURVE_ROLE_AUDITOR = 1u << 3,
    CURVE_ROLE_ADMIN = 1u << 4,
    CURVE_ROLE_ALL = (1u << 5) - 1
};

/* "privacy,mlops" as bits; 0: an unknown role, one given twice, or none at all. */
unsigned curve_roles_parse(const char *text);

struct curve_entry {
    char name[CURVE_NAME_SIZE];
    char role[CURVE_ROLE_SIZE];
    struct curve_key key;
};

/* Whether a client may have this name. */
int curve_name_good(const char *name);

/* NOT_FOUND and other errors of reading; INVALID_ARGUMENT: no key file.  Text names the file. */
enum status
curve_file_read_public(const char *path, struct curve_key *ret_key, struct fault *f) MUST_CHECK;
/* The same of a secret key; PERMISSION_DENIED: others than its owner may read the file. */
enum status
curve_file_read_secret(const char *path, struct curve_key *ret_key, struct fault *f) MUST_CHECK;
/* Errors as above; the fault's field is the line at fault: name, role or key. */
enum status
curve_file_read_entry(const char *path, struct curve_entry *ret_entry, struct fault *f) MUST_CHECK;
/* The same from n bytes of text. */
enum status curve_entry_parse(const char *text,
                              size_t n,
                              struct curve_entry *ret_entry,
                              struct fault *f) MUST_CHECK;

/*
 * Writes a new file of mode 0600 (secret) or 0644 with a comment above the key, durably; a file
 * that is there is never touched: ALREADY_EXISTS.
 */
enum status
curve_file_write_secret(const char *path, const struct curve_key *key, struct fault *f) MUST_CHECK;
enum status curve_file_write_public(const char *path,
                                    const char *comment,
                                    const struct curve_key *key,
                                    struct fault *f) MUST_CHECK;
enum status curve_file_write_entry(const char *path,
                                   const struct curve_entry *entry,
                                   struct fault *f) MUST_CHECK;

#endif
