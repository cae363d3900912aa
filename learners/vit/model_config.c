#include "learners/vit/model_config.h"

#include "daemon/base/invariant.h"
#include "learners/vit/model_config_internal.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#define MODEL_CONFIG_NAME_ROOM 16 /* of a made-up class name */

enum status
model_get_u32(const json_t *o, const char *key, uint32_t fallback, uint32_t *ret_x, struct fault *f)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v)) {
        *ret_x = fallback;
        return STATUS_OK;
    }
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT32_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, key, "is no integer from 0 to %d", INT32_MAX);
    *ret_x = (uint32_t)json_integer_value(v);
    return STATUS_OK;
}

enum status
model_get_bool(const json_t *o, const char *key, int fallback, int *ret_x, struct fault *f)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v)) {
        *ret_x = fallback;
        return STATUS_OK;
    }
    if (!json_is_boolean(v))
        FAIL(f, STATUS_INVALID_ARGUMENT, key, "is neither true nor false");
    *ret_x = json_is_true(v);
    return STATUS_OK;
}

enum status
model_get_float(const json_t *o, const char *key, double fallback, float *ret_x, struct fault *f)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v)) {
        *ret_x = (float)fallback;
        return STATUS_OK;
    }
    const double x = json_number_value(v);
    if (!json_is_number(v) || !(x >= 0) || x > 1e6)
        FAIL(f, STATUS_INVALID_ARGUMENT, key, "is no number from 0 to 1e6");
    *ret_x = (float)x;
    return STATUS_OK;
}

/* A side: one integer or a pair of equal ones. */
enum status model_get_side(
    const json_t *o, const char *key, uint32_t fallback, uint32_t *ret_x, struct fault *f)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_array(v))
        return model_get_u32(o, key, fallback, ret_x, f);
    const json_t *a = json_array_get(v, 0), *b = json_array_get(v, 1);
    if (json_array_size(v) != 2 || !json_is_integer(a) || !json_equal(a, b))
        FAIL(f, STATUS_INVALID_ARGUMENT, key,
             "is no pair of equal sides: only squares are possible");
    if (json_integer_value(a) < 0 || json_integer_value(a) > INT32_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, key, "is out of range");
    *ret_x = (uint32_t)json_integer_value(a);
    return STATUS_OK;
}

/* Index of the text in `choices`, `fallback` if the key is missing. */
static enum status model_get_choice(const json_t *o,
                                    const char *key,
                                    const char *const choices[2],
                                    int fallback,
                                    int *ret_x,
                                    struct fault *f)
{
    const json_t *v = json_object_get(o, key);
    const char *text = json_string_value(v);
    *ret_x = fallback;
    if (!v)
        return STATUS_OK;
    for (int i = 0; i < 2; i++)
        if (text && strcmp(text, choices[i]) == 0) {
            *ret_x = i;
            return STATUS_OK;
        }
    FAIL(f, STATUS_INVALID_ARGUMENT, key, "is neither \"%s\" nor \"%s\"", choices[0], choices[1]);
}

/* Our own keys; the sizes are known already. */
static enum status model_read_extras(const json_t *o, struct vit_config *c, struct fault *f)
{
    static const char *const scales[2] = {"head", "model"};
    static const char *const heads[2] = {"linear", "cosine"};
    int by_model, cosine;
    TRY(model_get_choice(o, "attention_scale", scales, 0, &by_model, f));
    TRY(model_get_choice(o, "head", heads, 0, &cosine, f));
    c->head = cosine ? VIT_HEAD_COSINE : VIT_HEAD_LINEAR;
    TRY(model_get_bool(o, "head_bias", !cosine, &c->head_bias, f));
    if (cosine && c->head_bias)
        FAIL(f, STATUS_INVALID_ARGUMENT, "head_bias", "a cosine head has no bias");
    TRY(model_get_float(o, "head_scale", 64, &c->head_scale, f));
    TRY(model_get_float(o, "head_margin", 0.35, &c->head_margin, f));
    TRY(model_get_bool(o, "class_position", c->class_position, &c->class_position, f));
    TRY(model_get_bool(o, "patch_channels_last", 0, &c->patch_channels_last, f));
    if (c->heads == 0 || c->width == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, c->heads == 0 ? "num_attention_heads" : "hidden_size",
             "is zero");
    const uint32_t per = by_model ? c->width : c->width / c->heads;
    c->attention_scale = 1.0f / sqrtf((float)per);
    return STATUS_OK;
}

