#include "daemon/jobs/job_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"

#define SPEC_MAGIC   0x4c54484au /* "JHTL" */
#define RESULT_MAGIC 0x4c544852u
/* Raised whenever a struct below changes; both ends come from one build, this catches a mix. */
#define JOB_FORMAT  5u
#define ARRAY_ALIGN 64u

/* ---------------------------------------------------------------- arrays and plain structs */

/* A big array: u64 byte count, padding to 64, the bytes. */
static void put_array_head(struct byte_writer *w, size_t n)
{
    static const uint8_t ZERO[ARRAY_ALIGN];
    put_u64(w, n);
    put_bytes(w, ZERO, (ARRAY_ALIGN - w->used % ARRAY_ALIGN) % ARRAY_ALIGN);
}

static void put_array(struct byte_writer *w, const void *bytes, size_t n)
{
    put_array_head(w, n);
    put_bytes(w, bytes, n);
}

static const void *get_array(struct byte_reader *r, size_t expected)
{
    const uint64_t n = get_u64(r);
    const size_t skip = (ARRAY_ALIGN - r->used % ARRAY_ALIGN) % ARRAY_ALIGN;
    if (r->failed || n != expected || skip > r->size - r->used || n > r->size - r->used - skip) {
        r->failed = 1;
        return NULL;
    }
    const void *p = r->at + r->used + skip;
    r->used += skip + (size_t)n;
    return p;
}

/* Plain structs of this build travel as they are, their size checked. */
static void put_plain(struct byte_writer *w, const void *x, size_t n)
{
    put_blob(w, x, n);
}

static void get_plain(struct byte_reader *r, void *x, size_t n)
{
    size_t size;
    const uint8_t *p = get_blob(r, &size);
    if (!p || size != n) {
        r->failed = 1;
        memset(x, 0, n);
        return;
    }
    memcpy(x, p, n);
}

static int all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] - x[i] == 0.0f))
            return 0;
    }
    return 1;
}

/* ---------------------------------------------------------------- names */

void job_owner_text(const struct job_owner *owner, char text[JOB_OWNER_TEXT_SIZE])
{
    if (strcmp(owner->kind, "base") == 0)
        (void)snprintf(text, JOB_OWNER_TEXT_SIZE, "base");
    else
        (void)snprintf(text, JOB_OWNER_TEXT_SIZE, "%s:%s", owner->kind, owner->name);
}

int job_kind_answers(const char *kind)
{
    static const char *const kinds[] = {"lane", "ridge", "expert", "router"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i]) == 0)
            return 1;
    return 0;
}

int job_owner_of_stream(const struct job_owner *owner, const char *stream)
{
    const size_t n = strlen(stream);
    if (strcmp(owner->kind, "stream") == 0)
        return strcmp(owner->name, stream) == 0;
    return strcmp(owner->kind, "expert") == 0 && learner_stream_length(owner->name) == n &&
           strncmp(owner->name, stream, n) == 0;
}

/* ---------------------------------------------------------------- spec */

struct spec_head {
    uint32_t magic, format, kind, attempt, threads, n_classes, n_erasures, n_options;
    uint32_t n_owners, n_parts, n_tasks, learned;
    uint32_t has_keys, n_erased_keys, unmeasured;
    char erased_expert[JOB_NAME_SIZE];
    uint64_t seed, memory_max;
    struct request_id request;
    struct digest base, memory, prototype, preprocessing, trunk;
    float mean[3], std[3];
    uint32_t set_n[JOB_SETS], set_more[JOB_SETS];
    uint32_t has_prototypes, reference_taught;
};

int job_set_has(const struct job_set *set, uint32_t row, uint32_t class)
{
    if (set->labels[row] == (int32_t) class)
        return 1;
    uint32_t lo = 0, hi = set->n_more;
    while (lo < hi) {
        const uint32_t mid = lo + (hi - lo) / 2;
        const struct job_label *m = &set->more[mid];
        if (m->row == row && m->class == class)
            return 1;
        if (m->row < row || (m->row == row && m->class < class))
            lo = mid + 1;
        else
            hi = mid;
    }
    return 0;
}

static size_t image_bytes(const struct vit_config *c)
{
    return (size_t)c->image_size * c->image_size * c->channels;
}

