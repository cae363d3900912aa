#include "storage/versions/serving.h"

#include "storage/versions/versions.h"

#include <string.h>

#define SERVING_FORMAT      2u
#define SERVING_FIRST       1u /* without entry */
#define SERVING_RECORD_SIZE (1 + DIGEST_SIZE + 8 + REQUEST_ID_SIZE + 1 + 8)
#define PIN_FORMAT          1u
#define PIN_RECORD_MAX      (1 + 8 + 4 + SERVING_WHO_SIZE)

/* ---------------------------------------------------------------- the pointer */

static enum status
parse_serving(struct kv_bytes key, struct kv_bytes value, struct serving *ret, struct fault *f)
{
    struct serving s = {0};
    struct byte_reader r = byte_reader_make(value.data, value.size);
    const unsigned format = get_u8(&r);
    get_bytes(&r, s.version.b, DIGEST_SIZE);
    s.since_us = get_i64(&r);
    get_bytes(&r, s.request.b, REQUEST_ID_SIZE);
    const unsigned held = get_u8(&r);
    if (format >= SERVING_FORMAT)
        s.entry = get_u64(&r);
    if (!byte_reader_done(&r) || format < SERVING_FIRST || format > SERVING_FORMAT || held > 1 ||
        key.size != 8)
        FAIL(f, STATUS_DATA_LOSS, "serving", "a record of the serving history is damaged");
    s.generation = kv_key_u64_read(key.data);
    s.clock_held = (int)held;
    *ret = s;
    return STATUS_OK;
}

static enum status put_serving(struct kv_txn *txn, const struct serving *s, struct fault *f)
{
    uint8_t key[8];
    uint8_t record[SERVING_RECORD_SIZE];
    struct byte_writer w = byte_writer_make(record, sizeof record);
    kv_key_u64(key, s->generation);
    put_u8(&w, SERVING_FORMAT);
    put_bytes(&w, s->version.b, DIGEST_SIZE);
    put_i64(&w, s->since_us);
    put_bytes(&w, s->request.b, REQUEST_ID_SIZE);
    put_u8(&w, s->clock_held != 0);
    put_u64(&w, s->entry);
    return kv_put(txn, KV_SERVING, kv_bytes_of(key, sizeof key), kv_bytes_of(record, w.used), f);
}

/* Newest first; fn returns CANCELLED to stop early, which is passed on. */
static enum status
walk_back(struct kv_txn *txn, size_t limit, serving_list_fn *fn, void *context, struct fault *f)
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    TRY(kv_cursor_open(txn, KV_SERVING, kv_bytes_of(NULL, 0), &c, f));
    enum status st = STATUS_OK;
    for (size_t n = 0; st == STATUS_OK && (limit == 0 || n < limit); n++) {
        struct serving s = {0};
        st = kv_cursor_prev(c, &key, &value, f);
        if (st == STATUS_NOT_FOUND) {
            st = STATUS_OK;
            break;
        }
        if (st == STATUS_OK)
            st = parse_serving(key, value, &s, f);
        if (st == STATUS_OK)
            st = fn(&s, context, f);
    }
    kv_cursor_close(c);
    return st;
}

static enum status keep_newest(const struct serving *s, void *context, struct fault *f)
{
    struct serving *newest = context;
    (void)f;
    *newest = *s;
    return STATUS_OK;
}

enum status serving_get(struct kv_txn *txn, struct serving *ret_serving, struct fault *f)
{
    struct serving s = {0};
    TRY(walk_back(txn, 1, keep_newest, &s, f));
    if (s.generation == 0)
        return STATUS_NOT_FOUND;
    *ret_serving = s;
    return STATUS_OK;
}

struct first_returning {
    char text[REQUEST_ID_TEXT_SIZE];
};

static void note_returning(const struct request_id *erasure, void *context)
{
    struct first_returning *first = context;
    if (!first->text[0])
        request_id_format(erasure, first->text);
}

/* Erased state must not come back: the target honours whatever the serving version honours. */
static enum status check_returning(struct kv_txn *txn,
                                   const struct serving *now,
                                   const struct version *target,
                                   struct fault *f)
{
    struct version *serving = NULL;
    struct first_returning first = {""};
    if (now->generation == 0)
        return STATUS_OK;
    TRY(version_get(txn, &now->version, &serving, f));
    const size_t n = version_returning(serving, target, note_returning, &first);
    version_free(serving);
    if (n > 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "version",
             "it would bring back what %zu erasure%s removed, first by request %s", n,
             n == 1 ? "" : "s", first.text);
    return STATUS_OK;
}