static enum status model_read_hf(const json_t *o, struct vit_config *c, struct fault *f)
{
    const char *act = json_string_value(json_object_get(o, "hidden_act"));
    const char *type = json_string_value(json_object_get(o, "model_type"));
    if (type && strcmp(type, "vit") != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "model_type", "\"%.40s\" is no plain ViT", type);
    if (act && strcmp(act, "gelu") != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "hidden_act", "\"%.40s\"; only the exact \"gelu\"", act);
    TRY(model_get_u32(o, "hidden_size", 768, &c->width, f));
    TRY(model_get_u32(o, "num_hidden_layers", 12, &c->depth, f));
    TRY(model_get_u32(o, "num_attention_heads", 12, &c->heads, f));
    TRY(model_get_u32(o, "intermediate_size", 3072, &c->hidden, f));
    TRY(model_get_float(o, "layer_norm_eps", 1e-12, &c->ln_eps, f));
    TRY(model_get_side(o, "image_size", 224, &c->image_size, f));
    TRY(model_get_side(o, "patch_size", 16, &c->patch_size, f));
    TRY(model_get_u32(o, "num_channels", 3, &c->channels, f));
    return model_get_bool(o, "qkv_bias", 1, &c->qkv_bias, f);
}

/* Copies texts into one pool. */
struct model_pool {
    char *at;
    size_t left;
};

static enum status
model_keep_label(struct model_pool *pool, const char *text, const char **ret, struct fault *f)
{
    const size_t n = strlen(text);
    if (n == 0 || n > MODEL_LABEL_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "id2label", "class name of %zu bytes, allowed 1 to %d", n,
             MODEL_LABEL_MAX);
    INVARIANT(n < pool->left);
    memcpy(pool->at, text, n + 1);
    *ret = pool->at;
    pool->at += n + 1;
    pool->left -= n + 1;
    return STATUS_OK;
}

/* Decimal digits of x and a NUL; returns their number. */
static size_t model_decimal(uint32_t x, char text[11])
{
    char back[10];
    size_t n = 0;
    do {
        back[n++] = (char)('0' + x % 10);
        x /= 10;
    } while (x > 0);
    for (size_t i = 0; i < n; i++)
        text[i] = back[n - 1 - i];
    text[n] = '\0';
    return n;
}

/* Names by number: id2label {"0": "cat"} or label_names ["cat"]; class_7 where nothing is said. */
static enum status model_label_at(
    const json_t *names, uint32_t i, struct model_pool *pool, const char **ret, struct fault *f)
{
    char key[11];
    (void)model_decimal(i, key);
    if (!names) {
        char text[MODEL_CONFIG_NAME_ROOM + 8] = "class_";
        memcpy(text + 6, key, sizeof key);
        return model_keep_label(pool, text, ret, f);
    }
    const json_t *v = json_is_array(names) ? json_array_get(names, i) : json_object_get(names, key);
    if (!json_is_string(v))
        FAIL(f, STATUS_INVALID_ARGUMENT, "id2label", "no name for class %u", i);
    return model_keep_label(pool, json_string_value(v), ret, f);
}

static enum status model_check_unique(const char **labels, uint32_t n, struct fault *f)
{
    json_t *seen = json_object();
    enum status st = seen ? STATUS_OK : STATUS_NO_MEMORY;
    for (uint32_t i = 0; st == STATUS_OK && i < n; i++) {
        if (json_object_get(seen, labels[i]))
            st = fault_set(f, STATUS_INVALID_ARGUMENT, __FILE__, __LINE__, "id2label",
                           "two classes are named \"%.80s\"", labels[i]);
        else if (json_object_set_new_nocheck(seen, labels[i], json_true()) != 0)
            st = STATUS_NO_MEMORY;
    }
    json_decref(seen);
    return st;
}

