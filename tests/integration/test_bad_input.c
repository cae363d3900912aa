/*
 * Bad input, one test for each kind: every one has its own error (code, field, a sentence with the
 * limit), and afterwards the daemon serves and its store is as it was.
 */
#include "tests/support/serve_fixture.h"
#include "tests/support/session.h"

#include <math.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "storage/kv/kv.h"
#include "storage/kv/migrate.h"

/* One daemon, in which Square is forgotten, for everything that does not need its own. */
static struct session shared;
static char serving[LETHE_DIGEST_TEXT];
static uint64_t requests_before;

int group_setup(void **state);
int group_teardown(void **state);

static uint64_t count_requests(struct session *s)
{
    struct lethe_error e = {0};
    struct lethe_fsck *fsck;
    session_ok(lethe_fsck(s->l, &fsck, &e), e);
    const uint64_t n = fsck->requests;
    lethe_free(fsck);
    return n;
}

int group_setup(void **state)
{
    (void)state;
    session_new(&shared, SESSION_GATE SESSION_FAST);
    session_import(&shared);
    lethe_free(session_forget_class(&shared, "Square"));
    session_serving(&shared, serving);
    requests_before = count_requests(&shared);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&shared);
    return 0;
}

/* Serving, sound, and nothing was added. */
static void assert_untouched(void)
{
    char now[LETHE_DIGEST_TEXT];
    session_sound(&shared);
    session_serving(&shared, now);
    assert_string_equal(now, serving);
    assert_int_equal(count_requests(&shared), requests_before);
}

static void assert_forget_refused(const struct lethe_forget_args *args,
                                  enum lethe_code code,
                                  const char *field,
                                  const char *says)
{
    struct lethe_error e;
    struct lethe_request *r;
    session_refused(lethe_forget(shared.l, args, &r, &e), code, field, e);
    assert_int_equal(e.origin, LETHE_FROM_DAEMON);
    if (!strstr(e.text, says))
        fail_msg("\"%s\" does not say \"%s\"", e.text, says);
    assert_untouched();
}

/* ------------------------------------------------------------------ requests */

void test_bad_label_that_does_not_exist(void **state)
{
    (void)state;
    static const char *const classes[] = {"Circle", "Pentagon"};
    const struct lethe_forget_args args = {.classes = classes, .n_classes = 2};
    assert_forget_refused(&args, LETHE_NOT_FOUND, "classes", "Pentagon");
}

/* The library refuses it by itself, so the message is made by hand. */
static void raw_open(struct fixture *x, struct client *c)
{
    memset(x, 0, sizeof *x);
    (void)snprintf(x->endpoint, sizeof x->endpoint, "%.290s", shared.d.endpoint);
    x->context = zmq_ctx_new();
    assert_non_null(x->context);
    client_open(x, c);
}

static void raw_close(struct fixture *x, struct client *c)
{
    client_close(c);
    assert_int_equal(zmq_ctx_term(x->context), 0);
}

static void assert_raw_refused(const struct wire_envelope *m,
                               const void *frame,
                               size_t size,
                               enum status code,
                               const char *field)
{
    struct fixture x;
    struct client c;
    raw_open(&x, &c);
    send_envelope(&c, m, frame != NULL);
    if (frame)
        send_bytes(&c, frame, size, 0);
    expect_error(receive(&c), code, field, m->request_id.b[15]);
    raw_close(&x, &c);
}

void test_bad_empty_forget_set(void **state)
{
    (void)state;
    const struct wire_envelope m = envelope(WIRE_KIND_FORGET, 31);
    assert_raw_refused(&m, NULL, 0, STATUS_INVALID_ARGUMENT, "classes");
    assert_untouched();
}

void test_bad_class_already_forgotten(void **state)
{
    (void)state;
    const struct lethe_forget_args args = {.classes = &tiny_labels[1], .n_classes = 1};
    assert_forget_refused(&args, LETHE_FAILED_PRECONDITION, "classes", "already forgotten");
}

void test_bad_all_classes_at_once(void **state)
{
    (void)state;
    static const char *const classes[] = {"Circle", "Cross", "Stripe"};
    const struct lethe_forget_args args = {.classes = classes, .n_classes = 3};
    assert_forget_refused(&args, LETHE_INVALID_ARGUMENT, "classes", "at least one must stay");
}

