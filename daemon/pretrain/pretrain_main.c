/*
 * lethe-pretrain: trains a Vision Transformer from nothing with the engine that lethed uses, and
 * writes it as a model folder (daemon/config/model_folder.h) with its log and the command that made
 * it.  Choices are made on a validation part of the training images; the test images are read once,
 * at the end.
 */
#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "daemon/config/model_folder.h"
#include "daemon/pretrain/pretrain_checkpoint.h"
#include "daemon/pretrain/pretrain_data.h"
#include "daemon/pretrain/pretrain_eval.h"
#include "daemon/pretrain/pretrain_report.h"
#include "daemon/pretrain/pretrain_train.h"
#include "proto/seal/hash.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PRETRAIN_LABEL_TEXT 8192

struct pretrain {
    struct pretrain_options options;
    struct pretrain_data data;
    struct model_config config;
    const char *labels[PRETRAIN_MAX_CLASSES];
    char label_text[PRETRAIN_LABEL_TEXT];
    void *pool_memory;
    struct pool *pool;
    struct trainer *trainer;
    struct evaluator *evaluator;
    struct report report;
    char options_text[PRETRAIN_TEXT_SIZE];
    char data_text[DIGEST_TEXT_SIZE];
    char checkpoint_path[4096];
    uint64_t epochs_done;
    int argc;
    char **argv;
};

static enum status pretrain_configure(struct pretrain *p, struct fault *f)
{
    const struct pretrain_options *o = &p->options;
    const struct image_table *t = &p->data.table;
    p->config.vit =
        (struct vit_config){.image_size = t->size,
                            .channels = t->channels,
                            .patch_size = o->patch,
                            .width = o->width,
                            .depth = o->depth,
                            .heads = o->heads,
                            .hidden = o->hidden,
                            .classes = p->data.classes,
                            .ln_eps = 1e-6f,
                            .attention_scale = 1.0f / sqrtf((float)(o->width / o->heads)),
                            .qkv_bias = 1,
                            .head_bias = 1,
                            .class_position = 1,
                            .head = VIT_HEAD_LINEAR,
                            .head_scale = 64,
                            .head_margin = 0.35f};
    p->config.prep = (struct preprocessing){.resize = t->size,
                                            .resample = 2,
                                            .rescale = 1.0f / 255,
                                            .mean = {o->mean, o->mean, o->mean},
                                            .std = {o->std, o->std, o->std}};
    p->config.labels = p->labels;
    TRY(vit_config_check(&p->config.vit, f));
    pretrain_data_scale(&p->data, &p->config.prep);
    return pretrain_data_names(o, &p->data, p->labels, p->label_text, sizeof p->label_text, f);
}

static enum status pretrain_prepare(struct pretrain *p, struct fault *f)
{
    const struct pretrain_options *o = &p->options;
    const struct train_data train = {&p->data.table, p->data.train, p->data.n_train};
    TRY(pretrain_configure(p, f));
    p->pool_memory = sysio_alloc(1, pool_plan(o->threads));
    if (!p->pool_memory)
        FAIL(f, STATUS_NO_MEMORY, "threads", "no memory for %u threads", o->threads);
    TRY(pool_init(p->pool_memory, o->threads, &p->pool));
    TRY(trainer_new(&p->config.vit, o, &train, p->pool, &p->trainer, f));
    return evaluator_new(&p->config.vit, p->pool, &p->evaluator, f);
}

static enum status pretrain_resume(struct pretrain *p, struct fault *f)
{
    const int n = snprintf(p->checkpoint_path, sizeof p->checkpoint_path,
                           "%s/checkpoint.safetensors", p->options.out);
    if (n < 0 || (size_t)n >= sizeof p->checkpoint_path)
        FAIL(f, STATUS_INVALID_ARGUMENT, "out", "path is too long");
    if (mkdir(p->options.out, 0755) != 0 && errno != EEXIST)
        FAIL(f, status_from_errno(errno), "out", "cannot create %.100s: %s", p->options.out,
             strerror(errno));
    pretrain_options_text(&p->options, p->options_text);
    digest_format(&p->data.digest, p->data_text);
    if (p->options.resume) {
        struct checkpoint c = trainer_state(p->trainer);
        TRY(checkpoint_read(p->checkpoint_path, &c, p->options_text, p->data_text, f));
        if (c.epoch > p->options.epochs || c.step != c.epoch * trainer_steps_per_epoch(p->trainer))
            FAIL(f, STATUS_BAD_FORMAT, "resume", "the checkpoint's epoch and step do not fit");
        p->epochs_done = c.epoch;
    }
    return report_open(&p->report, p->options.out, p->epochs_done,
                       p->epochs_done * trainer_steps_per_epoch(p->trainer), f);
}

