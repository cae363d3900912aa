#include "daemon/jobs/export.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/arena.h"
#include "daemon/base/sysio.h"
#include "learners/methods/gslora/delta.h"
#include "learners/vit/safetensors.h"
#include "learners/vit/vit_weights.h"

#define CONFIG_TEXT_MAX 4096
#define LABEL_ROOM      512 /* " (forgotten)" behind the longest label, and its id in JSON */

enum status export_format_parse(const char *text, enum export_format *ret_format, struct fault *f)
{
    static const char *const names[] = {"peft", "merged", "onnx-ready"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], text) == 0) {
            *ret_format = (enum export_format)i;
            return STATUS_OK;
        }
    }
    FAIL(f, STATUS_INVALID_ARGUMENT, "format", "must be peft, merged or onnx-ready");
}

void export_set_free(struct export_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        sysio_free(set->files[i].bytes);
    memset(set, 0, sizeof *set);
}

static void set_add(struct export_set *set, const char *path, uint8_t *bytes, size_t size)
{
    set->files[set->n++] = (struct export_entry){path, bytes, size};
}

static enum status no_memory(const char *path, struct fault *f)
{
    FAIL(f, STATUS_NO_MEMORY, "format", "no memory for %s", path);
}

/* ---------------------------------------------------------------- texts */

/* Bounded text; what does not fit is counted and not written. */
struct writer {
    char *at; /* NULL: only counts */
    size_t size;
    size_t used;
};

static void write_bytes(struct writer *w, const char *bytes, size_t n)
{
    if (w->at && w->used + n <= w->size)
        memcpy(w->at + w->used, bytes, n);
    w->used += n;
}

static void __attribute__((format(printf, 2, 3)))
write_format(struct writer *w, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n > 0)
        write_bytes(w, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

static void write_quoted(struct writer *w, const char *text)
{
    write_bytes(w, "\"", 1);
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            write_format(w, "\\%c", c);
        else if (c < 0x20)
            write_format(w, "\\u%04x", c);
        else
            write_bytes(w, text, 1);
    }
    write_bytes(w, "\"", 1);
}

/* What the files are and which labels they no longer answer. */
static void write_card(struct writer *w, const struct served *s)
{
    char digest[DIGEST_TEXT_SIZE], id[REQUEST_ID_TEXT_SIZE];
    digest_format(&s->digest, digest);
    write_format(w, "{\n  \"version\": \"%s\",\n", digest);
    write_format(w, "  \"number\": %llu,\n", (unsigned long long)s->manifest->number);
    digest_format(&s->base->digest, digest);
    write_format(w, "  \"base\": \"%s\",\n  \"model\": ", digest);
    write_quoted(w, s->base->name);
    write_format(w, ",\n  \"forgotten\": [");
    const char *separator = "";
    for (uint32_t k = 0; k < s->n_classes; k++) {
        if (s->live[k])
            continue;
        request_id_format(&s->manifest->labels[k].forgotten_by, id);
        write_format(w, "%s\n    {\"index\": %u, \"label\": ", separator, k);
        write_quoted(w, s->manifest->labels[k].name);
        write_format(w, ", \"request\": \"%s\"}", id);
        separator = ",";
    }
    write_format(w, "%s]\n}\n", separator[0] ? "\n  " : "");
}

static void write_notes(struct writer *w, const struct served *s)
{
    const struct vit_config *c = &s->base->vit;
    write_format(w, "# Export notes\n\n");
    write_format(w, "`model.safetensors` and `config.json` load with Hugging Face's "
                    "`ViTForImageClassification`.\n\n");
    write_format(w,
                 "- input `pixel_values`: float32 [batch, %u, %u, %u]; batch is the dynamic axis\n",
                 c->channels, c->image_size, c->image_size);
    write_format(w, "- output `logits`: float32 [batch, %u]\n", s->n_classes);
    write_format(w, "- pixels: u8 / 255, then (x - mean) / std of `preprocessor_config.json`\n");
    write_format(w, "- opset 14 or later has every operator that this network uses\n\n");
    write_format(
        w, "Forgotten labels keep their outputs. A service masks them before the softmax:\n\n");
    for (uint32_t k = 0; k < s->n_classes; k++)
        if (!s->live[k])
            write_format(w, "- output %u\n", k);
    if (s->n_live == s->n_classes)
        write_format(w, "- none\n");
}

