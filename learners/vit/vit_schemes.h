/* Naming schemes of ViT weight files: one table row a scheme.  Only for learners/vit. */
#ifndef LETHE_LEARNERS_VIT_SCHEMES_H
#define LETHE_LEARNERS_VIT_SCHEMES_H

#include <stddef.h>

/* Parts of a weight set; QUERY, KEY and VALUE are the thirds of the fused map. */
enum vit_part {
    VIT_PART_PATCH_W,
    VIT_PART_PATCH_B,
    VIT_PART_CLS,
    VIT_PART_POS,
    VIT_PART_LN1_W,
    VIT_PART_LN1_B,
    VIT_PART_QKV_W,
    VIT_PART_QKV_B,
    VIT_PART_PROJ_W,
    VIT_PART_PROJ_B,
    VIT_PART_LN2_W,
    VIT_PART_LN2_B,
    VIT_PART_FC1_W,
    VIT_PART_FC1_B,
    VIT_PART_FC2_W,
    VIT_PART_FC2_B,
    VIT_PART_NORM_W,
    VIT_PART_NORM_B,
    VIT_PART_HEAD_W,
    VIT_PART_HEAD_B,
    VIT_PARTS
};

/*
 * '#' stands for the block number.  A name with '%' stands for three tensors, '%' being query, key
 * and value in turn.  `probe` is a name that only this scheme has.
 */
struct vit_scheme {
    const char *name;
    const char *probe;
    int patch_linear; /* patch embedding is a Linear over (row, column, channel), not a convolution
                       */
    const char *parts[VIT_PARTS];
};

extern const struct vit_scheme vit_schemes[];
extern const size_t vit_schemes_count;
/* Row of vit_schemes that is written. */
#define VIT_SCHEME_HF 1

/* Part whose vit_tensor kind is `kind`; VIT_PARTS if there is none. */
enum vit_part vit_part_of(const char *kind);

#endif
