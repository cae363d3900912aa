/* The C library against a socket that answers by script: time-outs, repeats, errors, transfers. */
#include "tests/unit/client/fake_server.h"

#include "client/lethe.h"

#include <sys/stat.h>
#include <time.h>

/* ------------------------------------------------------------------ support */

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct digest digest_of(uint8_t x)
{
    struct digest d;
    memset(d.b, x, sizeof d.b);
    return d;
}

static const char *const CLASSES[] = {"Sandal", "Bag"};

static bool answer_status(void *context, struct fake_call *call)
{
    (void)context;
    call->reply.answer = WIRE_ANSWER_STATUS;
    call->reply.body.status = (struct wire_status){.state = "serving",
                                                   .lethe_version = "0.1.0",
                                                   .serving = digest_of(0xab),
                                                   .serving_number = 3,
                                                   .queue_depth = 2,
                                                   .model = "vit-fashion",
                                                   .data_ready = true};
    return true;
}

/* ------------------------------------------------------------------ connection */

void test_client_round_trip(void **state)
{
    (void)state;
    struct fake_server s;
    fake_start(&s, answer_status, NULL);
    struct lethe *l = open_client(&s, NULL);
    struct lethe_status *status;
    struct lethe_error e;
    assert_call(lethe_status(l, &status, &e), LETHE_OK);
    assert_string_equal(status->state, "serving");
    assert_string_equal(status->model, "vit-fashion");
    assert_int_equal(status->serving_number, 3);
    assert_int_equal(strlen(status->serving), 64);
    assert_memory_equal(status->serving, "abab", 4);
    assert_string_equal(status->base, "");
    assert_true(status->data_ready);
    assert_int_equal(s.deadlines[0], 15000);
    lethe_free(status);
    lethe_close(l);
    fake_stop(&s);
}

void test_client_nobody_there(void **state)
{
    (void)state;
    struct lethe *l;
    struct lethe_error e;
    const struct lethe_options o = {.connect_timeout_ms = 100};
    assert_call(lethe_open("ipc:///tmp/lethe-test-nobody", &o, &l, &e), LETHE_OK);
    struct lethe_status *status = (void *)1;
    const int64_t start = now_ms();
    assert_call(lethe_status(l, &status, &e), LETHE_DEADLINE_EXCEEDED);
    assert_true(now_ms() - start < 5000);
    assert_int_equal(e.origin, LETHE_FROM_TRANSPORT);
    assert_string_equal(e.field, "endpoint");
    assert_non_null(strstr(e.text, "ipc:///tmp/lethe-test-nobody"));
    assert_null(status);
    lethe_close(l);
}

void test_client_bad_endpoints(void **state)
{
    (void)state;
    static const char *const BAD[] = {"",           "http://x", "/run/lethe.sock",
                                      "inproc://x", "tcp://",   "tcp://localhost:1234"};
    char long_one[700];
    memset(long_one, 'x', sizeof long_one);
    memcpy(long_one, "ipc://", 6);
    long_one[sizeof long_one - 1] = '\0';
    struct lethe *l;
    struct lethe_error e;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_call(lethe_open(BAD[i], NULL, &l, &e), LETHE_INVALID_ARGUMENT);
        assert_int_equal(e.origin, LETHE_FROM_CALLER);
        assert_null(l);
    }
    assert_call(lethe_open(long_one, NULL, &l, &e), LETHE_INVALID_ARGUMENT);
    long_one[300] = '\0'; /* fits our buffer, but no socket address */
    assert_call(lethe_open(long_one, NULL, &l, &e), LETHE_INVALID_ARGUMENT);
    assert_string_equal(e.field, "endpoint");
}

