#include "daemon/jobs/task_keys.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "proto/seal/hash.h"

#define ROWS_AT_ONCE 1024u

/* A list and its place in the cache; the list is the first member. */
struct entry {
    struct task_key_list list;
    struct digest dataset; /* content */
    struct task_key *rows;
    struct task_picture *pictures;
    size_t bytes;
    uint32_t pins; /* times that it is lent out */
    uint64_t used; /* when it was last asked for */
    struct entry *next;
};

struct task_keys {
    size_t max_bytes, bytes;
    uint64_t clock, hashed;
    struct entry *first;
};

enum status task_keys_new(size_t max_bytes, struct task_keys **ret_keys, struct fault *f)
{
    struct task_keys *k = sysio_alloc(1, sizeof *k);
    if (!k)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the keys of data sets");
    k->max_bytes = max_bytes;
    *ret_keys = k;
    return STATUS_OK;
}

static void entry_free(struct entry *e)
{
    if (!e)
        return;
    sysio_free(e->rows);
    sysio_free(e->pictures);
    sysio_free(e);
}

void task_keys_free(struct task_keys *keys)
{
    if (!keys)
        return;
    while (keys->first) {
        struct entry *e = keys->first;
        INVARIANT(e->pins == 0);
        keys->first = e->next;
        entry_free(e);
    }
    sysio_free(keys);
}

uint64_t task_keys_hashed(const struct task_keys *keys)
{
    return keys->hashed;
}

/* ---------------------------------------------------------------- hashing */

static int compare_keys(const void *a, const void *b)
{
    const struct task_key *x = a, *y = b;
    const int order = memcmp(x->key.b, y->key.b, DIGEST_SIZE);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

static int compare_pictures(const void *a, const void *b)
{
    const struct task_picture *x = a, *y = b;
    const int order = memcmp(x->pixels.b, y->pixels.b, DIGEST_SIZE);
    return order ? order : (x->class > y->class) - (x->class < y->class);
}

struct digest task_key_of(const uint8_t *pixels, size_t bytes, const char *label)
{
    struct seal_hasher h;
    seal_hash_init(&h);
    seal_hash_update(&h, pixels, bytes);
    if (label)
        seal_hash_update(&h, label, strlen(label));
    return seal_hash_final(&h);
}

/* Pixels of one row; `label` NULL: several labels an image. */
static void
hash_row(struct entry *e, uint32_t row, const uint8_t *pixels, size_t n, const char *label)
{
    struct seal_hasher h, alone;
    seal_hash_init(&h);
    seal_hash_update(&h, pixels, n);
    alone = h;
    if (label)
        seal_hash_update(&h, label, strlen(label));
    e->rows[row].key = seal_hash_final(&h);
    e->pictures[row].pixels = seal_hash_final(&alone);
}

static enum status hash_rows(struct kv_txn *txn,
                             const struct dataset *d,
                             const uint32_t *classes,
                             uint8_t *pixels,
                             struct entry *e,
                             struct fault *f)
{
    const size_t bytes = (size_t)dataset_row_bytes(d);
    uint32_t rows[ROWS_AT_ONCE];
    for (uint32_t at = 0; at < e->list.n;) {
        const uint32_t left = e->list.n - at, n = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
        for (uint32_t i = 0; i < n; i++)
            rows[i] = at + i;
        TRY(dataset_read_rows(txn, d, rows, n, pixels, f));
        for (uint32_t i = 0; i < n; i++, at++) {
            const uint32_t class = classes ? classes[at] : 0;
            e->rows[at] = (struct task_key){.row = at, .class = class};
            e->pictures[at].class = class;
            hash_row(e, at, pixels + i * bytes, bytes, classes ? d->class_names[class] : NULL);
        }
    }
    qsort(e->rows, e->list.n, sizeof *e->rows, compare_keys);
    qsort(e->pictures, e->list.n, sizeof *e->pictures, compare_pictures);
    return STATUS_OK;
}

static enum status
entry_fill(struct kv_txn *txn, const struct dataset *d, struct entry *e, struct fault *f)
{
    const int several = d->label_kind == DATASET_LABELS_MULTI;
    uint32_t *classes = sysio_alloc((size_t)d->n + 1, sizeof *classes);
    uint8_t *pixels = sysio_alloc(ROWS_AT_ONCE, (size_t)dataset_row_bytes(d));
    enum status st = STATUS_NO_MEMORY;
    if (!classes || !pixels)
        (void)fault_set(f, st, __FILE__, __LINE__, "data", "no memory for the rows of %s", d->name);
    else
        st = several ? STATUS_OK : dataset_read_classes(txn, d, classes, f);
    if (st == STATUS_OK)
        st = hash_rows(txn, d, several ? NULL : classes, pixels, e, f);
    sysio_free(classes);
    sysio_free(pixels);
    return st;
}

static enum status
entry_make(struct kv_txn *txn, const struct dataset *d, struct entry **ret_entry, struct fault *f)
{
    struct entry *e = sysio_alloc(1, sizeof *e);
    const size_t n = (size_t)d->n;
    if (e) {
        e->rows = sysio_alloc(n + 1, sizeof *e->rows);
        e->pictures = sysio_alloc(n + 1, sizeof *e->pictures);
    }
    if (!e || !e->rows || !e->pictures) {
        entry_free(e);
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for the keys of %s", d->name);
    }
    e->list = (struct task_key_list){.n = (uint32_t)n, .rows = e->rows, .pictures = e->pictures};
    e->dataset = d->digest;
    e->bytes = sizeof *e + (n + 1) * (sizeof *e->rows + sizeof *e->pictures);
    const enum status st = entry_fill(txn, d, e, f);
    if (st != STATUS_OK) {
        entry_free(e);
        return st;
    }
    *ret_entry = e;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- the cache */

static struct entry *find(const struct task_keys *k, const struct digest *dataset)
{
    struct entry *e = k->first;
    while (e && !digest_equal(&e->dataset, dataset))
        e = e->next;
    return e;
}

static void drop(struct task_keys *k, struct entry *e)
{
    struct entry **at = &k->first;
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    k->bytes -= e->bytes;
    entry_free(e);
}

/* Whoever nobody uses goes, the longest unused first, until the rest fits. */
static void shrink(struct task_keys *k)
{
    while (k->bytes > k->max_bytes) {
        struct entry *oldest = NULL;
        for (struct entry *e = k->first; e; e = e->next)
            if (e->pins == 0 && (!oldest || e->used < oldest->used))
                oldest = e;
        if (!oldest)
            return;
        drop(k, oldest);
    }
}

enum status task_keys_get(struct task_keys *keys,
                          struct kv_txn *txn,
                          const struct dataset *d,
                          const struct task_key_list **ret_list,
                          struct fault *f)
{
    struct entry *e = keys ? find(keys, &d->digest) : NULL;
    if (!e) {
        TRY(entry_make(txn, d, &e, f));
        if (keys) {
            e->next = keys->first;
            keys->first = e;
            keys->bytes += e->bytes;
            keys->hashed++;
        }
    }
    e->pins++;
    if (keys) {
        e->used = ++keys->clock;
        shrink(keys);
    }
    *ret_list = &e->list;
    return STATUS_OK;
}

void task_keys_put(struct task_keys *keys, const struct task_key_list *list)
{
    if (!list)
        return;
    /* the list is the first member of its entry, which this file made */
    struct entry *e = (struct entry *)(uintptr_t)list;
    INVARIANT(e->pins > 0);
    e->pins--;
    if (!keys)
        entry_free(e);
    else
        shrink(keys);
}