/* All sets' pixels lie behind each other, and all labels, so that the worker sees one table. */
static void spec_write_sets(const struct job_spec *s, struct byte_writer *w)
{
    size_t rows = 0;
    for (size_t i = 0; i < JOB_SETS; i++)
        rows += s->sets[i].n;
    put_array_head(w, rows * image_bytes(&s->config));
    for (size_t i = 0; i < JOB_SETS; i++)
        put_bytes(w, s->sets[i].pixels, s->sets[i].n * image_bytes(&s->config));
    put_array_head(w, rows * sizeof(int32_t));
    for (size_t i = 0; i < JOB_SETS; i++)
        put_bytes(w, s->sets[i].labels, s->sets[i].n * sizeof(int32_t));
    for (size_t i = 0; i < JOB_SETS; i++)
        put_array(w, s->sets[i].more, s->sets[i].n_more * sizeof *s->sets[i].more);
    for (size_t i = 0; i < JOB_SETS; i++)
        put_bytes(w, s->sets[i].digest.b, DIGEST_SIZE);
}

static void spec_write(const struct job_spec *s, struct byte_writer *w)
{
    struct spec_head h = {.magic = SPEC_MAGIC,
                          .format = JOB_FORMAT,
                          .kind = (uint32_t)s->kind,
                          .attempt = s->attempt,
                          .threads = s->threads,
                          .n_classes = s->n_classes,
                          .n_erasures = s->n_erasures,
                          .n_options = s->n_options,
                          .n_owners = s->n_owners,
                          .n_parts = s->n_parts,
                          .n_tasks = s->n_tasks,
                          .learned = s->learned,
                          .has_keys = s->task_keys != NULL,
                          .n_erased_keys = s->n_erased_keys,
                          .unmeasured = s->unmeasured,
                          .preprocessing = s->preprocessing,
                          .trunk = s->trunk,
                          .seed = s->seed,
                          .memory_max = s->memory_max,
                          .request = s->request,
                          .base = s->base,
                          .memory = s->memory_digest,
                          .prototype = s->prototype_digest,
                          .reference_taught = s->reference_taught,
                          .has_prototypes = s->prototypes != NULL};
    memcpy(h.mean, s->mean, sizeof h.mean);
    memcpy(h.std, s->std, sizeof h.std);
    memcpy(h.erased_expert, s->erased_expert, sizeof h.erased_expert);
    for (size_t i = 0; i < JOB_SETS; i++)
        h.set_n[i] = s->sets[i].n;
    for (size_t i = 0; i < JOB_SETS; i++)
        h.set_more[i] = s->sets[i].n_more;
    put_plain(w, &h, sizeof h);
    put_plain(w, &s->config, sizeof s->config);
    put_plain(w, &s->limits, sizeof s->limits);
    put_array(w, s->classes, s->n_classes * sizeof *s->classes);
    put_array(w, s->owners, s->n_owners * sizeof *s->owners);
    put_array(w, s->tasks, s->n_tasks * sizeof *s->tasks);
    put_array(w, s->options, s->n_options * sizeof s->options[0]);
    for (uint32_t i = 0; i < s->n_parts; i++) {
        put_plain(w, &s->parts[i], sizeof s->parts[i]); /* its pointer is replaced */
        put_array(w, s->parts[i].bytes, s->parts[i].size);
    }
    for (uint32_t i = 0; i < s->n_erasures; i++) {
        put_plain(w, &s->erasures[i], sizeof s->erasures[i]); /* its pointer is replaced */
        put_array(w, s->erasures[i].delta, s->erasures[i].delta_size);
    }
    if (s->prototypes) {
        put_array(w, s->prototypes, (size_t)s->config.classes * s->config.width * sizeof(float));
        put_array(w, s->prototype_counts, s->config.classes * sizeof(uint64_t));
    }
    if (s->task_keys)
        put_array(w, s->task_keys, s->sets[JOB_SET_TASK_TRAIN].n * sizeof *s->task_keys);
    put_array(w, s->erased_keys, s->n_erased_keys * sizeof *s->erased_keys);
    spec_write_sets(s, w);
}