static enum status pretrain_end_epoch(struct pretrain *p,
                                      uint64_t epoch,
                                      const struct train_sums *sums,
                                      double seconds,
                                      struct fault *f)
{
    const struct pretrain_data *d = &p->data;
    const uint64_t per_epoch = trainer_steps_per_epoch(p->trainer);
    const struct eval_result now =
        evaluator_run(p->evaluator, trainer_weights(p->trainer), &d->table, d->valid, d->n_valid);
    const struct eval_result averaged =
        evaluator_run(p->evaluator, trainer_averaged(p->trainer), &d->table, d->valid, d->n_valid);
    const double images = (double)sums->images;
    const struct report_epoch e = {.epoch = epoch + 1,
                                   .epochs = p->options.epochs,
                                   .lr = trainer_rate(p->trainer, (epoch + 1) * per_epoch - 1),
                                   .loss = sums->loss / images,
                                   .accuracy = (double)sums->right / images,
                                   .valid_loss = now.loss,
                                   .valid_accuracy = now.accuracy,
                                   .valid_ema_loss = averaged.loss,
                                   .valid_ema_accuracy = averaged.accuracy,
                                   .images_per_second = seconds > 0 ? images / seconds : 0,
                                   .seconds = seconds};
    TRY(report_epoch(&p->report, &e, f));
    struct checkpoint c = trainer_state(p->trainer);
    c.epoch = epoch + 1;
    c.step = c.epoch * per_epoch;
    return checkpoint_write(p->checkpoint_path, &c, p->options_text, p->data_text, f);
}

static enum status pretrain_epoch(struct pretrain *p, uint64_t epoch, struct fault *f)
{
    const uint64_t per_epoch = trainer_steps_per_epoch(p->trainer);
    const int64_t start = clock_mono_us();
    struct train_sums epoch_sums = {0};
    for (uint64_t i = 0; i < per_epoch; i++) {
        const uint64_t step = epoch * per_epoch + i;
        TRY(trainer_step(p->trainer, step, f));
        const struct train_sums s = trainer_take_sums(p->trainer);
        epoch_sums.loss += s.loss;
        epoch_sums.right += s.right;
        epoch_sums.images += s.images;
        report_step(&p->report, step + 1, trainer_steps(p->trainer), per_epoch,
                    epoch_sums.loss / (double)epoch_sums.images,
                    (double)epoch_sums.right / (double)epoch_sums.images);
    }
    return pretrain_end_epoch(p, epoch, &epoch_sums, (double)(clock_mono_us() - start) * 1e-6, f);
}

/* README.md of the folder: what it is and the command that made it. */
static enum status pretrain_readme(const struct pretrain *p, double test_accuracy, struct fault *f)
{
    char path[4096], text[8192];
    const struct vit_config *c = &p->config.vit;
    int n = snprintf(path, sizeof path, "%s/README.md", p->options.out);
    if (n < 0 || (size_t)n >= sizeof path)
        FAIL(f, STATUS_INVALID_ARGUMENT, "out", "path is too long");
    n = snprintf(
        text, sizeof text,
        "Vision Transformer, %ux%ux%u pixels, patch %u, width %u, depth %u, %u heads, hidden "
        "%u, %u classes.\nTrained from nothing; test accuracy %.4f (training.log).  Weights: "
        "averaged, rounded to F16.  Made by:\n\n    lethe-pretrain",
        c->image_size, c->image_size, c->channels, c->patch_size, c->width, c->depth, c->heads,
        c->hidden, c->classes, test_accuracy);
    size_t used = (size_t)n;
    for (int i = 1; i < p->argc && used < sizeof text - 4; i++) {
        n = snprintf(text + used, sizeof text - used, " '%s'", p->argv[i]);
        used += n < 0 ? 0 : (size_t)n;
    }
    if (used >= sizeof text - 2)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "out", "the command is too long to be written down");
    text[used++] = '\n';
    return sysio_write_file(path, text, used, f);
}

