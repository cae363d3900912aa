#include "daemon/jobs/uploads_open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "proto/limits.h"
#include "proto/seal/hash.h"

struct uploads_open {
    size_t n;
    struct upload_spec *items[UPLOADS_OPEN_MAX];
};

static void spec_free(struct upload_spec *s)
{
    if (s)
        sysio_free((void *)(uintptr_t)s->set.class_names);
    sysio_free(s);
}

enum status uploads_open_new(struct uploads_open **ret_uploads, struct fault *f)
{
    struct uploads_open *u = sysio_alloc(1, sizeof *u);
    if (!u)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the list of uploads");
    *ret_uploads = u;
    return STATUS_OK;
}

void uploads_open_free(struct uploads_open *u)
{
    if (!u)
        return;
    for (size_t i = 0; i < u->n; i++)
        spec_free(u->items[i]);
    sysio_free(u);
}

/* ---------------------------------------------------------------- checks */

static int name_is_good(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const size_t n = strlen(name);
    return n > 0 && n < DATASET_NAME_SIZE && strspn(name, allowed) == n && name[0] != '.' &&
           name[0] != '-';
}

static enum status check_sizes(const struct wire_data_open *m, struct fault *f)
{
    if (m->images == 0 || m->images > DATASET_ROWS_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "images", "a data set has 1 to %llu images",
             (unsigned long long)DATASET_ROWS_MAX);
    if (m->height == 0 || m->height > DATASET_SIDE_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "height", "must be 1 to %d", DATASET_SIDE_MAX);
    if (m->width == 0 || m->width > DATASET_SIDE_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "width", "must be 1 to %d", DATASET_SIDE_MAX);
    if (m->channels != 1 && m->channels != 3)
        FAIL(f, STATUS_INVALID_ARGUMENT, "channels", "must be 1 or 3");
    return STATUS_OK;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static enum status check_classes(const struct wire_data_open *m, struct fault *f)
{
    if (m->n_classes == 0 || m->n_classes > DATASET_CLASSES_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "classes", "a data set has 1 to %d class names",
             DATASET_CLASSES_MAX);
    const char **sorted = sysio_alloc(m->n_classes, sizeof *sorted);
    if (!sorted)
        FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for %zu class names", m->n_classes);
    memcpy(sorted, m->classes, m->n_classes * sizeof *sorted);
    qsort(sorted, m->n_classes, sizeof *sorted, compare_names);
    int empty = sorted[0][0] == '\0', twice = 0;
    for (size_t i = 1; i < m->n_classes; i++)
        twice |= strcmp(sorted[i - 1], sorted[i]) == 0;
    sysio_free(sorted);
    if (empty || twice)
        FAIL(f, STATUS_INVALID_ARGUMENT, "classes",
             empty ? "a class name is empty" : "a class name occurs twice");
    return STATUS_OK;
}

static enum status
check_message(const struct wire_data_open *m, enum dataset_role *ret_role, struct fault *f)
{
    if (!name_is_good(m->name))
        FAIL(f, STATUS_INVALID_ARGUMENT, "name",
             "1 to %d letters, digits, '.', '_', '-', not first '.' or '-'", DATASET_NAME_SIZE - 1);
    if (dataset_role_parse(m->role, ret_role) != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "role",
             "must be train, validation, test, unseen or probe");
    if (digest_is_zero(&m->digest))
        FAIL(f, STATUS_INVALID_ARGUMENT, "digest", "the digest of pixels and labels is missing");
    TRY(check_sizes(m, f));
    return check_classes(m, f);
}

/* ---------------------------------------------------------------- specs */

static void hash_text(struct seal_hasher *h, const char *text)
{
    seal_hash_update(h, text, strlen(text) + 1);
}

static void hash_number(struct seal_hasher *h, uint64_t x)
{
    uint8_t bytes[8];
    struct byte_writer w = byte_writer_make(bytes, sizeof bytes);
    put_u64(&w, x);
    seal_hash_update(h, bytes, sizeof bytes);
}

/* The first 16 bytes of a hash over everything that the data set will be. */
static struct request_id spec_id(const char *principal, const struct wire_data_open *m)
{
    struct seal_hasher h;
    seal_hash_init(&h);
    hash_text(&h, "lethe/upload/v2");
    hash_text(&h, principal);
    hash_text(&h, m->name);
    hash_text(&h, m->role);
    hash_number(&h, m->images);
    hash_number(&h, m->height);
    hash_number(&h, m->width);
    hash_number(&h, m->channels);
    hash_number(&h, m->multi_label);
    if (m->subjects)
        hash_text(&h, "subjects");
    seal_hash_update(&h, m->digest.b, DIGEST_SIZE);
    for (size_t i = 0; i < m->n_classes; i++)
        hash_text(&h, m->classes[i]);
    const struct digest d = seal_hash_final(&h);
    struct request_id id;
    memcpy(id.b, d.b, sizeof id.b);
    return id;
}

static const char *const *copy_names(const struct wire_data_open *m)
{
    size_t size = m->n_classes * sizeof(char *);
    for (size_t i = 0; i < m->n_classes; i++)
        size += strlen(m->classes[i]) + 1;
    const char **names = sysio_alloc(size, 1);
    if (!names)
        return NULL;
    char *text = (char *)(names + m->n_classes);
    for (size_t i = 0; i < m->n_classes; i++) {
        const size_t n = strlen(m->classes[i]) + 1;
        memcpy(text, m->classes[i], n);
        names[i] = text;
        text += n;
    }
    return names;
}

static enum status spec_new(const char *principal,
                            const struct wire_data_open *m,
                            enum dataset_role role,
                            struct upload_spec **ret_spec,
                            struct fault *f)
{
    struct upload_spec *s = sysio_alloc(1, sizeof *s);
    if (s)
        s->set.class_names = copy_names(m);
    if (!s || !s->set.class_names) {
        spec_free(s);
        FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for the upload's description");
    }
    s->id = spec_id(principal, m);
    (void)snprintf(s->principal, sizeof s->principal, "%s", principal);
    memcpy(s->set.name, m->name, strlen(m->name) + 1);
    s->set.role = role;
    s->set.n = m->images;
    s->set.height = m->height;
    s->set.width = m->width;
    s->set.channels = m->channels;
    s->set.label_kind = m->multi_label ? DATASET_LABELS_MULTI : DATASET_LABELS_CLASS;
    s->set.n_classes = (uint32_t)m->n_classes;
    s->digest = m->digest;
    s->pixel_bytes = dataset_pixel_bytes(&s->set);
    s->label_bytes = dataset_label_bytes(&s->set);
    s->subject_bytes = m->subjects ? m->images * DIGEST_SIZE : 0;
    if (upload_spec_bytes(s) > LIMIT_DATASET_BYTES) {
        spec_free(s);
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "images", "a data set has at most %llu bytes",
             (unsigned long long)LIMIT_DATASET_BYTES);
    }
    *ret_spec = s;
    return STATUS_OK;
}

