/*
 * Versions as files for other tools.
 *   peft        adapter_config.json, adapter_model.safetensors (Hugging Face PEFT), lethe.json
 *   merged      model.safetensors, config.json, preprocessor_config.json (Hugging Face), lethe.json
 *   onnx-ready  merged, and EXPORT.md: input, output, axes, which outputs to mask
 * Erased labels keep their place in the head and are named "NAME (forgotten)".  Pure: memory in,
 * memory out.
 */
#ifndef LETHE_JOBS_EXPORT_H
#define LETHE_JOBS_EXPORT_H

#include "daemon/base/status.h"
#include "daemon/jobs/served.h"

#include <stddef.h>
#include <stdint.h>

enum export_format { EXPORT_PEFT, EXPORT_MERGED, EXPORT_ONNX_READY };

#define EXPORT_FILES_MAX 5

struct export_entry {
    const char *path; /* borrowed */
    uint8_t *bytes;   /* sysio_alloc */
    size_t size;
};

struct export_set {
    struct export_entry files[EXPORT_FILES_MAX];
    size_t n;
};

/* INVALID_ARGUMENT, naming the formats. */
enum status
export_format_parse(const char *text, enum export_format *ret_format, struct fault *f) MUST_CHECK;

/*
 * Makes the files of a version; `deltas` are its erasure records in order.  FAILED_PRECONDITION:
 * peft of a version without erasures; NO_MEMORY.
 */
enum status export_make(const struct served *s,
                        enum export_format format,
                        const struct served_delta *deltas,
                        size_t n_deltas,
                        struct export_set *ret_set,
                        struct fault *f) MUST_CHECK;
/*
 * The version's trunk as the files of a base model: weights with all erasures folded in, the labels
 * and the preprocessing of its base.
 */
enum status
export_base(const struct served *s, struct export_set *ret_set, struct fault *f) MUST_CHECK;
void export_set_free(struct export_set *set);

#endif
