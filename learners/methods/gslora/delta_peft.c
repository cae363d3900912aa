/* Export of deltas in the layout of PEFT's LoRA adapters: text and tensors; the caller writes. */
#include "learners/methods/gslora/delta.h"

#include "daemon/base/invariant.h"

#include <string.h>

struct text_writer {
    char *at;
    size_t size;
    size_t used;
};

static void text_add(struct text_writer *w, const char *s)
{
    for (; *s; s++, w->used++)
        if (w->used + 1 < w->size)
            w->at[w->used] = *s;
}

static void text_add_number(struct text_writer *w, uint32_t x)
{
    char digits[11];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + x % 10);
        x /= 10;
    } while (x > 0);
    text_add(w, digits + at);
}

static size_t text_end(struct text_writer *w)
{
    if (w->used >= w->size)
        return SIZE_MAX;
    w->at[w->used] = '\0';
    return w->used;
}

uint32_t delta_peft_rank(const struct delta *deltas, uint32_t n)
{
    uint32_t rank = 0;
    for (uint32_t k = 0; k < n; k++)
        rank += deltas[k].lora.rank;
    return rank;
}

static int block_used(const struct delta *deltas, uint32_t n, uint32_t block)
{
    for (uint32_t k = 0; k < n; k++)
        if (deltas[k].lora.blocks[block].awake)
            return 1;
    return 0;
}

/*
 * "output.dense" alone would also match the attention's output map, so the targets are named by a
 * full expression that lists the blocks.
 */
static void add_targets(struct text_writer *w, const struct delta *deltas, uint32_t n)
{
    int first = 1;
    text_add(w, "\".*encoder\\\\.layer\\\\.(");
    for (uint32_t l = 0; n > 0 && l < deltas[0].depth; l++) {
        if (!block_used(deltas, n, l))
            continue;
        if (!first)
            text_add(w, "|");
        text_add_number(w, l);
        first = 0;
    }
    text_add(w, ")\\\\.(intermediate|output)\\\\.dense\"");
}

size_t delta_peft_config(const struct delta *deltas, uint32_t n, char *text, size_t size)
{
    struct text_writer w = {text, size, 0};
    const uint32_t rank = delta_peft_rank(deltas, n);
    text_add(&w, "{\n  \"peft_type\": \"LORA\",\n  \"task_type\": null,\n");
    text_add(&w, "  \"base_model_name_or_path\": null,\n  \"inference_mode\": true,\n");
    text_add(&w, "  \"r\": ");
    text_add_number(&w, rank);
    text_add(&w, ",\n  \"lora_alpha\": ");
    text_add_number(&w, rank);
    text_add(&w, ",\n  \"lora_dropout\": 0.0,\n  \"bias\": \"none\",\n");
    text_add(&w, "  \"fan_in_fan_out\": false,\n  \"modules_to_save\": null,\n");
    text_add(&w, "  \"target_modules\": ");
    add_targets(&w, deltas, n);
    text_add(&w, "\n}\n");
    return text_end(&w);
}

uint32_t delta_peft_tensors(const struct delta *deltas, uint32_t n)
{
    uint32_t blocks = 0;
    for (uint32_t l = 0; n > 0 && l < deltas[0].depth; l++)
        blocks += block_used(deltas, n, l) != 0;
    return 4 * blocks;
}

/* Block that holds tensors 4 i .. 4 i + 3. */
static uint32_t used_block(const struct delta *deltas, uint32_t n, uint32_t i)
{
    for (uint32_t l = 0; l < deltas[0].depth; l++)
        if (block_used(deltas, n, l) && i-- == 0)
            return l;
    invariant_failed("a block for every tensor", __FILE__, __LINE__);
}

/* A of every delta one below the other [sum r, cols]; zero rows where the block is left out. */
static void
stack_a(const struct delta *deltas, uint32_t n, uint32_t block, int second, size_t cols, float *out)
{
    for (uint32_t k = 0; k < n; k++) {
        const struct vit_lora_block *b = &deltas[k].lora.blocks[block];
        const size_t floats = deltas[k].lora.rank * cols;
        if (b->awake)
            memcpy(out, second ? b->a2 : b->a1, floats * sizeof *out);
        else
            memset(out, 0, floats * sizeof *out);
        out += floats;
    }
}

/* s B of every delta side by side [rows, sum r]. */
static void
stack_b(const struct delta *deltas, uint32_t n, uint32_t block, int second, size_t rows, float *out)
{
    const size_t width = delta_peft_rank(deltas, n);
    size_t at = 0;
    for (uint32_t k = 0; k < n; k++) {
        const struct vit_lora_block *b = &deltas[k].lora.blocks[block];
        const size_t r = deltas[k].lora.rank;
        const float *from = second ? b->b2 : b->b1;
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < r; j++)
                out[i * width + at + j] = b->awake ? deltas[k].lora.scale * from[i * r + j] : 0.0f;
        at += r;
    }
}

static void name_tensor(uint32_t block, int second, int is_b, char name[DELTA_NAME_SIZE])
{
    struct text_writer w = {name, DELTA_NAME_SIZE, 0};
    text_add(&w, "base_model.model.vit.encoder.layer.");
    text_add_number(&w, block);
    text_add(&w, second ? ".output.dense." : ".intermediate.dense.");
    text_add(&w, is_b ? "lora_B.weight" : "lora_A.weight");
    INVARIANT(text_end(&w) != SIZE_MAX);
}

void delta_peft_tensor(
    const struct delta *deltas, uint32_t n, uint32_t i, struct delta_tensor *ret_t, float *out)
{
    INVARIANT(i < delta_peft_tensors(deltas, n));
    const uint32_t block = used_block(deltas, n, i / 4);
    const int second = (i % 4) / 2 != 0, is_b = i % 2 != 0;
    const uint32_t rank = delta_peft_rank(deltas, n);
    const uint32_t c = deltas[0].width, h = deltas[0].hidden;
    name_tensor(block, second, is_b, ret_t->name);
    ret_t->rows = is_b ? (second ? c : h) : rank;
    ret_t->cols = is_b ? rank : (second ? h : c);
    if (!out)
        return;
    if (is_b)
        stack_b(deltas, n, block, second, ret_t->rows, out);
    else
        stack_a(deltas, n, block, second, ret_t->cols, out);
}
