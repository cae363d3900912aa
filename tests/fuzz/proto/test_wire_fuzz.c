/*
 * Fuzzing of the three decoders.  The ordinary build replays the corpus beside this file and some
 * thousand deterministic mutations of it; compiled with -DLETHE_LIBFUZZER -fsanitize=fuzzer, the
 * same entry point is driven by libFuzzer.
 *
 * What must hold for any bytes: no crash, no read outside them (each input stands in a block of
 * exactly its size), a refusal says why and leaves the arena alone, and what was accepted can be
 * encoded, and decoded again to the same bytes.
 */
#include "tests/support/mutate.h"
#include "tests/support/test.h"

#include "daemon/base/sysio.h"
#include "proto/limits.h"
#include "proto/wire.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Small, so that a run is short under a sanitizer; enough for inputs of some kilobytes. */
#define ARENA_BYTES (2u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "wire fuzz: %s\n", what);
    abort();
}

static void check_refusal(const struct arena *a, enum status code, const struct fault *f)
{
    require(a->used == 0, "a refusal left memory behind");
    require(code == STATUS_INVALID_ARGUMENT || code == STATUS_RESOURCE_EXHAUSTED ||
                code == STATUS_UNIMPLEMENTED,
            "a refusal with another status");
    require(f->text[0] != '\0', "a refusal without a reason");
}

#define ROUND_TRIP(name)                                                                           \
    static void round_trip_##name(struct arena *a, const uint8_t *data, size_t size)               \
    {                                                                                              \
        struct fault f = {0};                                                                      \
        const struct wire_##name *first, *second;                                                  \
        const uint8_t *x, *y;                                                                      \
        size_t nx, ny;                                                                             \
        const enum status code = wire_##name##_decode(data, size, a, &first, &f);                  \
        if (code != STATUS_OK) {                                                                   \
            check_refusal(a, code, &f);                                                            \
            return;                                                                                \
        }                                                                                          \
        /* Sizes of frames may come packed and then need more room as they are written here. */    \
        if (wire_##name##_encode(first, a, &x, &nx, &f) == STATUS_OK) {                            \
            require(wire_##name##_decode(x, nx, a, &second, &f) == STATUS_OK, "no second decode"); \
            require(wire_##name##_encode(second, a, &y, &ny, &f) == STATUS_OK,                     \
                    "no second encode");                                                           \
            require(nx == ny && memcmp(x, y, nx) == 0, "encoding is not canonical");               \
        } else {                                                                                   \
            require(f.code == STATUS_RESOURCE_EXHAUSTED || f.code == STATUS_NO_MEMORY,             \
                    "accepted, but cannot be encoded");                                            \
        }                                                                                          \
        arena_rewind(a, (struct arena_mark){0});                                                   \
    }

ROUND_TRIP(envelope)
ROUND_TRIP(reply)
ROUND_TRIP(event)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char *memory;
    struct arena a;
    enum wire_kind kind;
    struct request_id id;
    if (!memory)
        memory = malloc(ARENA_BYTES);
    require(memory != NULL, "no memory");
    arena_init(&a, memory, ARENA_BYTES);
    wire_envelope_peek(data, size, &kind, &id);
    require(kind == WIRE_KIND_UNSPECIFIED || wire_kind_name(kind) != NULL, "peek made up a kind");
    round_trip_envelope(&a, data, size);
    round_trip_reply(&a, data, size);
    round_trip_event(&a, data, size);
    arena_fini(&a);
    return 0;
}

#ifndef LETHE_LIBFUZZER

#define CORPUS     "tests/fuzz/proto/corpus_wire"
#define MAX_INPUTS 256
#define MAX_BYTES  4096
#define MUTATIONS  150

static uint8_t corpus_bytes[MAX_INPUTS][MAX_BYTES];
static struct mutate_input corpus[MAX_INPUTS];
static size_t n_corpus;

int group_setup(void **state);

int group_setup(void **state)
{
    (void)state;
    struct dirent **entries;
    const int n = scandir(CORPUS, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char path[512];
        unsigned char *bytes;
        size_t size;
        (void)snprintf(path, sizeof path, "%s/%s", CORPUS, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && n_corpus < MAX_INPUTS &&
            sysio_read_file(path, MAX_BYTES, &bytes, &size, NULL) == STATUS_OK) {
            memcpy(corpus_bytes[n_corpus], bytes, size);
            corpus[n_corpus] = (struct mutate_input){corpus_bytes[n_corpus], size};
            n_corpus++;
            sysio_free(bytes);
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return n_corpus >= 40 ? 0 : -1;
}

void test_fuzz_wire_corpus(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_corpus; i++)
        mutate_run(corpus[i].bytes, corpus[i].size, LLVMFuzzerTestOneInput);
}

void test_fuzz_wire_mutations(void **state)
{
    (void)state;
    struct mutate_plan plan = {.stream = "wire-fuzz",
                               .rounds = MUTATIONS,
                               .room = MAX_BYTES,
                               .others = corpus,
                               .n_others = n_corpus};
    for (size_t i = 0; i < n_corpus; i++) {
        plan.index = i;
        if (corpus[i].size > 0)
            mutate_rounds(corpus[i].bytes, corpus[i].size, &plan, LLVMFuzzerTestOneInput);
    }
}

#endif
