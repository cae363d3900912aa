/* Inside of a stream; only for learners/methods/tame. */
#ifndef LETHE_LEARNERS_TAME_STREAM_INTERNAL_H
#define LETHE_LEARNERS_TAME_STREAM_INTERNAL_H

#include "learners/methods/tame/tame_selector.h"
#include "learners/methods/tame/tame_stream.h"

#define TAME_STREAM_MAGIC       0x54414d45u
#define TAME_REBASELINE_SAMPLES 32  /* fewer reserve samples say nothing */
#define TAME_REBASELINE_MOST    256 /* samples of a draw */

/* A batch in a slot: samples that train first, then those of the reserve. */
struct tame_slot {
    uint32_t n, n_reserve;
    uint64_t batch; /* number in the stream */
    struct request_id request;
    uint32_t *labels;       /* [batch_max] */
    uint64_t *ids, *keys;   /* [batch_max] */
    uint8_t *bytes;         /* [batch_max, input_bytes] */
    const uint8_t **inputs; /* [batch_max] into bytes */
};

/* What the stream knows of an expert beyond its watch; same index as in the detector. */
struct tame_member {
    uint32_t place; /* of its weights and label table */
    int stale;      /* data were taken out; the numbers are wiped until the refit */
    int has_best;
    float best; /* best accuracy on the reserve */
};

/* Which logits are in s->logits. */
struct tame_pass {
    uint32_t slot, place;
    uint64_t revision;
    double loss;
};

struct tame_refit {
    int active;
    uint32_t id;
    uint64_t at;          /* next entry of the ledger */
    uint64_t done, steps; /* of the expert */
};

struct tame_stream {
    uint32_t magic;
    const struct tame_kind *kind;
    void *engine;
    struct tame_shape shape;
    uint64_t seed;
    struct digest trunk;
    struct tame_cut tombstones;
    struct tame_detector detector; /* options included */
    struct tame_roster roster;     /* while experts are attached */
    int sealed, failed, closed;

    uint32_t places;              /* experts that there is memory for, <= experts_max */
    struct tame_member *members;  /* [places] */
    struct tame_weights *weights; /* [places], fixed places */
    uint32_t *labels;             /* [places, classes_max] */
    uint8_t *taken;               /* [places] in use */

    struct tame_slot *slots;
    uint32_t n_slots;
    uint32_t loaded; /* slot whose batch the engine has; TAME_NONE: something else */
    struct tame_pass pass;
    float *logits, *dlogits; /* [batch_max, widest] */
    float *losses;           /* [batch_max] */
    uint32_t *targets;       /* [batch_max] */
    uint32_t *classes;       /* [batch_max * slots] scratch for class lists */
    float *features;         /* [batch_max, feature_width] */
    const uint8_t **gather;  /* [batch_max] */

    struct tame_ledger ledger;
    struct tame_buffer buffer, reserve, prune;
    struct tame_totals totals;
    struct tame_event *event; /* of the call at hand */
    enum status train_status; /* what went wrong inside a callback */
    struct tame_refit refit;
    struct tame_selector selector;
};

static inline const struct tame_options *tame_stream_options(const struct tame_stream *s)
{
    return &s->detector.options;
}

struct tame_weights *tame_member_weights(const struct tame_stream *s, uint32_t e);
uint32_t *tame_member_labels(const struct tame_stream *s, uint32_t e);
/* Takes the member out of every place but ledger and buffers; its numbers are wiped. */
void tame_member_remove(struct tame_stream *s, uint32_t e);
/* A free place for weights; TAME_NONE: none. */
uint32_t tame_member_place(const struct tame_stream *s);
/* Adds classes to the expert's table, in this order; false if there are too many. */
int tame_member_add_classes(struct tame_stream *s, uint32_t e, const uint32_t *list, uint32_t n);
/* Distinct labels that the expert does not have, ascending (e TAME_NONE: all), into s->classes. */
uint32_t tame_collect_classes(
    struct tame_stream *s, uint32_t e, uint32_t at, const uint32_t *labels, uint32_t n);
/* Rows of the labels in the expert's table, TAME_UNKNOWN where there is none. */
void tame_member_targets(const struct tame_stream *s,
                         uint32_t e,
                         const uint32_t *labels,
                         uint32_t n);
/* Root seed of an expert with this id. */
uint64_t tame_member_seed(const struct tame_stream *s, uint32_t id);
/*
 * Training pass over n loaded samples whose logits are in s->logits: unknown classes get rows, one
 * optimiser step.  False: too many classes.
 */
int tame_member_step(struct tame_stream *s, uint32_t e, const uint32_t *labels, uint32_t n);
/* How the record of a stream, or of an expert, begins. */
enum tame_record { TAME_RECORD_STREAM, TAME_RECORD_EXPERT };
enum status
tame_record_begin(struct byte_reader *r, enum tame_record which, struct fault *f) MUST_CHECK;
/* tame_stream_record.c: fills a new stream from its record. */
enum status tame_stream_read(struct tame_stream *s,
                             const void *record,
                             size_t size,
                             struct fault *f) MUST_CHECK;
/* Forgets what is loaded and computed. */
void tame_stream_unload(struct tame_stream *s);

/* Payload of the selector's buffer for the input of one sample (loaded as number i). */
size_t tame_stream_payload_bytes(const struct tame_shape *shape, const struct tame_options *o);

#endif
