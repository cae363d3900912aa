/* preprocessor_config.json as Hugging Face's image processors write it; and both writers. */
#include "daemon/base/invariant.h"
#include "learners/vit/model_config_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_RESAMPLES 6

enum status model_get_channels(
    const json_t *o, const char *key, uint32_t channels, float ret_x[3], struct fault *f)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v))
        return STATUS_OK;
    if (!json_is_array(v) || json_array_size(v) != channels)
        FAIL(f, STATUS_INVALID_ARGUMENT, key, "is no list of %u numbers, one a channel", channels);
    for (uint32_t i = 0; i < channels && i < 3; i++) {
        const json_t *x = json_array_get(v, i);
        if (!json_is_number(x) || !(fabs(json_number_value(x)) <= 1e6))
            FAIL(f, STATUS_INVALID_ARGUMENT, key, "entry %u is no number up to 1e6", i);
        ret_x[i] = (float)json_number_value(x);
    }
    return STATUS_OK;
}

/* "size": 224, {"height": 224, "width": 224} or {"shortest_edge": 256}. */
static enum status model_read_size(const json_t *o, struct preprocessing *p, struct fault *f)
{
    const json_t *v = json_object_get(o, "size");
    if (!json_is_object(v))
        return model_get_side(o, "size", p->resize, &p->resize, f);
    if (json_object_get(v, "shortest_edge")) {
        p->keep_aspect = 1;
        return model_get_u32(v, "shortest_edge", p->resize, &p->resize, f);
    }
    uint32_t height, width;
    TRY(model_get_u32(v, "height", p->resize, &height, f));
    TRY(model_get_u32(v, "width", height, &width, f));
    if (height != width)
        FAIL(f, STATUS_INVALID_ARGUMENT, "size", "%ux%u: only squares are possible", height, width);
    p->resize = height;
    return STATUS_OK;
}

static enum status
model_read_crop(const json_t *o, uint32_t image_size, struct preprocessing *p, struct fault *f)
{
    int crop;
    uint32_t side;
    TRY(model_get_bool(o, "do_center_crop", 0, &crop, f));
    const json_t *v = json_object_get(o, "crop_size");
    if (json_is_object(v))
        TRY(model_get_u32(v, "height", image_size, &side, f));
    else
        TRY(model_get_side(o, "crop_size", image_size, &side, f));
    if (crop && side != image_size)
        FAIL(f, STATUS_INVALID_ARGUMENT, "crop_size", "%u, but the model takes %u", side,
             image_size);
    if (!crop && (p->resize != image_size || p->keep_aspect))
        FAIL(f, STATUS_INVALID_ARGUMENT, "size",
             "%u%s, but the model takes %u and nothing is cropped", p->resize,
             p->keep_aspect ? " at the shorter side" : "", image_size);
    return STATUS_OK;
}

static enum status model_check_preprocessing(const struct model_config *m, struct fault *f)
{
    const struct preprocessing *p = &m->prep;
    if (p->resample >= MODEL_RESAMPLES)
        FAIL(f, STATUS_INVALID_ARGUMENT, "resample", "%u, allowed are 0 to %d", p->resample,
             MODEL_RESAMPLES - 1);
    if (p->resize < m->vit.image_size || p->resize > 4096)
        FAIL(f, STATUS_INVALID_ARGUMENT, "size", "%u, allowed are %u to 4096", p->resize,
             m->vit.image_size);
    for (uint32_t i = 0; i < m->vit.channels && i < 3; i++)
        if (!(p->std[i] > 0))
            FAIL(f, STATUS_INVALID_ARGUMENT, "image_std", "entry %u is not positive", i);
    return STATUS_OK;
}

enum status model_read_preprocessor(const json_t *o, struct model_config *m, struct fault *f)
{
    struct preprocessing *p = &m->prep;
    int rescale, normalise;
    *p = (struct preprocessing){.resize = m->vit.image_size,
                                .resample = 2,
                                .mean = {0.5f, 0.5f, 0.5f},
                                .std = {0.5f, 0.5f, 0.5f}};
    TRY(model_read_size(o, p, f));
    TRY(model_read_crop(o, m->vit.image_size, p, f));
    TRY(model_get_u32(o, "resample", 2, &p->resample, f));
    TRY(model_get_bool(o, "do_rescale", 1, &rescale, f));
    TRY(model_get_float(o, "rescale_factor", 1.0 / 255, &p->rescale, f));
    TRY(model_get_bool(o, "do_normalize", 1, &normalise, f));
    TRY(model_get_channels(o, "image_mean", m->vit.channels, p->mean, f));
    TRY(model_get_channels(o, "image_std", m->vit.channels, p->std, f));
    if (!rescale)
        p->rescale = 1;
    for (int i = 0; i < 3 && !normalise; i++) {
        p->mean[i] = 0;
        p->std[i] = 1;
    }
    return model_check_preprocessing(m, f);
}

