/* Manifests: exact bytes, round trip, strictness, limits, and what a rollback would bring back. */
#include "tests/support/store_fixture.h"

#include "storage/versions/manifest.h"

/* A version with everything in it; arrays are file-static because the version borrows them. */
static struct version_lineage the_lineage[3];
static struct version_component the_components[3];
static struct version_label the_labels[3];
static struct request_id the_erasures[2];

static struct version sample(void)
{
    the_erasures[0] = fixture_id(11);
    the_erasures[1] = fixture_id(12);
    the_lineage[0] = (struct version_lineage){"dataset", "fashion/train", fixture_digest(1)};
    the_lineage[1] = (struct version_lineage){"memory", "base", fixture_digest(2)};
    the_lineage[2] = (struct version_lineage){"request", "", fixture_digest(3)};
    the_components[0] = (struct version_component){.kind = VERSION_KIND_BASE,
                                                   .name = "vit-fashion",
                                                   .blob = fixture_digest(4),
                                                   .bytes = 1234567};
    the_components[1] = (struct version_component){.kind = VERSION_KIND_ERASURE,
                                                   .name = "first",
                                                   .blob = fixture_digest(5),
                                                   .bytes = 1000,
                                                   .groups_total = 12,
                                                   .groups_zero = 5,
                                                   .seed = 42,
                                                   .request = the_erasures[0],
                                                   .lineage = the_lineage,
                                                   .n_lineage = 2};
    the_components[2] = the_components[1];
    the_components[2].name = "second";
    the_components[2].request = the_erasures[1];
    the_components[2].lineage = the_lineage + 2;
    the_components[2].n_lineage = 1;
    the_labels[0] = (struct version_label){"T-shirt/top", "base", VERSION_LABEL_ACTIVE, {{0}}};
    the_labels[1] =
        (struct version_label){"Sandal", "base", VERSION_LABEL_FORGOTTEN, the_erasures[0]};
    the_labels[2] = (struct version_label){"crane", "lane:birds", VERSION_LABEL_ACTIVE, {{0}}};
    return (struct version){.number = 3,
                            .parent = fixture_digest(6),
                            .request = fixture_id(12),
                            .created_us = 1700000000123456,
                            .report = fixture_digest(7),
                            .policy = fixture_digest(8),
                            .kernel = "Haswell",
                            .threads = 2,
                            .components = the_components,
                            .n_components = 3,
                            .erasures = the_erasures,
                            .n_erasures = 2,
                            .labels = the_labels,
                            .n_labels = 3};
}

static void assert_same_component(const struct version_component *a,
                                  const struct version_component *b)
{
    assert_string_equal(a->kind, b->kind);
    assert_string_equal(a->name, b->name);
    assert_true(digest_equal(&a->blob, &b->blob));
    assert_true(a->bytes == b->bytes && a->seed == b->seed);
    assert_true(a->groups_total == b->groups_total && a->groups_zero == b->groups_zero);
    assert_true(request_id_equal(&a->request, &b->request));
    assert_int_equal(a->n_lineage, b->n_lineage);
    for (size_t i = 0; i < a->n_lineage; i++) {
        assert_string_equal(a->lineage[i].kind, b->lineage[i].kind);
        assert_string_equal(a->lineage[i].name, b->lineage[i].name);
        assert_true(digest_equal(&a->lineage[i].digest, &b->lineage[i].digest));
    }
}

