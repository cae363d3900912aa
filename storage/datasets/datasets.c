#include "storage/datasets/datasets.h"

#include "daemon/base/sysio.h"
#include "storage/blobs/blobs.h"
#include "storage/datasets/replay_memory.h"

#include <stdlib.h>
#include <string.h>

#define DATASET_FORMAT     2u
#define DATASET_BLANKED    3u
#define DATASET_FIRST      1u                    /* without subjects */
#define DATASET_FIRST_SIZE (1 + 8 + DIGEST_SIZE) /* in front of the content */
#define DATASET_FIXED_SIZE (DATASET_FIRST_SIZE + DIGEST_SIZE + SEAL_TAG_SIZE)
#define DATASET_KEY_MAX    (DATASET_NAME_SIZE + 1)
#define LABELS_AT_ONCE     16384u
#define CLASS_BYTES_MIN    5u

static const char *const ROLE_NAMES[DATASET_ROLES] = {
    [DATASET_TRAIN] = "train",   [DATASET_VALIDATION] = "validation", [DATASET_TEST] = "test",
    [DATASET_UNSEEN] = "unseen", [DATASET_PROBE] = "probe",
};

static int role_is_valid(unsigned role)
{
    return role >= DATASET_TRAIN && role < DATASET_ROLES;
}

const char *dataset_role_name(enum dataset_role role)
{
    return role_is_valid(role) ? ROLE_NAMES[role] : "unknown";
}

int dataset_role_parse(const char *name, enum dataset_role *ret_role)
{
    for (unsigned i = DATASET_TRAIN; i < DATASET_ROLES; i++) {
        if (strcmp(ROLE_NAMES[i], name) == 0) {
            *ret_role = (enum dataset_role)i;
            return 0;
        }
    }
    return -1;
}

uint64_t dataset_row_bytes(const struct dataset *d)
{
    return (uint64_t)d->height * d->width * d->channels;
}

uint64_t dataset_pixel_bytes(const struct dataset *d)
{
    return d->n * dataset_row_bytes(d);
}

uint64_t dataset_label_bytes(const struct dataset *d)
{
    return d->n * (d->label_kind == DATASET_LABELS_CLASS ? 4 : (uint64_t)d->n_classes);
}

uint64_t dataset_subject_bytes(const struct dataset *d)
{
    return digest_is_zero(&d->subjects) ? 0 : d->n * DIGEST_SIZE;
}

/* ---------------------------------------------------------------- checking */

int dataset_name_is_valid(const char *name)
{
    static const char ALLOWED[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const size_t n = strlen(name);
    return n > 0 && n < DATASET_NAME_SIZE && strspn(name, ALLOWED) == n && name[0] != '.' &&
           name[0] != '-';
}

static enum status check_name(const char *name, const char *field, struct fault *f)
{
    if (!dataset_name_is_valid(name))
        FAIL(f, STATUS_INVALID_ARGUMENT, field,
             "a name has 1 to %d letters, digits, '.', '_' or '-' and begins with none of \".-\"",
             DATASET_NAME_SIZE - 1);
    return STATUS_OK;
}

static enum status check_side(uint32_t side, const char *field, struct fault *f)
{
    if (side == 0 || side > DATASET_SIDE_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "%u, allowed 1 to %d", (unsigned)side,
             DATASET_SIDE_MAX);
    return STATUS_OK;
}

static enum status check_shape(const struct dataset *d, struct fault *f)
{
    TRY(check_side(d->height, "height", f));
    TRY(check_side(d->width, "width", f));
    if (d->channels != 1 && d->channels != 3)
        FAIL(f, STATUS_INVALID_ARGUMENT, "channels", "%u, allowed 1 or 3", (unsigned)d->channels);
    if (d->n == 0 || d->n > DATASET_ROWS_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "n", "%llu rows, allowed 1 to %llu",
             (unsigned long long)d->n, (unsigned long long)DATASET_ROWS_MAX);
    if (d->label_kind != DATASET_LABELS_CLASS && d->label_kind != DATASET_LABELS_MULTI)
        FAIL(f, STATUS_INVALID_ARGUMENT, "label_kind", "unknown kind %d", (int)d->label_kind);
    if (d->n_classes == 0 || d->n_classes > DATASET_CLASSES_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "class_names", "%u classes, allowed 1 to %d",
             (unsigned)d->n_classes, DATASET_CLASSES_MAX);
    for (uint32_t i = 0; i < d->n_classes; i++) {
        const size_t n = strlen(d->class_names[i]);
        if (n == 0 || n > DATASET_CLASS_MAX)
            FAIL(f, STATUS_INVALID_ARGUMENT, "class_names", "class %u has a name of %zu bytes",
                 (unsigned)i, n);
    }
    return STATUS_OK;
}

static enum status check_blob(struct kv_txn *txn,
                              const struct digest *digest,
                              uint64_t size,
                              const char *field,
                              struct fault *f)
{
    struct blob_info info = {0};
    TRY(blob_stat(txn, digest, &info, f));
    if (info.size != size)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "%llu bytes where the shape asks for %llu",
             (unsigned long long)info.size, (unsigned long long)size);
    return STATUS_OK;
}

