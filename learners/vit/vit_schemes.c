#include "learners/vit/vit_schemes.h"

#include <string.h>

/* The MLP is the only difference between torchvision's two namings. */
#define TORCHVISION_PARTS(fc1, fc2)                                                                \
    {                                                                                              \
        [VIT_PART_PATCH_W] = "conv_proj.weight", [VIT_PART_PATCH_B] = "conv_proj.bias",            \
        [VIT_PART_CLS] = "class_token", [VIT_PART_POS] = "encoder.pos_embedding",                  \
        [VIT_PART_LN1_W] = "encoder.layers.encoder_layer_#.ln_1.weight",                           \
        [VIT_PART_LN1_B] = "encoder.layers.encoder_layer_#.ln_1.bias",                             \
        [VIT_PART_QKV_W] = "encoder.layers.encoder_layer_#.self_attention.in_proj_weight",         \
        [VIT_PART_QKV_B] = "encoder.layers.encoder_layer_#.self_attention.in_proj_bias",           \
        [VIT_PART_PROJ_W] = "encoder.layers.encoder_layer_#.self_attention.out_proj.weight",       \
        [VIT_PART_PROJ_B] = "encoder.layers.encoder_layer_#.self_attention.out_proj.bias",         \
        [VIT_PART_LN2_W] = "encoder.layers.encoder_layer_#.ln_2.weight",                           \
        [VIT_PART_LN2_B] = "encoder.layers.encoder_layer_#.ln_2.bias",                             \
        [VIT_PART_FC1_W] = "encoder.layers.encoder_layer_#.mlp." fc1 ".weight",                    \
        [VIT_PART_FC1_B] = "encoder.layers.encoder_layer_#.mlp." fc1 ".bias",                      \
        [VIT_PART_FC2_W] = "encoder.layers.encoder_layer_#.mlp." fc2 ".weight",                    \
        [VIT_PART_FC2_B] = "encoder.layers.encoder_layer_#.mlp." fc2 ".bias",                      \
        [VIT_PART_NORM_W] = "encoder.ln.weight", [VIT_PART_NORM_B] = "encoder.ln.bias",            \
        [VIT_PART_HEAD_W] = "heads.head.weight", [VIT_PART_HEAD_B] = "heads.head.bias",            \
    }

/*
 * `attn` and `ffn` are the paths of the two halves of a layer: their LayerNorm is <half>norm and
 * their function <half>fn.
 */
#define VIT_PYTORCH_PARTS(embed, attn, ffn, head)                                                  \
    {                                                                                              \
        [VIT_PART_PATCH_W] = embed ".weight", [VIT_PART_PATCH_B] = embed ".bias",                  \
        [VIT_PART_CLS] = "cls_token", [VIT_PART_POS] = "pos_embedding",                            \
        [VIT_PART_LN1_W] = attn "norm.weight", [VIT_PART_LN1_B] = attn "norm.bias",                \
        [VIT_PART_QKV_W] = attn "fn.to_qkv.weight", [VIT_PART_QKV_B] = attn "fn.to_qkv.bias",      \
        [VIT_PART_PROJ_W] = attn "fn.to_out.0.weight",                                             \
        [VIT_PART_PROJ_B] = attn "fn.to_out.0.bias", [VIT_PART_LN2_W] = ffn "norm.weight",         \
        [VIT_PART_LN2_B] = ffn "norm.bias", [VIT_PART_FC1_W] = ffn "fn.net.0.weight",              \
        [VIT_PART_FC1_B] = ffn "fn.net.0.bias", [VIT_PART_FC2_W] = ffn "fn.net.3.weight",          \
        [VIT_PART_FC2_B] = ffn "fn.net.3.bias", [VIT_PART_NORM_W] = "mlp_head.0.weight",           \
        [VIT_PART_NORM_B] = "mlp_head.0.bias", [VIT_PART_HEAD_W] = head ".weight",                 \
        [VIT_PART_HEAD_B] = head ".bias",                                                          \
    }

#define RESIDUAL_ATTN "transformer.layers.#.0.fn."
#define RESIDUAL_FFN  "transformer.layers.#.1.fn."
#define PLAIN_ATTN    "transformer.layers.#.0."
#define PLAIN_FFN     "transformer.layers.#.1."