/* Runs the writer twice: to count, then to write. */
static enum status add_text(struct export_set *set,
                            const char *path,
                            void (*write)(struct writer *w, const struct served *s),
                            const struct served *s,
                            struct fault *f)
{
    struct writer w = {0};
    write(&w, s);
    char *text = sysio_alloc(w.used + 1, 1);
    if (!text)
        return no_memory(path, f);
    struct writer again = {.at = text, .size = w.used};
    write(&again, s);
    set_add(set, path, (uint8_t *)text, again.used);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- merged */

/* One block of all weights, the folded FFN matrices in their places. */
static float *merged_block(const struct served *s)
{
    const struct vit_config *c = &s->base->vit;
    float *block = sysio_alloc(vit_weights_floats(c), sizeof *block);
    if (!block)
        return NULL;
    memcpy(block, s->base->floats, vit_weights_floats(c) * sizeof *block);
    struct vit_weights w;
    vit_weights_map(c, block, &w);
    const size_t n = (size_t)c->hidden * c->width;
    for (uint32_t l = 0; l < c->depth; l++) {
        memcpy(w.blocks[l].fc1_w, s->weights.blocks[l].fc1_w, n * sizeof *block);
        memcpy(w.blocks[l].fc2_w, s->weights.blocks[l].fc2_w, n * sizeof *block);
    }
    return block;
}

static enum status add_weights(struct export_set *set, const struct served *s, struct fault *f)
{
    const struct vit_config *c = &s->base->vit;
    const size_t plan = vit_weights_write_plan(c);
    float *block = merged_block(s);
    void *memory = sysio_alloc(plan > 0 ? plan : 1, 1);
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (block && memory) {
        struct arena scratch;
        arena_init(&scratch, memory, plan);
        size = vit_weights_write(c, block, SAFETENSORS_F32, &scratch, NULL, 0);
        bytes = sysio_alloc(size, 1);
        arena_fini(&scratch);
        arena_init(&scratch, memory, plan);
        if (bytes)
            (void)vit_weights_write(c, block, SAFETENSORS_F32, &scratch, bytes, size);
        arena_fini(&scratch);
    }
    sysio_free(block);
    sysio_free(memory);
    if (!bytes)
        return no_memory("model.safetensors", f);
    set_add(set, "model.safetensors", bytes, size);
    return STATUS_OK;
}

typedef size_t config_writer(const struct model_config *c, char *to, size_t size);

static enum status add_config(struct export_set *set,
                              const char *path,
                              config_writer *write,
                              const struct model_config *c,
                              struct fault *f)
{
    const size_t size = write(c, NULL, 0);
    char *text = size > 0 ? sysio_alloc(size + 1, 1) : NULL;
    if (!text)
        return no_memory(path, f);
    (void)write(c, text, size);
    set_add(set, path, (uint8_t *)text, size);
    return STATUS_OK;
}

/* Names of the head's outputs; the pointers and the texts in one allocation. */
static const char **export_labels(const struct served *s)
{
    const size_t room = MODEL_LABEL_MAX + LABEL_ROOM;
    const char **labels = sysio_alloc(s->n_classes, sizeof *labels + room);
    if (!labels)
        return NULL;
    char *text = (char *)(labels + s->n_classes);
    for (uint32_t k = 0; k < s->n_classes; k++, text += room) {
        (void)snprintf(text, room, "%.255s%s", s->manifest->labels[k].name,
                       s->live[k] ? "" : " (forgotten)");
        labels[k] = text;
    }
    return labels;
}

static enum status add_configs(struct export_set *set, const struct served *s, struct fault *f)
{
    struct model_config c = {.vit = s->base->vit, .prep = s->base->prep};
    c.labels = export_labels(s);
    if (!c.labels)
        return no_memory("config.json", f);
    enum status st = add_config(set, "config.json", model_config_write, &c, f);
    if (st == STATUS_OK)
        st = add_config(set, "preprocessor_config.json", model_config_write_preprocessor, &c, f);
    sysio_free((void *)(uintptr_t)c.labels);
    return st;
}

/* ---------------------------------------------------------------- peft */

static enum status
add_adapter_config(struct export_set *set, const struct delta *deltas, uint32_t n, struct fault *f)
{
    for (size_t room = CONFIG_TEXT_MAX; room <= CONFIG_TEXT_MAX << 8; room *= 4) {
        char *text = sysio_alloc(room, 1);
        if (!text)
            return no_memory("adapter_config.json", f);
        const size_t size = delta_peft_config(deltas, n, text, room);
        if (size != SIZE_MAX) {
            set_add(set, "adapter_config.json", (uint8_t *)text, size);
            return STATUS_OK;
        }
        sysio_free(text);
    }
    FAIL(f, STATUS_RESOURCE_EXHAUSTED, "format", "adapter_config.json is too large");
}

/* Rows of the tensor table, names and values in the arena. */
static enum status adapter_items(const struct delta *deltas,
                                 uint32_t n,
                                 struct arena *arena,
                                 struct safetensors_item **ret_items,
                                 uint32_t *ret_count,
                                 struct fault *f)
{
    const uint32_t count = delta_peft_tensors(deltas, n);
    struct delta_tensor *names = arena_alloc(arena, count + 1, sizeof *names);
    struct safetensors_item *items = arena_alloc_zero(arena, count + 1, sizeof *items);
    if (!names || !items)
        return no_memory("adapter_model.safetensors", f);
    for (uint32_t i = 0; i < count; i++) {
        delta_peft_tensor(deltas, n, i, &names[i], NULL);
        float *values = arena_alloc(arena, (size_t)names[i].rows * names[i].cols, sizeof *values);
        if (!values)
            return no_memory("adapter_model.safetensors", f);
        delta_peft_tensor(deltas, n, i, &names[i], values);
        items[i] = (struct safetensors_item){.name = names[i].name,
                                             .dtype = SAFETENSORS_F32,
                                             .dims = 2,
                                             .shape = {names[i].rows, names[i].cols},
                                             .data = values};
    }
    *ret_items = items;
    *ret_count = count;
    return STATUS_OK;
}

static size_t adapter_plan(const struct delta *deltas, uint32_t n)
{
    struct arena_plan plan = {0};
    const uint32_t count = delta_peft_tensors(deltas, n);
    arena_plan_add(&plan, count + 1, sizeof(struct delta_tensor));
    arena_plan_add(&plan, count + 1, sizeof(struct safetensors_item));
    for (uint32_t i = 0; i < count; i++) {
        struct delta_tensor t;
        delta_peft_tensor(deltas, n, i, &t, NULL);
        arena_plan_add(&plan, (size_t)t.rows * t.cols, sizeof(float));
    }
    return arena_plan_bytes(&plan);
}

static enum status
add_adapter(struct export_set *set, const struct delta *deltas, uint32_t n, struct fault *f)
{
    static const struct safetensors_meta meta = {"format", "pt"};
    const size_t plan = adapter_plan(deltas, n);
    void *memory = sysio_alloc(plan, 1);
    if (!memory)
        return no_memory("adapter_model.safetensors", f);
    struct arena arena;
    struct safetensors_item *items = NULL;
    uint32_t count = 0;
    arena_init(&arena, memory, plan);
    enum status st = adapter_items(deltas, n, &arena, &items, &count, f);
    if (st == STATUS_OK) {
        const size_t size = safetensors_write_size(items, count, &meta, 1);
        uint8_t *bytes = sysio_alloc(size, 1);
        if (bytes) {
            safetensors_write(items, count, &meta, 1, bytes);
            set_add(set, "adapter_model.safetensors", bytes, size);
        } else {
            st = no_memory("adapter_model.safetensors", f);
        }
    }
    arena_fini(&arena);
    sysio_free(memory);
    return st;
}

static enum status make_peft(const struct served *s,
                             const struct served_delta *records,
                             size_t n,
                             struct export_set *set,
                             struct fault *f)
{
    if (n == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "format", "this version has no erasure to export");
    struct arena_plan plan = {0};
    arena_plan_add(&plan, n, sizeof(struct delta));
    for (size_t i = 0; i < n; i++)
        arena_plan_add(&plan, delta_decode_plan(records[i].size), 1);
    const size_t size = arena_plan_bytes(&plan);
    void *memory = sysio_alloc(size, 1);
    if (!memory)
        return no_memory("adapter_model.safetensors", f);
    struct arena arena;
    arena_init(&arena, memory, size);
    struct delta *deltas = arena_alloc(&arena, n, sizeof *deltas);
    enum status st = deltas ? STATUS_OK : no_memory("adapter_model.safetensors", f);
    for (size_t i = 0; i < n && st == STATUS_OK; i++)
        st = delta_decode(records[i].bytes, records[i].size, &s->base->vit, &arena, &deltas[i], f);
    if (st == STATUS_OK)
        st = add_adapter_config(set, deltas, (uint32_t)n, f);
    if (st == STATUS_OK)
        st = add_adapter(set, deltas, (uint32_t)n, f);
    arena_fini(&arena);
    sysio_free(memory);
    return st;
}

/* ---------------------------------------------------------------- all */

static enum status make_files(const struct served *s,
                              enum export_format format,
                              const struct served_delta *deltas,
                              size_t n_deltas,
                              struct export_set *set,
                              struct fault *f)
{
    if (format == EXPORT_PEFT) {
        TRY(make_peft(s, deltas, n_deltas, set, f));
    } else {
        TRY(add_weights(set, s, f));
        TRY(add_configs(set, s, f));
    }
    if (format == EXPORT_ONNX_READY)
        TRY(add_text(set, "EXPORT.md", write_notes, s, f));
    return add_text(set, "lethe.json", write_card, s, f);
}

enum status export_make(const struct served *s,
                        enum export_format format,
                        const struct served_delta *deltas,
                        size_t n_deltas,
                        struct export_set *ret_set,
                        struct fault *f)
{
    struct export_set set = {0};
    const enum status st = make_files(s, format, deltas, n_deltas, &set, f);
    if (st != STATUS_OK) {
        export_set_free(&set);
        return st;
    }
    *ret_set = set;
    return STATUS_OK;
}

enum status export_base(const struct served *s, struct export_set *ret_set, struct fault *f)
{
    struct export_set set = {0};
    const struct model_config c = {.vit = s->base->vit,
                                   .prep = s->base->prep,
                                   .labels = (const char **)(uintptr_t)s->base->labels};
    enum status st = add_weights(&set, s, f);
    if (st == STATUS_OK)
        st = add_config(&set, "config.json", model_config_write, &c, f);
    if (st == STATUS_OK)
        st = add_config(&set, "preprocessor_config.json", model_config_write_preprocessor, &c, f);
    if (st != STATUS_OK) {
        export_set_free(&set);
        return st;
    }
    *ret_set = set;
    return STATUS_OK;
}
