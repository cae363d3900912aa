/*
 * TAME as a learner (tame.md): the table learner_tame, and what can be read from a stream's record
 * without opening it.
 *
 * A run is one change of one stream.  problem.name is the stream, problem.parts its component of
 * kind "stream" with its experts (none: a new stream), problem.keys the keyed hash of every image.
 * Option `action`:
 *   open    makes an empty stream; takes every setting of tame_options.def, and no images
 *   push    (default) the rows of LEARNER_TRAIN in stream order; problem.erasure, if there is one,
 *           names classes and keys that were forgotten: such images are dropped and counted
 *   close   settles held batches; nothing can be pushed any more
 *   erase   takes out what problem.erasure names (classes, keys, one expert "NAME.K") and trains
 *           what had learned from it again, from its own seed, on problem.images by key
 *   import  the expert in the part of kind "incoming" and the stream's name joins under the next
 *           number, inactive, with the window that it comes with; the problem's request is the one
 *           that brought all it learned from.  problem.erasure names keys that must not be among it
 *   refit   after the trunk has moved: the experts of option `experts` ("NAME.K,NAME.L"; empty:
 *           none, absent: all) are trained again in the same way, and all get their windows anew;
 *           problem.erasure, if there is one, is carried out first
 * Option `batch`: images a batch; at open and for a new stream the stream's own, at push for this
 * run.  Option `probe`: on or off, for this push.
 *
 * problem.images says how pixels become the model's input even where there are none: held batches
 * and reserves are pictures, too.  A run exports the stream's record (kind "stream", name NAME) and
 * every expert whose bytes changed (kind "expert", name "NAME.K"); one that was destroyed has no
 * bytes.
 */
#ifndef LETHE_LEARNERS_TAME_LEARNER_H
#define LETHE_LEARNERS_TAME_LEARNER_H

#include "daemon/base/status.h"
#include "learners/learner.h"

#include <stddef.h>
#include <stdint.h>

#define TAME_STREAM_KIND "stream"
#define TAME_EXPERT_KIND "expert"
/* An expert of another stream, as it was exported, that is to join the stream of this name. */
#define TAME_INCOMING_KIND "incoming"

/* Experts of a stream: with its record they are what one run may export. */
#define TAME_LEARNER_EXPERTS (LEARNER_PARTS - 2)
/* Longest name of a stream: an expert's is NAME.K. */
#define TAME_STREAM_NAME_SIZE 53
#define TAME_CLASS_NAME_SIZE  256 /* with its NUL */

/* A stream's record as reports need it. */
struct tame_learner_info {
    uint32_t batch;     /* images a batch where a push does not say otherwise */
    uint32_t batch_max; /* most that a push may say */
    int closed;
    uint32_t n_experts;
    uint32_t n_classes;             /* rows of tame_learner_class */
    uint64_t batches, offered;      /* batches decided on and images seen since it was opened */
    uint32_t held;                  /* batches that wait for a decision */
    char active[LEARNER_NAME_SIZE]; /* "NAME.K"; empty: none */
};

/* BAD_FORMAT if it is no stream's record.  Reads head and settings; a run checks the rest. */
enum status tame_learner_peek(const void *record,
                              size_t size,
                              struct tame_learner_info *ret_info,
                              struct fault *f) MUST_CHECK;
/*
 * Class i < n_classes of a stream's record, and the expert that owns it ("NAME.K"): the oldest with
 * a row for it; empty: none has one yet.  BAD_FORMAT; NOT_FOUND: no such row.
 */
enum status tame_learner_class(const void *record,
                               size_t size,
                               uint32_t i,
                               char ret_class[TAME_CLASS_NAME_SIZE],
                               char ret_expert[LEARNER_NAME_SIZE],
                               struct fault *f) MUST_CHECK;
/* Expert i < n_experts of a stream's record, "NAME.K", oldest first. */
enum status tame_learner_expert(const void *record,
                                size_t size,
                                uint32_t i,
                                char ret_expert[LEARNER_NAME_SIZE],
                                struct fault *f) MUST_CHECK;
/*
 * Whether an expert's record can join a stream, and the name "NAME.K" that it would get.
 * FAILED_PRECONDITION (stream closed; another trunk; other settings: "options"; it waits for its
 * refit), ALREADY_EXISTS (the stream has one of its classes, perhaps in held batches),
 * RESOURCE_EXHAUSTED ("experts_max", classes, numbers), INVALID_ARGUMENT (a class's name is longer
 * than LEARNER_NAME_SIZE - 1), BAD_FORMAT.
 */
enum status tame_learner_joins(const void *stream,
                               size_t stream_size,
                               const void *expert,
                               size_t expert_size,
                               char ret_expert[LEARNER_NAME_SIZE],
                               struct fault *f) MUST_CHECK;
/*
 * Samples that the stream itself keeps, in batches that wait for a decision, and that an erasure of
 * classes or keys means.  An expert's share is answered by learner_tame.erase.
 */
enum status tame_learner_held(const void *record,
                              size_t size,
                              const struct learner_erasure *erasure,
                              uint32_t *ret_samples,
                              struct fault *f) MUST_CHECK;

/*
 * Keys of the samples that gave an expert a gradient, each as often as it did, in the order of
 * training: their number in *ret_n, and as many of them as there is room for in ret_keys [max].
 * BAD_FORMAT.
 */
enum status tame_learner_trained(const void *record,
                                 size_t size,
                                 uint64_t *ret_keys,
                                 uint64_t max,
                                 uint64_t *ret_n,
                                 struct fault *f) MUST_CHECK;
/*
 * An expert's record as if it had been trained on another state of the trunk, into to [size]: to
 * see what a trunk that moved does to it.  BAD_FORMAT.
 */
enum status tame_learner_moved(const void *record,
                               size_t size,
                               const struct digest *state,
                               void *to,
                               struct fault *f) MUST_CHECK;

#endif