void test_client_events_endpoint(void **state)
{
    (void)state;
    char text[64];
    assert_true(lethe_events_endpoint("ipc:///run/lethe/lethe.sock", text, sizeof text));
    assert_string_equal(text, "ipc:///run/lethe/lethe.sock.events");
    assert_true(lethe_events_endpoint("tcp://[::1]:5555", text, sizeof text));
    assert_string_equal(text, "tcp://[::1]:5556");
    assert_false(lethe_events_endpoint("tcp://host:65535", text, sizeof text));
    assert_false(lethe_events_endpoint("tcp://host", text, sizeof text));
    assert_false(lethe_events_endpoint("tcp://host:12x", text, sizeof text));
    assert_false(lethe_events_endpoint("ipc:///run/lethe", text, 16));
}

/* ------------------------------------------------------------------ repeats */

static bool answer_from(void *context, struct fake_call *call)
{
    const int *first = context;
    return call->n >= *first && answer_status(NULL, call);
}

void test_client_resends_the_same_id(void **state)
{
    (void)state;
    struct fake_server s;
    int first = 3;
    fake_start(&s, answer_from, &first);
    const struct lethe_options o = {.timeout_ms = 900, .attempts = 3};
    struct lethe *l = open_client(&s, &o);
    struct lethe_status *status;
    assert_call(lethe_status(l, &status, NULL), LETHE_OK);
    assert_int_equal(atomic_load(&s.calls), 3);
    assert_true(request_id_equal(&s.ids[0], &s.ids[1]) && request_id_equal(&s.ids[0], &s.ids[2]));
    lethe_free(status);
    assert_call(lethe_status(l, &status, NULL), LETHE_OK);
    assert_false(request_id_equal(&s.ids[0], &s.ids[3]));
    assert_int_equal(s.ids[0].b[6] >> 4, 7); /* UUIDv7 */
    lethe_free(status);
    lethe_close(l);
    fake_stop(&s);
}

void test_client_gives_up_after_its_attempts(void **state)
{
    (void)state;
    struct fake_server s;
    int first = 100;
    fake_start(&s, answer_from, &first);
    const struct lethe_options o = {.timeout_ms = 300, .attempts = 2};
    struct lethe *l = open_client(&s, &o);
    struct lethe_status *status;
    struct lethe_error e;
    const int64_t start = now_ms();
    assert_call(lethe_status(l, &status, &e), LETHE_DEADLINE_EXCEEDED);
    const int64_t took = now_ms() - start;
    assert_true(took >= 290 && took < 3000);
    assert_int_equal(e.origin, LETHE_FROM_TRANSPORT);
    assert_string_equal(e.field, "");
    assert_non_null(strstr(e.text, "0.3 s"));
    assert_int_equal(atomic_load(&s.calls), 2);
    lethe_close(l);
    fake_stop(&s);
}

/* The first answer is to a call of long ago; the second, to the repeat, is ours. */
static bool answer_stale_first(void *context, struct fake_call *call)
{
    (void)context;
    if (call->n == 1)
        call->reply.request_id.b[15] ^= 1;
    return answer_status(NULL, call);
}

void test_client_drops_answers_to_other_calls(void **state)
{
    (void)state;
    struct fake_server s;
    fake_start(&s, answer_stale_first, NULL);
    const struct lethe_options o = {.timeout_ms = 600, .attempts = 3};
    struct lethe *l = open_client(&s, &o);
    struct lethe_status *status;
    assert_call(lethe_status(l, &status, NULL), LETHE_OK);
    assert_int_equal(atomic_load(&s.calls), 2);
    lethe_free(status);
    lethe_close(l);
    fake_stop(&s);
}

/* ------------------------------------------------------------------ errors */

struct daemon_error {
    struct fault f;
    enum status code;
    struct wire_error wire;
};

static bool answer_error(void *context, struct fake_call *call)
{
    struct daemon_error *d = context;
    d->wire = wire_error_make(d->code, &d->f, 7);
    call->reply.error = &d->wire;
    return true;
}

