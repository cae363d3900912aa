#include "learners/methods/tame/tame_case.h"

#include "learners/methods/tame/tame_adapter.h"
#include "learners/methods/tame/tame_stream_internal.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ options */

/* What the options say, settings apart. */
struct wish {
    uint32_t batch;        /* 0: not given */
    int probe;             /* -1: not given */
    const char *setting;   /* first setting that was given, NULL: none */
    int buffer, batch_max; /* whether these were */
};

static enum status read_action(const char *value, enum tame_action *ret_action, struct fault *f)
{
    static const char *const names[] = {"open", "push", "close", "erase", "refit", "import"};
    for (int i = 0; i <= TAME_IMPORT; i++)
        if (strcmp(value, names[i]) == 0) {
            *ret_action = (enum tame_action)i;
            return STATUS_OK;
        }
    FAIL(f, STATUS_INVALID_ARGUMENT, "action",
         "'%.40s' is not one of open|push|close|erase|refit|import", value);
}

static enum status read_batch(const char *value, uint32_t *ret_batch, struct fault *f)
{
    char *end = NULL;
    const unsigned long n = strtoul(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end || n < 1 || n > TAME_MAX_BATCH)
        FAIL(f, STATUS_INVALID_ARGUMENT, "batch", "'%.40s'; 1 to %d images are possible", value,
             TAME_MAX_BATCH);
    *ret_batch = (uint32_t)n;
    return STATUS_OK;
}

/* `probe` of a push that goes on with a stream is on or off; of a new stream it is a setting. */
static enum status read_probe(const char *value, int *ret_probe, struct fault *f)
{
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "probe", "'%.40s' is not on or off", value);
    *ret_probe = value[1] == 'n';
    return STATUS_OK;
}

/* Settings of a stream that the service makes; the batch is small, for pushes are. */
static void default_settings(struct tame_options *o)
{
    tame_options_default(o);
    o->batch_max = TAME_LEARNER_BATCH;
}

static enum status
read_option(const struct learner_option *x, struct tame_case *c, struct wish *w, struct fault *f)
{
    if (strcmp(x->name, "action") == 0)
        return read_action(x->value, &c->action, f);
    if (strcmp(x->name, "batch") == 0)
        return read_batch(x->value, &w->batch, f);
    if (strcmp(x->name, "experts") == 0) {
        c->chosen = x->value;
        return STATUS_OK;
    }
    if (strcmp(x->name, "probe") == 0 && c->stream)
        return read_probe(x->value, &w->probe, f);
    const char *name = strcmp(x->name, "expert") == 0 ? "kind" : x->name;
    TRY(tame_options_set(&c->options, name, x->value, f));
    w->setting = w->setting ? w->setting : x->name;
    w->buffer |= strcmp(name, "buffer") == 0;
    w->batch_max |= strcmp(name, "batch_max") == 0;
    return STATUS_OK;
}

/* What a stream of the service cannot be; the benchmarks have more. */
static enum status check_served(const struct tame_options *o, struct fault *f)
{
    if (o->kind != TAME_KIND_ADAPTER)
        FAIL(f, STATUS_INVALID_ARGUMENT, "expert",
             "convolution experts are for benchmarks; streams have adapters");
    if (o->mode != TAME_HARDENED)
        FAIL(f, STATUS_INVALID_ARGUMENT, "mode", "streams are hardened; parity is for benchmarks");
    if (o->outputs)
        FAIL(f, STATUS_INVALID_ARGUMENT, "outputs", "experts get their classes as they come");
    if (o->experts_max > TAME_LEARNER_EXPERTS)
        FAIL(f, STATUS_INVALID_ARGUMENT, "experts_max", "%u; a stream has at most %d experts",
             o->experts_max, TAME_LEARNER_EXPERTS);
    return STATUS_OK;
}

/* Settings of a new stream, resolved. */
static enum status new_settings(struct tame_case *c, const struct wish *w, struct fault *f)
{
    struct tame_options *o = &c->options;
    if (w->batch && !w->batch_max)
        o->batch_max = w->batch;
    /* nothing is kept that nobody reads: the service routes by itself */
    if (o->selector == TAME_SELECTOR_NONE && !w->buffer)
        o->buffer = 0;
    TRY(check_served(o, f));
    TRY(tame_options_check(o, f));
    tame_options_resolve(o);
    return STATUS_OK;
}

