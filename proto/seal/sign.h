/*
 * Ed25519 (RFC 8032) keys of the log and of witnesses, in the forms of C2SP signed notes.
 *
 * A key has a name (the log's is its origin) and a type: 0x01 signs checkpoints, 0x04 cosigns them
 * as a witness.  The type is part of the key id, so a key of one type never passes for the other.
 *
 *   key id       first 4 bytes of SHA-256(name || 0x0A || type || 32-byte public key)
 *   vkey         NAME+HEXID+BASE64(type || public key)               public, given to verifiers
 *   secret       PRIVATE+KEY+NAME+HEXID+BASE64(type || 32-byte seed)  one line, with a newline
 *
 * Names: 1 to SIGN_NAME_MAX of a-z A-Z 0-9 . _ - / : ~ so that they need no escaping anywhere.
 *
 * struct sign_key is opaque and lives in locked, guarded memory of its own, left out of core dumps
 * and wiped when it is freed.  The key of the log signs checkpoints and nothing else.  Any thread
 * may verify; a sign_key may be used by any thread, none may free it meanwhile.
 */
#ifndef LETHE_PROTO_SEAL_SIGN_H
#define LETHE_PROTO_SEAL_SIGN_H

#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define SIGN_PUBLIC_SIZE    32
#define SIGN_SEED_SIZE      32
#define SIGN_SIGNATURE_SIZE 64
#define SIGN_KEY_ID_SIZE    4
#define SIGN_NAME_MAX       127
#define SIGN_NAME_SIZE      (SIGN_NAME_MAX + 1)
/* name + 8 hex + base64 of 33 bytes, two plus signs, NUL */
#define SIGN_VKEY_SIZE   (SIGN_NAME_MAX + 1 + 8 + 1 + 44 + 1)
#define SIGN_SECRET_SIZE (12 + SIGN_VKEY_SIZE + 1) /* with newline and NUL */

enum sign_type { SIGN_LOG = 0x01, SIGN_WITNESS = 0x04 };

/* The public half: a plain value. */
struct sign_vkey {
    char name[SIGN_NAME_SIZE];
    enum sign_type type;
    uint8_t id[SIGN_KEY_ID_SIZE];
    uint8_t public[SIGN_PUBLIC_SIZE];
};

struct sign_key;

/* 1 if the text is a name as above. */
int sign_name_is_valid(const char *name, size_t n);

/* INVALID_ARGUMENT (name), NO_MEMORY. */
enum status sign_key_generate(const char *name,
                              enum sign_type type,
                              struct sign_key **ret_key,
                              struct fault *f) MUST_CHECK;
/* The same from a seed, which stays the caller's to wipe. */
enum status sign_key_from_seed(const char *name,
                               enum sign_type type,
                               const uint8_t seed[SIGN_SEED_SIZE],
                               struct sign_key **ret_key,
                               struct fault *f) MUST_CHECK;
/* NULL is allowed. */
void sign_key_free(struct sign_key *key);
/* Borrowed; lives as long as the key. */
const struct sign_vkey *sign_key_public(const struct sign_key *key);

/*
 * The secret form with its newline and a NUL; returns its length.  The caller wipes it
 * (sign_wipe).
 */
size_t sign_key_format(const struct sign_key *key, char text[SIGN_SECRET_SIZE]);
/* n bytes, one final newline allowed.  INVALID_ARGUMENT, never with a part of the text. */
enum status
sign_key_parse(const char *text, size_t n, struct sign_key **ret_key, struct fault *f) MUST_CHECK;

void sign_bytes(const struct sign_key *key,
                const void *bytes,
                size_t n,
                uint8_t ret_signature[SIGN_SIGNATURE_SIZE]);
/* 1: the signature is right. */
int sign_verify(const uint8_t public[SIGN_PUBLIC_SIZE],
                const void *bytes,
                size_t n,
                const uint8_t signature[SIGN_SIGNATURE_SIZE]);

/* INVARIANT: the name is valid. */
struct sign_vkey
sign_vkey_make(const char *name, enum sign_type type, const uint8_t public[SIGN_PUBLIC_SIZE]);
void sign_vkey_format(const struct sign_vkey *vkey, char text[SIGN_VKEY_SIZE]);
/* INVALID_ARGUMENT for any other form, a wrong id, an unknown type, a weak public key. */
enum status
sign_vkey_parse(const char *text, size_t n, struct sign_vkey *ret_vkey, struct fault *f) MUST_CHECK;

void sign_wipe(void *bytes, size_t n);

#endif
