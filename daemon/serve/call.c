#include "daemon/serve/call.h"

#include "daemon/base/clock.h"
#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "daemon/serve/call_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define CALL_MAGIC 0x43414c4cu

/* An error answer is made in memory of its own, so that it never fails for what a handler took. */
#define ERROR_ARENA_BYTES 16384u

static void check(const struct call *c)
{
    INVARIANT(c && c->magic == CALL_MAGIC);
}

/* ------------------------------------------------------------ life */

enum status call_new(struct outbox *outbox,
                     const struct route *route,
                     const struct call_raw *raw,
                     struct call **ret_call,
                     struct fault *f)
{
    struct call *c = sysio_alloc(1, sizeof *c);
    if (!c)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a call");
    c->memory = sysio_mmap(LIMIT_CALL_ARENA_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (c->memory == MAP_FAILED) {
        sysio_free(c);
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a call");
    }
    c->magic = CALL_MAGIC;
    c->outbox = outbox_ref(outbox);
    c->slot = NO_SLOT;
    c->route = *route;
    c->raw = *raw;
    arena_init(&c->arena, c->memory, LIMIT_CALL_ARENA_BYTES);
    if (raw->n_frames > 0)
        wire_envelope_peek(raw->frames[0].at, raw->frames[0].size, &c->kind, &c->request_id);
    *ret_call = c;
    return STATUS_OK;
}

/* Gives back what only an unfinished call needs. */
static void release_request(struct call *c)
{
    if (!c->memory)
        return;
    arena_fini(&c->arena);
    INVARIANT(munmap(c->memory, LIMIT_CALL_ARENA_BYTES) == 0);
    c->memory = NULL;
    c->message = NULL;
    c->raw.release(c->raw.owner);
    c->raw = (struct call_raw){0};
}

void call_free(struct call *c)
{
    if (!c)
        return;
    check(c);
    release_request(c);
    for (size_t i = 0; i < c->n_parts; i++)
        sysio_free(c->part[i]);
    struct outbox *outbox = c->outbox;
    c->magic = 0;
    sysio_free(c);
    outbox_unref(outbox);
}

/* ------------------------------------------------------------ decoding */

/* The frames that came against those that the envelope states. */
static enum status check_frames(const struct call *c, struct fault *f)
{
    const struct wire_envelope *m = c->message;
    const size_t came = c->raw.n_frames - 1;
    if (m->n_frames != came)
        FAIL(f, STATUS_INVALID_ARGUMENT, "frames", "the envelope states %zu raw frames, %zu came",
             m->n_frames, came);
    for (size_t i = 0; i < came; i++)
        if (m->frame_bytes[i] != c->raw.frames[i + 1].size)
            FAIL(f, STATUS_INVALID_ARGUMENT, "frame_bytes",
                 "the envelope states %llu bytes for raw frame %zu, %zu came",
                 (unsigned long long)m->frame_bytes[i], i, c->raw.frames[i + 1].size);
    return STATUS_OK;
}

enum status call_decode(struct call *c, int64_t now_us, struct fault *f)
{
    check(c);
    const struct wire_bytes envelope = c->raw.frames[0];
    TRY(wire_envelope_decode(envelope.at, envelope.size, &c->arena, &c->message, f));
    c->kind = c->message->kind;
    c->request_id = c->message->request_id;
    const uint32_t wait_ms =
        c->message->deadline_ms ? c->message->deadline_ms : LIMIT_DEADLINE_DEFAULT_MS;
    c->deadline_us = now_us + (int64_t)wait_ms * 1000;
    return check_frames(c, f);
}

/* ------------------------------------------------------------ what handlers ask */

const struct wire_envelope *call_message(const struct call *c)
{
    check(c);
    return c->message;
}

size_t call_frames_count(const struct call *c)
{
    check(c);
    return c->raw.n_frames - 1;
}

const uint8_t *call_frame(const struct call *c, size_t i, size_t *ret_size)
{
    check(c);
    INVARIANT(i + 1 < c->raw.n_frames);
    *ret_size = c->raw.frames[i + 1].size;
    return c->raw.frames[i + 1].at;
}

struct arena *call_arena(struct call *c)
{
    check(c);
    return &c->arena;
}

const char *call_principal(const struct call *c)
{
    check(c);
    return c->peer.principal;
}

unsigned call_roles(const struct call *c)
{
    check(c);
    return c->peer.roles;
}

const char *call_role(const struct call *c)
{
    check(c);
    /* The lowest bit: a role that the row admits is as good as another. */
    return c->peer.local ? "local" : call_role_name(c->acting & -c->acting);
}

const char *call_role_name(unsigned roles)
{
    switch (roles) {
    case ROLE_PRIVACY:
        return "privacy";
    case ROLE_MLOPS:
        return "mlops";
    case ROLE_PREDICT:
        return "predict";
    case ROLE_AUDITOR:
        return "auditor";
    case ROLE_ADMIN:
        return "admin";
    default:
        return "local";
    }
}

int64_t call_deadline_us(const struct call *c)
{
    check(c);
    return c->deadline_us;
}

bool call_expired(const struct call *c, int64_t now_us)
{
    check(c);
    return now_us >= c->deadline_us;
}

/* ------------------------------------------------------------ answers */

static enum status add_part(struct call *c, const void *bytes, size_t size)
{
    uint8_t *copy = sysio_alloc(1, size + (size == 0));
    if (!copy)
        return STATUS_NO_MEMORY;
    if (size > 0)
        memcpy(copy, bytes, size);
    c->part[c->n_parts] = copy;
    c->part_size[c->n_parts] = size;
    c->n_parts++;
    return STATUS_OK;
}

static void drop_parts(struct call *c)
{
    while (c->n_parts > 0)
        sysio_free(c->part[--c->n_parts]);
}

/* A reply that we cannot send is our own fault, whatever its encoder calls it. */
static enum status check_raw(const struct call_frames *raw, uint64_t *sizes, struct fault *f)
{
    size_t total = 0;
    if (raw->n > LIMIT_FRAMES)
        FAIL(f, STATUS_INTERNAL, "frames", "an answer of %zu frames", raw->n);
    for (size_t i = 0; i < raw->n; i++) {
        sizes[i] = raw->items[i].size;
        total += raw->items[i].size;
        if (raw->items[i].size > LIMIT_FRAME_BYTES || total > LIMIT_MESSAGE_BYTES)
            FAIL(f, STATUS_INTERNAL, "frame_bytes", "an answer of more bytes than may be sent");
    }
    return STATUS_OK;
}

/* Encodes a reply and copies its raw frames into parts; on failure there are none. */
static enum status make_parts(struct call *c,
                              const struct wire_reply *reply,
                              const struct call_frames *raw,
                              struct arena *arena,
                              struct fault *f)
{
    static const struct call_frames nothing;
    uint64_t sizes[LIMIT_FRAMES];
    const uint8_t *bytes;
    size_t size;
    raw = raw ? raw : &nothing;
    TRY(check_raw(raw, sizes, f));
    struct wire_reply full = *reply;
    full.kind = c->kind;
    full.request_id = c->request_id;
    full.frame_bytes = sizes;
    full.n_frames = raw->n;
    TRY(wire_reply_encode(&full, arena, &bytes, &size, f));
    enum status code = add_part(c, bytes, size);
    for (size_t i = 0; i < raw->n && code == STATUS_OK; i++)
        code = add_part(c, raw->items[i].at, raw->items[i].size);
    if (code == STATUS_OK)
        return STATUS_OK;
    drop_parts(c);
    FAIL(f, code, NULL, "no memory for the answer");
}

static void hand_over(struct call *c)
{
    release_request(c);
    outbox_push(c->outbox, c);
}

static void make_error(struct call *c, enum status code, const struct fault *f, uint32_t retry_s)
{
    unsigned char memory[ERROR_ARENA_BYTES];
    struct arena arena;
    struct fault clean = f ? *f : (struct fault){0};
    wire_text_clean(clean.text);
    wire_text_clean(clean.field);
    const struct wire_error error = wire_error_make(code, &clean, retry_s);
    const struct wire_reply reply = {.error = &error};
    arena_init(&arena, memory, sizeof memory);
    /* Without memory for so little the caller gets no answer and meets its own deadline. */
    if (make_parts(c, &reply, NULL, &arena, NULL) != STATUS_OK)
        INVARIANT(c->n_parts == 0);
    arena_fini(&arena);
}

void call_finish(struct call *c, const struct wire_reply *reply, const struct call_frames *raw)
{
    check(c);
    struct fault f = {0};
    const enum status code = make_parts(c, reply, raw, &c->arena, &f);
    if (code != STATUS_OK) {
        fault_prefix(&f, "the answer cannot be sent");
        const bool limit = status_class_of(code) == STATUS_CLASS_LIMIT;
        make_error(c, limit ? code : STATUS_INTERNAL, &f, 0);
    }
    hand_over(c);
}

void call_fail_retry(struct call *c,
                     enum status code,
                     const struct fault *f,
                     uint32_t retry_after_s)
{
    check(c);
    INVARIANT(code != STATUS_OK);
    c->code = code;
    make_error(c, code, f, retry_after_s);
    hand_over(c);
}

void call_fail(struct call *c, enum status code, const struct fault *f)
{
    call_fail_retry(c, code, f, 0);
}