/* Number of classes: stated, or the number of names. */
static enum status
model_count_classes(const json_t *o, const json_t *names, uint32_t *ret_classes, struct fault *f)
{
    const size_t named = json_is_array(names) ? json_array_size(names) : json_object_size(names);
    const char *key = json_object_get(o, "num_classes") ? "num_classes" : "num_labels";
    if (names && !json_is_array(names) && !json_is_object(names))
        FAIL(f, STATUS_INVALID_ARGUMENT, "id2label", "is neither an object nor a list");
    if (!names && !json_object_get(o, key))
        FAIL(f, STATUS_INVALID_ARGUMENT, "id2label", "is missing: the classes are not known");
    if (named > VIT_MAX_CLASSES)
        FAIL(f, STATUS_INVALID_ARGUMENT, "id2label", "%zu classes, limit %d", named,
             VIT_MAX_CLASSES);
    TRY(model_get_u32(o, key, (uint32_t)named, ret_classes, f));
    if (*ret_classes == 0 || *ret_classes > VIT_MAX_CLASSES)
        FAIL(f, STATUS_INVALID_ARGUMENT, key, "%u classes, allowed are 1 to %d", *ret_classes,
             VIT_MAX_CLASSES);
    if (names && named != *ret_classes)
        FAIL(f, STATUS_INVALID_ARGUMENT, "id2label", "%zu names for %u classes", named,
             *ret_classes);
    return STATUS_OK;
}

static enum status model_read_labels(
    const json_t *o, size_t n_config, struct arena *arena, struct model_config *m, struct fault *f)
{
    const json_t *names = json_object_get(o, "id2label");
    if (!names)
        names = json_object_get(o, "label_names");
    TRY(model_count_classes(o, names, &m->vit.classes, f));
    const uint32_t n = m->vit.classes;
    struct model_pool pool;
    pool.left = names ? n_config : (size_t)n * MODEL_CONFIG_NAME_ROOM;
    pool.at = arena_alloc(arena, pool.left, 1);
    m->labels = arena_alloc(arena, n, sizeof *m->labels);
    if (!pool.at || !m->labels)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "id2label", "no room for %u class names", n);
    for (uint32_t i = 0; i < n; i++)
        TRY(model_label_at(names, i, &pool, &m->labels[i], f));
    return model_check_unique(m->labels, n, f);
}

size_t model_config_plan(size_t n)
{
    struct arena_plan p = {0};
    const size_t made_up = (size_t)VIT_MAX_CLASSES * MODEL_CONFIG_NAME_ROOM;
    arena_plan_add(&p, n > made_up ? n : made_up, 1);
    arena_plan_add(&p, VIT_MAX_CLASSES, sizeof(char *));
    return arena_plan_bytes(&p);
}

static enum status
model_load(const char *text, size_t n, const char *file, json_t **ret_root, struct fault *f)
{
    json_error_t error;
    if (n > MODEL_CONFIG_MAX_BYTES)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, file, "%zu bytes, limit %zu", n, MODEL_CONFIG_MAX_BYTES);
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        FAIL(f, STATUS_BAD_FORMAT, file, "JSON, line %d: %.100s", error.line, error.text);
    if (!json_is_object(root)) {
        json_decref(root);
        FAIL(f, STATUS_BAD_FORMAT, file, "is no JSON object");
    }
    *ret_root = root;
    return STATUS_OK;
}

static enum status model_read(const json_t *config,
                              const json_t *preprocessor,
                              size_t n_config,
                              struct arena *arena,
                              struct model_config *m,
                              struct fault *f)
{
    const int timm = json_is_string(json_object_get(config, "architecture"));
    m->vit.class_position = 1;
    if (timm)
        TRY(model_read_timm(config, m, f));
    else
        TRY(model_read_hf(config, &m->vit, f));
    TRY(model_read_extras(config, &m->vit, f));
    TRY(model_read_labels(config, n_config, arena, m, f));
    if (!timm || preprocessor)
        TRY(model_read_preprocessor(preprocessor, m, f));
    return vit_config_check(&m->vit, f);
}

enum status model_config_parse(const char *config,
                               size_t n_config,
                               const char *preprocessor,
                               size_t n_preprocessor,
                               struct arena *arena,
                               struct model_config *ret_config,
                               struct fault *f)
{
    json_t *root = NULL, *prep = NULL;
    struct model_config m;
    memset(&m, 0, sizeof m);
    enum status st = model_load(config, n_config, "config.json", &root, f);
    if (st == STATUS_OK && preprocessor)
        st = model_load(preprocessor, n_preprocessor, "preprocessor_config.json", &prep, f);
    if (st == STATUS_OK)
        st = model_read(root, prep, n_config, arena, &m, f);
    json_decref(root);
    json_decref(prep);
    if (st == STATUS_OK)
        *ret_config = m;
    return st;
}

void preprocessing_affine(const struct preprocessing *p, float scale[3], float shift[3])
{
    for (int i = 0; i < 3; i++) {
        scale[i] = p->rescale / p->std[i];
        shift[i] = -p->mean[i] / p->std[i];
    }
}