static enum status
read_options(const struct learner_problem *p, struct tame_case *c, struct fault *f)
{
    struct wish w = {.probe = -1};
    default_settings(&c->options);
    for (uint32_t i = 0; i < p->n_options; i++)
        TRY(read_option(&p->options[i], c, &w, f));
    if (c->stream) {
        if (w.setting)
            FAIL(f, STATUS_INVALID_ARGUMENT, w.setting, "set when the stream was opened");
        TRY(tame_stream_peek((const uint8_t *)c->stream->bytes + c->head.inner,
                             c->stream->size - c->head.inner, &c->options, f));
        if (check_served(&c->options, f) != STATUS_OK)
            return STATUS_BAD_FORMAT;
    } else {
        TRY(new_settings(c, &w, f));
    }
    const uint32_t usual = c->stream ? c->head.batch : c->options.batch_max;
    c->batch = w.batch ? w.batch : usual;
    if (c->batch > c->options.batch_max)
        FAIL(f, STATUS_INVALID_ARGUMENT, "batch", "%u images; the stream's batch_max is %u",
             c->batch, c->options.batch_max);
    c->probe = w.probe >= 0 ? w.probe : tame_options_probes(&c->options);
    if (c->options.blocks > p->trunk.config.depth)
        FAIL(f, STATUS_INVALID_ARGUMENT, "blocks", "%u; the model has %u", c->options.blocks,
             p->trunk.config.depth);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ parts */

static const struct learner_part *
find_part(const struct learner_problem *p, const char *kind, const char *name)
{
    for (uint32_t i = 0; i < p->n_parts; i++)
        if (strcmp(p->parts[i].kind, kind) == 0 && strcmp(p->parts[i].name, name) == 0)
            return &p->parts[i];
    return NULL;
}

static enum status
read_stream(const struct learner_problem *p, struct tame_case *c, struct fault *f)
{
    if (!p->name || !p->name[0] || strlen(p->name) >= TAME_STREAM_NAME_SIZE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "name", "a stream's name has 1 to %d characters",
             TAME_STREAM_NAME_SIZE - 1);
    c->stream = find_part(p, TAME_STREAM_KIND, p->name);
    if (!c->stream)
        return STATUS_OK;
    TRY(tame_head_read(c->stream->bytes, c->stream->size, &c->head, f));
    if (strcmp(c->head.name, p->name) != 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "stream", "the record is that of stream '%.52s'",
             c->head.name);
    c->n_experts = c->head.n_experts;
    return STATUS_OK;
}

enum status tame_case_expert(const struct learner_problem *p,
                             const struct tame_case *c,
                             uint32_t i,
                             struct tame_case_expert *ret_expert,
                             struct fault *f)
{
    char name[LEARNER_NAME_SIZE];
    struct tame_case_expert x = {0};
    tame_expert_name(c->head.name, c->head.experts[i], name);
    x.part = find_part(p, TAME_EXPERT_KIND, name);
    if (!x.part)
        FAIL(f, STATUS_FAILED_PRECONDITION, "experts", "expert %s is not among the parts", name);
    TRY(tame_expert_head_read(x.part->bytes, x.part->size, &x.head, f));
    if (strcmp(x.head.stream, c->head.name) != 0 || x.head.id != c->head.experts[i] ||
        memcmp(&x.head.origin, &c->head.origin, sizeof x.head.origin) != 0 ||
        memcmp(&x.head.options, &c->options, sizeof x.head.options) != 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "experts", "expert %s is of another stream or state",
             name);
    TRY(tame_survey_expert((const uint8_t *)x.part->bytes + x.head.inner,
                           x.part->size - x.head.inner, &x.head.options, &x.survey, f));
    if (x.survey.id != x.head.id)
        FAIL(f, STATUS_BAD_FORMAT, "experts", "expert %s has two numbers", name);
    *ret_expert = x;
    return STATUS_OK;
}

enum status
tame_case_incoming(const struct tame_case *c, struct tame_case_expert *ret_expert, struct fault *f)
{
    struct tame_case_expert x = {.part = c->incoming};
    TRY(tame_expert_head_read(x.part->bytes, x.part->size, &x.head, f));
    TRY(tame_survey_expert((const uint8_t *)x.part->bytes + x.head.inner,
                           x.part->size - x.head.inner, &x.head.options, &x.survey, f));
    *ret_expert = x;
    return STATUS_OK;
}

static enum status
read_incoming(const struct learner_problem *p, struct tame_case *c, struct fault *f)
{
    char name[LEARNER_NAME_SIZE];
    if (c->action != TAME_IMPORT)
        return STATUS_OK;
    c->incoming = find_part(p, TAME_INCOMING_KIND, p->name);
    if (!c->incoming)
        FAIL(f, STATUS_NOT_FOUND, "incoming", "the expert to join is not among the parts");
    return tame_learner_joins(c->stream->bytes, c->stream->size, c->incoming->bytes,
                              c->incoming->size, name, f);
}

/* ------------------------------------------------------------------ does it fit together */

static enum status
check_action(const struct learner_problem *p, struct tame_case *c, struct fault *f)
{
    if (c->action == TAME_OPEN && c->stream)
        FAIL(f, STATUS_ALREADY_EXISTS, "stream", "there is a stream '%.52s'", p->name);
    if (c->action > TAME_PUSH && !c->stream)
        FAIL(f, STATUS_NOT_FOUND, "stream", "there is no stream '%.52s'", p->name);
    const int adds = c->action == TAME_PUSH || c->action == TAME_CLOSE || c->action == TAME_IMPORT;
    if (adds && c->head.closed)
        FAIL(f, STATUS_FAILED_PRECONDITION, "stream", "'%.52s' is closed", p->name);
    if (c->chosen && c->action != TAME_REFIT)
        FAIL(f, STATUS_INVALID_ARGUMENT, "experts", "only a refit asks for it");
    if (c->action == TAME_ERASE && !p->erasure)
        FAIL(f, STATUS_INVALID_ARGUMENT, "erasure", "nothing is named that is to go");
    if (c->stream)
        TRY(tame_origin_check(&c->head.origin, &p->trunk, c->action != TAME_REFIT, f));
    return STATUS_OK;
}

static enum status check_images(const struct learner_problem *p, struct fault *f)
{
    const struct vit_config *v = &p->trunk.config;
    const struct image_shape model = {v->image_size, v->channels, p->n_classes};
    TRY(images_check(&p->images, &model, f));
    for (uint32_t k = 0; k < v->channels; k++)
        if (!(p->images.scale[k] > 0)) /* held and reserve pictures are read even if none come */
            FAIL(f, STATUS_INVALID_ARGUMENT, "images", "the scale of channel %u is not given", k);
    if (p->images.n > 0 && !p->keys)
        FAIL(f, STATUS_INVALID_ARGUMENT, "keys", "a stream needs the keys of its samples");
    if (p->hot)
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "a stream's images have one label each");
    return STATUS_OK;
}