size_t job_spec_plan(const struct job_spec *spec)
{
    struct byte_writer w = byte_writer_make(NULL, 0);
    spec_write(spec, &w);
    return w.used;
}

void job_spec_encode(const struct job_spec *spec, void *to, size_t size)
{
    struct byte_writer w = byte_writer_make(to, size);
    spec_write(spec, &w);
    INVARIANT(!w.failed && w.used == size);
}

static enum status spec_check_classes(const struct job_spec *s, struct fault *f)
{
    for (uint32_t i = 0; i < s->n_classes; i++) {
        const struct job_class *c = &s->classes[i];
        if (!memchr(c->name, 0, sizeof c->name))
            FAIL(f, STATUS_BAD_FORMAT, "classes", "name of class %u has no end", i);
        if (c->status < JOB_CLASS_LIVE || c->status > JOB_CLASS_MISSING)
            FAIL(f, STATUS_BAD_FORMAT, "classes", "status of class %u is unknown", i);
        if (c->status == JOB_CLASS_ERASED && c->erasure >= s->n_erasures)
            FAIL(f, STATUS_BAD_FORMAT, "classes", "class %u names a missing erasure", i);
        if (c->owner >= s->n_owners || (c->owner == 0) != (i < s->config.classes))
            FAIL(f, STATUS_BAD_FORMAT, "classes", "class %u names a wrong owner", i);
    }
    return STATUS_OK;
}

/* A fixed text field that came from the other process. */
static int is_text(const char *text, size_t size)
{
    return text[0] != '\0' && memchr(text, 0, size) != NULL;
}

static enum status spec_check_lists(const struct job_spec *s, struct fault *f)
{
    for (uint32_t i = 0; i < s->n_owners; i++)
        if (!is_text(s->owners[i].kind, JOB_KIND_SIZE) ||
            !is_text(s->owners[i].name, JOB_NAME_SIZE))
            FAIL(f, STATUS_BAD_FORMAT, "owners", "owner %u has no name", i);
    for (uint32_t i = 0; i < s->n_parts; i++)
        if (!is_text(s->parts[i].kind, JOB_KIND_SIZE) || !is_text(s->parts[i].name, JOB_NAME_SIZE))
            FAIL(f, STATUS_BAD_FORMAT, "parts", "part %u has no name", i);
    for (uint32_t i = 0; i < s->n_tasks; i++) {
        const struct job_task *t = &s->tasks[i];
        if (!is_text(t->learner, sizeof t->learner) || !is_text(t->name, sizeof t->name) ||
            t->owner >= s->n_owners || t->n_options > JOB_MAX_OPTIONS ||
            t->first > s->sets[JOB_SET_TASK_TRAIN].n ||
            t->n > s->sets[JOB_SET_TASK_TRAIN].n - t->first || t->erased_first > s->n_erased_keys ||
            t->n_erased > s->n_erased_keys - t->erased_first)
            FAIL(f, STATUS_BAD_FORMAT, "tasks", "task %u is malformed", i);
    }
    return STATUS_OK;
}

/* Further labels: of rows of the set, in order, of the first one's owner. */
static enum status spec_check_more(const struct job_spec *s, size_t k, struct fault *f)
{
    const struct job_set *set = &s->sets[k];
    if (set->n_more > 0 && k == JOB_SET_REFERENCE)
        FAIL(f, STATUS_BAD_FORMAT, "labels", "reference images with several labels");
    for (uint32_t i = 0; i < set->n_more; i++) {
        const struct job_label *m = &set->more[i];
        if (m->row >= set->n || m->class >= s->n_classes ||
            s->classes[m->class].owner != s->classes[set->labels[m->row]].owner)
            FAIL(f, STATUS_BAD_FORMAT, "labels", "set %zu, further label %u", k, i);
        const struct job_label *last = i > 0 ? m - 1 : NULL;
        if (last && (m->row < last->row || (m->row == last->row && m->class <= last->class)))
            FAIL(f, STATUS_BAD_FORMAT, "labels", "set %zu: further labels without order", k);
    }
    return STATUS_OK;
}