uint64_t upload_spec_bytes(const struct upload_spec *spec)
{
    return spec->pixel_bytes + spec->label_bytes + spec->subject_bytes;
}

enum status uploads_open_add(struct uploads_open *u,
                             const char *principal,
                             const struct wire_data_open *m,
                             int64_t expires_us,
                             struct upload_spec **ret_spec,
                             struct fault *f)
{
    enum dataset_role role;
    TRY(check_message(m, &role, f));
    const struct request_id id = spec_id(principal, m);
    struct upload_spec *s = uploads_open_find(u, &id);
    if (!s) {
        if (u->n == UPLOADS_OPEN_MAX)
            FAIL(f, STATUS_RESOURCE_EXHAUSTED, "name", "%d uploads are open already",
                 UPLOADS_OPEN_MAX);
        TRY(spec_new(principal, m, role, &s, f));
        u->items[u->n++] = s;
    }
    s->expires_us = expires_us;
    *ret_spec = s;
    return STATUS_OK;
}

struct upload_spec *uploads_open_find(struct uploads_open *u, const struct request_id *id)
{
    for (size_t i = 0; i < u->n; i++)
        if (request_id_equal(&u->items[i]->id, id))
            return u->items[i];
    return NULL;
}

static void remove_at(struct uploads_open *u, size_t i)
{
    spec_free(u->items[i]);
    u->items[i] = u->items[--u->n];
}

void uploads_open_remove(struct uploads_open *u, const struct request_id *id)
{
    for (size_t i = 0; i < u->n; i++) {
        if (!request_id_equal(&u->items[i]->id, id))
            continue;
        remove_at(u, i);
        return;
    }
}

void uploads_open_expire(struct uploads_open *u, int64_t now_us)
{
    for (size_t i = u->n; i > 0; i--)
        if (u->items[i - 1]->expires_us <= now_us)
            remove_at(u, i - 1);
}
