/*
 * Where the key-encryption keys (KEK) live: outside the database, so that destroying one destroys
 * everything that was wrapped by it, in stale pages and in old copies of the database alike.  This
 * is the back end `file`: one small file a key in a folder of its own (mode 0700, files 0600), best
 * on another medium than the store.  Deletion is logical: what the medium keeps below its file
 * system is beyond it, and certificates say so (key_store_backend).
 *
 * File IDENTITY-EPOCH.kek (32 hexadecimal digits, then decimal), little-endian, 84 bytes:
 *   8 bytes "lethekek" | u8 format = 1 | u8[3] zero | u64 epoch | identity 16 | key 32 | tag 16
 * The tag (BLAKE2b-128, context "lethe/kek/v1") finds damage.  A file appears whole or not at all
 * (written beside, synced, renamed, folder synced).  Files of other identities are other stores'.
 *
 * Destroying: the bytes are overwritten and synced, the file unlinked, the folder synced, and its
 * absence looked up.  One thread at a time.
 */
#ifndef LETHE_STORAGE_KEY_STORE_H
#define LETHE_STORAGE_KEY_STORE_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "proto/seal/aead.h"

#include <stddef.h>
#include <stdint.h>

#define KEY_STORE_PATH_SIZE 2048

struct key_store {
    char folder[KEY_STORE_PATH_SIZE];
    struct request_id identity; /* of the store whose keys these are */
};

/* "file" (deletion is logical): for the log, certificates and the manual. */
const char *key_store_backend(void);

/*
 * Names the folder and makes it if it is absent.  FAILED_PRECONDITION (field "kek_folder"): open to
 * other users, or not a folder.
 */
enum status key_store_open(const char *folder,
                           const struct request_id *identity,
                           struct key_store *ret_store,
                           struct fault *f) MUST_CHECK;
/* Writes the key of an epoch, durably.  A file of that epoch is destroyed first. */
enum status key_store_put(const struct key_store *s,
                          uint64_t epoch,
                          const struct seal_key *kek,
                          struct fault *f) MUST_CHECK;
/* NOT_FOUND (field "kek") names epoch and folder; DATA_LOSS: the file is damaged. */
enum status key_store_get(const struct key_store *s,
                          uint64_t epoch,
                          struct seal_key *ret_kek,
                          struct fault *f) MUST_CHECK;
/* OK also if there was none. */
enum status
key_store_destroy(const struct key_store *s, uint64_t epoch, struct fault *f) MUST_CHECK;
/* Destroys every key of this store but that epoch's, half-written files included. */
enum status key_store_keep_only(const struct key_store *s,
                                uint64_t epoch,
                                size_t *ret_destroyed,
                                struct fault *f) MUST_CHECK;

#endif
