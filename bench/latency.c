/*
 * How long a client waits for one prediction.  Sends single-image predictions one after the other
 * for some seconds and prints one JSON object: {"n", "p50_ms", "p99_ms", "max_ms", "per_s"}.
 *
 *     build/bench/latency ENDPOINT SECONDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lethe.h"
#include "daemon/base/clock.h"

#define MAX_SAMPLES 1000000

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int fail(const char *what, const struct lethe_error *e)
{
    (void)fprintf(stderr, "latency: %s: %s\n", what, e->text);
    return 1;
}

static int run(struct lethe *l, double seconds, double *ms, size_t *ret_n)
{
    struct lethe_error e;
    struct lethe_model *model;
    if (lethe_model(l, &model, &e) != LETHE_OK)
        return fail("model", &e);
    const size_t size = (size_t)model->image_size * model->image_size * model->channels;
    unsigned char *picture = malloc(size);
    if (!picture)
        return 1;
    for (size_t i = 0; i < size; i++)
        picture[i] = (unsigned char)(i * 2654435761u >> 24);
    const void *images[1] = {picture};
    const struct lethe_predict_args args = {.height = model->image_size,
                                            .width = model->image_size,
                                            .channels = model->channels,
                                            .images = images,
                                            .n_images = 1};
    const int64_t end = clock_mono_us() + (int64_t)(seconds * 1e6);
    size_t n = 0;
    int bad = 0;
    while (!bad && n < MAX_SAMPLES && clock_mono_us() < end) {
        struct lethe_predictions *p;
        const int64_t start = clock_mono_us();
        if (lethe_predict(l, &args, &p, &e) != LETHE_OK)
            bad = fail("predict", &e);
        else
            ms[n++] = (double)(clock_mono_us() - start) * 1e-3;
        lethe_free(p);
    }
    free(picture);
    lethe_free(model);
    *ret_n = n;
    return bad;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fprintf(stderr, "usage: latency ENDPOINT SECONDS\n");
        return 2;
    }
    struct lethe *l;
    struct lethe_error e;
    if (lethe_open(argv[1], NULL, &l, &e) != LETHE_OK)
        return fail("open", &e);
    double *ms = malloc(MAX_SAMPLES * sizeof *ms);
    size_t n = 0;
    int bad = !ms || run(l, atof(argv[2]), ms, &n) || n == 0;
    if (!bad) {
        qsort(ms, n, sizeof *ms, by_value);
        (void)printf("{\"n\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, "
                     "\"per_s\": %.1f}\n",
                     n, ms[n / 2], ms[(size_t)((double)(n - 1) * 0.99)], ms[n - 1],
                     (double)n / atof(argv[2]));
    }
    free(ms);
    lethe_close(l);
    return bad;
}