void test_client_errors_of_the_daemon(void **state)
{
    (void)state;
    static const struct {
        enum status sent;
        enum lethe_code got;
    } CASES[] = {{STATUS_NOT_FOUND, LETHE_NOT_FOUND},
                 {STATUS_NO_SPACE, LETHE_RESOURCE_EXHAUSTED},
                 {STATUS_STORE_NEWER, LETHE_FAILED_PRECONDITION},
                 {STATUS_IO_ERROR, LETHE_UNAVAILABLE},
                 {STATUS_DATA_LOSS, LETHE_DATA_LOSS}};
    struct daemon_error d;
    struct fake_server s;
    fake_start(&s, answer_error, &d);
    struct lethe *l = open_client(&s, NULL);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        d = (struct daemon_error){.code = CASES[i].sent};
        (void)fault_set(&d.f, d.code, __FILE__, __LINE__, "forget.classes", "no class \"%s\"",
                        "Sandals");
        struct lethe_error e;
        const struct lethe_forget_args args = {.classes = CLASSES, .n_classes = 2};
        struct lethe_request *r = (void *)1;
        assert_call(lethe_forget(l, &args, &r, &e), CASES[i].got);
        assert_null(r);
        assert_int_equal(e.code, CASES[i].got);
        assert_int_equal(e.origin, LETHE_FROM_DAEMON);
        assert_string_equal(e.field, "forget.classes");
        assert_string_equal(e.text, "no class \"Sandals\"");
        assert_int_equal(e.retry_after_s, 7);
    }
    assert_string_equal(lethe_code_name(LETHE_RESOURCE_EXHAUSTED), "RESOURCE_EXHAUSTED");
    assert_string_equal(lethe_code_name((enum lethe_code) - 999), "UNKNOWN");
    lethe_close(l);
    fake_stop(&s);
}

static bool answer_nonsense(void *context, struct fake_call *call)
{
    const char *const *kind = context;
    if (strcmp(*kind, "garbage") == 0)
        call->garbage = "\xff\xff\xff not a message";
    if (strcmp(*kind, "other form") == 0)
        call->reply.answer = WIRE_ANSWER_FSCK;
    if (strcmp(*kind, "frames") == 0) {
        (void)answer_status(NULL, call);
        call->has_raw = true;
        call->answer_raw = (struct wire_bytes){(const uint8_t *)"abc", 3};
        call->lie_about_frames = true;
    }
    return true;
}

void test_client_refuses_nonsense(void **state)
{
    (void)state;
    static const char *const KINDS[] = {"garbage", "other form", "frames"};
    const char *kind = KINDS[0];
    struct fake_server s;
    fake_start(&s, answer_nonsense, &kind);
    struct lethe *l = open_client(&s, NULL);
    for (size_t i = 0; i < 3; i++) {
        kind = KINDS[i];
        struct lethe_status *status;
        struct lethe_error e;
        fake_sync();
        assert_int_not_equal(lethe_status(l, &status, &e), LETHE_OK);
        fake_sync();
        assert_int_equal(e.origin, LETHE_FROM_TRANSPORT);
        assert_null(status);
    }
    lethe_close(l);
    fake_stop(&s);
}

/* ------------------------------------------------------------------ forget, requests */

static bool answer_forget(void *context, struct fake_call *call)
{
    bool *good = context;
    const struct wire_forget *w = &call->message->body.forget;
    *good = call->message->kind == WIRE_KIND_FORGET && w->n_classes == 2 &&
            strcmp(w->classes[0], "Sandal") == 0 && strcmp(w->classes[1], "Bag") == 0 &&
            strcmp(w->ticket, "DSR-17") == 0 && strcmp(w->samples, "") == 0 && w->due_at == 77 &&
            w->mode == WIRE_MODE_FAST && w->probe == WIRE_PROBE_NONE && w->dry_run &&
            w->seed == UINT64_MAX && w->n_options == 1 &&
            strcmp(w->options[0].name, "depth") == 0 && strcmp(w->options[0].value, "off") == 0;
    static const char REPORT[] = "{\"acc_forget\":0.0}";
    call->reply.answer = WIRE_ANSWER_REQUEST;
    call->reply.body.request = (struct wire_request){
        .id = call->message->request_id,
        .kind = "forget",
        .state = "queued",
        .seed = UINT64_MAX,
        .classes = w->classes,
        .n_classes = w->n_classes,
        .evaluation = {(const uint8_t *)REPORT, sizeof REPORT - 1},
    };
    return true;
}

