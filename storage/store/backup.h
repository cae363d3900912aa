/*
 * Backups: two folders, each a database like the store's, holding ciphertext only.
 *   DIR/content   database "chunks": the sealed content, by far the most, useless without the other
 *   DIR/tables    every other database: data keys (wrapped by the epoch's KEK), sealed records, log
 * The KEK is in neither.  A backup is brought up to date in place: chunks that are new are added,
 * then the tables replaced in one transaction, then chunks that nothing names any more removed; cut
 * off at any point, what was complete before still is.
 *
 * After a rotation the tables of older backups are useless, as the KEK that opens them is no more;
 * their content is not lost as long as newer tables name it.  So: back up after each rotation, and
 * keep the KEK folder elsewhere.
 */
#ifndef LETHE_STORAGE_BACKUP_H
#define LETHE_STORAGE_BACKUP_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "storage/store/fsck.h"
#include "storage/store/store.h"

#include <stdint.h>

struct backup_result {
    uint64_t bytes;       /* of all rows, keys included */
    uint64_t written;     /* bytes of content that were new */
    uint64_t epoch;       /* whose KEK opens it */
    struct digest digest; /* BLAKE2b-256 over the stored rows of all databases, in order */
};

/*
 * Makes or updates the backup in `folder` (absolute; made if its parent is there), writing at most
 * `rate` bytes of content a second.  Holds one read transaction.  INVALID_ARGUMENT (field
 * "folder"); FAILED_PRECONDITION: it holds the backup of another store.
 */
enum status backup_make(struct store *s,
                        const char *folder,
                        uint64_t rate,
                        struct backup_result *ret_result,
                        struct fault *f) MUST_CHECK;
/*
 * Makes a new store folder from a backup and checks all of it under the KEK in `kek_folder` (NULL:
 * beside the new store).  FAILED_PRECONDITION: the folder is there already; or (field "kek") the
 * KEK of the backup's epoch is gone, and with it everything in the backup.
 */
enum status backup_restore(const char *folder,
                           const char *store_folder,
                           const char *kek_folder,
                           struct fsck_counts *ret_counts,
                           struct fault *f) MUST_CHECK;

#endif
