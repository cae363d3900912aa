/*
 * CURVE keys from files: one line of 40 Z85 characters; blank lines and lines that begin with # are
 * skipped, anything else is an error.  Buffers with secret keys are wiped by their owner.
 */
#ifndef LETHE_CLIENT_KEY_H
#define LETHE_CLIENT_KEY_H

#include "client/lethe.h"

#define CLIENT_KEY_TEXT 41 /* with the NUL */

/* `secret`: refuses a file that group or others can read.  `field` names the option at fault. */
enum lethe_code client_key_read(const char *path,
                                bool secret,
                                const char *field,
                                char ret_key[CLIENT_KEY_TEXT],
                                struct lethe_error *e) LETHE_CALL;

#endif