static enum status
check_label_bytes(const struct dataset *d, const uint8_t *p, size_t n, uint64_t at, struct fault *f)
{
    const size_t step = d->label_kind == DATASET_LABELS_CLASS ? 4 : 1;
    const uint32_t limit = step == 4 ? d->n_classes : 2;
    for (size_t i = 0; i < n; i += step) {
        struct byte_reader r = byte_reader_make(p + i, step);
        const uint32_t label = step == 4 ? get_u32(&r) : get_u8(&r);
        if (label >= limit)
            FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "label number %llu is %u, allowed 0 to %u",
                 (unsigned long long)((at + i) / step), (unsigned)label, (unsigned)(limit - 1));
    }
    return STATUS_OK;
}

static enum status
check_all_labels(struct extent_reader *r, const struct dataset *d, struct fault *f)
{
    uint8_t buffer[LABELS_AT_ONCE];
    const uint64_t size = dataset_label_bytes(d);
    for (uint64_t at = 0; at < size;) {
        const size_t n = size - at < sizeof buffer ? (size_t)(size - at) : sizeof buffer;
        TRY(extent_read(r, at, buffer, n, f));
        TRY(check_label_bytes(d, buffer, n, at, f));
        at += n;
    }
    return STATUS_OK;
}

static enum status check_labels(struct kv_txn *txn, const struct dataset *d, struct fault *f)
{
    struct extent_reader r;
    TRY(check_blob(txn, &d->labels, dataset_label_bytes(d), "labels", f));
    TRY(blob_reader_init(&r, txn, &d->labels, f));
    const enum status st = check_all_labels(&r, d, f);
    extent_reader_fini(&r);
    return st;
}

/* ---------------------------------------------------------------- records */

static struct kv_bytes key_of(const char *name, enum dataset_role role, uint8_t to[DATASET_KEY_MAX])
{
    const size_t n = strlen(name);
    memcpy(to, name, n);
    to[n] = 0;
    to[n + 1] = (uint8_t)role;
    return kv_bytes_of(to, n + 2);
}

static void put_content(struct byte_writer *w, const struct dataset *d)
{
    put_u64(w, d->n);
    put_u32(w, d->height);
    put_u32(w, d->width);
    put_u32(w, d->channels);
    put_u8(w, (uint8_t)d->label_kind);
    put_bytes(w, d->pixels.b, DIGEST_SIZE);
    put_bytes(w, d->labels.b, DIGEST_SIZE);
    put_u32(w, d->n_classes);
    for (uint32_t i = 0; i < d->n_classes; i++)
        put_string(w, d->class_names[i]);
}

