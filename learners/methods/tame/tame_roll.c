#include "learners/methods/tame/tame_roll.h"

#include "daemon/base/invariant.h"
#include "learners/methods/tame/tame_detector.h"
#include "learners/methods/tame/tame_expert.h"
#include "learners/methods/tame/tame_stream.h"

#include <string.h>

#define MAGIC_SIZE   8
#define ROLL_VERSION 1
#define ROW_LEAST    8 /* bytes of a class in a record, at least */
#define PUSH_BYTES   (REQUEST_ID_SIZE + DIGEST_SIZE)

static const char stream_magic[MAGIC_SIZE] = {'L', 'T', 'A', 'M', 'E', 'L', 'S', '1'};
static const char expert_magic[MAGIC_SIZE] = {'L', 'T', 'A', 'M', 'E', 'L', 'X', '1'};

/* Decimal digits of id behind "NAME."; no printf in learners. */
void tame_expert_name(const char *stream, uint32_t id, char ret_name[LEARNER_NAME_SIZE])
{
    char digits[10];
    size_t n = 0, at = strlen(stream);
    memset(ret_name, 0, LEARNER_NAME_SIZE);
    if (id == TAME_NONE)
        return;
    do {
        digits[n++] = (char)('0' + id % 10);
        id /= 10;
    } while (id > 0);
    INVARIANT(at + 1 + n < LEARNER_NAME_SIZE);
    memcpy(ret_name, stream, at);
    ret_name[at++] = '.';
    while (n > 0)
        ret_name[at++] = digits[--n];
}

/* ------------------------------------------------------------------ parts of both heads */

static void put_begin(struct byte_writer *w, const char magic[MAGIC_SIZE])
{
    put_bytes(w, magic, MAGIC_SIZE);
    put_u32(w, ROLL_VERSION);
}

static enum status get_begin(struct byte_reader *r, const char magic[MAGIC_SIZE], struct fault *f)
{
    char found[MAGIC_SIZE];
    get_bytes(r, found, MAGIC_SIZE);
    const uint32_t version = get_u32(r);
    if (r->failed || memcmp(found, magic, MAGIC_SIZE) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "component", "not a record of %s",
             magic == stream_magic ? "a stream" : "an expert");
    if (version != ROLL_VERSION)
        FAIL(f, STATUS_BAD_FORMAT, "component", "version %u is unknown", version);
    return STATUS_OK;
}

static void put_origin(struct byte_writer *w, const struct tame_origin *o)
{
    put_bytes(w, o->base.b, DIGEST_SIZE);
    put_bytes(w, o->state.b, DIGEST_SIZE);
    put_bytes(w, o->preprocessing.b, DIGEST_SIZE);
}

static void get_origin(struct byte_reader *r, struct tame_origin *o)
{
    get_bytes(r, o->base.b, DIGEST_SIZE);
    get_bytes(r, o->state.b, DIGEST_SIZE);
    get_bytes(r, o->preprocessing.b, DIGEST_SIZE);
}

static enum status get_name(struct byte_reader *r, char name[LEARNER_NAME_SIZE], struct fault *f)
{
    get_string(r, name, TAME_STREAM_NAME_SIZE);
    if (r->failed || name[0] == '\0')
        FAIL(f, STATUS_BAD_FORMAT, "name", "the stream has no name, or one that is too long");
    return STATUS_OK;
}

enum status tame_origin_check(const struct tame_origin *o,
                              const struct learner_trunk *t,
                              int state,
                              struct fault *f)
{
    if (!digest_equal(&o->base, &t->base))
        FAIL(f, STATUS_FAILED_PRECONDITION, "base", "made for another base model");
    if (!digest_equal(&o->preprocessing, &t->preprocessing))
        FAIL(f, STATUS_FAILED_PRECONDITION, "preprocessing", "made for other pictures");
    if (state && !digest_equal(&o->state, &t->state))
        FAIL(f, STATUS_FAILED_PRECONDITION, "trunk",
             "an erasure has moved the model since; a refit brings it up to date");
    return STATUS_OK;
}

static void put_push(struct byte_writer *w, const struct tame_push_row *x)
{
    put_bytes(w, x->request.b, REQUEST_ID_SIZE);
    put_bytes(w, x->memory.b, DIGEST_SIZE);
}

