#include "bench/multilane/component_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/data/set_file.h"
#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"

#define STORE_MAGIC      "LBENCHP1"
#define STORE_MAGIC_SIZE 8
#define STORE_MAX        ((size_t)4 << 30)
#define STORE_PATH_SIZE  4096
#define STORE_TRY        ((size_t)1 << 20)

uint64_t component_bytes_hash(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

uint64_t component_key_hash(const char *text)
{
    return component_bytes_hash(text, strlen(text));
}

static void store_path(const struct component_job *job, char path[STORE_PATH_SIZE])
{
    (void)snprintf(path, STORE_PATH_SIZE, "%s/%016llx.part", job->folder,
                   (unsigned long long)component_key_hash(job->key));
}

/* Takes over `file`; 0 if it holds the job's component. */
static int
store_parse(const struct component_job *job, unsigned char *file, size_t size, struct component *c)
{
    struct byte_reader r = byte_reader_make(file, size);
    char magic[STORE_MAGIC_SIZE], key[COMPONENT_KEY_SIZE];
    size_t n = 0;
    get_bytes(&r, magic, sizeof magic);
    get_string(&r, key, sizeof key);
    const double seconds = get_f64(&r);
    const uint8_t *bytes = get_blob(&r, &n);
    if (!byte_reader_done(&r) || memcmp(magic, STORE_MAGIC, sizeof magic) != 0 ||
        strcmp(key, job->key) != 0) {
        sysio_free(file);
        return -1;
    }
    c->part = (struct learner_part){
        .kind = job->learner->kind, .name = job->part_name, .bytes = bytes, .size = n};
    c->seconds = seconds;
    c->file = file;
    return 0;
}

static int store_read(const struct component_job *job, const char *path, struct component *c)
{
    unsigned char *file;
    size_t size;
    struct fault ignored = {0};
    if (sysio_read_file(path, STORE_MAX, &file, &size, &ignored) != STATUS_OK)
        return -1;
    return store_parse(job, file, size, c);
}

/* Wraps a fresh component as its file. */
static enum status store_wrap(const struct component_job *job,
                              const struct learner_part *part,
                              double seconds,
                              unsigned char **ret_file,
                              size_t *ret_size,
                              struct fault *f)
{
    const size_t size = STORE_MAGIC_SIZE + strlen(job->key) + part->size + 64;
    unsigned char *file = sysio_alloc(size, 1);
    if (!file)
        FAIL(f, STATUS_NO_MEMORY, "component", "no memory for %zu bytes", size);
    struct byte_writer w = byte_writer_make(file, size);
    put_bytes(&w, STORE_MAGIC, STORE_MAGIC_SIZE);
    put_string(&w, job->key);
    put_f64(&w, seconds);
    put_blob(&w, part->bytes, part->size);
    *ret_file = file;
    *ret_size = w.used;
    return STATUS_OK;
}

static enum status train(const struct component_job *job,
                         const struct learner_tools *tools,
                         struct learner_part *ret_part,
                         struct fault *f)
{
    struct learner_part parts[LEARNER_PARTS];
    struct learner_outcome outcome;
    struct learner_progress progress = {0};
    struct learner_run *run;
    uint32_t n;
    TRY(job->learner->init(job->problem, tools, &run, f));
    while (!progress.done)
        TRY(job->learner->step(run, &progress, f));
    TRY(job->learner->export(run, parts, &n, &outcome, f));
    *ret_part = parts[0];
    return STATUS_OK;
}

static enum status train_and_keep(const struct component_job *job,
                                  const char *path,
                                  struct pool *pool,
                                  void *memory,
                                  size_t bytes,
                                  struct component *c,
                                  struct fault *f)
{
    struct arena arena;
    struct learner_part part;
    unsigned char *file = NULL;
    size_t size = 0;
    const int64_t start = clock_mono_us();
    arena_init(&arena, memory, bytes);
    const struct learner_tools tools = {.pool = pool, .arena = &arena};
    TRY(train(job, &tools, &part, f));
    TRY(store_wrap(job, &part, (double)(clock_mono_us() - start) * 1e-6, &file, &size, f));
    enum status st = set_file_folder(job->folder, f);
    if (st == STATUS_OK)
        st = sysio_write_file(path, file, size, f);
    if (st != STATUS_OK) {
        sysio_free(file);
        return st;
    }
    if (store_parse(job, file, size, c) != 0)
        FAIL(f, STATUS_INTERNAL, "component", "what was written cannot be read");
    return STATUS_OK;
}

/* A job without a plan: init tells what is wrong with it. */
static enum status say_why(const struct component_job *job, struct pool *pool, struct fault *f)
{
    struct arena arena;
    struct learner_run *run;
    void *memory = sysio_alloc(STORE_TRY, 1);
    if (!memory)
        FAIL(f, STATUS_NO_MEMORY, "component", "no memory");
    arena_init(&arena, memory, STORE_TRY);
    const struct learner_tools tools = {.pool = pool, .arena = &arena};
    const enum status st = job->learner->init(job->problem, &tools, &run, f);
    sysio_free(memory);
    return st;
}

enum status component_make(const struct component_job *job,
                           struct pool *pool,
                           struct component *ret_component,
                           struct fault *f)
{
    char path[STORE_PATH_SIZE];
    store_path(job, path);
    if (store_read(job, path, ret_component) == 0)
        return STATUS_OK;
    const size_t bytes = job->learner->plan(job->problem, pool_threads(pool));
    if (bytes == SIZE_MAX)
        TRY(say_why(job, pool, f));
    void *memory = bytes == SIZE_MAX ? NULL : malloc(bytes); /* not zeroed: gigabytes */
    if (!memory)
        FAIL(f, STATUS_NO_MEMORY, "component", "no memory for %zu bytes", bytes);
    const enum status st = train_and_keep(job, path, pool, memory, bytes, ret_component, f);
    free(memory);
    return st;
}

void component_free(struct component *c)
{
    sysio_free(c->file);
    c->file = NULL;
}