/* What stands in front of the content. */
static void put_front(struct byte_writer *w, const struct dataset *d, const struct digest *now)
{
    uint8_t tag[SEAL_TAG_SIZE];
    const struct digest *imported = d->blanked ? &d->digest : now;
    put_u8(w, d->blanked ? DATASET_BLANKED : DATASET_FORMAT);
    put_i64(w, d->created_us);
    put_bytes(w, imported->b, DIGEST_SIZE);
    put_bytes(w, d->subjects.b, DIGEST_SIZE);
    seal_tag(imported->b, DIGEST_SIZE, d->subjects.b, DIGEST_SIZE, tag);
    put_bytes(w, tag, sizeof tag);
    if (d->blanked)
        put_bytes(w, now->b, DIGEST_SIZE);
}

static enum status
put_record(struct kv_txn *txn, const struct dataset *d, struct digest *ret_digest, struct fault *f)
{
    uint8_t key[DATASET_KEY_MAX];
    struct byte_writer count = byte_writer_make(NULL, 0);
    put_content(&count, d);
    const size_t front = DATASET_FIXED_SIZE + (d->blanked ? DIGEST_SIZE : 0);
    const size_t size = front + count.used;
    uint8_t *record = sysio_alloc(size, 1);
    if (!record)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a data set record");
    struct byte_writer content = byte_writer_make(record + front, size - front);
    put_content(&content, d);
    const struct digest digest = seal_hash(content.at, content.used);
    struct byte_writer head = byte_writer_make(record, front);
    put_front(&head, d, &digest);
    const enum status st =
        kv_put(txn, KV_DATASETS, key_of(d->name, d->role, key), kv_bytes_of(record, size), f);
    sysio_free(record);
    TRY(st);
    *ret_digest = digest;
    return STATUS_OK;
}

/* Subjects are outside of the content's digest; a tag ties them to it. */
static void get_subjects(struct byte_reader *r, struct dataset *d)
{
    uint8_t tag[SEAL_TAG_SIZE] = {0}, found[SEAL_TAG_SIZE];
    get_bytes(r, d->subjects.b, DIGEST_SIZE);
    get_bytes(r, tag, sizeof tag);
    seal_tag(d->digest.b, DIGEST_SIZE, d->subjects.b, DIGEST_SIZE, found);
    if (memcmp(tag, found, sizeof tag) != 0)
        r->failed = 1;
}

/* Gives the size of what stands in front of the content, and the digest that this must have. */
static size_t get_head(struct byte_reader *r, struct dataset *d, struct digest *ret_now)
{
    const unsigned format = get_u8(r);
    if (format < DATASET_FIRST || format > DATASET_BLANKED)
        r->failed = 1;
    d->created_us = get_i64(r);
    get_bytes(r, d->digest.b, DIGEST_SIZE);
    if (format != DATASET_FIRST)
        get_subjects(r, d);
    d->blanked = format == DATASET_BLANKED;
    *ret_now = d->digest;
    if (d->blanked)
        get_bytes(r, ret_now->b, DIGEST_SIZE);
    const size_t front = r->used;
    d->n = get_u64(r);
    d->height = get_u32(r);
    d->width = get_u32(r);
    d->channels = get_u32(r);
    d->label_kind = (enum dataset_labels)get_u8(r);
    get_bytes(r, d->pixels.b, DIGEST_SIZE);
    get_bytes(r, d->labels.b, DIGEST_SIZE);
    d->n_classes = get_u32(r);
    if (d->n_classes > DATASET_CLASSES_MAX || d->n_classes > (r->size - r->used) / CLASS_BYTES_MIN)
        r->failed = 1;
    return front;
}

/* Class names into one block: the pointers, then the strings with their NULs. */
static void get_classes(struct byte_reader *r, const char **names, char *pool, uint32_t n)
{
    for (uint32_t i = 0; i < n && !r->failed; i++) {
        size_t size;
        const uint8_t *p = get_blob(r, &size);
        if (!p || memchr(p, 0, size)) {
            r->failed = 1;
            return;
        }
        memcpy(pool, p, size);
        pool[size] = '\0';
        names[i] = pool;
        pool += size + 1;
    }
}

