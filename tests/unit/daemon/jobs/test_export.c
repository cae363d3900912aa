/*
 * Exports: a merged folder loads again and gives the served logits; an adapter's products are what
 * folding adds; erased labels are named as such.
 */
#include "tests/support/jobs_fixture.h"

#include <math.h>
#include <string.h>

#include "daemon/jobs/commit.h"
#include "daemon/jobs/export.h"
#include "learners/vit/safetensors.h"

static struct jobs_fixture fixture;
static struct served *base_version, *erased_version;
static uint8_t *delta_bytes;
static struct served_delta delta;

int group_setup(void **state);
int group_teardown(void **state);

static struct served *fold_with_delta(void)
{
    static const char *const cross[] = {"Cross"};
    const struct wire_forget m = {.classes = cross, .n_classes = 1};
    const struct queue_record record = jobs_queue(&fixture, 1, &m);
    struct job job;
    jobs_ok(job_build(&fixture.context, &record, &job, fx));
    delta.size = jobs_delta(&job, 3, &delta_bytes);
    delta.bytes = delta_bytes;
    struct version v = *base_version->manifest;
    struct version_label labels[TINY_CLASSES];
    struct version_component components[16];
    assert_true(v.n_components < 16);
    memcpy(components, v.components, v.n_components * sizeof *components);
    components[v.n_components++] =
        (struct version_component){.kind = VERSION_KIND_ERASURE,
                                   .name = "first",
                                   .blob = seal_hash(delta.bytes, delta.size),
                                   .bytes = delta.size,
                                   .request = record.id};
    v.components = components;
    memcpy(labels, v.labels, sizeof labels);
    labels[2].status = VERSION_LABEL_FORGOTTEN;
    labels[2].forgotten_by = record.id;
    v.labels = labels;
    v.erasures = &record.id;
    v.n_erasures = 1;
    v.number = 2;
    v.parent = base_version->digest;
    void *bytes;
    size_t size;
    struct version *copy;
    struct served *s = NULL;
    jobs_ok(version_encode(&v, &bytes, &size, fx));
    jobs_ok(version_decode(bytes, size, &copy, fx));
    const struct digest digest = seal_hash(bytes, size);
    sysio_free(bytes);
    jobs_ok(served_fold(fixture.base, &digest, copy, &delta, 1, &s, fx));
    job_clear(&job);
    return s;
}

int group_setup(void **state)
{
    (void)state;
    jobs_fixture_new(&fixture);
    jobs_fixture_import_usual(&fixture);
    jobs_ok(recover_serving(fixture.store, fixture.base, &base_version, fx));
    erased_version = fold_with_delta();
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    served_release(base_version);
    served_release(erased_version);
    sysio_free(delta_bytes);
    jobs_fixture_free(&fixture);
    return 0;
}

static const struct export_entry *entry(const struct export_set *set, const char *path)
{
    static const struct export_entry none;
    for (size_t i = 0; i < set->n; i++)
        if (strcmp(set->files[i].path, path) == 0)
            return &set->files[i];
    fail_msg("no file %s", path);
    return &none;
}

static int holds(const struct export_entry *e, const char *text)
{
    return memmem(e->bytes, e->size, text, strlen(text)) != NULL;
}