static enum status
check_rows(const struct learner_problem *p, const struct tame_case *c, struct fault *f)
{
    const struct learner_rows *train = &p->lists[LEARNER_TRAIN];
    if (c->action == TAME_PUSH && train->n == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "train", "a push without images");
    if (c->action == TAME_OPEN && train->n > 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "train", "a stream is opened without images");
    TRY(images_check_list(&p->images, train->rows, train->n, "train", f));
    for (uint32_t k = 0; k < p->n_classes; k++)
        if (p->classes[k][0] == '\0' || strlen(p->classes[k]) >= TAME_CLASS_NAME_SIZE)
            FAIL(f, STATUS_INVALID_ARGUMENT, "classes", "class %u has no name or one above %d", k,
                 TAME_CLASS_NAME_SIZE - 1);
    return STATUS_OK;
}

static enum status check_erasure(const struct learner_erasure *e, struct fault *f)
{
    for (uint32_t i = 1; e && i < e->n_keys; i++)
        if (e->keys[i] <= e->keys[i - 1])
            FAIL(f, STATUS_INVALID_ARGUMENT, "keys", "they are not ascending");
    if (e && !e->component && e->n_classes == 0 && e->n_keys == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "erasure",
             "a stream forgets an expert, classes or samples; name the samples of a data set");
    return STATUS_OK;
}

/* ------------------------------------------------------------------ counting */