void test_client_forget_carries_every_field(void **state)
{
    (void)state;
    static const char ID[] = "018bcfe5-687b-7f01-bf03-040506070809";
    bool good = false;
    struct fake_server s;
    fake_start(&s, answer_forget, &good);
    struct lethe *l = open_client(&s, NULL);
    const struct lethe_option depth = {"depth", "off"};
    const struct lethe_forget_args args = {.request_id = ID,
                                           .classes = CLASSES,
                                           .n_classes = 2,
                                           .ticket = "DSR-17",
                                           .due_at = 77,
                                           .mode = LETHE_MODE_FAST,
                                           .probe = LETHE_PROBE_NONE,
                                           .dry_run = true,
                                           .seed = UINT64_MAX,
                                           .options = &depth,
                                           .n_options = 1};
    struct lethe_request *r;
    assert_call(lethe_forget(l, &args, &r, NULL), LETHE_OK);
    assert_true(good);
    assert_string_equal(r->id, ID);
    assert_string_equal(r->classes[1], "Bag");
    assert_string_equal(r->evaluation, "{\"acc_forget\":0.0}");
    assert_int_equal(r->evaluation_bytes, strlen(r->evaluation));
    assert_true(r->seed == UINT64_MAX);
    assert_null(r->progress);
    assert_int_equal(r->error.code, LETHE_OK);
    lethe_free(r);
    lethe_close(l);
    fake_stop(&s);
}

void test_client_refuses_bad_arguments_itself(void **state)
{
    (void)state;
    struct fake_server s;
    fake_start(&s, answer_status, NULL);
    struct lethe *l = open_client(&s, NULL);
    struct lethe_request *r;
    struct lethe_predictions *p;
    struct lethe_error e;
    assert_call(lethe_request(l, "17", &r, &e), LETHE_INVALID_ARGUMENT);
    assert_string_equal(e.field, "id");
    assert_int_equal(e.origin, LETHE_FROM_CALLER);
    struct lethe_option many[LIMIT_OPTIONS + 1] = {{"a", "b"}};
    const struct lethe_forget_args args = {.options = many, .n_options = LIMIT_OPTIONS + 1};
    assert_call(lethe_forget(l, &args, &r, &e), LETHE_INVALID_ARGUMENT);
    assert_string_equal(e.field, "options");
    const void *images[LETHE_PREDICT_MAX + 1] = {0};
    struct lethe_predict_args predict = {.images = images,
                                         .n_images = LETHE_PREDICT_MAX + 1,
                                         .height = 28,
                                         .width = 28,
                                         .channels = 1};
    assert_call(lethe_predict(l, &predict, &p, &e), LETHE_INVALID_ARGUMENT);
    predict.n_images = 0;
    assert_call(lethe_predict(l, &predict, &p, &e), LETHE_INVALID_ARGUMENT);
    predict.n_images = 1;
    predict.channels = 4;
    assert_call(lethe_predict(l, &predict, &p, &e), LETHE_INVALID_ARGUMENT);
    predict.channels = 3;
    predict.height = predict.width = 2000; /* 12 MB in one frame */
    assert_call(lethe_predict(l, &predict, &p, &e), LETHE_RESOURCE_EXHAUSTED);
    assert_call(lethe_events(l, 0, NULL, NULL, &e), LETHE_FAILED_PRECONDITION);
    assert_int_equal(atomic_load(&s.calls), 0);
    lethe_close(l);
    fake_stop(&s);
}

/* ------------------------------------------------------------------ predictions */

