/*
 * The two texts of a certificate, with one empty slot for its proof each
 * (proto/seal/certificate.h): a JSON document, and the same as one page of HTML that needs nothing
 * else and can be printed. Made from the facts alone: the same facts give the same bytes.  Any
 * thread.
 */
#ifndef LETHE_JOBS_CERTIFICATE_TEXT_H
#define LETHE_JOBS_CERTIFICATE_TEXT_H

#include "daemon/jobs/certificate_facts.h"

struct certificate_texts {
    char *json; /* free() */
    char *html; /* sysio_free */
    size_t html_size;
    struct digest state; /* of all but the position in the log */
};

enum status certificate_text_make(const struct certificate_facts *x,
                                  struct certificate_texts *ret_texts,
                                  struct fault *f) MUST_CHECK;
void certificate_text_free(struct certificate_texts *t);

/* The page of a document; w->at NULL: only counts. */
struct byte_writer;
void certificate_page_put(struct byte_writer *w, const json_t *document);

#endif