static int parse_key(struct kv_bytes key, struct dataset *d)
{
    const uint8_t *k = key.data;
    if (key.size < 3 || key.size > DATASET_KEY_MAX || k[key.size - 2] != 0 ||
        !role_is_valid(k[key.size - 1]))
        return 0;
    memcpy(d->name, k, key.size - 1);
    d->role = (enum dataset_role)k[key.size - 1];
    return dataset_name_is_valid(d->name);
}

static enum status
parse_record(struct kv_bytes key, struct kv_bytes value, struct dataset **ret, struct fault *f)
{
    struct dataset head = {0};
    struct byte_reader r = byte_reader_make(value.data, value.size);
    struct digest now = {{0}};
    const size_t front = get_head(&r, &head, &now);
    if (!parse_key(key, &head) || r.failed)
        FAIL(f, STATUS_DATA_LOSS, "dataset", "the record of a data set is damaged");
    const size_t names_size = head.n_classes * sizeof(char *);
    struct dataset *d = sysio_alloc(sizeof *d + names_size + value.size, 1);
    if (!d)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a data set record");
    *d = head;
    const char **names = (const char **)(void *)(d + 1);
    d->class_names = names;
    get_classes(&r, names, (char *)(void *)(names + head.n_classes), head.n_classes);
    const struct digest digest = seal_hash((const uint8_t *)value.data + front, value.size - front);
    if (!byte_reader_done(&r) || !digest_equal(&digest, &now) ||
        check_shape(d, NULL) != STATUS_OK) {
        datasets_free(d);
        FAIL(f, STATUS_DATA_LOSS, "dataset", "the record of data set %s is damaged", head.name);
    }
    *ret = d;
    return STATUS_OK;
}

void datasets_free(struct dataset *d)
{
    sysio_free(d);
}

/* ---------------------------------------------------------------- the collection */

enum status
dataset_put(struct kv_txn *txn, const struct dataset *d, struct digest *ret_digest, struct fault *f)
{
    uint8_t key[DATASET_KEY_MAX];
    struct kv_bytes before;
    TRY(check_name(d->name, "name", f));
    if (!role_is_valid(d->role))
        FAIL(f, STATUS_INVALID_ARGUMENT, "role", "unknown role %d", (int)d->role);
    TRY(check_shape(d, f));
    const enum status st = kv_get(txn, KV_DATASETS, key_of(d->name, d->role, key), &before, f);
    if (st == STATUS_OK)
        FAIL(f, STATUS_ALREADY_EXISTS, "name", "there is a data set %s with role %s", d->name,
             dataset_role_name(d->role));
    if (st != STATUS_NOT_FOUND)
        return st;
    TRY(check_blob(txn, &d->pixels, dataset_pixel_bytes(d), "pixels", f));
    TRY(check_labels(txn, d, f));
    if (!digest_is_zero(&d->subjects))
        TRY(check_blob(txn, &d->subjects, dataset_subject_bytes(d), "subjects", f));
    return put_record(txn, d, ret_digest, f);
}

enum status dataset_get(struct kv_txn *txn,
                        const char *name,
                        enum dataset_role role,
                        struct dataset **ret_dataset,
                        struct fault *f)
{
    uint8_t bytes[DATASET_KEY_MAX];
    struct kv_bytes value = {0};
    TRY(check_name(name, "name", f));
    const struct kv_bytes key = key_of(name, role, bytes);
    const enum status st = kv_get(txn, KV_DATASETS, key, &value, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_NOT_FOUND, "name", "there is no data set %s with role %s", name,
             dataset_role_name(role));
    TRY(st);
    return parse_record(key, value, ret_dataset, f);
}

