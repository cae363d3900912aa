/*
 * timm's config.json: "architecture" gives the sizes by name (vit_<size>_patch<P>_<S>, deit_
 * alike), "model_args" change them, "pretrained_cfg" (or, in older files, the top level) tells the
 * input.
 */
#include "learners/vit/model_config_internal.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t width, depth, heads;
} timm_sizes[] = {
    {"tiny", 192, 12, 3},    {"small", 384, 12, 6},  {"base", 768, 12, 12},
    {"large", 1024, 24, 16}, {"huge", 1280, 32, 16},
};

/* Digits at *at, which moves behind them; 0 if there are none or too many. */
static uint32_t timm_number(const char **at)
{
    uint32_t x = 0;
    for (int n = 0; n < 5 && **at >= '0' && **at <= '9'; n++)
        x = x * 10 + (uint32_t)(*(*at)++ - '0');
    return x;
}

static int timm_skip(const char **at, const char *text)
{
    const size_t n = strlen(text);
    if (strncmp(*at, text, n) != 0)
        return 0;
    *at += n;
    return 1;
}

static enum status timm_parse_name(const char *name, struct vit_config *c, struct fault *f)
{
    const char *at = name;
    int known = 0;
    if (!timm_skip(&at, "vit_") && !timm_skip(&at, "deit_"))
        FAIL(f, STATUS_INVALID_ARGUMENT, "architecture", "\"%.60s\" is no plain ViT", name);
    for (size_t i = 0; i < sizeof timm_sizes / sizeof *timm_sizes && !known; i++)
        if (timm_skip(&at, timm_sizes[i].name)) {
            c->width = timm_sizes[i].width;
            c->depth = timm_sizes[i].depth;
            c->heads = timm_sizes[i].heads;
            known = 1;
        }
    if (known && timm_skip(&at, "_patch")) {
        c->patch_size = timm_number(&at);
        if (timm_skip(&at, "_"))
            c->image_size = timm_number(&at);
    }
    if (!known || c->patch_size == 0 || c->image_size == 0 || (*at && *at != '.' && *at != '_'))
        FAIL(f, STATUS_INVALID_ARGUMENT, "architecture",
             "\"%.60s\" is not vit_tiny|small|base|large|huge_patchP_SIZE", name);
    return STATUS_OK;
}

/* Members that change the sizes; any other could change the network, so it is refused. */
static enum status timm_read_args(json_t *args, struct vit_config *c, struct fault *f)
{
    static const char *const known[] = {
        "img_size", "patch_size", "embed_dim",   "depth",          "num_heads",   "mlp_ratio",
        "qkv_bias", "in_chans",   "num_classes", "no_embed_class", "class_token", "drop_path_rate"};
    const char *key;
    json_t *value;
    json_object_foreach(args, key, value)
    {
        int found = 0;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found |= strcmp(key, known[i]) == 0;
        if (!found)
            FAIL(f, STATUS_INVALID_ARGUMENT, "model_args", "\"%.60s\" is not supported", key);
    }
    TRY(model_get_side(args, "img_size", c->image_size, &c->image_size, f));
    TRY(model_get_side(args, "patch_size", c->patch_size, &c->patch_size, f));
    TRY(model_get_u32(args, "embed_dim", c->width, &c->width, f));
    TRY(model_get_u32(args, "depth", c->depth, &c->depth, f));
    TRY(model_get_u32(args, "num_heads", c->heads, &c->heads, f));
    TRY(model_get_bool(args, "qkv_bias", 1, &c->qkv_bias, f));
    TRY(model_get_u32(args, "in_chans", c->channels, &c->channels, f));
    float ratio;
    int without, token;
    TRY(model_get_float(args, "mlp_ratio", 4, &ratio, f));
    TRY(model_get_bool(args, "no_embed_class", 0, &without, f));
    TRY(model_get_bool(args, "class_token", 1, &token, f));
    if (!token)
        FAIL(f, STATUS_INVALID_ARGUMENT, "class_token",
             "a ViT without class token is not supported");
    c->class_position = !without;
    if (c->width > 65536 || ratio > 64)
        FAIL(f, STATUS_INVALID_ARGUMENT, "mlp_ratio", "the hidden width is out of range");
    c->hidden = (uint32_t)((float)c->width * ratio);
    return STATUS_OK;
}