/* ------------------------------------------------------------------ pictures */

static const float *grey(void)
{
    static float pixels[4 * TINY_PIXELS];
    return pixels;
}

static void assert_predict_refused(const struct lethe_predict_args *args, const char *field)
{
    struct lethe_error e;
    struct lethe_predictions *p;
    session_refused(lethe_predict(shared.l, args, &p, &e), LETHE_INVALID_ARGUMENT, field, e);
    assert_int_equal(e.origin, LETHE_FROM_DAEMON);
    assert_untouched();
}

void test_bad_images_of_the_wrong_size(void **state)
{
    (void)state;
    const void *images[] = {grey()};
    struct lethe_predict_args args = {.height = TINY_SIZE,
                                      .width = TINY_SIZE + 1,
                                      .channels = 1,
                                      .images = images,
                                      .n_images = 1};
    assert_predict_refused(&args, "width");
    args.width = TINY_SIZE;
    args.channels = 3;
    assert_predict_refused(&args, "channels");
}

/* Bytes that are not what the stated type asks for: f32 sent as u8. */
void test_bad_images_of_the_wrong_dtype(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {TINY_PIXELS * sizeof(float)};
    struct wire_envelope m = envelope(WIRE_KIND_PREDICT, 33);
    m.n_frames = 1;
    m.frame_bytes = sizes;
    m.body.predict = (struct wire_predict){.images = 1,
                                           .pixel = WIRE_PIXEL_U8,
                                           .height = TINY_SIZE,
                                           .width = TINY_SIZE,
                                           .channels = 1};
    assert_raw_refused(&m, grey(), sizes[0], STATUS_INVALID_ARGUMENT, "pixel");
    assert_untouched();
}

void test_bad_nan_pixels(void **state)
{
    (void)state;
    float pixels[TINY_PIXELS] = {0};
    const void *images[] = {pixels};
    const struct lethe_predict_args args = {.pixel = LETHE_PIXEL_F32,
                                            .height = TINY_SIZE,
                                            .width = TINY_SIZE,
                                            .channels = 1,
                                            .images = images,
                                            .n_images = 1};
    pixels[TINY_PIXELS - 1] = NAN;
    assert_predict_refused(&args, "pixel");
    pixels[TINY_PIXELS - 1] = INFINITY;
    assert_predict_refused(&args, "pixel");
}

/* Imports n images of 16x4 pixels, the same label for all; what came of it. */
static enum lethe_code import_odd(int32_t label, struct lethe_error *e)
{
    enum { N = 10 };
    static struct session_stream stream;
    struct lethe_dataset *d;
    const int32_t labels[N] = {label};
    memset(&stream, 0, sizeof stream);
    memcpy(stream.bytes + N * TINY_PIXELS, labels, sizeof labels);
    const struct lethe_import_args args = {.spec = {.name = "odd",
                                                    .role = "probe",
                                                    .images = N,
                                                    .height = TINY_SIZE / 2,
                                                    .width = TINY_SIZE * 2,
                                                    .channels = 1,
                                                    .classes = tiny_labels,
                                                    .n_classes = TINY_CLASSES},
                                           .source = session_source,
                                           .context = stream.bytes};
    const enum lethe_code code = lethe_data_import(shared.l, &args, &d, e);
    lethe_free(d);
    return code;
}

void test_bad_samples_of_the_wrong_size(void **state)
{
    (void)state;
    struct lethe_error e = {0};
    const struct lethe_forget_args args = {.samples = "odd"};
    session_ok(import_odd(0, &e), e);
    assert_forget_refused(&args, LETHE_INVALID_ARGUMENT, "samples", "8x8");
    session_ok(lethe_data_remove(shared.l, "odd", &e), e);
    assert_untouched();
}

void test_bad_samples_with_a_label_of_no_class(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_datasets *sets;
    session_refused(import_odd(TINY_CLASSES, &e), LETHE_INVALID_ARGUMENT, "labels", e);
    session_ok(lethe_data_list(shared.l, &sets, &e), e);
    assert_int_equal(sets->n, 2);
    lethe_free(sets);
    assert_untouched();
}

