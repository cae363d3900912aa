#include "storage/datasets/replay_memory.h"

#include "daemon/base/sysio.h"
#include "storage/blobs/blobs.h"

#include <string.h>

#define MEMORY_MAGIC      "letherm1"
#define MEMORY_MAGIC_SIZE 8
#define LIST_BYTES_MIN    9u

static struct kv_bytes key_of(const char *name)
{
    return kv_bytes_of(name, strlen(name));
}

/* ---------------------------------------------------------------- bytes */

static void put_memory(struct byte_writer *w, const struct replay_memory *m)
{
    put_bytes(w, MEMORY_MAGIC, MEMORY_MAGIC_SIZE);
    put_string(w, m->name);
    put_string(w, m->dataset);
    put_u32(w, m->n_lists);
    for (uint32_t i = 0; i < m->n_lists; i++) {
        put_u8(w, (uint8_t)m->lists[i].role);
        put_u32(w, m->lists[i].class_index);
        put_u32(w, m->lists[i].n_rows);
        for (uint32_t k = 0; k < m->lists[i].n_rows; k++)
            put_u32(w, m->lists[i].rows[k]);
    }
}

static enum status
encode(const struct replay_memory *m, void **ret_bytes, size_t *ret_size, struct fault *f)
{
    struct byte_writer count = byte_writer_make(NULL, 0);
    put_memory(&count, m);
    if (count.used > REPLAY_MEMORY_BYTES_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "memory", "%zu bytes of row numbers, limit %zu",
             count.used, REPLAY_MEMORY_BYTES_MAX);
    void *bytes = sysio_alloc(count.used, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a replay memory");
    struct byte_writer w = byte_writer_make(bytes, count.used);
    put_memory(&w, m);
    *ret_bytes = bytes;
    *ret_size = count.used;
    return STATUS_OK;
}

static void get_list(struct byte_reader *r, struct replay_memory_list *list, uint32_t **rows)
{
    list->role = (enum dataset_role)get_u8(r);
    list->class_index = get_u32(r);
    list->n_rows = get_u32(r);
    list->rows = *rows;
    if (r->failed || list->n_rows > (r->size - r->used) / 4) {
        r->failed = 1;
        return;
    }
    for (uint32_t i = 0; i < list->n_rows; i++)
        (*rows)[i] = get_u32(r);
    *rows += list->n_rows;
}

/* Roles, order of lists and rows: what holds for any memory, wherever its data sets are. */
static enum status check_lists(const struct replay_memory *m, struct fault *f)
{
    for (uint32_t i = 0; i < m->n_lists; i++) {
        const struct replay_memory_list *l = &m->lists[i];
        const struct replay_memory_list *before = i ? l - 1 : NULL;
        if ((unsigned)l->role < DATASET_TRAIN || (unsigned)l->role >= DATASET_ROLES)
            FAIL(f, STATUS_INVALID_ARGUMENT, "lists.role", "unknown role %d", (int)l->role);
        if (before && (before->role > l->role ||
                       (before->role == l->role && before->class_index >= l->class_index)))
            FAIL(f, STATUS_INVALID_ARGUMENT, "lists", "list %u is out of order", (unsigned)i);
        for (uint32_t k = 1; k < l->n_rows; k++) {
            if (l->rows[k - 1] >= l->rows[k])
                FAIL(f, STATUS_INVALID_ARGUMENT, "lists.rows", "rows of list %u do not rise",
                     (unsigned)i);
        }
    }
    return STATUS_OK;
}

/* One zeroed block: the memory, its lists, all rows (no more than the bytes hold). */
static enum status
decode(const void *bytes, size_t size, struct replay_memory **ret_memory, struct fault *f)
{
    char magic[MEMORY_MAGIC_SIZE];
    struct replay_memory head = {0};
    struct byte_reader r = byte_reader_make(bytes, size);
    get_bytes(&r, magic, sizeof magic);
    get_string(&r, head.name, sizeof head.name);
    get_string(&r, head.dataset, sizeof head.dataset);
    head.n_lists = get_u32(&r);
    if (r.failed || memcmp(magic, MEMORY_MAGIC, sizeof magic) != 0 ||
        head.n_lists > REPLAY_MEMORY_LISTS_MAX || head.n_lists > (r.size - r.used) / LIST_BYTES_MIN)
        FAIL(f, STATUS_DATA_LOSS, "memory", "the bytes are not a replay memory");
    const size_t lists_size = head.n_lists * sizeof *head.lists;
    struct replay_memory *m = sysio_alloc(sizeof *m + lists_size + size, 1);
    if (!m)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a replay memory");
    struct replay_memory_list *lists = (void *)(m + 1);
    uint32_t *rows = (void *)(lists + head.n_lists);
    *m = head;
    m->lists = lists;
    for (uint32_t i = 0; i < head.n_lists && !r.failed; i++)
        get_list(&r, &lists[i], &rows);
    if (!byte_reader_done(&r) || check_lists(m, NULL) != STATUS_OK) {
        replay_memory_free(m);
        FAIL(f, STATUS_DATA_LOSS, "memory", "the bytes of replay memory %s are damaged", head.name);
    }
    m->digest = seal_hash(bytes, size);
    *ret_memory = m;
    return STATUS_OK;
}

void replay_memory_free(struct replay_memory *m)
{
    sysio_free(m);
}

/* ---------------------------------------------------------------- checking */

static enum status
check_list(struct kv_txn *txn, const char *set, const struct replay_memory_list *l, struct fault *f)
{
    struct dataset *d = NULL;
    TRY(dataset_get(txn, set, l->role, &d, f));
    const uint64_t n = d->n;
    const uint32_t n_classes = d->n_classes;
    datasets_free(d);
    if (l->class_index >= n_classes)
        FAIL(f, STATUS_INVALID_ARGUMENT, "lists.class_index", "class %u of %u",
             (unsigned)l->class_index, (unsigned)n_classes);
    if (l->n_rows > 0 && l->rows[l->n_rows - 1] >= n)
        FAIL(f, STATUS_INVALID_ARGUMENT, "lists.rows", "row %u of a data set with %llu rows",
             (unsigned)l->rows[l->n_rows - 1], (unsigned long long)n);
    return STATUS_OK;
}

static enum status check_memory(struct kv_txn *txn, const struct replay_memory *m, struct fault *f)
{
    if (!dataset_name_is_valid(m->name))
        FAIL(f, STATUS_INVALID_ARGUMENT, "name", "not a valid name");
    if (m->n_lists > REPLAY_MEMORY_LISTS_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "lists", "%u lists, limit %d", (unsigned)m->n_lists,
             REPLAY_MEMORY_LISTS_MAX);
    TRY(check_lists(m, f));
    for (uint32_t i = 0; i < m->n_lists; i++)
        TRY(check_list(txn, m->dataset, &m->lists[i], f));
    return STATUS_OK;
}

/* ---------------------------------------------------------------- the collection */

static enum status
load(struct kv_txn *txn, struct kv_bytes value, struct replay_memory **ret, struct fault *f)
{
    struct digest digest;
    void *bytes = NULL;
    size_t size = 0;
    if (value.size != DIGEST_SIZE)
        FAIL(f, STATUS_DATA_LOSS, "memory", "the record of a replay memory is damaged");
    memcpy(digest.b, value.data, DIGEST_SIZE);
    TRY(blob_load(txn, &digest, REPLAY_MEMORY_BYTES_MAX, &bytes, &size, f));
    const enum status st = decode(bytes, size, ret, f);
    sysio_free(bytes);
    return st;
}

static enum status fail_absent(const char *name, struct fault *f)
{
    FAIL(f, STATUS_NOT_FOUND, "memory", "there is no replay memory %.63s", name);
}

enum status replay_memory_get(struct kv_txn *txn,
                              const char *name,
                              struct replay_memory **ret_memory,
                              struct fault *f)
{
    struct kv_bytes value = {0};
    if (!dataset_name_is_valid(name))
        return fail_absent(name, f);
    const enum status st = kv_get(txn, KV_MEMORIES, key_of(name), &value, f);
    if (st == STATUS_NOT_FOUND)
        return fail_absent(name, f);
    TRY(st);
    return load(txn, value, ret_memory, f);
}

enum status replay_memory_put(struct kv_txn *txn,
                              const struct replay_memory *m,
                              struct digest *ret_digest,
                              struct fault *f)
{
    void *bytes = NULL;
    size_t size = 0;
    struct digest digest = {0};
    TRY(check_memory(txn, m, f));
    TRY(encode(m, &bytes, &size, f));
    const enum status st = blob_put(txn, BLOB_MEMORY, bytes, size, &digest, f);
    sysio_free(bytes);
    TRY(st);
    TRY(kv_put(txn, KV_MEMORIES, key_of(m->name), kv_bytes_of(digest.b, DIGEST_SIZE), f));
    *ret_digest = digest;
    return STATUS_OK;
}

const struct replay_memory_list *
replay_memory_find(const struct replay_memory *m, enum dataset_role role, uint32_t class_index)
{
    for (uint32_t i = 0; i < m->n_lists; i++) {
        if (m->lists[i].role == role && m->lists[i].class_index == class_index)
            return &m->lists[i];
    }
    return NULL;
}

enum status replay_memory_remove_class(
    struct kv_txn *txn, const char *name, uint32_t class_index, uint64_t *ret_rows, struct fault *f)
{
    struct replay_memory *m = NULL;
    struct digest digest;
    uint64_t gone = 0;
    uint32_t kept = 0;
    TRY(replay_memory_get(txn, name, &m, f));
    struct replay_memory_list *lists = sysio_alloc(m->n_lists, sizeof *lists);
    enum status st = STATUS_OK;
    if (!lists)
        st = fault_set(f, STATUS_NO_MEMORY, __FILE__, __LINE__, NULL, "no memory for the lists");
    for (uint32_t i = 0; st == STATUS_OK && i < m->n_lists; i++) {
        if (m->lists[i].class_index == class_index)
            gone += m->lists[i].n_rows;
        else
            lists[kept++] = m->lists[i];
    }
    if (st == STATUS_OK && kept < m->n_lists) {
        m->lists = lists;
        m->n_lists = kept;
        st = replay_memory_put(txn, m, &digest, f);
    }
    sysio_free(lists);
    replay_memory_free(m);
    TRY(st);
    *ret_rows = gone;
    return STATUS_OK;
}

enum status replay_memory_remove(struct kv_txn *txn, const char *name, struct fault *f)
{
    if (!dataset_name_is_valid(name))
        return fail_absent(name, f);
    const enum status st = kv_del(txn, KV_MEMORIES, key_of(name), f);
    return st == STATUS_NOT_FOUND ? fail_absent(name, f) : st;
}

struct each_call {
    struct kv_txn *txn;
    replay_memory_list_fn *fn;
    void *context;
};

static enum status
each_one(struct kv_bytes key, struct kv_bytes value, void *context, struct fault *f)
{
    const struct each_call *call = context;
    struct replay_memory *m = NULL;
    char name[DATASET_NAME_SIZE] = "";
    if (key.size < sizeof name)
        memcpy(name, key.data, key.size);
    TRY(load(call->txn, value, &m, f));
    enum status st;
    if (strcmp(name, m->name) != 0)
        st = fault_set(f, STATUS_DATA_LOSS, __FILE__, __LINE__, "memory",
                       "a replay memory is stored under another name");
    else
        st = call->fn(m, call->context, f);
    replay_memory_free(m);
    return st;
}

enum status
replay_memory_each(struct kv_txn *txn, replay_memory_list_fn *fn, void *context, struct fault *f)
{
    struct each_call call = {.txn = txn, .fn = fn, .context = context};
    return kv_scan(txn, KV_MEMORIES, kv_bytes_of(NULL, 0), each_one, &call, f);
}
