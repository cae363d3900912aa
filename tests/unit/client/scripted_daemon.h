/*
 * The command line in this process, its streams in memory, against a socket that answers every kind
 * of call by a script.  Included by the tests that need it.
 */
#ifndef LETHE_TESTS_SCRIPTED_DAEMON_H
#define LETHE_TESTS_SCRIPTED_DAEMON_H

#include "tests/unit/client/fake_server.h"

#include "client/cli/command.h"
#include "proto/seal/hash.h"

/* ------------------------------------------------------------------ support */

struct ran {
    int code;
    char *out, *err;
};

static void ran_free(struct ran *r)
{
    free(r->out);
    free(r->err);
}

static struct ran run(const char *const *words, int n)
{
    struct ran r;
    size_t out_size, err_size;
    const char *argv[32] = {"lethe"};
    for (int i = 0; i < n; i++)
        argv[i + 1] = words[i];
    struct cli c = {.out = open_memstream(&r.out, &out_size),
                    .err = open_memstream(&r.err, &err_size)};
    assert_non_null(c.out);
    assert_non_null(c.err);
    fake_sync();
    r.code = command_main(&c, n + 1, argv);
    fake_sync();
    assert_null(c.lethe);
    assert_int_equal(fclose(c.out), 0);
    assert_int_equal(fclose(c.err), 0);
    return r;
}
#define RUN(...)                                                                                   \
    run((const char *const[]){__VA_ARGS__},                                                        \
        (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

int group_setup(void **state);
int group_setup(void **state)
{
    (void)state;
    unsetenv("LETHE_ENDPOINT");
    unsetenv("LETHE_KEY");
    unsetenv("LETHE_SERVER_KEY");
    return 0;
}

static const char ID[] = "018bcfe5-687b-7f01-bf03-040506070809";

/* ------------------------------------------------------------------ a small daemon */

/* What the scripted daemon does and what it saw. */
struct script {
    const char *state; /* final state of the request */
    bool dry_run;
    bool refuse_classes;
    bool never_final;
    bool damaged;
    const char *export_path;
    struct wire_error error;
    struct fault f;
    int waits;
    int64_t due_at;
    uint64_t seed;
    char option[64];
    char version[64];
    enum wire_pixel pixel;
    size_t images;
    size_t image_bytes;
    uint32_t top;
    float first_pixel;
    unsigned char upload[4096];
    size_t uploaded;
    size_t n_classes;
    char class_names[10][32];
    uint64_t upload_images;
    bool upload_multi;
    char sets[4][64]; /* "NAME ROLE" of the uploads */
    size_t n_sets;
    char removed[64];
    bool forced; /* so was the removal */
    /* Learning. */
    bool refuse_learning;
    const char *report; /* of requests; NULL: REPORT */
    enum wire_kind kind;
    char texts[4][64];
    uint64_t numbers[2];
    double floor;
    bool flags[2];
    char component[64];
    size_t file_bytes;
};

static const struct wire_label_info LABELS[] = {
    {"T-shirt/top", "base", "active", {{0}}},
    {"Sandal", "base", "active", {{0}}},
    {"Bag", "base", "forgotten", {{0}}},
};
static const float MEAN[] = {0.5f};
static const char *const OWNERS[] = {"base", "lane:digits"};

static const char REPORT[] =
    "{\"acc_forget\":0.001,\"acc_forget_before\":0.97,\"acc_retain\":0.925,"
    "\"acc_retain_before\":0.93,\"h_mean\":0.95,\"per_class\":[{\"label\":\"Sandal\","
    "\"owner\":\"base\",\"n\":1000,\"acc\":0.001,\"acc_before\":0.97}],\"mia\":{\"auc\":0.51},"
    "\"probe\":{\"ncm\":0.2,\"ridge\":null,\"reference\":{\"ncm\":0.25}},\"relapse\":[],"
    "\"gate\":{\"passed\":false,\"reasons\":[\"acc_retain: 0.925 < 0.93\"]},\"n_eval\":10000,"
    "\"seconds\":3.5}";

static void give_request(const struct script *s, struct fake_call *call, const char *state)
{
    const char *report = s->report ? s->report : REPORT;
    struct wire_request r = {.kind = s->kind == WIRE_KIND_STREAM_PUSH ? "stream" : "forget",
                             .state = state,
                             .dry_run = s->dry_run,
                             .task = s->texts[0],
                             .evaluation = {(const uint8_t *)report, strlen(report)}};
    struct request_id id;
    assert_int_equal(request_id_parse(ID, &id), 0);
    r.id = id;
    call->reply.answer = WIRE_ANSWER_REQUEST;
    call->reply.body.request = r;
}

static void note_text(struct script *s, size_t i, const char *text)
{
    (void)snprintf(s->texts[i], sizeof s->texts[i], "%s", text);
}

static bool answer_forget(struct script *s, struct fake_call *call)
{
    const struct wire_forget *w = &call->message->body.forget;
    s->due_at = w->due_at;
    s->seed = w->seed;
    note_text(s, 0, w->task);
    note_text(s, 1, w->subject);
    if (w->n_options > 0)
        (void)snprintf(s->option, sizeof s->option, "%s:%s", w->options[0].name,
                       w->options[0].value);
    if (s->refuse_classes) {
        (void)fault_set(&s->f, STATUS_NOT_FOUND, __FILE__, __LINE__, "classes",
                        "the model has no class \"%s\"", w->classes[0]);
        s->error = wire_error_make(STATUS_NOT_FOUND, &s->f, 0);
        call->reply.error = &s->error;
        return true;
    }
    give_request(s, call, "queued");
    return true;
}

static bool answer_predict(struct script *s, struct fake_call *call)
{
    static const struct wire_scored_label SCORED[] = {{"Sandal", "base", 0.9f},
                                                      {"T-shirt/top", "base", 0.1f}};
    static const float LOGITS[] = {0.1f, 2, -1};
    static const char *const NAMES[] = {"T-shirt/top", "Sandal", "Bag"};
    const struct wire_predict *w = &call->message->body.predict;
    struct wire_prediction *items = arena_alloc_zero(call->arena, call->n_raw, sizeof *items);
    for (size_t i = 0; i < call->n_raw; i++)
        items[i] = (struct wire_prediction){.labels = SCORED,
                                            .n_labels = w->top < 2 ? 1 : 2,
                                            .logits = LOGITS,
                                            .n_logits = w->logits ? 3 : 0};
    if (s->images == 0)
        s->first_pixel = w->pixel == WIRE_PIXEL_U8 ? call->raw[0].at[0] : -1;
    s->pixel = w->pixel;
    s->images += call->n_raw;
    s->image_bytes = call->raw[0].size;
    s->top = w->top;
    memset(call->reply.body.predictions.version.b, 0xab, DIGEST_SIZE);
    call->reply.answer = WIRE_ANSWER_PREDICTIONS;
    call->reply.body.predictions.items = items;
    call->reply.body.predictions.n_items = call->n_raw;
    call->reply.body.predictions.logit_labels = NAMES;
    call->reply.body.predictions.n_logit_labels = 3;
    return true;
}

static const unsigned char EXPORTED[] = "weights";

static void note_learning(struct script *s, const struct fake_call *call)
{
    const struct wire_learn *w = &call->message->body.learn;
    const struct wire_stream_open *open = &call->message->body.stream_open;
    const struct wire_stream_push *push = &call->message->body.stream_push;
    const struct wire_import *import = &call->message->body.import;
    switch ((int)s->kind) {
    case WIRE_KIND_LEARN:
        note_text(s, 0, w->task);
        note_text(s, 1, w->data);
        note_text(s, 2, w->method);
        s->floor = (double)w->floor;
        s->seed = w->seed;
        if (w->n_options > 0)
            (void)snprintf(s->option, sizeof s->option, "%s:%s", w->options[0].name,
                           w->options[0].value);
        break;
    case WIRE_KIND_STREAM_OPEN:
        note_text(s, 0, open->name);
        note_text(s, 1, open->expert);
        s->numbers[0] = open->run;
        break;
    case WIRE_KIND_STREAM_PUSH:
        note_text(s, 0, push->name);
        note_text(s, 1, push->data);
        s->numbers[0] = push->batch;
        s->flags[0] = push->probe;
        break;
    case WIRE_KIND_IMPORT:
        note_text(s, 0, import->name);
        note_text(s, 1, import->kind);
        s->file_bytes = call->n_raw == 1 ? call->raw[0].size : 0;
        break;
    default:
        note_text(s, 0, call->message->body.by_name.name);
    }
}

static bool answer_learning(struct script *s, struct fake_call *call)
{
    s->kind = call->message->kind;
    note_learning(s, call);
    if (s->refuse_learning) {
        (void)fault_set(&s->f, STATUS_ALREADY_EXISTS, __FILE__, __LINE__, "task",
                        "there is a task of this name");
        s->error = wire_error_make(STATUS_ALREADY_EXISTS, &s->f, 0);
        call->reply.error = &s->error;
        return true;
    }
    give_request(s, call, "queued");
    return true;
}

static bool answer_export(struct script *s, struct fake_call *call)
{
    (void)snprintf(s->component, sizeof s->component, "%s", call->message->body.export.component);
    struct wire_exported_file *file = arena_alloc_zero(call->arena, 1, sizeof *file);
    file->path = s->export_path;
    file->digest = seal_hash(EXPORTED, 7);
    file->bytes = 7;
    call->reply.answer = WIRE_ANSWER_EXPORTED;
    memset(call->reply.body.exported.version.b, 1, DIGEST_SIZE);
    call->reply.body.exported.files = file;
    call->reply.body.exported.n_files = 1;
    return true;
}

static bool answer_upload(struct script *s, struct fake_call *call)
{
    if (call->message->kind == WIRE_KIND_DATA_OPEN) {
        const struct wire_data_open *w = &call->message->body.data_open;
        s->n_classes = w->n_classes;
        s->upload_images = w->images;
        s->upload_multi = w->multi_label;
        s->uploaded = 0;
        if (s->n_sets < 4)
            (void)snprintf(s->sets[s->n_sets++], sizeof s->sets[0], "%.40s %s", w->name, w->role);
        for (size_t i = 0; i < w->n_classes && i < 10; i++)
            (void)snprintf(s->class_names[i], sizeof s->class_names[i], "%s", w->classes[i]);
    } else {
        memcpy(s->upload + s->uploaded, call->raw[0].at, call->raw[0].size);
        s->uploaded += call->raw[0].size;
    }
    call->reply.answer = WIRE_ANSWER_UPLOAD;
    memset(call->reply.body.upload.upload.b, 7, REQUEST_ID_SIZE);
    call->reply.body.upload.offset = s->uploaded;
    call->reply.body.upload.credit = 8;
    return true;
}

/* The set that was sent last. */
static bool answer_close(struct script *s, struct fake_call *call)
{
    struct wire_dataset *set = arena_alloc_zero(call->arena, 1, sizeof *set);
    char *name = arena_alloc_zero(call->arena, 1, sizeof s->sets[0]);
    (void)snprintf(name, sizeof s->sets[0], "%s", s->sets[s->n_sets > 0 ? s->n_sets - 1 : 0]);
    char *blank = strchr(name, ' ');
    if (blank)
        *blank = '\0';
    set->name = name;
    set->role = blank ? blank + 1 : "";
    set->multi_label = s->upload_multi;
    call->reply.answer = WIRE_ANSWER_DATASETS;
    call->reply.body.datasets = (struct wire_datasets){set, 1};
    return true;
}

static bool answer_versions(struct script *s, struct fake_call *call)
{
    struct wire_version v = {.number = 3, .serving = true};
    memset(v.id.b, 0xcd, DIGEST_SIZE);
    const char *name = call->message->kind == WIRE_KIND_ROLLBACK
                           ? call->message->body.rollback.version
                           : call->message->body.version.version;
    (void)snprintf(s->version, sizeof s->version, "%s", name);
    call->reply.answer = WIRE_ANSWER_VERSION;
    call->reply.body.version = v;
    return true;
}

static bool answer_list(struct fake_call *call)
{
    static const struct wire_request ITEMS[] = {{.kind = "forget", .state = "committed"},
                                                {.kind = "forget", .state = "rejected"}};
    call->reply.answer = WIRE_ANSWER_REQUESTS;
    call->reply.body.requests = (struct wire_requests){ITEMS, 2, 0};
    return true;
}

static bool daemon_answers(void *context, struct fake_call *call)
{
    static const struct wire_dataset SETS[] = {{.name = "mine", .role = "train", .images = 2}};
    static const char *const FINDINGS[] = {"blob 17 is damaged"};
    struct script *s = context;
    switch ((int)call->message->kind) {
    case WIRE_KIND_STATUS:
        call->reply.answer = WIRE_ANSWER_STATUS;
        call->reply.body.status = (struct wire_status){
            .state = "serving", .model = "vit-tiny", .lanes = 2, .experts = 3, .streams = 1};
        return true;
    case WIRE_KIND_MODEL:
        call->reply.answer = WIRE_ANSWER_MODEL;
        call->reply.body.model = (struct wire_model){"vit-tiny", 4, 1,      MEAN, 1,      MEAN, 1,
                                                     "bilinear", 0, LABELS, 3,    OWNERS, 2};
        return true;
    case WIRE_KIND_FORGET:
        return answer_forget(s, call);
    case WIRE_KIND_WAIT:
        s->waits++;
        give_request(s, call, s->never_final || s->waits < 2 ? "running" : s->state);
        return true;
    case WIRE_KIND_REQUESTS:
        return answer_list(call);
    case WIRE_KIND_PREDICT:
        return answer_predict(s, call);
    case WIRE_KIND_SHOW:
    case WIRE_KIND_PIN:
    case WIRE_KIND_ROLLBACK:
        return answer_versions(s, call);
    case WIRE_KIND_EVALUATE:
        call->reply.answer = WIRE_ANSWER_REPORT;
        call->reply.body.report.evaluation =
            (struct wire_bytes){(const uint8_t *)REPORT, sizeof REPORT - 1};
        return true;
    case WIRE_KIND_EXPORT:
        return answer_export(s, call);
    case WIRE_KIND_BLOB:
        call->has_raw = true;
        call->answer_raw = (struct wire_bytes){EXPORTED, 7};
        return true;
    case WIRE_KIND_FSCK:
        call->reply.answer = WIRE_ANSWER_FSCK;
        call->reply.body.fsck = (struct wire_fsck){
            .ok = !s->damaged, .findings = FINDINGS, .n_findings = s->damaged ? 1 : 0};
        return true;
    case WIRE_KIND_DATA_OPEN:
    case WIRE_KIND_DATA_CHUNK:
        return answer_upload(s, call);
    case WIRE_KIND_DATA_CLOSE:
        return answer_close(s, call);
    case WIRE_KIND_DATA_LIST:
        call->reply.answer = WIRE_ANSWER_DATASETS;
        call->reply.body.datasets = (struct wire_datasets){SETS, 1};
        return true;
    case WIRE_KIND_DATA_REMOVE:
        (void)snprintf(s->removed, sizeof s->removed, "%s", call->message->body.by_name.name);
        s->forced = call->message->body.by_name.force;
        return true;
    case WIRE_KIND_LEARN:
    case WIRE_KIND_STREAM_OPEN:
    case WIRE_KIND_STREAM_PUSH:
    case WIRE_KIND_STREAM_CLOSE:
    case WIRE_KIND_IMPORT:
        return answer_learning(s, call);
    default:
        return false;
    }
}

/* One command line against the scripted daemon. */
#define WITH(script, server, ...)                                                                  \
    (fake_start(&(server), daemon_answers, &(script)), RUN("-e", (server).endpoint, __VA_ARGS__))

#endif
