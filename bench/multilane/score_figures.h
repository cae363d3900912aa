/*
 * What scores over the classes seen so far are worth (multilane.md, section 2).  One label an
 * image: share of right answers, a(i,j) on the images of task i after session j, a session's figure
 * the mean over its tasks.  Several: a(i,j) is the mean average precision of task i's classes over
 * the images that show a seen class, a session's figure the mAP over all seen classes.  Per cent.
 */
#ifndef LETHE_BENCH_SCORE_FIGURES_H
#define LETHE_BENCH_SCORE_FIGURES_H

#include "bench/multilane/protocol_set.h"

/* How a score becomes the probability that a threshold is about. */
enum score_link {
    SCORE_LOGIT, /* p = 1 / (1 + exp(-score)) */
    SCORE_LOG,   /* p = exp(score) */
    SCORE_PLAIN  /* p = score */
};
/* The score that stands for the probability p, 0 < p < 1. */
float score_of_probability(enum score_link link, double p);

/* Scores of n images; those of classes not seen are never read. */
struct score_view {
    const struct protocol *protocol;
    const float *scores; /* [n, classes] */
    const uint8_t *hot;  /* [n, classes] */
    uint32_t n;
    uint32_t tasks; /* seen */
    enum score_link link;
};

/*
 * Overwrites a [tasks] with the figures of each seen task (NaN: no image or positive) and *ret_all
 * with the session's.  NO_MEMORY.
 */
enum status
score_session(const struct score_view *v, double *a, double *ret_all, struct fault *f) MUST_CHECK;

/* F1 over all decisions and over classes at one threshold; several labels only. */
struct score_f1 {
    double of1, cf1_mean_f1, cf1_literature;
};
enum status score_f1(const struct score_view *v,
                     double threshold,
                     struct score_f1 *ret_f1,
                     struct fault *f) MUST_CHECK;
/* The threshold of 0.05, 0.1 .. 0.95 with the best OF1, the lowest of equals. */
enum status
score_threshold(const struct score_view *v, double *ret_threshold, struct fault *f) MUST_CHECK;

/* After all T sessions, from a [T, T] (row: session) and the sessions' figures [T]. */
struct score_summary {
    double last, average;
    double forgetting; /* NaN with one task */
};
struct score_summary score_summarise(const double *a, const double *sessions, uint32_t T);

/* Mean and sample deviation (0 for one value; NaN mean for none). */
struct score_spread {
    double mean, deviation;
    uint32_t n;
};
struct score_spread score_spread_of(const double *values, uint32_t n);

#endif