static bool answer_predict(void *context, struct fake_call *call)
{
    struct digest *asked = context;
    static const struct wire_scored_label LABELS[] = {{"Bag", "base", 0.75f}};
    static const float LOGITS[] = {-1.5f, 0.1f};
    static const char *const NAMES[] = {"Sandal", "Bag"};
    if (call->message->kind == WIRE_KIND_SHOW) {
        call->reply.answer = WIRE_ANSWER_VERSION;
        call->reply.body.version = (struct wire_version){.id = digest_of(0x11), .number = 7};
        return true;
    }
    *asked = call->message->body.predict.version;
    struct wire_prediction *items = arena_alloc_zero(call->arena, call->n_raw, sizeof *items);
    for (size_t i = 0; i < call->n_raw; i++)
        items[i] = (struct wire_prediction){.labels = LABELS,
                                            .n_labels = 1,
                                            .logits = call->raw[i].at[0] ? LOGITS : NULL,
                                            .n_logits = call->raw[i].at[0] ? 2 : 0};
    call->reply.answer = WIRE_ANSWER_PREDICTIONS;
    call->reply.body.predictions = (struct wire_predictions){.version = digest_of(0x11),
                                                             .items = items,
                                                             .n_items = call->n_raw,
                                                             .logit_labels = NAMES,
                                                             .n_logit_labels = 2};
    return true;
}

void test_client_predict(void **state)
{
    (void)state;
    struct digest asked = digest_of(0xff);
    struct fake_server s;
    fake_start(&s, answer_predict, &asked);
    struct lethe *l = open_client(&s, NULL);
    const uint8_t first[4] = {0}, second[4] = {1};
    const void *images[] = {first, second};
    struct lethe_predict_args args = {
        .height = 2, .width = 2, .channels = 1, .images = images, .n_images = 2};
    struct lethe_predictions *p;
    assert_call(lethe_predict(l, &args, &p, NULL), LETHE_OK);
    assert_true(digest_is_zero(&asked));
    assert_int_equal(p->n, 2);
    assert_null(p->items[0].logits);
    assert_near(p->items[1].logits[1], 0.1f, 0);
    assert_string_equal(p->items[0].labels[0].label, "Bag");
    lethe_free(p);
    args.version = "7"; /* looked up first */
    assert_call(lethe_predict(l, &args, &p, NULL), LETHE_OK);
    const struct digest want = digest_of(0x11);
    assert_true(digest_equal(&asked, &want));
    assert_int_equal(atomic_load(&s.calls), 3);
    lethe_free(p);
    lethe_close(l);
    fake_stop(&s);
}

/* ------------------------------------------------------------------ evaluation */

/* The deadline of the first two calls comes before the report does. */
static bool answer_evaluate(void *context, struct fake_call *call)
{
    if (call->n <= 2) {
        call->reply.error = context;
        return true;
    }
    call->reply.answer = WIRE_ANSWER_REPORT;
    call->reply.body.report.version = digest_of(0x22);
    call->reply.body.report.evaluation = (struct wire_bytes){(const uint8_t *)"{}", 2};
    return true;
}

void test_client_evaluate_asks_again_for_the_same_job(void **state)
{
    (void)state;
    struct fake_server s;
    struct wire_error running = {.code = "DEADLINE_EXCEEDED", .text = "the evaluation is running"};
    fake_start(&s, answer_evaluate, &running);
    struct lethe *l = open_client(&s, NULL);
    struct lethe_report *r;
    assert_call(lethe_evaluate(l, NULL, true, &r, NULL), LETHE_OK);
    assert_string_equal(r->evaluation, "{}");
    assert_int_equal(atomic_load(&s.calls), 3);
    assert_true(request_id_equal(&s.ids[0], &s.ids[2]));
    assert_int_equal(s.deadlines[2], s.deadlines[0]);
    lethe_free(r);
    lethe_close(l);
    fake_stop(&s);
}