static enum status spec_check_labels(const struct job_spec *s, struct fault *f)
{
    for (size_t k = 0; k < JOB_SETS; k++) {
        for (uint32_t i = 0; i < s->sets[k].n; i++) {
            const int32_t y = s->sets[k].labels[i];
            if (y < 0 || (k != JOB_SET_REFERENCE && (uint32_t)y >= s->n_classes))
                FAIL(f, STATUS_BAD_FORMAT, "labels", "set %zu, row %u: label %d", k, i, y);
        }
        TRY(spec_check_more(s, k, f));
    }
    return STATUS_OK;
}

static void spec_read_head(struct byte_reader *r, struct job_spec *s, struct spec_head *h)
{
    get_plain(r, h, sizeof *h);
    get_plain(r, &s->config, sizeof s->config);
    get_plain(r, &s->limits, sizeof s->limits);
    s->kind = (enum job_kind)h->kind;
    s->request = h->request;
    s->base = h->base;
    s->memory_digest = h->memory;
    s->prototype_digest = h->prototype;
    s->seed = h->seed;
    s->attempt = h->attempt;
    s->threads = h->threads;
    s->memory_max = h->memory_max;
    memcpy(s->mean, h->mean, sizeof s->mean);
    memcpy(s->std, h->std, sizeof s->std);
    s->n_classes = h->n_classes;
    s->n_erasures = h->n_erasures;
    s->n_options = h->n_options;
    s->n_owners = h->n_owners;
    s->n_parts = h->n_parts;
    s->n_tasks = h->n_tasks;
    s->learned = h->learned;
    s->reference_taught = h->reference_taught;
    s->n_erased_keys = h->n_erased_keys;
    s->unmeasured = h->unmeasured;
    memcpy(s->erased_expert, h->erased_expert, sizeof s->erased_expert);
    s->erased_expert[sizeof s->erased_expert - 1] = '\0';
    s->preprocessing = h->preprocessing;
    s->trunk = h->trunk;
}

static enum status spec_check_head(const struct job_spec *s,
                                   const struct spec_head *h,
                                   const struct byte_reader *r,
                                   struct fault *f)
{
    if (r->failed || h->magic != SPEC_MAGIC || h->format != JOB_FORMAT)
        FAIL(f, STATUS_BAD_FORMAT, "head", "not a job of format %u", JOB_FORMAT);
    TRY(vit_config_check(&s->config, f));
    if (s->kind < JOB_FORGET || s->kind > JOB_CHANGE)
        FAIL(f, STATUS_BAD_FORMAT, "kind", "job kind %u is unknown", h->kind);
    if (s->n_classes < s->config.classes || s->n_classes > VIT_MAX_CLASSES)
        FAIL(f, STATUS_BAD_FORMAT, "n_classes", "%u classes, head has %u", s->n_classes,
             s->config.classes);
    if (s->n_owners == 0 || s->n_owners > JOB_MAX_OWNERS || s->n_parts > JOB_MAX_PARTS ||
        s->n_tasks > JOB_MAX_TASKS || s->learned >= s->n_owners)
        FAIL(f, STATUS_BAD_FORMAT, "n_owners", "%u owners, %u parts, %u tasks", s->n_owners,
             s->n_parts, s->n_tasks);
    if (s->n_erasures > JOB_MAX_ERASURES || s->n_options > JOB_MAX_OPTIONS)
        FAIL(f, STATUS_BAD_FORMAT, "n_erasures", "%u erasures and %u options", s->n_erasures,
             s->n_options);
    if (s->threads == 0 || s->threads > POOL_MAX_THREADS)
        FAIL(f, STATUS_BAD_FORMAT, "threads", "%u threads, limit %d", s->threads, POOL_MAX_THREADS);
    return STATUS_OK;
}

static enum status
spec_read_erasures(struct byte_reader *r, struct arena *arena, struct job_spec *s, struct fault *f)
{
    struct job_erasure *list = arena_alloc_zero(arena, s->n_erasures + 1u, sizeof *list);
    if (!list)
        FAIL(f, STATUS_NO_MEMORY, "erasures", "no room for %u erasures", s->n_erasures);
    for (uint32_t i = 0; i < s->n_erasures; i++) {
        get_plain(r, &list[i], sizeof list[i]);
        list[i].delta = get_array(r, list[i].delta_size);
    }
    s->erasures = list;
    return STATUS_OK;
}

