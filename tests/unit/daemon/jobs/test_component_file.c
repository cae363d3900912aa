/* A lane or expert as a file: what is written reads back, everything else is refused. */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/component_file.h"
#include "learners/vit/safetensors.h"
#include "proto/seal/hash.h"

#define RECORD "LLANE1\n and the rest of it, 41 bytes in all"
#define TERMS  "LRIDGE1\n and sums"

static struct component_file usual(void)
{
    return (struct component_file){
        .kind = "lane",
        .name = "digits-2",
        .place = {.base = {.b = {1, 2, 3}}, .trunk = {.b = {4, 5}}, .preprocessing = {.b = {6}}},
        .seed = 18446744073709551615u,
        .bytes = RECORD,
        .size = sizeof RECORD - 1,
        .router = TERMS,
        .router_size = sizeof TERMS - 1};
}

static uint8_t *written(const struct component_file *c, size_t *ret_size)
{
    uint8_t *bytes = NULL;
    struct fault f = {0};
    if (component_file_write(c, &bytes, ret_size, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    return bytes;
}

void test_component_file_reads_back(void **state)
{
    (void)state;
    struct component_file c = usual(), back;
    size_t size;
    uint8_t *bytes = written(&c, &size);
    assert_int_equal(component_file_read(bytes, size, &c.place, &back, NULL), STATUS_OK);
    assert_string_equal(back.kind, "lane");
    assert_string_equal(back.name, "digits-2");
    assert_int_equal(back.size, c.size);
    assert_memory_equal(back.bytes, RECORD, c.size);
    const struct digest d = seal_hash(RECORD, c.size);
    assert_true(digest_equal(&back.digest, &d));
    assert_memory_equal(&back.place, &c.place, sizeof c.place);
    assert_true(back.seed == c.seed);
    assert_int_equal(back.router_size, c.router_size);
    assert_memory_equal(back.router, TERMS, c.router_size);
    /* written again it is the same file */
    size_t again;
    uint8_t *same = written(&back, &again);
    assert_int_equal(again, size);
    assert_memory_equal(same, bytes, size);
    sysio_free(same);
    sysio_free(bytes);
}

void test_component_file_without_terms(void **state)
{
    (void)state;
    struct component_file c = usual(), back;
    size_t size;
    c.router = NULL;
    c.router_size = 0;
    uint8_t *bytes = written(&c, &size);
    assert_int_equal(component_file_read(bytes, size, &c.place, &back, NULL), STATUS_OK);
    assert_null(back.router);
    assert_int_equal(back.size, c.size);
    sysio_free(bytes);
}

void test_component_file_is_safetensors(void **state)
{
    (void)state;
    const struct component_file c = usual();
    size_t size;
    uint8_t *bytes = written(&c, &size);
    static unsigned char memory[1 << 16];
    struct arena arena;
    struct safetensors *s;
    assert_true(safetensors_plan(bytes, size) <= sizeof memory);
    arena_init(&arena, memory, sizeof memory);
    assert_int_equal(safetensors_open(bytes, size, &arena, &s, NULL), STATUS_OK);
    assert_int_equal(safetensors_count(s), 2);
    assert_string_equal(safetensors_row(s, 0)->name, "component");
    assert_int_equal(safetensors_row(s, 0)->count, c.size);
    assert_string_equal(safetensors_metadata(s, "format"), "lethe-component-2");
    arena_fini(&arena);
    sysio_free(bytes);
}

/* Whatever it was made for that is not here is named, with both digests. */
void test_component_file_of_another_place(void **state)
{
    (void)state;
    struct component_file c = usual(), back;
    const struct digest other = {.b = {9}};
    static const char *const field[] = {"base", "trunk", "preprocessing"};
    static const char *const theirs[] = {"0102030000000000", "0405000000000000",
                                         "0600000000000000"};
    size_t size;
    uint8_t *bytes = written(&c, &size);
    for (size_t i = 0; i < 3; i++) {
        struct fault f = {0};
        struct component_place here = c.place;
        struct digest *at[] = {&here.base, &here.trunk, &here.preprocessing};
        *at[i] = other;
        assert_int_equal(component_file_read(bytes, size, &here, &back, &f),
                         STATUS_FAILED_PRECONDITION);
        assert_string_equal(f.field, field[i]);
        assert_non_null(strstr(f.text, theirs[i]));
        assert_non_null(strstr(f.text, "0900000000000000"));
    }
    assert_int_equal(component_file_read(bytes, size, NULL, &back, NULL), STATUS_OK);
    sysio_free(bytes);
}

/* Every byte counts: whichever is changed, or missing, the file is refused. */
void test_component_file_refuses_damage(void **state)
{
    (void)state;
    struct component_file c = usual(), back;
    size_t size;
    uint8_t *bytes = written(&c, &size);
    uint32_t others = 0;
    for (size_t i = 0; i < size; i++) {
        const uint8_t kept = bytes[i];
        bytes[i] = (uint8_t)(kept ^ 0x04);
        const enum status st = component_file_read(bytes, size, &c.place, &back, NULL);
        if (st == STATUS_OK) /* name and seed are only known to the header */
            others += strcmp(back.name, c.name) == 0 && back.seed == c.seed ? 1000 : 1;
        bytes[i] = kept;
    }
    assert_in_range(others, 1, strlen(c.name) + 20);
    for (size_t n = 0; n < size; n++)
        assert_int_not_equal(component_file_read(bytes, n, &c.place, &back, NULL), STATUS_OK);
    sysio_free(bytes);
}

/* A file with this metadata and these tensors. */
static void refused(const struct safetensors_meta *meta,
                    size_t n_meta,
                    const struct safetensors_item *items,
                    size_t n_items,
                    const char *field)
{
    static uint8_t bytes[4096];
    struct component_file back;
    struct fault f = {0};
    const size_t size = safetensors_write_size(items, n_items, meta, n_meta);
    assert_true(size <= sizeof bytes);
    safetensors_write(items, n_items, meta, n_meta, bytes);
    assert_int_equal(component_file_read(bytes, size, NULL, &back, &f), STATUS_BAD_FORMAT);
    assert_string_equal(f.field, field);
}

void test_component_file_refuses_what_is_not_one(void **state)
{
    (void)state;
    static const float number = 1.0f;
    char digest[DIGEST_TEXT_SIZE];
    const struct digest d = seal_hash(RECORD, sizeof RECORD - 1);
    digest_format(&d, digest);
    const struct safetensors_meta right[] = {{"format", "lethe-component-2"},
                                             {"kind", "lane"},
                                             {"name", "digits"},
                                             {"digest", digest},
                                             {"router", ""},
                                             {"base", digest},
                                             {"preprocessing", digest},
                                             {"trunk", digest},
                                             {"seed", "7"}};
    enum { N = sizeof right / sizeof right[0] };
    const struct safetensors_item items[] = {
        {.name = "component",
         .dtype = SAFETENSORS_U8,
         .dims = 1,
         .shape = {sizeof RECORD - 1},
         .data = RECORD},
        {.name = "more", .dtype = SAFETENSORS_F32, .dims = 1, .shape = {1}, .data = &number}};
    refused(right, N, items, 2, "component");
    refused(right, N, items + 1, 1, "component");
    const struct {
        size_t i;
        const char *value, *field;
    } wrong[] = {{0, "pt", "format"},
                 {0, "lethe-component-1", "format"},
                 {1, "router", "kind"},
                 {1, "a kind that is far too long", "kind"},
                 {2, "../a b", "name"},
                 {2, "", "name"},
                 {3, "abc", "digest"},
                 {4, "abc", "router"},
                 {4, digest, "component"}, /* terms are promised and not there */
                 {5, "no digest", "base"},
                 {6, "", "preprocessing"},
                 {7, "0", "trunk"},
                 {8, "", "seed"},
                 {8, "-1", "seed"},
                 {8, "007", "seed"},
                 {8, "18446744073709551616", "seed"}};
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
        struct safetensors_meta meta[N];
        memcpy(meta, right, sizeof meta);
        meta[wrong[k].i].value = wrong[k].value;
        refused(meta, N, items, 1, wrong[k].field);
    }
    for (size_t k = 0; k < N; k++) {
        struct safetensors_meta meta[N];
        memcpy(meta, right, sizeof meta);
        memmove(meta + k, meta + k + 1, (N - 1 - k) * sizeof *meta);
        refused(meta, N - 1, items, 1, right[k].key);
    }
}

/* Terms of the router with another digest than the file says, or of another type. */
void test_component_file_refuses_other_terms(void **state)
{
    (void)state;
    char digest[DIGEST_TEXT_SIZE], terms[DIGEST_TEXT_SIZE];
    struct digest d = seal_hash(RECORD, sizeof RECORD - 1);
    digest_format(&d, digest);
    d = seal_hash(TERMS, sizeof TERMS - 1);
    digest_format(&d, terms);
    struct safetensors_meta meta[] = {{"format", "lethe-component-2"},
                                      {"kind", "lane"},
                                      {"name", "digits"},
                                      {"digest", digest},
                                      {"router", terms},
                                      {"base", digest},
                                      {"preprocessing", digest},
                                      {"trunk", digest},
                                      {"seed", "7"}};
    struct safetensors_item items[] = {{.name = "component",
                                        .dtype = SAFETENSORS_U8,
                                        .dims = 1,
                                        .shape = {sizeof RECORD - 1},
                                        .data = RECORD},
                                       {.name = "router",
                                        .dtype = SAFETENSORS_U8,
                                        .dims = 1,
                                        .shape = {sizeof TERMS - 1},
                                        .data = TERMS}};
    items[1].dims = 2;
    items[1].shape[1] = 1;
    refused(meta, 9, items, 2, "router");
    items[1].dims = 1;
    meta[4].value = digest;
    refused(meta, 9, items, 2, "digest");
    meta[4].value = "";
    refused(meta, 9, items, 2, "component");
}

void test_component_file_parses_owners(void **state)
{
    (void)state;
    struct component_file c;
    assert_int_equal(component_file_parse("lane:digits", &c, NULL), STATUS_OK);
    assert_string_equal(c.kind, "lane");
    assert_string_equal(c.name, "digits");
    assert_int_equal(component_file_parse("expert:shop/1", &c, NULL), STATUS_OK);
    assert_string_equal(c.name, "shop/1");
    static const char *const bad[] = {"",
                                      "digits",
                                      "lane:",
                                      "base:x",
                                      "lane",
                                      ":digits",
                                      "lane:a b",
                                      "erasure:1",
                                      "lanes:a",
                                      "lane:\"a\"",
                                      "a-kind-that-is-too-long:a"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fault f = {0};
        assert_int_equal(component_file_parse(bad[i], &c, &f), STATUS_INVALID_ARGUMENT);
        assert_string_equal(f.field, "component");
    }
    struct component_file unnamed = usual();
    uint8_t *bytes;
    size_t size;
    unnamed.name[0] = '"';
    assert_int_equal(component_file_write(&unnamed, &bytes, &size, NULL), STATUS_INVALID_ARGUMENT);
}