static enum status timm_read_resample(const json_t *cfg, uint32_t *ret_resample, struct fault *f)
{
    static const struct {
        const char *name;
        uint32_t number;
    } filters[] = {{"nearest", 0}, {"lanczos", 1}, {"bilinear", 2},
                   {"bicubic", 3}, {"box", 4},     {"hamming", 5}};
    const char *text = json_string_value(json_object_get(cfg, "interpolation"));
    if (!json_object_get(cfg, "interpolation"))
        text = "bicubic";
    for (size_t i = 0; text && i < sizeof filters / sizeof *filters; i++)
        if (strcmp(text, filters[i].name) == 0) {
            *ret_resample = filters[i].number;
            return STATUS_OK;
        }
    FAIL(f, STATUS_INVALID_ARGUMENT, "interpolation", "unknown filter");
}

/* input_size [C, H, W], mean, std, interpolation, crop_pct: timm's evaluation transform. */
static enum status timm_read_input(const json_t *cfg, struct model_config *m, struct fault *f)
{
    struct preprocessing *p = &m->prep;
    const json_t *pct = json_object_get(cfg, "crop_pct");
    const double crop = json_is_number(pct) ? json_number_value(pct) : 0.9;
    *p = (struct preprocessing){.keep_aspect = 1,
                                .rescale = 1.0f / 255,
                                .mean = {0.5f, 0.5f, 0.5f},
                                .std = {0.5f, 0.5f, 0.5f}};
    TRY(model_get_channels(cfg, "mean", m->vit.channels, p->mean, f));
    TRY(model_get_channels(cfg, "std", m->vit.channels, p->std, f));
    for (uint32_t i = 0; i < m->vit.channels && i < 3; i++)
        if (!(p->std[i] > 0))
            FAIL(f, STATUS_INVALID_ARGUMENT, "std", "entry %u is not positive", i);
    TRY(timm_read_resample(cfg, &p->resample, f));
    if ((pct && !json_is_number(pct)) || !(crop >= 0.1 && crop <= 1))
        FAIL(f, STATUS_INVALID_ARGUMENT, "crop_pct", "is not in 0.1 to 1");
    p->resize = (uint32_t)floor((double)m->vit.image_size / crop);
    return STATUS_OK;
}

static enum status timm_read_channels(const json_t *cfg, struct vit_config *c, struct fault *f)
{
    const json_t *size = json_object_get(cfg, "input_size");
    c->channels = 3;
    if (!size)
        return STATUS_OK;
    const json_int_t channels = json_integer_value(json_array_get(size, 0));
    if (json_array_size(size) != 3 || channels < 1 || channels > 3)
        FAIL(f, STATUS_INVALID_ARGUMENT, "input_size", "is not [channels, height, width]");
    c->channels = (uint32_t)channels;
    return STATUS_OK;
}

enum status model_read_timm(const json_t *config, struct model_config *m, struct fault *f)
{
    const char *pool = json_string_value(json_object_get(config, "global_pool"));
    const json_t *cfg = json_object_get(config, "pretrained_cfg");
    json_t *args = json_object_get(config, "model_args");
    if (pool && strcmp(pool, "token") != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "global_pool", "\"%.40s\"; only \"token\"", pool);
    if (cfg && !json_is_object(cfg))
        FAIL(f, STATUS_INVALID_ARGUMENT, "pretrained_cfg", "is no object");
    if (args && !json_is_object(args))
        FAIL(f, STATUS_INVALID_ARGUMENT, "model_args", "is no object");
    cfg = cfg ? cfg : config;
    TRY(timm_parse_name(json_string_value(json_object_get(config, "architecture")), &m->vit, f));
    m->vit.ln_eps = 1e-6f;
    TRY(timm_read_channels(cfg, &m->vit, f));
    TRY(timm_read_args(args, &m->vit, f));
    return timm_read_input(cfg, m, f);
}