/* ------------------------------------------------------------------ frames */

void test_bad_truncated_frames(void **state)
{
    (void)state;
    static const char *const classes[] = {"Circle"};
    struct fixture x;
    struct client c;
    struct fault f = {0};
    const uint8_t *bytes;
    size_t size;
    raw_open(&x, &c);
    struct wire_envelope m = envelope(WIRE_KIND_FORGET, 34);
    m.body.forget = (struct wire_forget){.classes = classes, .n_classes = 1, .ticket = "T"};
    assert_int_equal(wire_envelope_encode(&m, &c.arena, &bytes, &size, &f), STATUS_OK);
    for (size_t n = 0; n < size; n++) {
        send_bytes(&c, bytes, n, 0);
        const struct wire_reply *reply = receive(&c);
        assert_non_null(reply->error);
        assert_string_equal(reply->error->code, "INVALID_ARGUMENT");
        assert_true(reply->error->text[0] != '\0');
    }
    raw_close(&x, &c);
    assert_untouched();
}

void test_bad_oversized_frames(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    raw_open(&x, &c);
    send_filler(&c, LIMIT_ENVELOPE_BYTES + 1, 0);
    expect_error(receive(&c), STATUS_RESOURCE_EXHAUSTED, "envelope", 0);
    const struct wire_envelope m = envelope(WIRE_KIND_PREDICT, 35);
    send_envelope(&c, &m, 1);
    send_filler(&c, LIMIT_FRAME_BYTES + 1, 0);
    expect_error(receive(&c), STATUS_RESOURCE_EXHAUSTED, "frame_bytes", 35);
    /* beyond what the transport takes the connection ends, and only this one */
    send_filler(&c, LIMIT_TRANSPORT_BYTES + 1, 0);
    raw_close(&x, &c);
    assert_untouched();
}

void test_bad_frame_count_that_lies(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {TINY_PIXELS, TINY_PIXELS};
    struct wire_envelope m = envelope(WIRE_KIND_PREDICT, 36);
    m.n_frames = 2;
    m.frame_bytes = sizes;
    assert_raw_refused(&m, grey(), TINY_PIXELS, STATUS_INVALID_ARGUMENT, "frames");
    m.n_frames = 1;
    assert_raw_refused(&m, grey(), TINY_PIXELS - 1, STATUS_INVALID_ARGUMENT, "frame_bytes");
    m.n_frames = 0;
    assert_raw_refused(&m, grey(), TINY_PIXELS, STATUS_INVALID_ARGUMENT, "frames");
    assert_untouched();
}

void test_bad_unknown_message_kinds(void **state)
{
    (void)state;
    /* kind = 127 and 2047 (field 2), request id of 16 bytes (field 3) */
    static const uint8_t kinds[][4] = {{0x10, 0x7f, 0, 2}, {0x10, 0xff, 0x0f, 3}};
    for (size_t i = 0; i < 2; i++) {
        struct fixture x;
        struct client c;
        raw_open(&x, &c);
        send_bytes(&c, kinds[i], kinds[i][3], 0);
        expect_error(receive(&c), STATUS_UNIMPLEMENTED, "kind", 0);
        raw_close(&x, &c);
    }
    assert_untouched();
}

void test_bad_repeated_id_with_another_payload(void **state)
{
    (void)state;
    static const char *const classes[] = {"Circle"};
    struct lethe_error e = {0};
    struct lethe_requests *known;
    char id[LETHE_ID_TEXT];
    session_ok(lethe_requests(shared.l, "committed", 1, 0, &known, &e), e);
    memcpy(id, known->items[0].id, sizeof id);
    lethe_free(known);
    const struct lethe_forget_args args = {.request_id = id, .classes = classes, .n_classes = 1};
    assert_forget_refused(&args, LETHE_ALREADY_EXISTS, "request_id", "another payload");
}

/* ------------------------------------------------------------------ models and configuration */

