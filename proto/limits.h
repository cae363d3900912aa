/*
 * Every bound on what may cross the socket, by name.  The daemon checks them in the order peer,
 * frame size, frame count, bytes, decode budget, permission, memory plan; the clients check the
 * same numbers before they send.  PROTOCOL.md repeats them; each has a test at maximum + 1.
 */
#ifndef LETHE_PROTO_LIMITS_H
#define LETHE_PROTO_LIMITS_H

#define LIMIT_PROTOCOL_VERSION 1

/* Frames. */
#define LIMIT_ENVELOPE_BYTES  (64u << 10) /* first frame of a request */
#define LIMIT_FRAME_BYTES     (1u << 20)  /* each raw frame */
#define LIMIT_FRAMES          64u         /* raw frames behind an envelope or reply */
#define LIMIT_MESSAGE_BYTES   (16u << 20) /* all frames of one message together, but: */
#define LIMIT_REQUEST_BYTES   (61u << 20) /* of a request that brings a file */
#define LIMIT_TRANSPORT_BYTES (2u << 20)  /* a frame above this ends the connection unanswered */
#define LIMIT_REPLY_BYTES     (4u << 20)  /* first frame of an answer */
#define LIMIT_EVENT_BYTES     (32u << 10)
#define LIMIT_TOPIC_BYTES     256u

/* Memory that decoding one message may take. */
#define LIMIT_DECODE_BYTES       (1u << 20)
#define LIMIT_REPLY_DECODE_BYTES (32u << 20)
#define LIMIT_UNKNOWN_FIELDS     1000u

/* Texts, lists and documents. */
#define LIMIT_STRING_BYTES 4096u
#define LIMIT_NAME_BYTES   256u /* of a data set, task, format, state or option */
#define LIMIT_LABELS       10000u
#define LIMIT_OPTIONS      64u   /* method options of one request */
#define LIMIT_LIST         1000u /* items of one page: requests, versions, data sets, files */
#define LIMIT_COMPONENTS   4096u /* of one version */
#define LIMIT_OWNERS       (LIMIT_COMPONENTS + 1u)
#define LIMIT_LINEAGE      4096u
#define LIMIT_GROUPS       4096u /* group norms in a progress report */
#define LIMIT_REPORT_BYTES (1u << 20)
#define LIMIT_PROOF_BYTES  (3u << 20) /* a receipt, or another file of evidence */
#define LIMIT_ENTRY_BYTES  4096u      /* one entry of the log */
#define LIMIT_NOTE_BYTES   8192u      /* a signed checkpoint */

/* Pictures. */
#define LIMIT_PREDICT_IMAGES 32u
#define LIMIT_PREDICT_TOP    LIMIT_LABELS
#define LIMIT_IMAGE_SIDE     4096u
#define LIMIT_IMAGE_CHANNELS 3u
#define LIMIT_DATASET_IMAGES (1ull << 31)

/* Uploads. */
#define LIMIT_CHUNK_BYTES   LIMIT_FRAME_BYTES
#define LIMIT_CHUNK_CREDIT  8u
#define LIMIT_UPLOAD_HOURS  24u
#define LIMIT_DATASET_BYTES (1ull << 40)

/*
 * A lane or expert that comes as one file, in the raw frames of one call.  With the default options
 * the router's terms are 2.4 MiB a class: enough for a task of 20 classes.
 */
#define LIMIT_IMPORT_BYTES (60u << 20)

/* Time. */
#define LIMIT_DEADLINE_MS         3600000u /* the longest a call may wait for its answer */
#define LIMIT_DEADLINE_DEFAULT_MS 30000u   /* of a call that names none */

/* What the daemon holds at a time. */
#define LIMIT_CALLS            1024u /* unanswered calls */
#define LIMIT_CALLS_PER_PEER   64u
#define LIMIT_CALLS_BYTES      (256u << 20) /* raw frames of unanswered calls */
#define LIMIT_CALL_ARENA_BYTES (16u << 20)  /* address space; pages are taken as they are used */
#define LIMIT_PEER_QUEUE       256          /* messages queued for or from one peer */
#define LIMIT_EVENT_QUEUE      1024u        /* events waiting for the serve thread */
#define LIMIT_SUBSCRIBER_QUEUE 1024         /* events queued for one subscriber */
#define LIMIT_SOCKETS          64
#define LIMIT_DESCRIPTORS      65536u /* open files that the daemon wants to be allowed */
#define LIMIT_OPEN_REQUESTS    1000u  /* that are not final */
#define LIMIT_CLIENTS          1024u  /* with a key in the folder of clients */

#endif
