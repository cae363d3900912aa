#include "proto/seal/proof_lines.h"

#include "proto/seal/base64.h"

void proof_lines_put_path(struct byte_writer *w, const struct merkle_proof *proof)
{
    for (size_t i = 0; i < proof->n; i++)
        lines_put_base64(w, proof->path[i].b, SHA256_SIZE);
}

void proof_lines_put_inclusion(struct byte_writer *w,
                               uint64_t index,
                               const struct merkle_proof *proof)
{
    lines_put(w, "index ");
    lines_put_decimal(w, index);
    lines_put(w, "\n");
    proof_lines_put_path(w, proof);
}

int proof_lines_get_path(struct lines *in, struct merkle_proof *ret_proof)
{
    struct merkle_proof p = {0};
    const char *line = NULL;
    size_t n = 0;
    while (in->left && !lines_begin(in, "\n")) {
        if (p.n == PROOF_LINES_MAX || lines_next(in, &line, &n) != 0 ||
            base64_parse_exact(line, n, p.path[p.n].b, SHA256_SIZE) != 0)
            return -1;
        p.n++;
    }
    *ret_proof = p;
    return 0;
}

int proof_lines_get_inclusion(struct lines *in, uint64_t *ret_index, struct merkle_proof *ret_proof)
{
    const char *text = NULL;
    size_t n = 0;
    if (lines_value(in, "index", &text, &n) != 0 || lines_decimal(text, n, ret_index) != 0)
        return -1;
    return proof_lines_get_path(in, ret_proof);
}