/* A daemon must not start on this model, say why, and start on a good one afterwards. */
static void assert_model_refused(const void *bytes, size_t size, const char *says)
{
    struct session s;
    char path[600];
    memset(&s, 0, sizeof s);
    test_support_mkdir(s.model);
    tiny_model_write(s.model);
    test_daemon_new(&s.d, s.model, "");
    (void)snprintf(path, sizeof path, "%s/model.safetensors", s.model);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(test_daemon_start_refused(&s.d), 1);
    if (!test_daemon_said(&s.d, says))
        fail_msg("the journal does not say \"%s\"", says);
    tiny_model_write(s.model);
    test_daemon_start(&s.d);
    session_connect(&s);
    session_sound(&s);
    session_free(&s);
}

static size_t with_header(uint8_t *to, uint64_t length, const char *header)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(length >> (8 * i));
    memcpy(to + 8, header, strlen(header));
    return 8 + strlen(header);
}

void test_bad_broken_safetensors_as_base(void **state)
{
    (void)state;
    uint8_t file[512];
    assert_model_refused("{}", 2, "model.safetensors");
    const size_t n = with_header(file, 60, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_off");
    assert_model_refused(file, n, "model.safetensors");
}

void test_bad_hostile_safetensors_as_base(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,16],\"data_offsets\":[0,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,18446744073709551615]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}"};
    uint8_t file[512];
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        const size_t n = with_header(file, strlen(headers[i]), headers[i]);
        assert_model_refused(file, n, "model.safetensors");
    }
    const size_t n = with_header(file, UINT64_MAX, "{}");
    assert_model_refused(file, n, "model.safetensors");
}

void test_bad_config_with_unknown_keys(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        const char *says;
    } cases[] = {{"colour = red\n", "colour"},
                 {"[gate]\nkindness = 1\n", "kindness"},
                 {"[gslora]\nepoch = 3\n", "epoch"},
                 {"[garden]\nroses = 3\n", "garden"}};
    struct session s;
    memset(&s, 0, sizeof s);
    test_support_mkdir(s.model);
    tiny_model_write(s.model);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_daemon_new(&s.d, s.model, cases[i].lines);
        assert_int_equal(test_daemon_start_refused(&s.d), 2);
        if (!test_daemon_said(&s.d, cases[i].says) || !test_daemon_said(&s.d, "line"))
            fail_msg("the journal does not name %s and its line", cases[i].says);
        test_daemon_free(&s.d);
    }
    test_support_rmdir(s.model);
    assert_untouched();
}

/* ------------------------------------------------------------------ stores and sockets */

static enum status raise_schema(struct kv_txn *txn, void *context, struct fault *f)
{
    const uint32_t schema = *(const uint32_t *)context;
    uint8_t bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(schema >> (8 * i));
    return kv_put(txn, KV_META, kv_bytes_of("schema", 6), kv_bytes_of(bytes, sizeof bytes), f);
}

static void set_schema(const struct session *s, uint32_t schema)
{
    struct fault f = {0};
    struct kv *kv;
    const struct kv_options options = {.folder = s->d.store};
    assert_int_equal(kv_open(&options, &kv, &f), STATUS_OK);
    assert_int_equal(kv_update(kv, raise_schema, &schema, &f), STATUS_OK);
    kv_close(kv);
}

void test_bad_store_of_a_newer_schema(void **state)
{
    (void)state;
    struct session s;
    session_new(&s, "");
    test_daemon_stop(&s.d);
    set_schema(&s, SCHEMA_VERSION + 1);
    assert_int_equal(test_daemon_start_refused(&s.d), 1);
    assert_true(test_daemon_said(&s.d, "STORE_NEWER"));
    assert_true(test_daemon_said(&s.d, "use a newer lethe"));
    session_free(&s);
}

/* Another configuration beside a running daemon: the store and the socket can be told apart. */
static void second_daemon(const struct session *s,
                          const char *store,
                          const char *endpoint,
                          struct test_daemon *ret_second)
{
    test_daemon_new(ret_second, s->model, "");
    FILE *file = fopen(ret_second->config, "w");
    assert_non_null(file);
    (void)fprintf(file, "base = %s\nstore = %s\nendpoint = %s\n", s->model,
                  store ? store : ret_second->store, endpoint ? endpoint : ret_second->endpoint);
    assert_int_equal(fclose(file), 0);
}

