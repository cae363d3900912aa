#include "learners/data/images.h"

size_t images_floats(const struct image_table *t)
{
    return (size_t)t->size * t->size * t->channels;
}

enum status
images_check(const struct image_table *t, const struct image_shape *model, struct fault *f)
{
    if (t->channels != model->channels || t->size != model->size)
        FAIL(f, STATUS_INVALID_ARGUMENT, "images", "%ux%ux%u pixels; the model reads %ux%ux%u",
             t->size, t->size, t->channels, model->size, model->size, model->channels);
    if (t->channels > IMAGES_MAX_CHANNELS)
        FAIL(f, STATUS_INVALID_ARGUMENT, "images", "%u channels; at most 3", t->channels);
    if (t->n > 0 && (!t->pixels || !t->labels))
        FAIL(f, STATUS_INVALID_ARGUMENT, "images", "no pixels or labels given");
    for (uint32_t i = 0; i < t->n; i++)
        if (t->labels[i] < 0 || (uint32_t)t->labels[i] >= model->classes)
            FAIL(f, STATUS_INVALID_ARGUMENT, "labels",
                 "label %d of image %u; the model has %u classes", t->labels[i], i, model->classes);
    return STATUS_OK;
}

enum status images_check_list(const struct image_table *t,
                              const uint32_t *list,
                              uint32_t n,
                              const char *field,
                              struct fault *f)
{
    if (n > 0 && !list)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "no list given for %u images", n);
    for (uint32_t i = 0; i < n; i++)
        if (list[i] >= t->n)
            FAIL(f, STATUS_INVALID_ARGUMENT, field, "image %u; the table has %u images", list[i],
                 t->n);
    return STATUS_OK;
}

void images_load(const struct image_table *t, uint32_t i, float *out)
{
    const size_t plane = (size_t)t->size * t->size;
    const uint8_t *in = t->pixels + (size_t)i * plane * t->channels;
    for (uint32_t c = 0; c < t->channels; c++)
        for (size_t p = 0; p < plane; p++)
            out[c * plane + p] = t->scale[c] * (float)in[p * t->channels + c] + t->shift[c];
}