static enum status
spec_read_parts(struct byte_reader *r, struct arena *arena, struct job_spec *s, struct fault *f)
{
    struct job_part *list = arena_alloc_zero(arena, s->n_parts + 1u, sizeof *list);
    if (!list)
        FAIL(f, STATUS_NO_MEMORY, "parts", "no room for %u parts", s->n_parts);
    for (uint32_t i = 0; i < s->n_parts; i++) {
        get_plain(r, &list[i], sizeof list[i]);
        list[i].bytes = get_array(r, list[i].size);
    }
    s->parts = list;
    return STATUS_OK;
}

static void spec_read_sets(struct byte_reader *r, struct job_spec *s, const struct spec_head *h)
{
    size_t rows = 0;
    for (size_t i = 0; i < JOB_SETS; i++)
        rows += h->set_n[i];
    const uint8_t *pixels = get_array(r, rows * image_bytes(&s->config));
    const int32_t *labels = get_array(r, rows * sizeof(int32_t));
    for (size_t i = 0; i < JOB_SETS && pixels && labels; i++) {
        struct job_set *set = &s->sets[i];
        set->n = h->set_n[i];
        set->pixels = pixels;
        set->labels = labels;
        pixels += set->n * image_bytes(&s->config);
        labels += set->n;
    }
    for (size_t i = 0; i < JOB_SETS; i++) {
        s->sets[i].n_more = h->set_more[i];
        s->sets[i].more = get_array(r, h->set_more[i] * sizeof *s->sets[i].more);
    }
    for (size_t i = 0; i < JOB_SETS; i++)
        get_bytes(r, s->sets[i].digest.b, DIGEST_SIZE);
}