void test_bad_store_locked_by_another_daemon(void **state)
{
    (void)state;
    struct test_daemon second;
    char pid[32];
    second_daemon(&shared, shared.d.store, NULL, &second);
    assert_int_equal(test_daemon_start_refused(&second), 1);
    assert_true(test_daemon_said(&second, "STORE_LOCKED"));
    (void)snprintf(pid, sizeof pid, "process %d", (int)shared.d.pid);
    assert_true(test_daemon_said(&second, pid));
    test_daemon_free(&second);
    assert_untouched();
}

void test_bad_second_daemon_on_the_socket(void **state)
{
    (void)state;
    struct test_daemon second;
    second_daemon(&shared, NULL, shared.d.endpoint, &second);
    assert_int_equal(test_daemon_start_refused(&second), 1);
    assert_true(test_daemon_said(&second, "ALREADY_EXISTS"));
    assert_true(test_daemon_said(&second, "another daemon serves"));
    test_daemon_free(&second);
    assert_untouched();
}

/* ------------------------------------------------------------------ a full disk */

/* Writes into a file until the disk takes no more. */
static void fill_disk(const char *path)
{
    static const char block[4096];
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    setbuf(file, NULL);
    while (fwrite(block, 1, sizeof block, file) == sizeof block) {
    }
    (void)fclose(file);
}

/* A daemon whose store is a small disk of its own; false without the right to make one. */
static int small_disk(struct session *s)
{
    memset(s, 0, sizeof *s);
    test_support_mkdir(s->model);
    tiny_model_write(s->model);
    test_daemon_new(&s->d, s->model, SESSION_GATE SESSION_FAST);
    assert_int_equal(mkdir(s->d.store, 0700), 0);
    if (mount("none", s->d.store, "tmpfs", 0, "size=24m,mode=0700") != 0) {
        session_free(s);
        return 0;
    }
    test_daemon_start(&s->d);
    session_connect(s);
    session_import(s);
    return 1;
}

static void small_disk_free(struct session *s)
{
    test_daemon_stop(&s->d);
    assert_int_equal(umount2(s->d.store, MNT_DETACH), 0);
    session_free(s);
}

void test_bad_full_disk(void **state)
{
    (void)state;
    struct session s;
    struct lethe_error e;
    struct lethe_request *r;
    char filler[600];
    if (!small_disk(&s))
        skip();
    (void)snprintf(filler, sizeof filler, "%s/filler", s.d.store);
    fill_disk(filler);
    const struct lethe_forget_args args = {.classes = tiny_labels, .n_classes = 1};
    session_refused(lethe_forget(s.l, &args, &r, &e), LETHE_RESOURCE_EXHAUSTED, "store", e);
    assert_true(e.retry_after_s > 0);
    session_sound(&s);
    assert_int_equal(unlink(filler), 0);
    lethe_free(session_forget_class(&s, tiny_labels[0]));
    session_sound(&s);
    small_disk_free(&s);
}

/* What was accepted is done as soon as there is room again. */
void test_bad_full_disk_while_a_request_runs(void **state)
{
    (void)state;
    struct session s;
    char filler[600], id[LETHE_ID_TEXT];
    if (!small_disk(&s))
        skip();
    (void)snprintf(filler, sizeof filler, "%s/filler", s.d.store);
    const struct lethe_forget_args args = {.classes = tiny_labels, .n_classes = 1};
    session_forget(&s, &args, id);
    session_until(&s, id, "running");
    fill_disk(filler);
    /* The job ends, cannot be recorded, and the queue says that it waits for room. */
    for (int i = 0; i < 600 && !test_daemon_said(&s.d, "queue.waits"); i++)
        session_sleep_ms(100);
    assert_true(test_daemon_said(&s.d, "queue.waits"));
    session_sound(&s);
    assert_int_equal(unlink(filler), 0);
    struct lethe_request *r = session_wait(&s, id, "committed");
    assert_int_equal(r->error.code, LETHE_OK);
    lethe_free(r);
    session_sound(&s);
    small_disk_free(&s);
}
