/*
 * The convolution expert of TAME (Zhu et al. 2024, arXiv 2210.03869; tame.md 3.1), and the net of
 * its selector:
 *   picture [1, 32, 32] -> conv 6 @ 5x5 -> max-pool 2, ReLU -> conv 16 @ 5x5 -> max-pool 2, ReLU
 *   -> 400 -> 120, ReLU -> 84, ReLU -> C
 * with 61,706 weights at C = 10.  Weight vector, f32, in the order of struct tame_expert.h:
 *   conv1 w [6,1,5,5] b [6], conv2 w [16,6,5,5] b [16], fc1 w [120,400] b [120],
 *   fc2 w [84,120] b [84] | head w [C,84] | head b [C]
 *
 * A tame_conv_net is the workspace of one batch: it computes with the numbers of any expert that is
 * handed to it and keeps none of them.  Pictures are u8 [size, size]; zero pixels around them make
 * 32 x 32, then x = (p / 255 - mean) / std.  The batch is cut into shards of CONV_LANES pictures;
 * every shard has its own gradient and they are added in shard order, so results do not depend on
 * the number of threads.  All memory comes from the arena; nothing is taken in a step.  One caller
 * at a time.
 */
#ifndef LETHE_LEARNERS_TAME_CONV_NET_H
#define LETHE_LEARNERS_TAME_CONV_NET_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "learners/math/pool.h"
#include "learners/methods/tame/tame_expert.h"
#include "learners/optim/sgd.h"

#include <stddef.h>
#include <stdint.h>

#define TAME_CONV_NET_SIDE   32
#define TAME_CONV_NET_BODY   60856 /* floats before the head */
#define TAME_CONV_NET_WIDTH  84    /* inputs of the head */
#define TAME_CONV_NET_LAYERS 5

struct tame_conv_net_config {
    uint32_t image_size;    /* side of a picture: even, 2 to 32 */
    float mean, std;        /* of pixels in 0..1 */
    uint32_t classes_max;   /* outputs of any expert, at most */
    uint32_t batch_max;     /* pictures of a batch, at most */
    int sigmoid;            /* for struct tame_shape: the loss is taken on sigmoid(logits) */
    int zero_last;          /* a fresh expert has a zero head; otherwise it is drawn as the rest */
    struct sgd_options sgd; /* of the step in the table of kinds */
};

/* One layer of the weight vector: `weights` floats from `first` on, then `biases`. */
struct tame_conv_net_layer {
    size_t first, weights, biases, fan_in;
};

struct tame_conv_net;

/* MNIST's figures, the published optimiser, batches of 128, sigmoid on (tame.md 4, `parity`). */
struct tame_conv_net_config tame_conv_net_parity(uint32_t classes_max);

size_t tame_conv_net_floats(uint32_t classes);
void tame_conv_net_layers(uint32_t classes, struct tame_conv_net_layer ret_l[TAME_CONV_NET_LAYERS]);

/* Arena bytes of a net. */
size_t tame_conv_net_plan(const struct tame_conv_net_config *c);
/* INVALID_ARGUMENT naming the field, NO_MEMORY.  The pool is borrowed as long as the net lives. */
enum status tame_conv_net_new(const struct tame_conv_net_config *c,
                              struct pool *pool,
                              struct arena *arena,
                              struct tame_conv_net **ret_net,
                              struct fault *f) MUST_CHECK;

/*
 * Overwrites w [floats of `classes`] by the start values of this seed: every layer's weights and
 * biases uniform in +-1/sqrt(fan_in), the head zero with zero_last.
 */
void tame_conv_net_start(const struct tame_conv_net *net,
                         uint64_t seed,
                         uint32_t classes,
                         float *w);

/* Makes n pictures (1 .. batch_max) the current batch; they are read during the call. */
void tame_conv_net_load(struct tame_conv_net *net, uint32_t n, const uint8_t *const *pictures);
/* Overwrites logits [n, classes] of the current batch. */
void tame_conv_net_forward(struct tame_conv_net *net,
                           const float *w,
                           uint32_t classes,
                           float *logits);
/* Backward of the last forward from dlogits [n, classes]; overwrites gradient [floats]. */
void tame_conv_net_backward(struct tame_conv_net *net,
                            const float *w,
                            uint32_t classes,
                            const float *dlogits,
                            float *gradient);
/*
 * The same and one step of SGD on w and its momentum m.  mask [floats] (NULL: all 1): where it is 0
 * the gradient counts as 0, so a pruned weight whose momentum is 0 stays 0 (tame_prune.h).
 */
void tame_conv_net_step(struct tame_conv_net *net,
                        const struct sgd_options *sgd,
                        uint32_t classes,
                        const float *dlogits,
                        const uint8_t *mask,
                        float *w,
                        float *m);

/* The same behind the table of tame_expert.h; the engine is a struct tame_conv_net. */
extern const struct tame_kind tame_kind_conv;

#endif