void test_manifest_round_trip(void **state)
{
    (void)state;
    const struct version v = sample();
    struct version *w = NULL;
    void *bytes = NULL;
    void *again = NULL;
    size_t n = 0;
    size_t m = 0;
    assert_ok(version_encode(&v, &bytes, &n, THE_FAULT));
    assert_ok(version_decode(bytes, n, &w, THE_FAULT));
    assert_true(w->number == 3 && w->created_us == v.created_us && w->threads == 2);
    assert_true(digest_equal(&w->parent, &v.parent) && digest_equal(&w->report, &v.report));
    assert_true(digest_equal(&w->policy, &v.policy));
    assert_true(request_id_equal(&w->request, &v.request));
    assert_string_equal(w->kernel, "Haswell");
    assert_true(w->n_components == 3 && w->n_erasures == 2 && w->n_labels == 3);
    for (size_t i = 0; i < 3; i++)
        assert_same_component(&w->components[i], &v.components[i]);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(w->labels[i].name, v.labels[i].name);
        assert_string_equal(w->labels[i].owner, v.labels[i].owner);
        assert_int_equal(w->labels[i].status, v.labels[i].status);
        assert_true(request_id_equal(&w->labels[i].forgotten_by, &v.labels[i].forgotten_by));
    }
    assert_ok(version_encode(w, &again, &m, THE_FAULT));
    assert_int_equal(n, m);
    assert_memory_equal(bytes, again, n);
    version_free(w);
    sysio_free(bytes);
    sysio_free(again);
}

/* The id of a fixed manifest never changes: it stands in logs and receipts. */
void test_manifest_id_is_pinned(void **state)
{
    (void)state;
    struct digest id;
    char text[DIGEST_TEXT_SIZE];
    struct version v = {
        .number = 1, .created_us = 1700000000000000, .kernel = "Haswell", .threads = 1};
    assert_ok(version_id(&v, &id, THE_FAULT));
    digest_format(&id, text);
    assert_string_equal(text, "6333fc783b96497345f346dceea19dcb6068e39934e5e4d2578e705d0decde19");
    v = sample();
    /* fixture_digest hashes native integers; on the one target they are little-endian. */
    assert_ok(version_id(&v, &id, THE_FAULT));
    digest_format(&id, text);
    assert_string_equal(text, "9145d7a2ace26011e0308f2c7e27bb166bbc4497978d33b0a5953a57e464672c");
}

void test_manifest_refuses_every_cut_and_extra_byte(void **state)
{
    (void)state;
    const struct version v = sample();
    struct version *w = NULL;
    void *bytes = NULL;
    size_t n = 0;
    assert_ok(version_encode(&v, &bytes, &n, THE_FAULT));
    for (size_t cut = 0; cut < n; cut++)
        assert_fault(version_decode(bytes, cut, &w, THE_FAULT), STATUS_DATA_LOSS, "version");
    uint8_t *longer = sysio_alloc(n + 1, 1);
    memcpy(longer, bytes, n);
    assert_fault(version_decode(longer, n + 1, &w, THE_FAULT), STATUS_DATA_LOSS, "version");
    sysio_free(longer);
    sysio_free(bytes);
}

/* Turning any single byte over gives either an error or a valid manifest with another id. */
void test_manifest_flipped_bytes_are_harmless(void **state)
{
    (void)state;
    const struct version v = sample();
    void *bytes = NULL;
    size_t n = 0;
    size_t refused = 0;
    assert_ok(version_encode(&v, &bytes, &n, THE_FAULT));
    uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++) {
        for (unsigned bit = 0; bit < 8; bit += 7) {
            struct version *w = NULL;
            p[i] ^= (uint8_t)(1u << bit);
            const enum status st = version_decode(p, n, &w, NULL);
            assert_true(st == STATUS_OK || st == STATUS_DATA_LOSS);
            refused += st != STATUS_OK;
            version_free(w);
            p[i] ^= (uint8_t)(1u << bit);
        }
    }
    assert_true(refused > 100);
    sysio_free(bytes);
}

void test_manifest_hostile_counts_allocate_nothing(void **state)
{
    (void)state;
    struct version v = {.number = 1, .kernel = ""};
    struct version *w = NULL;
    void *bytes = NULL;
    size_t n = 0;
    assert_ok(version_encode(&v, &bytes, &n, THE_FAULT));
    uint8_t *p = bytes;
    const uint64_t before = sysio_count(SYSIO_ALLOC);
    for (size_t field = 0; field < 4; field++) {
        uint8_t *at = p + n - 16 + 4 * field;
        memset(at, 0xff, 4);
        assert_fault(version_decode(p, n, &w, THE_FAULT), STATUS_DATA_LOSS, "version");
        memset(at, 0, 4);
        at[0] = 1;
        assert_fault(version_decode(p, n, &w, THE_FAULT), STATUS_DATA_LOSS, "version");
        at[0] = 0;
    }
    assert_true(sysio_count(SYSIO_ALLOC) == before);
    sysio_free(bytes);
}