/* What the daemon refuses is no reason to ask again. */
void test_client_evaluate_ends(void **state)
{
    (void)state;
    struct fake_server s;
    struct wire_error refused = {
        .code = "NOT_FOUND", .field = "version", .text = "no such version"};
    struct lethe_error e;
    struct lethe_report *r;
    fake_start(&s, answer_evaluate, &refused);
    struct lethe *l = open_client(&s, NULL);
    assert_call(lethe_evaluate(l, NULL, false, &r, &e), LETHE_NOT_FOUND);
    assert_null(r);
    assert_string_equal(e.field, "version");
    assert_int_equal(atomic_load(&s.calls), 1);
    lethe_close(l);
    fake_stop(&s);
}

/* ------------------------------------------------------------------ waiting */

struct wait_script {
    struct fake_server *server;
    int final_at; /* number of the WAIT that is answered with the final state */
    bool events;
};

static bool answer_wait(void *context, struct fake_call *call)
{
    const struct wait_script *w = context;
    static const float NORMS[] = {0, 0.5f, 1};
    static const struct wire_progress PROGRESS = {.phase = "train",
                                                  .epoch = 1,
                                                  .epochs = 4,
                                                  .acc_forget = -1,
                                                  .acc_retain = -1,
                                                  .seconds_left = -1,
                                                  .group_norms = NORMS,
                                                  .n_group_norms = 3};
    const bool final = call->n >= w->final_at;
    call->reply.answer = WIRE_ANSWER_REQUEST;
    call->reply.body.request = (struct wire_request){.id = call->message->body.by_id.id,
                                                     .kind = "forget",
                                                     .state = final ? "committed" : "running",
                                                     .progress = final ? NULL : &PROGRESS};
    if (w->events) {
        const struct wire_event event = {
            .request_id = call->message->body.by_id.id, .state = "running", .progress = &PROGRESS};
        const struct timespec pause = {.tv_nsec = 200000000L}; /* subscriptions take a moment */
        nanosleep(&pause, NULL);
        fake_publish(w->server, call->arena, &event);
        nanosleep(&pause, NULL);
    }
    return true;
}

struct event_log {
    int n;
    int stop_at;
    char state[32];
    size_t norms;
};

static bool log_event_seen(void *context, const struct lethe_event *event)
{
    struct event_log *log = context;
    log->n++;
    (void)snprintf(log->state, sizeof log->state, "%s", event->state);
    log->norms = event->progress ? event->progress->n_group_norms : 0;
    return log->n != log->stop_at;
}

static const char WAIT_ID[] = "018bcfe5-687b-7f01-bf03-040506070809";

void test_client_wait_shows_polls_without_events(void **state)
{
    (void)state;
    struct wait_script w = {.final_at = 3};
    struct fake_server s;
    fake_start(&s, answer_wait, &w);
    struct lethe *l = open_client(&s, NULL);
    struct event_log log = {0};
    struct lethe_request *r;
    assert_call(lethe_wait(l, WAIT_ID, -1, log_event_seen, &log, &r, NULL), LETHE_OK);
    assert_string_equal(r->state, "committed");
    assert_string_equal(r->id, WAIT_ID);
    assert_int_equal(log.n, 2);
    assert_int_equal(log.norms, 3);
    lethe_free(r);
    lethe_close(l);
    fake_stop(&s);
}

void test_client_wait_hands_events_over(void **state)
{
    (void)state;
    struct fake_server s;
    struct wait_script w = {.server = &s, .final_at = 1, .events = true};
    fake_start(&s, answer_wait, &w);
    struct lethe *l = open_client(&s, NULL);
    struct event_log log = {0};
    struct lethe_request *r;
    assert_call(lethe_wait(l, WAIT_ID, 10000, log_event_seen, &log, &r, NULL), LETHE_OK);
    assert_int_equal(log.n, 1);
    assert_string_equal(log.state, "running");
    assert_int_equal(log.norms, 3);
    lethe_free(r);
    lethe_close(l);
    fake_stop(&s);
}