void test_export_formats_by_name(void **state)
{
    (void)state;
    enum export_format format;
    struct fault f = {0};
    jobs_ok(export_format_parse("onnx-ready", &format, fx));
    assert_int_equal(format, EXPORT_ONNX_READY);
    assert_int_equal(export_format_parse("pickle", &format, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "format");
}

void test_export_merged_loads_again_as_the_served_weights(void **state)
{
    (void)state;
    struct export_set set;
    struct model *model;
    jobs_ok(export_make(erased_version, EXPORT_MERGED, &delta, 1, &set, fx));
    struct model_file files[MODEL_FILES] = {0};
    for (enum model_file_kind i = 0; i <= MODEL_FILE_PREPROCESSOR; i++) {
        const struct export_entry *e = entry(&set, model_file_name(i));
        files[i].bytes = e->bytes;
        files[i].size = e->size;
    }
    jobs_ok(model_load_memory(files, &model, fx));
    const struct vit_config *c = &model->config.vit;
    const size_t n = (size_t)c->hidden * c->width * sizeof(float);
    for (uint32_t l = 0; l < c->depth; l++) {
        assert_memory_equal(model->w.blocks[l].fc1_w, erased_version->weights.blocks[l].fc1_w, n);
        assert_memory_equal(model->w.blocks[l].fc2_w, erased_version->weights.blocks[l].fc2_w, n);
    }
    assert_memory_equal(model->w.head_w, erased_version->weights.head_w,
                        (size_t)TINY_CLASSES * TINY_WIDTH * sizeof(float));
    assert_string_equal(model->config.labels[2], "Cross (forgotten)");
    assert_string_equal(model->config.labels[1], "Square");
    assert_true(holds(entry(&set, "lethe.json"), "\"index\": 2, \"label\": \"Cross\""));
    model_free(model);
    export_set_free(&set);
}

void test_export_onnx_ready_has_notes(void **state)
{
    (void)state;
    struct export_set set;
    jobs_ok(export_make(erased_version, EXPORT_ONNX_READY, &delta, 1, &set, fx));
    const struct export_entry *notes = entry(&set, "EXPORT.md");
    assert_true(holds(notes, "[batch, 1, 8, 8]"));
    assert_true(holds(notes, "- output 2"));
    export_set_free(&set);
}

static void read_tensor(const struct safetensors *s, const char *name, float *to)
{
    const struct safetensors_row *row = safetensors_find(s, name);
    assert_non_null(row);
    jobs_ok(safetensors_read_f32(row, 0, row->count, to, fx));
}

/* Base + B A of the adapter is the served matrix. */
void test_export_peft_adds_up_to_the_served_weights(void **state)
{
    (void)state;
    static const char prefix[] = "base_model.model.vit.encoder.layer.1.intermediate.dense.lora_";
    enum { RANK = 2, HIDDEN = 64 };
    struct export_set set;
    jobs_ok(export_make(erased_version, EXPORT_PEFT, &delta, 1, &set, fx));
    const struct export_entry *file = entry(&set, "adapter_model.safetensors");
    const size_t plan = safetensors_plan(file->bytes, file->size);
    void *memory = sysio_alloc(plan, 1);
    struct arena arena;
    struct safetensors *s;
    arena_init(&arena, memory, plan);
    jobs_ok(safetensors_open(file->bytes, file->size, &arena, &s, fx));
    assert_int_equal(safetensors_count(s), 4);
    char name[128];
    static float a[RANK][TINY_WIDTH], b[HIDDEN][RANK];
    (void)snprintf(name, sizeof name, "%sA.weight", prefix);
    read_tensor(s, name, &a[0][0]);
    (void)snprintf(name, sizeof name, "%sB.weight", prefix);
    read_tensor(s, name, &b[0][0]);
    const float *base = fixture.base->weights.blocks[1].fc1_w;
    const float *served = erased_version->weights.blocks[1].fc1_w;
    for (size_t i = 0; i < HIDDEN; i++)
        for (size_t j = 0; j < TINY_WIDTH; j++) {
            const float sum = b[i][0] * a[0][j] + b[i][1] * a[1][j];
            assert_near(base[i * TINY_WIDTH + j] + sum, served[i * TINY_WIDTH + j], 1e-6);
        }
    assert_true(holds(entry(&set, "adapter_config.json"), "\"peft_type\": \"LORA\""));
    arena_fini(&arena);
    sysio_free(memory);
    export_set_free(&set);
}

void test_export_peft_needs_an_erasure(void **state)
{
    (void)state;
    struct export_set set;
    struct fault f = {0};
    assert_int_equal(export_make(base_version, EXPORT_PEFT, NULL, 0, &set, &f),
                     STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "format");
}