#define REFUSED(field, change)                                                                     \
    do {                                                                                           \
        struct version v = sample();                                                               \
        change;                                                                                    \
        assert_fault(version_check(&v, THE_FAULT), STATUS_INVALID_ARGUMENT, (field));              \
    } while (0)

void test_manifest_check_names_the_field(void **state)
{
    (void)state;
    const struct version good = sample();
    static char long_text[VERSION_STRING_MAX + 2];
    memset(long_text, 'x', sizeof long_text - 1);
    assert_ok(version_check(&good, THE_FAULT));
    REFUSED("number", v.number = 0);
    REFUSED("parent", v.number = 1);
    REFUSED("parent", memset(&v.parent, 0, sizeof v.parent));
    REFUSED("kernel", v.kernel = NULL);
    REFUSED("kernel", v.kernel = long_text);
    REFUSED("components", the_components[2].name = "first");
    REFUSED("components.kind", the_components[0].kind = "");
    REFUSED("components.name", the_components[0].name = "");
    REFUSED("components.blob", memset(&the_components[0].blob, 0, DIGEST_SIZE));
    REFUSED("components.groups_zero", the_components[1].groups_zero = 13);
    REFUSED("components.lineage.kind", the_lineage[0].kind = "");
    REFUSED("components.lineage.name", the_lineage[0].name = NULL);
    REFUSED("components", v.n_components = VERSION_COMPONENTS_MAX + 1);
    REFUSED("erasures", v.n_erasures = 1);
    REFUSED("erasures", memset(&the_erasures[0], 0, REQUEST_ID_SIZE));
    REFUSED("erasures", v.n_erasures = VERSION_ERASURES_MAX + 1);
    REFUSED("labels", v.n_labels = VERSION_LABELS_MAX + 1);
    REFUSED("labels.name", the_labels[0].name = "");
    REFUSED("labels.owner", the_labels[0].owner = "");
    REFUSED("labels.status", the_labels[0].status = (enum version_label_status)3);
    REFUSED("labels.forgotten_by", the_labels[0].forgotten_by = the_erasures[0]);
    REFUSED("labels.forgotten_by", memset(&the_labels[1].forgotten_by, 0, REQUEST_ID_SIZE));
    REFUSED("erasures", the_labels[1].forgotten_by = fixture_id(99));
}

void test_manifest_questions(void **state)
{
    (void)state;
    const struct version v = sample();
    assert_true(version_bytes(&v) == 1234567 + 2000);
    assert_ptr_equal(version_find_component(&v, VERSION_KIND_ERASURE, NULL), &the_components[1]);
    assert_ptr_equal(version_find_component(&v, VERSION_KIND_ERASURE, "second"),
                     &the_components[2]);
    assert_null(version_find_component(&v, VERSION_KIND_BASE, "other"));
    assert_ptr_equal(version_find_label(&v, "Sandal"), &the_labels[1]);
    assert_null(version_find_label(&v, "Bag"));
}

static void collect(const struct request_id *erasure, void *context)
{
    struct request_id **at = context;
    *(*at)++ = *erasure;
}

void test_manifest_returning_names_lost_erasures(void **state)
{
    (void)state;
    const struct version serving = sample();
    struct version target = sample();
    struct request_id found[2];
    struct request_id *at = found;
    assert_int_equal(version_returning(&serving, &target, collect, &at), 0);
    target.n_erasures = 1;
    assert_int_equal(version_returning(&serving, &target, collect, &at), 1);
    assert_int_equal(at - found, 1);
    assert_true(request_id_equal(&found[0], &the_erasures[1]));
    target.n_erasures = 0;
    assert_int_equal(version_returning(&serving, &target, NULL, NULL), 2);
    /* More erasures than the serving version has are welcome. */
    assert_int_equal(version_returning(&target, &serving, NULL, NULL), 0);
}
