/* Uploads and downloads of the C library: pieces, resuming, digests. */
#include "tests/unit/client/fake_server.h"

#include "proto/seal/hash.h"

static const char *const CLASSES[] = {"Sandal", "Bag"};

struct store {
    unsigned char *bytes;
    uint64_t size, used;
    int refuse_at; /* number of the chunk that is answered ABORTED */
    int chunks;
    int opens;
    struct digest digest;
    struct wire_error error;
    struct fault f;
};

static void answer_upload(const struct store *d, struct fake_call *call)
{
    call->reply.answer = WIRE_ANSWER_UPLOAD;
    call->reply.body.upload = (struct wire_upload){
        .offset = d->used, .credit = 8, .bytes = d->size, .complete = d->used == d->size};
    memset(call->reply.body.upload.upload.b, 0x77, REQUEST_ID_SIZE);
}

static bool answer_store(void *context, struct fake_call *call)
{
    struct store *d = context;
    static const struct wire_dataset SETS[] = {{.name = "other"},
                                               {.name = "fashion", .role = "train", .images = 5}};
    switch ((int)call->message->kind) {
    case WIRE_KIND_DATA_OPEN:
        d->opens++;
        d->digest = call->message->body.data_open.digest;
        answer_upload(d, call);
        return true;
    case WIRE_KIND_DATA_CHUNK:
        d->chunks++;
        if (d->chunks == d->refuse_at) {
            d->error = wire_error_make(STATUS_ABORTED, NULL, 0);
            call->reply.error = &d->error;
            return true;
        }
        assert_int_equal(call->message->body.data_chunk.offset, d->used);
        memcpy(d->bytes + d->used, call->raw[0].at, call->raw[0].size);
        d->used += call->raw[0].size;
        answer_upload(d, call);
        return true;
    case WIRE_KIND_DATA_CLOSE:
        call->reply.answer = WIRE_ANSWER_DATASETS;
        call->reply.body.datasets = (struct wire_datasets){SETS, 2};
        return true;
    default:
        return false;
    }
}

static bool pattern_source(void *context, uint64_t offset, void *to, size_t size)
{
    (void)context;
    unsigned char *at = to;
    for (size_t i = 0; i < size; i++)
        at[i] = (unsigned char)((offset + i) * 2654435761u >> 13);
    return true;
}

static void count_meter(void *context, uint64_t done, uint64_t total)
{
    uint64_t *last = context;
    assert_true(done > *last && done <= total);
    *last = done;
}

/* Sends 5 images of 700 x 700, 2.4 MB in three chunks, from where `d` stands. */
static void import_pattern(struct store *d)
{
    struct fake_server s;
    d->size = 5 * (700 * 700 + 4);
    d->bytes = calloc(1, d->size);
    pattern_source(NULL, 0, d->bytes, d->used);
    fake_start(&s, answer_store, d);
    struct lethe *l = open_client(&s, NULL);
    uint64_t last = 0;
    const struct lethe_import_args args = {.spec = {.name = "fashion",
                                                    .images = 5,
                                                    .height = 700,
                                                    .width = 700,
                                                    .channels = 1,
                                                    .classes = CLASSES,
                                                    .n_classes = 2},
                                           .source = pattern_source,
                                           .meter = count_meter,
                                           .context = &last};
    struct lethe_dataset *made;
    struct lethe_error e;
    assert_call(lethe_data_import(l, &args, &made, &e), LETHE_OK);
    assert_string_equal(made->name, "fashion");
    assert_int_equal(made->images, 5);
    assert_true(last == d->size);
    unsigned char *want = malloc(d->size);
    pattern_source(NULL, 0, want, d->size);
    assert_memory_equal(want, d->bytes, d->size);
    const struct digest digest = seal_hash(want, d->size);
    assert_true(digest_equal(&digest, &d->digest));
    free(want);
    free(d->bytes);
    lethe_free(made);
    lethe_close(l);
    fake_stop(&s);
}

void test_transfer_import(void **state)
{
    (void)state;
    struct store d = {0};
    import_pattern(&d);
    assert_int_equal(d.chunks, 3);
    assert_int_equal(d.opens, 1);
}

void test_transfer_import_resumes(void **state)
{
    (void)state;
    struct store d = {.used = 2000000};
    import_pattern(&d);
    assert_int_equal(d.chunks, 1);
    struct store broken = {.refuse_at = 2};
    import_pattern(&broken);
    assert_int_equal(broken.opens, 2);
    assert_int_equal(broken.chunks, 4);
}

void test_transfer_import_checks_its_size(void **state)
{
    (void)state;
    struct lethe_data_spec spec = {.images = 2, .height = 3, .width = 3, .channels = 1};
    assert_call(lethe_data_bytes(&spec), 2 * (9 + 4));
    spec.multi_label = true;
    spec.n_classes = 7;
    assert_call(lethe_data_bytes(&spec), 2 * (9 + 7));
    spec.images = UINT64_MAX / 4;
    assert_call(lethe_data_bytes(&spec), 0);
}

struct blob {
    unsigned char *bytes;
    size_t size;
    bool damaged;
};

static bool answer_blob(void *context, struct fake_call *call)
{
    const struct blob *b = context;
    const struct wire_blob_range *w = &call->message->body.blob;
    if (w->offset + w->length > b->size)
        return false;
    unsigned char *copy = arena_alloc(call->arena, w->length, 1);
    memcpy(copy, b->bytes + w->offset, w->length);
    copy[0] ^= b->damaged ? 1 : 0;
    call->has_raw = true;
    call->answer_raw = (struct wire_bytes){copy, w->length};
    return true;
}

static bool collect(void *context, const void *bytes, size_t size)
{
    struct blob *b = context;
    memcpy(b->bytes + b->size, bytes, size);
    b->size += size;
    return true;
}

void test_transfer_blob(void **state)
{
    (void)state;
    const size_t size = 2500000;
    struct blob there = {malloc(size), size, false}, here = {malloc(size), 0, false};
    pattern_source(NULL, 0, there.bytes, size);
    struct lethe_file file = {.path = "model.safetensors", .bytes = size};
    const struct digest digest = seal_hash(there.bytes, size);
    digest_format(&digest, file.digest);
    struct fake_server s;
    fake_start(&s, answer_blob, &there);
    struct lethe *l = open_client(&s, NULL);
    struct lethe_error e;
    assert_call(lethe_blob(l, &file, collect, &here, &e), LETHE_OK);
    assert_int_equal(here.size, size);
    assert_memory_equal(here.bytes, there.bytes, size);
    assert_int_equal(atomic_load(&s.calls), 3);
    there.damaged = true;
    here.size = 0;
    assert_call(lethe_blob(l, &file, collect, &here, &e), LETHE_DATA_LOSS);
    file.digest[0] = 'x';
    assert_call(lethe_blob(l, &file, collect, &here, &e), LETHE_INVALID_ARGUMENT);
    free(there.bytes);
    free(here.bytes);
    lethe_close(l);
    fake_stop(&s);
}