enum status serving_swap(struct kv_txn *txn,
                         const struct serving_move *move,
                         struct serving *ret_serving,
                         struct fault *f)
{
    struct serving now = {0};
    struct version *target = NULL;
    const enum status found = serving_get(txn, &now, f);
    if (found != STATUS_OK && found != STATUS_NOT_FOUND)
        return found;
    if (now.generation != move->expected_generation)
        FAIL(f, STATUS_ABORTED, "generation", "generation %llu is serving, not %llu",
             (unsigned long long)now.generation, (unsigned long long)move->expected_generation);
    TRY(version_get(txn, &move->version, &target, f));
    const enum status st = check_returning(txn, &now, target, f);
    version_free(target);
    TRY(st);
    const int held = now.generation > 0 && move->now_us < now.since_us;
    const struct serving next = {.generation = now.generation + 1,
                                 .version = move->version,
                                 .since_us = held ? now.since_us : move->now_us,
                                 .request = move->request,
                                 .clock_held = held};
    TRY(put_serving(txn, &next, f));
    *ret_serving = next;
    return STATUS_OK;
}

enum status serving_set_entry(
    struct kv_txn *txn, uint64_t generation, uint64_t entry, int64_t since_us, struct fault *f)
{
    struct serving s = {0};
    const enum status st = serving_generation(txn, generation, &s, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_NOT_FOUND, "generation", "there is no generation %llu",
             (unsigned long long)generation);
    TRY(st);
    s.entry = entry;
    if (since_us != 0)
        s.since_us = since_us;
    return put_serving(txn, &s, f);
}

enum status serving_generation(struct kv_txn *txn,
                               uint64_t generation,
                               struct serving *ret_serving,
                               struct fault *f)
{
    uint8_t bytes[8];
    struct kv_bytes value = {0};
    kv_key_u64(bytes, generation);
    const struct kv_bytes key = kv_bytes_of(bytes, sizeof bytes);
    TRY(kv_get(txn, KV_SERVING, key, &value, f));
    return parse_serving(key, value, ret_serving, f);
}

static enum status
must_have(struct kv_txn *txn, uint64_t generation, struct serving *ret, struct fault *f)
{
    const enum status st = serving_generation(txn, generation, ret, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_DATA_LOSS, "serving", "the serving history lacks generation %llu",
             (unsigned long long)generation);
    return st;
}

/* Times never run backwards, so the generations are in the order of their times. */
enum status
serving_at(struct kv_txn *txn, int64_t wall_us, struct serving *ret_serving, struct fault *f)
{
    struct serving newest = {0};
    struct serving found = {0};
    const enum status st = serving_get(txn, &newest, f);
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    uint64_t low = 1;
    uint64_t high = newest.generation;
    while (low <= high) {
        const uint64_t middle = low + (high - low) / 2;
        struct serving s = {0};
        TRY(must_have(txn, middle, &s, f));
        if (s.since_us <= wall_us) {
            found = s;
            low = middle + 1;
        } else {
            high = middle - 1;
        }
    }
    if (found.generation == 0)
        FAIL(f, STATUS_NOT_FOUND, "time", "nothing was served at that time yet");
    *ret_serving = found;
    return STATUS_OK;
}

enum status serving_history(
    struct kv_txn *txn, size_t limit, serving_list_fn *fn, void *context, struct fault *f)
{
    return walk_back(txn, limit, fn, context, f);
}

/* ---------------------------------------------------------------- pins */

static struct kv_bytes pin_key(const struct digest *version)
{
    return kv_bytes_of(version->b, sizeof version->b);
}

enum status serving_pinned(struct kv_txn *txn,
                           const struct digest *version,
                           struct serving_pin *ret_pin,
                           struct fault *f)
{
    struct serving_pin pin = {.version = *version};
    struct kv_bytes value = {0};
    TRY(kv_get(txn, KV_PINS, pin_key(version), &value, f));
    struct byte_reader r = byte_reader_make(value.data, value.size);
    const unsigned format = get_u8(&r);
    pin.since_us = get_i64(&r);
    get_string(&r, pin.who, sizeof pin.who);
    if (!byte_reader_done(&r) || format != PIN_FORMAT)
        FAIL(f, STATUS_DATA_LOSS, "pin", "the record of a pin is damaged");
    *ret_pin = pin;
    return STATUS_OK;
}

enum status serving_pin(struct kv_txn *txn, const struct serving_pin *pin, struct fault *f)
{
    uint8_t record[PIN_RECORD_MAX];
    struct byte_writer w = byte_writer_make(record, sizeof record);
    struct serving_pin before;
    uint64_t number = 0;
    TRY(version_number(txn, &pin->version, &number, f));
    const enum status st = serving_pinned(txn, &pin->version, &before, f);
    if (st != STATUS_NOT_FOUND)
        return st;
    put_u8(&w, PIN_FORMAT);
    put_i64(&w, pin->since_us);
    put_string(&w, pin->who);
    if (w.failed)
        FAIL(f, STATUS_INVALID_ARGUMENT, "who", "longer than %d bytes", SERVING_WHO_SIZE - 1);
    return kv_put(txn, KV_PINS, pin_key(&pin->version), kv_bytes_of(record, w.used), f);
}

enum status serving_unpin(struct kv_txn *txn, const struct digest *version, struct fault *f)
{
    const enum status st = kv_del(txn, KV_PINS, pin_key(version), f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_NOT_FOUND, "version", "the version is not pinned");
    return st;
}