/* The blob with n bytes at each of those rows zero, as a new one. */
static enum status blank_blob(struct kv_txn *txn,
                              enum blob_kind kind,
                              const struct digest *blob,
                              const uint32_t *rows,
                              size_t n_rows,
                              size_t n,
                              struct digest *ret_blob,
                              struct fault *f)
{
    void *bytes = NULL;
    size_t size = 0;
    TRY(blob_load(txn, blob, SIZE_MAX, &bytes, &size, f));
    enum status st = STATUS_OK;
    for (size_t i = 0; i < n_rows && st == STATUS_OK; i++) {
        if (rows[i] >= size / n)
            st = fault_set(f, STATUS_OUT_OF_RANGE, __FILE__, __LINE__, "rows", "row %u of %zu",
                           (unsigned)rows[i], size / n);
        else
            memset((uint8_t *)bytes + (size_t)rows[i] * n, 0, n);
    }
    if (st == STATUS_OK)
        st = blob_put(txn, kind, bytes, size, ret_blob, f);
    seal_wipe(bytes, size);
    sysio_free(bytes);
    return st;
}

static enum status
blank(struct kv_txn *txn, struct dataset *d, const uint32_t *rows, size_t n_rows, struct fault *f)
{
    struct digest ignored;
    const struct digest pixels = d->pixels;
    const struct digest subjects = d->subjects;
    TRY(blank_blob(txn, BLOB_PIXELS, &pixels, rows, n_rows, (size_t)dataset_row_bytes(d),
                   &d->pixels, f));
    if (!digest_is_zero(&subjects))
        TRY(blank_blob(txn, BLOB_SUBJECTS, &subjects, rows, n_rows, DIGEST_SIZE, &d->subjects, f));
    d->blanked = 1;
    return put_record(txn, d, &ignored, f);
}

enum status dataset_blank_rows(struct kv_txn *txn,
                               const char *name,
                               enum dataset_role role,
                               const uint32_t *rows,
                               size_t n_rows,
                               struct digest *ret_pixels,
                               struct digest *ret_subjects,
                               struct fault *f)
{
    struct dataset *d = NULL;
    TRY(dataset_get(txn, name, role, &d, f));
    *ret_pixels = d->pixels;
    *ret_subjects = d->subjects;
    const enum status st = n_rows > 0 ? blank(txn, d, rows, n_rows, f) : STATUS_OK;
    datasets_free(d);
    return st;
}

struct wanted {
    const char *name;
    enum dataset_role role;
};

static enum status refuse_if_named(const struct replay_memory *m, void *context, struct fault *f)
{
    const struct wanted *w = context;
    if (strcmp(m->dataset, w->name) != 0)
        return STATUS_OK;
    for (uint32_t i = 0; i < m->n_lists; i++) {
        if (m->lists[i].role == w->role)
            FAIL(f, STATUS_FAILED_PRECONDITION, "name", "replay memory %s uses data set %s",
                 m->name, w->name);
    }
    return STATUS_OK;
}

enum status dataset_remove(
    struct kv_txn *txn, const char *name, enum dataset_role role, int in_use, struct fault *f)
{
    uint8_t key[DATASET_KEY_MAX];
    struct dataset *d = NULL;
    struct wanted wanted = {.name = name, .role = role};
    TRY(dataset_get(txn, name, role, &d, f));
    datasets_free(d);
    if (in_use)
        FAIL(f, STATUS_FAILED_PRECONDITION, "name", "an open request uses data set %s", name);
    TRY(replay_memory_each(txn, refuse_if_named, &wanted, f));
    return kv_del(txn, KV_DATASETS, key_of(name, role, key), f);
}

/* Keys are veiled, so the order of name and role has to be made. */
struct listing {
    struct dataset **items;
    size_t n;
    size_t room;
};

static void listing_fini(struct listing *x)
{
    for (size_t i = 0; i < x->n; i++)
        datasets_free(x->items[i]);
    sysio_free(x->items);
}

