#include "client/cli/prepare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A decimal number, or `standard` if there is none; moves *at behind it. */
static bool range_number(const char **at, uint32_t standard, uint32_t *ret_x)
{
    if (**at < '0' || **at > '9') {
        *ret_x = standard;
        return true;
    }
    char *end;
    errno = 0;
    const unsigned long x = strtoul(*at, &end, 10);
    *at = end;
    *ret_x = (uint32_t)x;
    return errno == 0 && x <= UINT32_MAX;
}

enum status
prepare_parse_range(const char *text, uint32_t n, struct prepare_range *ret_range, struct fault *f)
{
    struct prepare_range r = {0, n};
    if (text) {
        const char *at = text;
        bool good = *at != '\0' && range_number(&at, 0, &r.first);
        if (good && *at == ':') {
            at++;
            good = range_number(&at, n, &r.end);
        } else {
            good = good && r.first < UINT32_MAX;
            r.end = r.first + 1;
        }
        if (!good || *at != '\0')
            FAIL(f, STATUS_INVALID_ARGUMENT, "range",
                 "--range \"%.40s\" is no range; write A:B (B not included), A: or :B", text);
    }
    if (r.first >= r.end || r.end > n)
        FAIL(f, STATUS_INVALID_ARGUMENT, "range", "images %u:%u of %u: there are none", r.first,
             r.end, n);
    *ret_range = r;
    return STATUS_OK;
}

static enum status filter_from_name(const char *name, enum resample *ret_filter, struct fault *f)
{
    static const struct {
        const char *name;
        enum resample filter;
    } FILTERS[] = {
        {"nearest", RESAMPLE_NEAREST},   {"lanczos", RESAMPLE_LANCZOS}, {"", RESAMPLE_BILINEAR},
        {"bilinear", RESAMPLE_BILINEAR}, {"bicubic", RESAMPLE_BICUBIC}, {"box", RESAMPLE_BOX},
        {"hamming", RESAMPLE_HAMMING},
    };
    for (size_t i = 0; i < sizeof FILTERS / sizeof FILTERS[0]; i++) {
        if (strcmp(FILTERS[i].name, name) == 0) {
            *ret_filter = FILTERS[i].filter;
            return STATUS_OK;
        }
    }
    FAIL(f, STATUS_INVALID_ARGUMENT, "resample",
         "the model wants resampling \"%.40s\", which this lethe does not know", name);
}

enum status prepare_from_model(const struct lethe_model *m,
                               struct preparation *ret_preparation,
                               struct fault *f)
{
    struct preparation p = {.size = m->image_size, .channels = m->channels};
    if (p.size == 0 || p.size > DATASET_MAX_SIDE || m->resize > DATASET_MAX_SIDE ||
        (p.channels != 1 && p.channels != 3))
        FAIL(f, STATUS_INVALID_ARGUMENT, "image_size",
             "the model takes pictures of %u pixels and %u channels, which cannot be made", p.size,
             p.channels);
    p.resize = m->resize > 0 ? m->resize : p.size;
    p.keep_aspect = m->resize > 0;
    TRY(filter_from_name(m->resample, &p.resample, f));
    *ret_preparation = p;
    return STATUS_OK;
}

enum status prepare_check_shape(const char *path,
                                const struct dataset_shape *shape,
                                const struct lethe_model *m,
                                struct fault *f)
{
    if (shape->height == m->image_size && shape->width == m->image_size &&
        shape->channels == m->channels)
        return STATUS_OK;
    FAIL(f, STATUS_INVALID_ARGUMENT, "input",
         "%.60s: %ux%u pixels, %u channel%s; the model takes %ux%u, %u channel%s", path,
         shape->height, shape->width, shape->channels, shape->channels == 1 ? "" : "s",
         m->image_size, m->image_size, m->channels, m->channels == 1 ? "" : "s");
}