static enum status pretrain_test(struct pretrain *p, const struct model *m, struct fault *f)
{
    struct pretrain_data test;
    enum status st = pretrain_data_open_test(&p->options, &test, f);
    const int fits = st == STATUS_OK && test.table.size == p->config.vit.image_size &&
                     test.table.channels == p->config.vit.channels &&
                     test.classes <= p->config.vit.classes;
    if (st == STATUS_OK && !fits)
        st = fault_set(f, STATUS_INVALID_ARGUMENT, __FILE__, __LINE__, "test",
                       "the test images do not fit the model");
    if (st == STATUS_OK) {
        pretrain_data_scale(&test, &m->config.prep);
        const struct eval_result r =
            evaluator_run(p->evaluator, &m->w, &test.table, test.train, test.n_train);
        st = report_final(&p->report, r.accuracy, r.loss, test.n_train, f);
        if (st == STATUS_OK)
            st = pretrain_readme(p, r.accuracy, f);
    }
    pretrain_data_close(&test);
    return st;
}

/*
 * Writes the averaged weights, reads them back as they will be loaded, and measures prototypes and
 * test accuracy with those.
 */
static enum status pretrain_export(struct pretrain *p, struct fault *f)
{
    const struct vit_config *c = &p->config.vit;
    const struct pretrain_data *d = &p->data;
    const char *folder = p->options.out;
    const size_t cells = (size_t)c->classes * c->width;
    struct model *m = NULL;
    double *sums = sysio_alloc(cells, sizeof *sums);
    float *prototypes = sysio_alloc(cells, sizeof *prototypes);
    int64_t *counts = sysio_alloc(c->classes, sizeof *counts);
    enum status st = STATUS_NO_MEMORY;
    if (sums && prototypes && counts)
        st = model_write_folder(folder, &p->config, trainer_averaged_block(p->trainer), 1, NULL,
                                NULL, f);
    if (st == STATUS_OK)
        st = model_load_folder(folder, &m, f);
    if (st == STATUS_OK) {
        evaluator_prototypes(p->evaluator, &m->w, &d->table, d->train, d->n_train, sums, prototypes,
                             counts);
        st = model_write_folder(folder, &p->config, trainer_averaged_block(p->trainer), 1,
                                prototypes, counts, f);
    }
    if (st == STATUS_OK)
        st = pretrain_test(p, m, f);
    model_free(m);
    sysio_free(sums);
    sysio_free(prototypes);
    sysio_free(counts);
    return st;
}

static enum status pretrain_run(struct pretrain *p, struct fault *f)
{
    TRY(seal_init(f));
    TRY(pretrain_data_open(&p->options, &p->data, f));
    TRY(pretrain_prepare(p, f));
    TRY(pretrain_resume(p, f));
    for (uint64_t epoch = p->epochs_done; epoch < p->options.epochs; epoch++)
        TRY(pretrain_epoch(p, epoch, f));
    return pretrain_export(p, f);
}

int main(int argc, char **argv)
{
    static struct pretrain p;
    struct fault f = {0};
    pretrain_options_parse(argc, argv, &p.options);
    p.argc = argc;
    p.argv = argv;
    const enum status st = pretrain_run(&p, &f);
    if (st != STATUS_OK)
        (void)fprintf(stderr, "lethe-pretrain: %s%s%s\n", f.field, f.field[0] ? ": " : "",
                      f.text[0] ? f.text : status_text(st));
    evaluator_free(p.evaluator);
    trainer_free(p.trainer);
    pool_fini(p.pool);
    sysio_free(p.pool_memory);
    pretrain_data_close(&p.data);
    return st == STATUS_OK ? 0 : 1;
}