enum status job_spec_decode(
    const void *bytes, size_t size, struct arena *arena, struct job_spec *ret_spec, struct fault *f)
{
    struct byte_reader r = byte_reader_make(bytes, size);
    struct job_spec s = {0};
    struct spec_head h;
    spec_read_head(&r, &s, &h);
    TRY(spec_check_head(&s, &h, &r, f));
    s.classes = get_array(&r, s.n_classes * sizeof *s.classes);
    s.owners = get_array(&r, s.n_owners * sizeof *s.owners);
    s.tasks = get_array(&r, s.n_tasks * sizeof *s.tasks);
    const void *options = get_array(&r, s.n_options * sizeof s.options[0]);
    if (options)
        memcpy(s.options, options, s.n_options * sizeof s.options[0]);
    TRY(spec_read_parts(&r, arena, &s, f));
    TRY(spec_read_erasures(&r, arena, &s, f));
    if (h.has_prototypes) {
        s.prototypes = get_array(&r, (size_t)s.config.classes * s.config.width * sizeof(float));
        s.prototype_counts = get_array(&r, s.config.classes * sizeof(uint64_t));
    }
    if (h.has_keys)
        s.task_keys = get_array(&r, h.set_n[JOB_SET_TASK_TRAIN] * sizeof *s.task_keys);
    s.erased_keys = get_array(&r, s.n_erased_keys * sizeof *s.erased_keys);
    spec_read_sets(&r, &s, &h);
    if (!byte_reader_done(&r))
        FAIL(f, STATUS_BAD_FORMAT, "bundle", "the job bundle is cut short or too long");
    TRY(spec_check_lists(&s, f));
    TRY(spec_check_classes(&s, f));
    TRY(spec_check_labels(&s, f));
    *ret_spec = s;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- result */

struct result_head {
    uint32_t magic, format;
    int32_t status;
    uint32_t n_made, threads, has_prototypes, n_events;
    struct request_id request;
    uint64_t report_size;
    double seconds;
    char kernel[32];
    struct fault fault;
};

static void
result_write(const struct job_result *x, const struct vit_config *c, struct byte_writer *w)
{
    struct result_head h = {.magic = RESULT_MAGIC,
                            .format = JOB_FORMAT,
                            .status = (int32_t)x->status,
                            .n_made = x->n_made,
                            .threads = x->threads,
                            .has_prototypes = x->prototypes != NULL,
                            .n_events = x->n_events,
                            .request = x->request,
                            .report_size = x->report_size,
                            .seconds = x->seconds,
                            .fault = x->fault};
    memcpy(h.kernel, x->kernel, sizeof h.kernel);
    h.fault.file = NULL;
    put_plain(w, &h, sizeof h);
    for (uint32_t i = 0; i < x->n_made; i++) {
        put_plain(w, &x->made[i], sizeof x->made[i]); /* its pointer is replaced */
        put_array(w, x->made[i].bytes, x->made[i].size);
    }
    put_array(w, x->events, x->n_events * sizeof *x->events);
    put_array(w, x->report, x->report_size);
    if (x->prototypes) {
        put_array(w, x->prototypes, (size_t)c->classes * c->width * sizeof(float));
        put_array(w, x->prototype_counts, c->classes * sizeof(uint64_t));
    }
}

size_t job_result_plan(const struct job_result *result, const struct vit_config *config)
{
    struct byte_writer w = byte_writer_make(NULL, 0);
    result_write(result, config, &w);
    return w.used;
}

void job_result_encode(const struct job_result *result,
                       const struct vit_config *config,
                       void *to,
                       size_t size)
{
    struct byte_writer w = byte_writer_make(to, size);
    result_write(result, config, &w);
    INVARIANT(!w.failed && w.used == size);
}

static void result_from_head(const struct result_head *h, struct job_result *x)
{
    *x = (struct job_result){.request = h->request,
                             .status = status_from_number(h->status),
                             .fault = h->fault,
                             .n_made = h->n_made,
                             .n_events = h->n_events,
                             .report_size = (size_t)h->report_size,
                             .threads = h->threads,
                             .seconds = h->seconds};
    memcpy(x->kernel, h->kernel, sizeof x->kernel);
    x->kernel[sizeof x->kernel - 1] = '\0';
    x->fault.field[FAULT_FIELD_SIZE - 1] = '\0';
    x->fault.text[FAULT_TEXT_SIZE - 1] = '\0';
}

enum status job_result_decode(const void *bytes,
                              size_t size,
                              const struct vit_config *config,
                              struct job_result *ret_result,
                              struct fault *f)
{
    struct byte_reader r = byte_reader_make(bytes, size);
    struct result_head h;
    struct job_result x;
    get_plain(&r, &h, sizeof h);
    if (r.failed || h.magic != RESULT_MAGIC || h.format != JOB_FORMAT || h.n_made > JOB_MAX_MADE ||
        h.n_events > LEARNER_EVENTS)
        FAIL(f, STATUS_BAD_FORMAT, "head", "not a result of format %u", JOB_FORMAT);
    result_from_head(&h, &x);
    const size_t n_prototypes = (size_t)config->classes * config->width;
    for (uint32_t i = 0; i < x.n_made; i++) {
        get_plain(&r, &x.made[i], sizeof x.made[i]);
        x.made[i].bytes = get_array(&r, x.made[i].size);
        if (!r.failed &&
            (!is_text(x.made[i].kind, JOB_KIND_SIZE) || !is_text(x.made[i].name, JOB_NAME_SIZE)))
            FAIL(f, STATUS_BAD_FORMAT, "made", "component %u has no name", i);
    }
    x.events = get_array(&r, x.n_events * sizeof *x.events);
    for (uint32_t i = 0; i < x.n_events && !r.failed; i++)
        if (!memchr(x.events[i].expert, 0, LEARNER_NAME_SIZE) ||
            !memchr(x.events[i].from, 0, LEARNER_NAME_SIZE))
            FAIL(f, STATUS_BAD_FORMAT, "events", "a name in event %u has no end", i);
    x.report = get_array(&r, x.report_size);
    if (h.has_prototypes) {
        x.prototypes = get_array(&r, n_prototypes * sizeof(float));
        x.prototype_counts = get_array(&r, config->classes * sizeof(uint64_t));
    }
    if (!byte_reader_done(&r))
        FAIL(f, STATUS_BAD_FORMAT, "result", "the result bundle is cut short or too long");
    if (x.prototypes && !all_finite(x.prototypes, n_prototypes))
        FAIL(f, STATUS_BAD_FORMAT, "prototypes", "a prototype is not finite");
    *ret_result = x;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- progress */

size_t job_progress_encode(const struct job_progress *p, void *to, size_t size)
{
    struct byte_writer w = byte_writer_make(to, size);
    put_plain(&w, p, sizeof *p);
    return w.failed ? 0 : w.used;
}

enum status job_progress_decode(const void *bytes, size_t size, struct job_progress *ret_p)
{
    struct byte_reader r = byte_reader_make(bytes, size);
    struct job_progress p;
    get_plain(&r, &p, sizeof p);
    p.phase[sizeof p.phase - 1] = '\0';
    if (!byte_reader_done(&r) || p.n_groups > VIT_MAX_DEPTH)
        return STATUS_BAD_FORMAT;
    *ret_p = p;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- memory files */

#define JOB_SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

enum status
job_memory_create(const char *name, size_t size, int *ret_fd, void **ret_map, struct fault *f)
{
    const int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        FAIL(f, status_from_errno(errno), name, "memfd_create: %s", strerror(errno));
    if (ftruncate(fd, (off_t)size) != 0) {
        (void)close(fd);
        FAIL(f, STATUS_NO_MEMORY, name, "no room for %zu bytes", size);
    }
    void *map = sysio_mmap(size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        (void)close(fd);
        FAIL(f, STATUS_NO_MEMORY, name, "cannot map %zu bytes: %s", size, strerror(errno));
    }
    *ret_fd = fd;
    *ret_map = map;
    return STATUS_OK;
}

enum status job_memory_seal(int fd, void *map, size_t size, struct fault *f)
{
    (void)munmap(map, size);
    if (fcntl(fd, F_ADD_SEALS, JOB_SEALS) != 0)
        FAIL(f, STATUS_INTERNAL, NULL, "cannot seal memory: %s", strerror(errno));
    return STATUS_OK;
}

enum status job_memory_map(int fd, const void **ret_map, size_t *ret_size, struct fault *f)
{
    struct stat info;
    if (fstat(fd, &info) != 0 || info.st_size <= 0)
        FAIL(f, STATUS_BAD_FORMAT, NULL, "the memory file is empty");
    const int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & JOB_SEALS) != JOB_SEALS)
        FAIL(f, STATUS_BAD_FORMAT, NULL, "the memory file is not sealed");
    const size_t size = (size_t)info.st_size;
    void *map = sysio_mmap(size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        FAIL(f, STATUS_NO_MEMORY, NULL, "cannot map %zu bytes: %s", size, strerror(errno));
    *ret_map = map;
    *ret_size = size;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- datagrams */

#define JOB_MAX_FDS 2

union job_control {
    struct cmsghdr head;
    char space[CMSG_SPACE(JOB_MAX_FDS * sizeof(int))];
};

enum status job_send(int socket, const void *bytes, size_t n, const int *fds, size_t n_fds)
{
    INVARIANT(n_fds <= JOB_MAX_FDS && n <= JOB_MESSAGE_MAX);
    union job_control control = {0};
    struct iovec part = {(void *)(uintptr_t)bytes, n};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    if (n_fds > 0) {
        m.msg_control = control.space;
        m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.head), fds, n_fds * sizeof(int));
    }
    ssize_t sent;
    do {
        sent = sendmsg(socket, &m, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent == (ssize_t)n)
        return STATUS_OK;
    return errno == EAGAIN ? STATUS_RESOURCE_EXHAUSTED : STATUS_UNAVAILABLE;
}

static size_t take_descriptors(struct msghdr *m, int fds[JOB_MAX_FDS])
{
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(c), n * sizeof(int));
    }
    return n;
}

enum status
job_receive(int socket, void *bytes, size_t size, size_t *ret_n, int fds[2], size_t *ret_n_fds)
{
    union job_control control = {0};
    struct iovec part = {bytes, size};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.space,
                       .msg_controllen = sizeof control.space};
    ssize_t n;
    do {
        n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return STATUS_RESOURCE_EXHAUSTED; /* nothing there now */
    if (n <= 0)
        return STATUS_UNAVAILABLE;
    *ret_n = (size_t)n;
    *ret_n_fds = take_descriptors(&m, fds);
    return m.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? STATUS_BAD_FORMAT : STATUS_OK;
}
