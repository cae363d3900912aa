#include "daemon/jobs/imported.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/admit_learn.h"
#include "daemon/jobs/version_data.h"
#include "learners/learner.h"
#include "learners/methods/ridge/ridge_map.h"
#include "learners/methods/ridge/ridge_terms.h"
#include "proto/seal/hash.h"

void imported_free(struct imported *x)
{
    sysio_free(x->classes);
    sysio_free(x->terms);
    sysio_free(x->owned);
    memset(x, 0, sizeof *x);
}

int imported_is_expert(const struct imported *x)
{
    return strcmp(x->file.kind, VERSION_KIND_EXPERT) == 0;
}

/* ---------------------------------------------------------------- kind */

static enum status
check_kind(const struct component_file *c, const struct wire_import *m, struct fault *f)
{
    if (!version_data_is_task(m->kind) && strcmp(m->kind, VERSION_KIND_EXPERT) != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "kind", "must be lane, ridge or expert, or empty");
    if (strcmp(m->kind, c->kind) != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "kind", "the file holds one of kind %s", c->kind);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- labels */

/* Text that people can write and see: valid UTF-8 without control characters. */
static int is_readable(const char *label)
{
    char clean[JOB_NAME_SIZE];
    (void)snprintf(clean, sizeof clean, "%s", label);
    wire_text_clean(clean);
    for (const char *at = label; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return 0;
    return strcmp(clean, label) == 0;
}

static enum status copy_labels(const struct learner *l,
                               const struct learner_model *model,
                               struct imported *x,
                               struct fault *f)
{
    const char *const *labels;
    const uint32_t n = l->labels(model, &labels);
    x->classes = sysio_alloc((size_t)n + 1, sizeof *x->classes + JOB_NAME_SIZE);
    if (!x->classes)
        FAIL(f, STATUS_NO_MEMORY, "labels", "no memory for %u labels", n);
    char *text = (char *)(x->classes + n + 1);
    for (uint32_t i = 0; i < n; i++, text += JOB_NAME_SIZE) {
        if (strlen(labels[i]) >= JOB_NAME_SIZE)
            FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "label %u is longer than %d bytes", i,
                 JOB_NAME_SIZE - 1);
        if (!is_readable(labels[i]))
            FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "label %u is no readable text", i);
        (void)snprintf(text, JOB_NAME_SIZE, "%s", labels[i]);
        x->classes[i] = text;
    }
    x->n_classes = n;
    x->several = n > 0 && l->threshold && l->threshold(model, 0) >= 0.0f;
    return STATUS_OK;
}

/* The record as its learner reads it; only the labels are kept. */
static enum status
read_component(const struct learner_trunk *trunk, struct imported *x, struct fault *f)
{
    const struct learner *l = learner_of_kind(x->file.kind);
    const struct learner_part part = {
        .kind = x->file.kind, .name = x->name, .bytes = x->file.bytes, .size = x->file.size};
    struct learner_model *model;
    if (!l)
        FAIL(f, STATUS_INTERNAL, "kind", "no learner makes a %s", x->file.kind);
    const size_t plan = l->import_plan(&part, trunk);
    void *memory = plan < SIZE_MAX ? sysio_alloc(plan + 1, 1) : NULL;
    if (!memory)
        FAIL(f, STATUS_NO_MEMORY, "component", "no memory to read a %s", x->file.kind);
    struct arena arena;
    arena_init(&arena, memory, plan);
    enum status st = l->import(&part, trunk, &arena, &model, f);
    if (st == STATUS_OK)
        st = copy_labels(l, model, x, f);
    arena_fini(&arena);
    sysio_free(memory);
    return st;
}

/* ---------------------------------------------------------------- terms of the router */

static int has_label(const struct imported *x, const char *label)
{
    for (uint32_t i = 0; i < x->n_classes; i++)
        if (strcmp(x->classes[i], label) == 0)
            return 1;
    return 0;
}

/* Terms are of the component's labels, all of them. */
static enum status
check_terms(const struct ridge_terms *t, const struct imported *x, struct fault *f)
{
    char owner[JOB_OWNER_TEXT_SIZE];
    (void)snprintf(owner, sizeof owner, "%s:%s", x->file.kind, x->file.name);
    if (strcmp(t->owner, owner) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "router", "the terms are those of %.63s", t->owner);
    if (ridge_terms_classes(t) != x->n_classes)
        FAIL(f, STATUS_BAD_FORMAT, "router", "terms of %u labels for %u", ridge_terms_classes(t),
             x->n_classes);
    for (uint32_t i = 0; i < t->n; i++)
        for (uint32_t k = 0; k < t->terms[i].n_classes; k++)
            if (!has_label(x, t->terms[i].classes[k]))
                FAIL(f, STATUS_BAD_FORMAT, "router", "the terms have a label that the %s lacks",
                     x->file.kind);
    return STATUS_OK;
}

/* All terms of a version are made with the same options; here they are the defaults. */
static enum status
check_features(const struct ridge_terms *t, const struct learner_trunk *trunk, struct fault *f)
{
    struct ridge_options here;
    const struct ridge_origin place = {
        .base = trunk->base, .state = trunk->state, .preprocessing = trunk->preprocessing};
    ridge_options_default(&here);
    TRY(ridge_terms_check(t, &place, f));
    if (!ridge_options_same(&t->options, &here))
        FAIL(f, STATUS_FAILED_PRECONDITION, "router",
             "the terms were made with other options of the router than those here");
    if (ridge_map_width_of(&trunk->config, &t->options) != t->width)
        FAIL(f, STATUS_BAD_FORMAT, "router", "terms of %zu numbers a row do not fit this model",
             t->width);
    return STATUS_OK;
}