const struct vit_scheme vit_schemes[] = {
    {
        .name = "timm",
        .probe = "patch_embed.proj.weight",
        .parts =
            {
                [VIT_PART_PATCH_W] = "patch_embed.proj.weight",
                [VIT_PART_PATCH_B] = "patch_embed.proj.bias",
                [VIT_PART_CLS] = "cls_token",
                [VIT_PART_POS] = "pos_embed",
                [VIT_PART_LN1_W] = "blocks.#.norm1.weight",
                [VIT_PART_LN1_B] = "blocks.#.norm1.bias",
                [VIT_PART_QKV_W] = "blocks.#.attn.qkv.weight",
                [VIT_PART_QKV_B] = "blocks.#.attn.qkv.bias",
                [VIT_PART_PROJ_W] = "blocks.#.attn.proj.weight",
                [VIT_PART_PROJ_B] = "blocks.#.attn.proj.bias",
                [VIT_PART_LN2_W] = "blocks.#.norm2.weight",
                [VIT_PART_LN2_B] = "blocks.#.norm2.bias",
                [VIT_PART_FC1_W] = "blocks.#.mlp.fc1.weight",
                [VIT_PART_FC1_B] = "blocks.#.mlp.fc1.bias",
                [VIT_PART_FC2_W] = "blocks.#.mlp.fc2.weight",
                [VIT_PART_FC2_B] = "blocks.#.mlp.fc2.bias",
                [VIT_PART_NORM_W] = "norm.weight",
                [VIT_PART_NORM_B] = "norm.bias",
                [VIT_PART_HEAD_W] = "head.weight",
                [VIT_PART_HEAD_B] = "head.bias",
            },
    },
    {
        .name = "hf",
        .probe = "vit.embeddings.patch_embeddings.projection.weight",
        .parts =
            {
                [VIT_PART_PATCH_W] = "vit.embeddings.patch_embeddings.projection.weight",
                [VIT_PART_PATCH_B] = "vit.embeddings.patch_embeddings.projection.bias",
                [VIT_PART_CLS] = "vit.embeddings.cls_token",
                [VIT_PART_POS] = "vit.embeddings.position_embeddings",
                [VIT_PART_LN1_W] = "vit.encoder.layer.#.layernorm_before.weight",
                [VIT_PART_LN1_B] = "vit.encoder.layer.#.layernorm_before.bias",
                [VIT_PART_QKV_W] = "vit.encoder.layer.#.attention.attention.%.weight",
                [VIT_PART_QKV_B] = "vit.encoder.layer.#.attention.attention.%.bias",
                [VIT_PART_PROJ_W] = "vit.encoder.layer.#.attention.output.dense.weight",
                [VIT_PART_PROJ_B] = "vit.encoder.layer.#.attention.output.dense.bias",
                [VIT_PART_LN2_W] = "vit.encoder.layer.#.layernorm_after.weight",
                [VIT_PART_LN2_B] = "vit.encoder.layer.#.layernorm_after.bias",
                [VIT_PART_FC1_W] = "vit.encoder.layer.#.intermediate.dense.weight",
                [VIT_PART_FC1_B] = "vit.encoder.layer.#.intermediate.dense.bias",
                [VIT_PART_FC2_W] = "vit.encoder.layer.#.output.dense.weight",
                [VIT_PART_FC2_B] = "vit.encoder.layer.#.output.dense.bias",
                [VIT_PART_NORM_W] = "vit.layernorm.weight",
                [VIT_PART_NORM_B] = "vit.layernorm.bias",
                [VIT_PART_HEAD_W] = "classifier.weight",
                [VIT_PART_HEAD_B] = "classifier.bias",
            },
    },
    {
        .name = "torchvision",
        .probe = "encoder.layers.encoder_layer_0.mlp.0.weight",
        .parts = TORCHVISION_PARTS("0", "3"),
    },
    {
        .name = "torchvision",
        .probe = "encoder.layers.encoder_layer_0.mlp.linear_1.weight",
        .parts = TORCHVISION_PARTS("linear_1", "linear_2"),
    },
    /* The Face Transformer: margin head outside the network.  Its probe comes before the next's. */
    {
        .name = "vit-pytorch",
        .probe = "loss.weight",
        .patch_linear = 1,
        .parts = VIT_PYTORCH_PARTS("patch_to_embedding", RESIDUAL_ATTN, RESIDUAL_FFN, "loss"),
    },
    {
        .name = "vit-pytorch",
        .probe = "patch_to_embedding.weight",
        .patch_linear = 1,
        .parts = VIT_PYTORCH_PARTS("patch_to_embedding", RESIDUAL_ATTN, RESIDUAL_FFN, "mlp_head.1"),
    },
    {
        .name = "vit-pytorch",
        .probe = "transformer.layers.0.0.fn.to_qkv.weight",
        .patch_linear = 1,
        .parts = VIT_PYTORCH_PARTS("to_patch_embedding.1", PLAIN_ATTN, PLAIN_FFN, "mlp_head.1"),
    },
    {
        .name = "vit-pytorch",
        .probe = "transformer.layers.0.0.fn.fn.to_qkv.weight",
        .patch_linear = 1,
        .parts =
            VIT_PYTORCH_PARTS("to_patch_embedding.1", RESIDUAL_ATTN, RESIDUAL_FFN, "mlp_head.1"),
    },
};
const size_t vit_schemes_count = sizeof vit_schemes / sizeof *vit_schemes;

static const char *const vit_part_kinds[VIT_PARTS] = {
    [VIT_PART_PATCH_W] = "patch_w", [VIT_PART_PATCH_B] = "patch_b", [VIT_PART_CLS] = "cls",
    [VIT_PART_POS] = "pos",         [VIT_PART_LN1_W] = "ln1_w",     [VIT_PART_LN1_B] = "ln1_b",
    [VIT_PART_QKV_W] = "qkv_w",     [VIT_PART_QKV_B] = "qkv_b",     [VIT_PART_PROJ_W] = "proj_w",
    [VIT_PART_PROJ_B] = "proj_b",   [VIT_PART_LN2_W] = "ln2_w",     [VIT_PART_LN2_B] = "ln2_b",
    [VIT_PART_FC1_W] = "fc1_w",     [VIT_PART_FC1_B] = "fc1_b",     [VIT_PART_FC2_W] = "fc2_w",
    [VIT_PART_FC2_B] = "fc2_b",     [VIT_PART_NORM_W] = "norm_w",   [VIT_PART_NORM_B] = "norm_b",
    [VIT_PART_HEAD_W] = "head_w",   [VIT_PART_HEAD_B] = "head_b",
};

enum vit_part vit_part_of(const char *kind)
{
    for (int i = 0; i < VIT_PARTS; i++)
        if (strcmp(kind, vit_part_kinds[i]) == 0)
            return (enum vit_part)i;
    return VIT_PARTS;
}