/*
 * The double nearest to the shortest decimal number that reads back as x: 0.35, not 0.349999994.
 * Nine digits always do, so the search ends; the writer prints no more than nine.
 */
static double model_decimal(float x)
{
    const double wide = (double)x;
    if (x == 0.0f || !isfinite(x))
        return wide;
    const int exponent = (int)floor(log10(fabs(wide)));
    for (int digits = 1; digits < 9; digits++) {
        const int shift = digits - 1 - exponent;
        const double power = pow(10.0, abs(shift));
        const double whole = rint(shift >= 0 ? wide * power : wide / power);
        const double decimal = shift >= 0 ? whole / power : whole * power;
        if ((float)decimal == x)
            return decimal;
    }
    return wide;
}

static size_t model_dump(json_t *root, char *to, size_t size)
{
    const size_t flags = JSON_INDENT(2) | JSON_REAL_PRECISION(9);
    const size_t n = root ? json_dumpb(root, NULL, 0, flags) : 0;
    if (n > 0 && n <= size)
        INVARIANT(json_dumpb(root, to, size, flags) == n);
    json_decref(root);
    return n;
}

static json_t *model_label_object(const struct model_config *c, int inverse)
{
    json_t *o = json_object();
    for (uint32_t i = 0; o && i < c->vit.classes; i++) {
        char key[11] = {0};
        uint32_t x = i;
        size_t digits = 1;
        for (uint32_t t = i; t >= 10; t /= 10)
            digits++;
        for (size_t d = digits; d > 0; d--, x /= 10)
            key[d - 1] = (char)('0' + x % 10);
        const int bad = inverse ? json_object_set_new(o, c->labels[i], json_integer((json_int_t)i))
                                : json_object_set_new(o, key, json_string(c->labels[i]));
        if (bad) {
            json_decref(o);
            return NULL;
        }
    }
    return o;
}

size_t model_config_write(const struct model_config *c, char *to, size_t size)
{
    const struct vit_config *v = &c->vit;
    const int by_model = v->attention_scale != 1.0f / sqrtf((float)(v->width / v->heads));
    json_t *root = json_pack(
        "{s:[s], s:s, s:i, s:i, s:i, s:i, s:s, s:f, s:i, s:i, s:i, s:b, s:f, s:f, s:o?, s:o?, s:s, "
        "s:s, s:b, s:f, s:f, s:b, s:b}",
        "architectures", "ViTForImageClassification", "model_type", "vit", "hidden_size",
        (int)v->width, "num_hidden_layers", (int)v->depth, "num_attention_heads", (int)v->heads,
        "intermediate_size", (int)v->hidden, "hidden_act", "gelu", "layer_norm_eps",
        model_decimal(v->ln_eps), "image_size", (int)v->image_size, "patch_size",
        (int)v->patch_size, "num_channels", (int)v->channels, "qkv_bias", v->qkv_bias,
        "hidden_dropout_prob", 0.0, "attention_probs_dropout_prob", 0.0, "id2label",
        model_label_object(c, 0), "label2id", model_label_object(c, 1), "attention_scale",
        by_model ? "model" : "head", "head", v->head == VIT_HEAD_COSINE ? "cosine" : "linear",
        "head_bias", v->head_bias, "head_scale", model_decimal(v->head_scale), "head_margin",
        model_decimal(v->head_margin), "class_position", v->class_position, "patch_channels_last",
        0);
    return model_dump(root, to, size);
}

static json_t *model_channel_list(const float x[3], uint32_t channels)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < channels && i < 3; i++)
        if (json_array_append_new(list, json_real(model_decimal(x[i]))) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

size_t model_config_write_preprocessor(const struct model_config *c, char *to, size_t size)
{
    const struct preprocessing *p = &c->prep;
    const int side = (int)c->vit.image_size;
    json_t *resize =
        p->keep_aspect ? json_pack("{s:i}", "shortest_edge", (int)p->resize)
                       : json_pack("{s:i, s:i}", "height", (int)p->resize, "width", (int)p->resize);
    json_t *root = json_pack(
        "{s:s, s:b, s:o?, s:i, s:b, s:{s:i, s:i}, s:b, s:f, s:b, s:o?, s:o?}",
        "image_processor_type", "ViTImageProcessor", "do_resize", 1, "size", resize, "resample",
        (int)p->resample, "do_center_crop", p->keep_aspect || (int)p->resize != side, "crop_size",
        "height", side, "width", side, "do_rescale", 1, "rescale_factor", model_decimal(p->rescale),
        "do_normalize", 1, "image_mean", model_channel_list(p->mean, c->vit.channels), "image_std",
        model_channel_list(p->std, c->vit.channels));
    return model_dump(root, to, size);
}