struct tame_push_row tame_push_get(struct byte_reader *at)
{
    struct tame_push_row x;
    get_bytes(at, x.request.b, REQUEST_ID_SIZE);
    get_bytes(at, x.memory.b, DIGEST_SIZE);
    return x;
}

/* A count of pushes and their bytes; the offset of the first goes to *ret_at. */
static enum status
skip_pushes(struct byte_reader *r, uint32_t *ret_n, size_t *ret_at, struct fault *f)
{
    *ret_n = get_u32(r);
    *ret_at = r->used;
    if (r->failed || *ret_n > (r->size - r->used) / PUSH_BYTES)
        FAIL(f, STATUS_BAD_FORMAT, "pushes", "more pushes than the record holds");
    r->used += (size_t)*ret_n * PUSH_BYTES;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ head of a stream */

static enum status get_experts(struct byte_reader *r, struct tame_head *h, struct fault *f)
{
    int known = 0;
    h->active = get_u32(r);
    h->n_experts = get_u32(r);
    if (r->failed || h->n_experts > TAME_LEARNER_EXPERTS)
        FAIL(f, STATUS_BAD_FORMAT, "experts", "%u experts; at most %d are possible", h->n_experts,
             TAME_LEARNER_EXPERTS);
    for (uint32_t i = 0; i < h->n_experts; i++) {
        h->experts[i] = get_u32(r);
        known |= h->experts[i] == h->active;
        if (r->failed || h->experts[i] == TAME_NONE ||
            (i > 0 && h->experts[i] <= h->experts[i - 1]))
            FAIL(f, STATUS_BAD_FORMAT, "experts", "their numbers are not ascending");
    }
    if (h->active != TAME_NONE && !known)
        FAIL(f, STATUS_BAD_FORMAT, "experts", "the active one, %u, is not among them", h->active);
    return STATUS_OK;
}

static enum status get_rows(struct byte_reader *r, struct tame_head *h, struct fault *f)
{
    char name[TAME_CLASS_NAME_SIZE];
    h->n_rows = get_u32(r);
    h->rows = r->used;
    if (r->failed || h->n_rows > TAME_ROLL_MAX || h->n_rows > (r->size - r->used) / ROW_LEAST)
        FAIL(f, STATUS_BAD_FORMAT, "classes", "more classes than the record holds");
    for (uint32_t i = 0; i < h->n_rows; i++) {
        get_string(r, name, sizeof name);
        const uint32_t owner = get_u32(r);
        int known = owner == TAME_NONE;
        for (uint32_t k = 0; k < h->n_experts && name[0]; k++)
            known |= h->experts[k] == owner;
        if (r->failed || !known)
            FAIL(f, STATUS_BAD_FORMAT, "classes", "class %u is malformed", i);
        h->n_named += name[0] != '\0';
    }
    return STATUS_OK;
}

enum status
tame_head_read(const void *record, size_t size, struct tame_head *ret_head, struct fault *f)
{
    struct byte_reader r = byte_reader_make(record, size);
    struct tame_head h = {0};
    TRY(get_begin(&r, stream_magic, f));
    TRY(get_name(&r, h.name, f));
    get_origin(&r, &h.origin);
    h.batch = get_u32(&r);
    const uint8_t closed = get_u8(&r);
    h.closed = closed;
    h.batches = get_u64(&r);
    h.offered = get_u64(&r);
    h.held = get_u32(&r);
    if (r.failed || closed > 1 || h.batch == 0 || h.batch > TAME_MAX_BATCH)
        FAIL(f, STATUS_BAD_FORMAT, "component", "the head of the record is malformed");
    TRY(get_experts(&r, &h, f));
    TRY(get_rows(&r, &h, f));
    TRY(skip_pushes(&r, &h.n_pushes, &h.pushes, f));
    h.inner = r.used;
    *ret_head = h;
    return STATUS_OK;
}

void tame_head_write(const struct tame_head *h, const struct tame_roll *r, struct byte_writer *w)
{
    put_begin(w, stream_magic);
    put_string(w, h->name);
    put_origin(w, &h->origin);
    put_u32(w, h->batch);
    put_u8(w, (uint8_t)(h->closed != 0));
    put_u64(w, h->batches);
    put_u64(w, h->offered);
    put_u32(w, h->held);
    put_u32(w, h->active);
    put_u32(w, h->n_experts);
    for (uint32_t i = 0; i < h->n_experts; i++)
        put_u32(w, h->experts[i]);
    put_u32(w, r->n);
    for (uint32_t i = 0; i < r->n; i++) {
        put_string(w, r->rows[i].name);
        put_u32(w, r->rows[i].owner);
    }
    put_u32(w, r->n_pushes);
    for (uint32_t i = 0; i < r->n_pushes; i++)
        put_push(w, &r->pushes[i]);
}

/* ------------------------------------------------------------------ head of an expert */

uint32_t tame_expert_head_name(struct byte_reader *at, char name[TAME_CLASS_NAME_SIZE])
{
    const uint32_t number = get_u32(at);
    get_string(at, name, TAME_CLASS_NAME_SIZE);
    return number;
}

static enum status get_names(struct byte_reader *r, struct tame_expert_head *h, struct fault *f)
{
    char name[TAME_CLASS_NAME_SIZE];
    uint32_t last = 0;
    h->n_names = get_u32(r);
    h->names = r->used;
    if (r->failed || h->n_names > TAME_ROLL_MAX || h->n_names > (r->size - r->used) / ROW_LEAST)
        FAIL(f, STATUS_BAD_FORMAT, "classes", "more classes than the record holds");
    for (uint32_t i = 0; i < h->n_names; i++) {
        const uint32_t number = tame_expert_head_name(r, name);
        if (r->failed || name[0] == '\0' || number >= TAME_ROLL_MAX || (i > 0 && number <= last))
            FAIL(f, STATUS_BAD_FORMAT, "classes", "class %u is malformed", i);
        h->names_bytes += strlen(name) + 1;
        last = number;
    }
    return STATUS_OK;
}

enum status tame_expert_head_read(const void *record,
                                  size_t size,
                                  struct tame_expert_head *ret_head,
                                  struct fault *f)
{
    struct byte_reader r = byte_reader_make(record, size);
    struct tame_expert_head h = {0};
    TRY(get_begin(&r, expert_magic, f));
    TRY(get_name(&r, h.stream, f));
    h.id = get_u32(&r);
    h.state_at = r.used + DIGEST_SIZE; /* behind the base */
    get_origin(&r, &h.origin);
    if (r.failed || h.id == TAME_NONE)
        FAIL(f, STATUS_BAD_FORMAT, "component", "the head of the record is malformed");
    TRY(tame_options_get(&r, &h.options, f));
    TRY(get_names(&r, &h, f));
    TRY(skip_pushes(&r, &h.n_pushes, &h.pushes, f));
    h.inner = r.used;
    *ret_head = h;
    return STATUS_OK;
}

void tame_expert_head_write(const struct tame_expert_head *h,
                            const struct tame_roll *r,
                            const uint8_t *used,
                            const uint8_t *pushed,
                            struct byte_writer *w)
{
    uint32_t n = 0, pushes = 0;
    for (uint32_t i = 0; i < r->n; i++)
        n += used[i] != 0;
    for (uint32_t i = 0; i < r->n_pushes; i++)
        pushes += pushed[i] != 0;
    put_begin(w, expert_magic);
    put_string(w, h->stream);
    put_u32(w, h->id);
    put_origin(w, &h->origin);
    tame_options_put(&h->options, w);
    put_u32(w, n);
    for (uint32_t i = 0; i < r->n; i++) {
        if (!used[i])
            continue;
        put_u32(w, i);
        put_string(w, r->rows[i].name);
    }
    put_u32(w, pushes);
    for (uint32_t i = 0; i < r->n_pushes; i++)
        if (pushed[i])
            put_push(w, &r->pushes[i]);
}

/* ------------------------------------------------------------------ the tables */

void tame_roll_plan(uint32_t rows_max, uint32_t pushes_max, struct arena_plan *p)
{
    arena_plan_add(p, rows_max, sizeof(struct tame_roll_row));
    arena_plan_add(p, pushes_max, sizeof(struct tame_push_row));
}

int tame_roll_new(uint32_t rows_max,
                  uint32_t pushes_max,
                  struct arena *arena,
                  struct tame_roll *ret_roll)
{
    struct tame_roll r = {.max = rows_max, .pushes_max = pushes_max};
    r.rows = arena_alloc(arena, rows_max, sizeof *r.rows);
    r.pushes = arena_alloc(arena, pushes_max, sizeof *r.pushes);
    if (!r.rows || !r.pushes)
        return 0;
    *ret_roll = r;
    return 1;
}

void tame_roll_read(const void *record, size_t size, const struct tame_head *h, struct tame_roll *r)
{
    struct byte_reader at = byte_reader_make(record, size);
    INVARIANT(h->n_rows <= r->max && h->n_pushes <= r->pushes_max);
    at.used = h->rows;
    for (r->n = 0; r->n < h->n_rows; r->n++) {
        get_string(&at, r->rows[r->n].name, TAME_CLASS_NAME_SIZE);
        r->rows[r->n].owner = get_u32(&at);
    }
    at.used = h->pushes;
    for (r->n_pushes = 0; r->n_pushes < h->n_pushes; r->n_pushes++)
        r->pushes[r->n_pushes] = tame_push_get(&at);
}

uint32_t tame_roll_find(const struct tame_roll *r, const char *name)
{
    for (uint32_t i = 0; i < r->n && name[0]; i++)
        if (strcmp(r->rows[i].name, name) == 0)
            return i;
    return TAME_NONE;
}

uint32_t tame_roll_add(struct tame_roll *r, const char *name)
{
    const uint32_t found = tame_roll_find(r, name);
    if (found != TAME_NONE || r->n == r->max || name[0] == '\0' ||
        strlen(name) >= TAME_CLASS_NAME_SIZE)
        return found;
    struct tame_roll_row *row = &r->rows[r->n];
    memset(row, 0, sizeof *row);
    row->owner = TAME_NONE;
    memcpy(row->name, name, strlen(name));
    return r->n++;
}

void tame_roll_push(struct tame_roll *r, const struct tame_push_row *push)
{
    for (uint32_t i = 0; i < r->n_pushes; i++)
        if (request_id_equal(&r->pushes[i].request, &push->request) &&
            digest_equal(&r->pushes[i].memory, &push->memory))
            return;
    INVARIANT(r->n_pushes < r->pushes_max);
    r->pushes[r->n_pushes++] = *push;
}

/* ------------------------------------------------------------------ peeking */

enum status tame_learner_peek(const void *record,
                              size_t size,
                              struct tame_learner_info *ret_info,
                              struct fault *f)
{
    struct tame_head h;
    struct tame_options o;
    TRY(tame_head_read(record, size, &h, f));
    TRY(tame_stream_peek((const uint8_t *)record + h.inner, size - h.inner, &o, f));
    *ret_info = (struct tame_learner_info){.batch = h.batch,
                                           .batch_max = o.batch_max,
                                           .closed = h.closed,
                                           .n_experts = h.n_experts,
                                           .n_classes = h.n_named,
                                           .batches = h.batches,
                                           .offered = h.offered,
                                           .held = h.held};
    tame_expert_name(h.name, h.active, ret_info->active);
    return STATUS_OK;
}

enum status tame_learner_class(const void *record,
                               size_t size,
                               uint32_t i,
                               char ret_class[TAME_CLASS_NAME_SIZE],
                               char ret_expert[LEARNER_NAME_SIZE],
                               struct fault *f)
{
    struct tame_head h;
    TRY(tame_head_read(record, size, &h, f));
    struct byte_reader r = byte_reader_make(record, size);
    uint32_t at = 0;
    r.used = h.rows;
    for (uint32_t k = 0; k < h.n_rows; k++) {
        get_string(&r, ret_class, TAME_CLASS_NAME_SIZE);
        const uint32_t owner = get_u32(&r);
        if (ret_class[0] == '\0' || at++ < i)
            continue;
        tame_expert_name(h.name, owner, ret_expert);
        return STATUS_OK;
    }
    FAIL(f, STATUS_NOT_FOUND, "class", "number %u; the stream has %u", i, h.n_named);
}

enum status tame_learner_expert(const void *record,
                                size_t size,
                                uint32_t i,
                                char ret_expert[LEARNER_NAME_SIZE],
                                struct fault *f)
{
    struct tame_head h;
    TRY(tame_head_read(record, size, &h, f));
    if (i >= h.n_experts)
        FAIL(f, STATUS_NOT_FOUND, "expert", "number %u; the stream has %u", i, h.n_experts);
    tame_expert_name(h.name, h.experts[i], ret_expert);
    return STATUS_OK;
}