static size_t sum(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

static size_t product(size_t a, size_t b)
{
    size_t n;
    return size_mul(a, b, &n) ? n : SIZE_MAX;
}

/* Bytes of a name with what stands beside it in a record. */
static size_t names_bytes(const struct learner_problem *p, const struct tame_case *c)
{
    size_t n = c->head.pushes - c->head.rows; /* the old ones, as they stand in the record */
    for (uint32_t k = 0; k < p->n_classes; k++)
        n += strlen(p->classes[k]) + 8;
    return n + c->incoming_names;
}

/*
 * The most that the records of an export take: heads and windows of all experts, their numbers,
 * what trained them and what is kept, and the stream with its held batches.
 */
static size_t export_bytes(const struct learner_problem *p, const struct tame_case *c)
{
    enum { HEAD = 4096, WINDOW = 8 * TAME_WINDOW_MAX };
    const struct tame_options *o = &c->options;
    const struct tame_setup *room = &c->room;
    struct tame_shape shape;
    tame_adapter_shape(&p->trunk.config, o, &shape);
    const size_t input = shape.input_bytes, more = 64;
    const size_t experts = room->experts_room;
    const size_t held = (size_t)tame_detector_slots(o) * o->batch_max;
    const size_t floats = tame_expert_memory(&shape, o->classes_max);
    const size_t names = names_bytes(p, c);
    size_t each = sum(product(floats, sizeof(float)), HEAD + WINDOW + 8 * (size_t)o->classes_max);
    each = sum(each, sum(names, (size_t)c->roll_pushes * more));
    size_t n = product(experts, each);
    n = sum(n, product(room->ledger_steps, more));
    n = sum(n, product(room->ledger_samples, sizeof(uint64_t) + sizeof(uint32_t)));
    n = sum(n, product(o->buffer, sum(2 * more, tame_stream_payload_bytes(&shape, o))));
    n = sum(n, product(room->reserve_room, sum(more, input)));
    n = sum(n, product(product(experts, o->prune_buffer), sum(more, input)));
    n = sum(n, product(held + tame_detector_slots(o), sum(more, input)));
    n = sum(n, product(o->experts_max, product(shape.feature_width + 2, sizeof(float))));
    if (o->selector == TAME_SELECTOR_NET)
        n = sum(n, product(tame_expert_memory(&shape, o->experts_max), sizeof(float)));
    return sum(n, sum(HEAD + names, (size_t)c->roll_pushes * more));
}

/* Experts that may be there at once: a new one takes `patience` batches, the first and a probe's
 * one. */
static uint32_t most_experts(const struct tame_case *c)
{
    const uint64_t made =
        c->action == TAME_PUSH ? (uint64_t)c->n_batches / c->options.patience + 3 : 1;
    const uint64_t most = c->n_experts + made;
    return most < c->options.experts_max ? (uint32_t)most : c->options.experts_max;
}

static enum status count_incoming(struct tame_case *c, uint64_t *reserve, struct fault *f)
{
    struct tame_case_expert x;
    TRY(tame_case_incoming(c, &x, f));
    c->room.ledger_steps += x.survey.n_steps;
    c->room.ledger_samples += x.survey.n_samples;
    c->roll_rows = x.head.n_names;
    c->incoming_names = x.head.names_bytes + 8 * (size_t)x.head.n_names;
    *reserve += x.survey.n_reserve;
    return STATUS_OK;
}

static enum status count(const struct learner_problem *p, struct tame_case *c, struct fault *f)
{
    const struct tame_options *o = &c->options;
    const uint32_t slots = tame_detector_slots(o), n = p->lists[LEARNER_TRAIN].n;
    const uint32_t rows = c->action == TAME_PUSH ? n : 0;
    uint64_t reserve = (uint64_t)rows + (uint64_t)slots * o->batch_max;
    c->n_batches = rows / c->batch + (rows % c->batch != 0);
    c->room.options = *o;
    c->room.ledger_steps = (uint64_t)c->n_batches + slots;
    c->room.ledger_samples = (uint64_t)rows + (uint64_t)slots * o->batch_max;
    for (uint32_t i = 0; i < c->n_experts; i++) {
        struct tame_case_expert x;
        TRY(tame_case_expert(p, c, i, &x, f));
        c->room.ledger_steps += x.survey.n_steps;
        c->room.ledger_samples += x.survey.n_samples;
        reserve += x.survey.n_reserve;
    }
    if (c->incoming)
        TRY(count_incoming(c, &reserve, f));
    c->room.experts_room = most_experts(c);
    const uint64_t all = (uint64_t)c->room.experts_room * o->reserve_max;
    c->room.reserve_room = reserve < all ? (uint32_t)reserve : (uint32_t)all;
    c->roll_rows += c->head.n_rows + (c->action == TAME_PUSH ? p->n_classes : 0);
    c->roll_pushes = c->head.n_pushes + 1;
    c->parts_bytes = export_bytes(p, c);
    return STATUS_OK;
}

enum status
tame_case_read(const struct learner_problem *p, struct tame_case *ret_case, struct fault *f)
{
    struct tame_case c = {.action = TAME_PUSH};
    TRY(vit_config_check(&p->trunk.config, f));
    TRY(read_stream(p, &c, f));
    TRY(read_options(p, &c, f));
    TRY(check_action(p, &c, f));
    TRY(read_incoming(p, &c, f));
    TRY(check_images(p, f));
    TRY(check_rows(p, &c, f));
    TRY(check_erasure(p->erasure, f));
    TRY(count(p, &c, f));
    *ret_case = c;
    return STATUS_OK;
}

int tame_case_lists(const char *list, const char *name)
{
    const size_t n = strlen(name);
    for (const char *at = list;;) {
        const char *end = strchr(at, ',');
        const size_t length = end ? (size_t)(end - at) : strlen(at);
        if (length == n && memcmp(at, name, n) == 0)
            return 1;
        if (!end)
            return 0;
        at = end + 1;
    }
}
