/*
 * What is known about uploads in progress besides their bytes: the data set that each will become.
 * Kept in memory by the core thread; the bytes are durable in the store, so that a client that
 * opens the same data set again after a restart goes on where it was.  An upload's id is derived
 * from whose it is and what it will become, which is how the same one is found again.
 */
#ifndef LETHE_JOBS_UPLOADS_OPEN_H
#define LETHE_JOBS_UPLOADS_OPEN_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "daemon/serve/call.h"
#include "proto/wire.h"
#include "storage/datasets/datasets.h"

#include <stdint.h>

#define UPLOADS_OPEN_MAX 64

struct uploads_open;

struct upload_spec {
    struct request_id id;
    char principal[CALL_PRINCIPAL_SIZE]; /* whose it is */
    struct dataset set;   /* name, role, sizes, label kind, class names (owned); no blobs yet */
    struct digest digest; /* declared: of pixels, labels and subjects */
    uint64_t pixel_bytes;
    uint64_t label_bytes;
    uint64_t subject_bytes; /* 0: it does not say whose images are */
    int complete;           /* imported: a repeated close is answered again */
    int64_t expires_us;
};

/* Of the whole stream. */
uint64_t upload_spec_bytes(const struct upload_spec *spec);

enum status uploads_open_new(struct uploads_open **ret_uploads, struct fault *f) MUST_CHECK;
void uploads_open_free(struct uploads_open *u);
/*
 * Finds or adds the upload that a message of this client describes.  INVALID_ARGUMENT names the
 * field (name, role, images, height, width, channels, classes); RESOURCE_EXHAUSTED: too many at
 * once.
 */
enum status uploads_open_add(struct uploads_open *u,
                             const char *principal,
                             const struct wire_data_open *m,
                             int64_t expires_us,
                             struct upload_spec **ret_spec,
                             struct fault *f) MUST_CHECK;
/* NULL if it is not known (any more). */
struct upload_spec *uploads_open_find(struct uploads_open *u, const struct request_id *id);
void uploads_open_remove(struct uploads_open *u, const struct request_id *id);
void uploads_open_expire(struct uploads_open *u, int64_t now_us);

#endif