/* The terms under the name that the component takes here; under its own they keep their bytes. */
static enum status
write_terms(struct ridge_terms *t, const char *name, struct imported *x, struct fault *f)
{
    (void)snprintf(t->owner, sizeof t->owner, "%s:%.47s", x->file.kind, name);
    const size_t size = ridge_terms_encoded_size(t);
    uint8_t *bytes = sysio_alloc(size, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "router", "no memory for terms of %zu bytes", size);
    ridge_terms_encode(t, bytes, size);
    sysio_free(x->terms);
    x->terms = bytes;
    x->terms_size = size;
    return STATUS_OK;
}

/* The terms for which `name` is the component's name here; checked if `trunk` is given. */
static enum status place_terms(const struct learner_trunk *trunk,
                               const char *name,
                               struct imported *x,
                               struct fault *f)
{
    struct ridge_terms t;
    struct arena arena;
    const size_t plan = ridge_terms_decode_plan(x->file.router, x->file.router_size);
    void *memory = plan < SIZE_MAX ? sysio_alloc(plan + 1, 1) : NULL;
    if (!memory)
        FAIL(f, STATUS_NO_MEMORY, "router", "no memory to read the router's terms");
    arena_init(&arena, memory, plan);
    enum status st = ridge_terms_decode(x->file.router, x->file.router_size, &arena, &t, f);
    if (st == STATUS_OK && trunk)
        st = check_terms(&t, x, f);
    if (st == STATUS_OK && trunk)
        st = check_features(&t, trunk, f);
    if (st == STATUS_OK)
        st = write_terms(&t, name, x, f);
    arena_fini(&arena);
    sysio_free(memory);
    return st;
}

static enum status
read_terms(const struct learner_trunk *trunk, struct imported *x, struct fault *f)
{
    if (x->file.router)
        return place_terms(trunk, x->name, x, f);
    if (imported_is_expert(x))
        FAIL(f, STATUS_BAD_FORMAT, "router",
             "the file has no terms of the router, without which no image reaches an expert");
    return STATUS_OK;
}

enum status imported_join(struct imported *x, const char *expert, struct fault *f)
{
    TRY(place_terms(NULL, expert, x, f));
    (void)snprintf(x->expert, sizeof x->expert, "%s", expert);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- the file */

static enum status read_parts(const struct wire_import *m,
                              const struct base_model *base,
                              const struct digest *trunk,
                              struct imported *x,
                              struct fault *f)
{
    /* Labels and terms do not depend on the weights, so the base's own do for any trunk. */
    const struct learner_trunk here = {.config = base->vit,
                                       .weights = &base->weights,
                                       .labels = base->labels,
                                       .base = base->digest,
                                       .state = *trunk,
                                       .preprocessing = base_model_preprocessing(base)};
    TRY(check_kind(&x->file, m, f));
    TRY(admit_learn_name(m->name, "name", f));
    (void)snprintf(x->name, sizeof x->name, "%s", m->name);
    TRY(read_component(&here, x, f));
    return read_terms(&here, x, f);
}

static enum status
check_digest(const struct digest *digest, const struct wire_import *m, struct fault *f)
{
    if (!digest_equal(digest, &m->digest))
        FAIL(f, STATUS_INVALID_ARGUMENT, "digest",
             "the file that arrived is not the one that the call names");
    return STATUS_OK;
}

enum status imported_named(const void *bytes,
                           size_t size,
                           const struct wire_import *m,
                           struct component_file *ret_c,
                           struct wire_import *ret_m,
                           struct fault *f)
{
    const struct digest digest = seal_hash(bytes, size);
    TRY(check_digest(&digest, m, f));
    TRY(component_file_read(bytes, size, NULL, ret_c, f));
    *ret_m = *m;
    ret_m->kind = m->kind[0] != '\0' ? m->kind : ret_c->kind;
    if (m->name[0] == '\0' && strcmp(ret_c->kind, VERSION_KIND_EXPERT) == 0)
        ret_c->name[learner_stream_length(ret_c->name)] = '\0'; /* it joins a stream of that name */
    ret_m->name = m->name[0] != '\0' ? m->name : ret_c->name;
    return STATUS_OK;
}

enum status imported_read(const void *bytes,
                          size_t size,
                          const struct wire_import *m,
                          const struct base_model *base,
                          const struct digest *trunk,
                          struct imported *ret_x,
                          struct fault *f)
{
    struct imported x = {.digest = seal_hash(bytes, size)};
    const struct component_place here = {
        .base = base->digest, .trunk = *trunk, .preprocessing = base_model_preprocessing(base)};
    TRY(check_digest(&x.digest, m, f));
    TRY(component_file_read(bytes, size, &here, &x.file, f));
    const enum status st = read_parts(m, base, trunk, &x, f);
    if (st != STATUS_OK) {
        imported_free(&x);
        return st;
    }
    *ret_x = x;
    return STATUS_OK;
}