void test_client_wait_ends(void **state)
{
    (void)state;
    struct wait_script w = {.final_at = 1000};
    struct fake_server s;
    fake_start(&s, answer_wait, &w);
    struct lethe *l = open_client(&s, NULL);
    struct event_log log = {.stop_at = 2};
    struct lethe_request *r;
    struct lethe_error e;
    assert_call(lethe_wait(l, WAIT_ID, -1, log_event_seen, &log, &r, &e), LETHE_CANCELLED);
    assert_null(r);
    assert_int_equal(log.n, 2);
    assert_call(lethe_wait(l, WAIT_ID, 50, NULL, NULL, &r, &e), LETHE_DEADLINE_EXCEEDED);
    assert_int_equal(e.origin, LETHE_FROM_CALLER);
    assert_call(lethe_wait(l, "x", 50, NULL, NULL, &r, &e), LETHE_INVALID_ARGUMENT);
    assert_int_equal(e.origin, LETHE_FROM_CALLER);
    lethe_close(l);
    fake_stop(&s);
}

/* ------------------------------------------------------------------ keys */

static void write_text(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

void test_client_curve(void **state)
{
    (void)state;
    char server_public[41], server_secret[41], client_public[41], client_secret[41];
    char key[300], server_key[300], text[100];
    assert_int_equal(zmq_curve_keypair(server_public, server_secret), 0);
    assert_int_equal(zmq_curve_keypair(client_public, client_secret), 0);
    struct fake_server s;
    fake_start_curve(&s, answer_status, NULL, server_secret);
    (void)snprintf(key, sizeof key, "%s/key", s.folder);
    (void)snprintf(server_key, sizeof server_key, "%s/server", s.folder);
    (void)snprintf(text, sizeof text, "# mine\n\n%s\n", client_secret);
    write_text(key, text, 0600);
    write_text(server_key, server_public, 0644);
    const struct lethe_options o = {.key_file = key, .server_key_file = server_key};
    struct lethe *l = open_client(&s, &o);
    struct lethe_status *status;
    assert_call(lethe_status(l, &status, NULL), LETHE_OK);
    lethe_free(status);
    lethe_close(l);
    const struct lethe_options none = {.connect_timeout_ms = 300};
    l = open_client(&s, &none);
    assert_call(lethe_status(l, &status, NULL), LETHE_DEADLINE_EXCEEDED);
    lethe_close(l);
    fake_stop(&s);
}

void test_client_key_files(void **state)
{
    (void)state;
    static const char TWICE[] = "0123456789012345678901234567890123456789\n"
                                "0123456789012345678901234567890123456789\n";
    static const char GOOD[] = "0123456789012345678901234567890123456789";
    static const char *const BAD[] = {"",        "# only this\n",
                                      "short\n", "0123456789012345678901234567890123456789x",
                                      TWICE,     "012345678901234567890123456789012345678~"};
    char folder[256], key[300], server_key[300];
    test_support_mkdir(folder);
    (void)snprintf(key, sizeof key, "%s/key", folder);
    (void)snprintf(server_key, sizeof server_key, "%s/server", folder);
    write_text(server_key, GOOD, 0644);
    struct lethe_options o = {.key_file = key, .server_key_file = server_key};
    struct lethe *l;
    struct lethe_error e;
    assert_call(lethe_open("ipc:///tmp/x", &o, &l, &e), LETHE_NOT_FOUND);
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        write_text(key, BAD[i], 0600);
        assert_call(lethe_open("ipc:///tmp/x", &o, &l, &e), LETHE_INVALID_ARGUMENT);
        assert_string_equal(e.field, "key");
    }
    write_text(key, GOOD, 0644);
    assert_call(lethe_open("ipc:///tmp/x", &o, &l, &e), LETHE_INVALID_ARGUMENT);
    assert_non_null(strstr(e.text, "chmod 600"));
    o.server_key_file = NULL;
    assert_call(lethe_open("ipc:///tmp/x", &o, &l, &e), LETHE_INVALID_ARGUMENT);
    assert_string_equal(e.field, "server_key");
    test_support_rmdir(folder);
}