static enum status
list_one(struct kv_bytes key, struct kv_bytes value, void *context, struct fault *f)
{
    struct listing *x = context;
    if (x->n == x->room)
        FAIL(f, STATUS_DATA_LOSS, "dataset", "there are more data sets than were counted");
    TRY(parse_record(key, value, &x->items[x->n], f));
    x->n++;
    return STATUS_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct dataset *x = *(const struct dataset *const *)a;
    const struct dataset *y = *(const struct dataset *const *)b;
    const int order = strcmp(x->name, y->name);
    return order ? order : (int)x->role - (int)y->role;
}

enum status dataset_list(struct kv_txn *txn, dataset_list_fn *fn, void *context, struct fault *f)
{
    struct listing x = {0};
    uint64_t count = 0;
    TRY(kv_count(txn, KV_DATASETS, &count, f));
    x.room = (size_t)count;
    x.items = sysio_alloc(x.room + 1, sizeof *x.items);
    if (!x.items)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory to list %zu data sets", x.room);
    enum status st = kv_scan(txn, KV_DATASETS, kv_bytes_of(NULL, 0), list_one, &x, f);
    if (st == STATUS_OK && x.n > 0)
        qsort(x.items, x.n, sizeof *x.items, by_name);
    for (size_t i = 0; i < x.n && st == STATUS_OK; i++)
        st = fn(x.items[i], context, f);
    listing_fini(&x);
    return st;
}

/* ---------------------------------------------------------------- rows and labels */

enum status dataset_read_rows(struct kv_txn *txn,
                              const struct dataset *d,
                              const uint32_t *rows,
                              size_t n_rows,
                              uint8_t *to,
                              struct fault *f)
{
    struct extent_reader r;
    enum status st = STATUS_OK;
    const size_t size = (size_t)dataset_row_bytes(d);
    TRY(blob_reader_init(&r, txn, &d->pixels, f));
    for (size_t i = 0; i < n_rows && st == STATUS_OK; i++) {
        if (rows[i] < d->n)
            st = extent_read(&r, (uint64_t)rows[i] * size, to + i * size, size, f);
        else
            st = fault_set(f, STATUS_OUT_OF_RANGE, __FILE__, __LINE__, "rows",
                           "row %u of a data set with %llu rows", (unsigned)rows[i],
                           (unsigned long long)d->n);
    }
    extent_reader_fini(&r);
    return st;
}

enum status
dataset_read_classes(struct kv_txn *txn, const struct dataset *d, uint32_t *to, struct fault *f)
{
    if (d->label_kind != DATASET_LABELS_CLASS)
        FAIL(f, STATUS_FAILED_PRECONDITION, "labels", "data set %s is multi-label", d->name);
    TRY(blob_read(txn, &d->labels, to, (size_t)dataset_label_bytes(d), f));
    for (uint64_t i = 0; i < d->n; i++) {
        struct byte_reader r = byte_reader_make(&to[i], sizeof to[i]);
        to[i] = get_u32(&r);
    }
    return STATUS_OK;
}

enum status
dataset_read_multi(struct kv_txn *txn, const struct dataset *d, uint8_t *to, struct fault *f)
{
    if (d->label_kind != DATASET_LABELS_MULTI)
        FAIL(f, STATUS_FAILED_PRECONDITION, "labels", "data set %s has one class a row", d->name);
    return blob_read(txn, &d->labels, to, (size_t)dataset_label_bytes(d), f);
}

enum status dataset_read_subjects(struct kv_txn *txn,
                                  const struct dataset *d,
                                  struct digest *to,
                                  struct fault *f)
{
    if (dataset_subject_bytes(d) > 0)
        return blob_read(txn, &d->subjects, to, (size_t)dataset_subject_bytes(d), f);
    memset(to, 0, (size_t)d->n * sizeof *to);
    return STATUS_OK;
}
