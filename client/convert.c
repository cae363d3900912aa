#include "client/convert.h"

#include "client/client_error.h"

#include <string.h>

void convert_digest(const struct digest *from, char to[LETHE_DIGEST_TEXT])
{
    to[0] = '\0';
    if (!digest_is_zero(from))
        digest_format(from, to);
}

void convert_id(const struct request_id *from, char to[LETHE_ID_TEXT])
{
    to[0] = '\0';
    if (!request_id_is_zero(from))
        request_id_format(from, to);
}

/* Documents travel without a NUL; people's code wants one behind them. */
static bool
convert_document(struct arena *a, struct wire_bytes from, const char **to, size_t *to_bytes)
{
    char *text = arena_alloc(a, from.size + 1, 1);
    if (!text)
        return false;
    if (from.size > 0)
        memcpy(text, from.at, from.size);
    text[from.size] = '\0';
    *to = text;
    *to_bytes = from.size;
    return true;
}

/* Room for n structures; a list of none is no reason to fail. */
static void *convert_list(struct arena *a, size_t n, size_t size)
{
    return arena_alloc_zero(a, n > 0 ? n : 1, size);
}

void convert_progress(const struct wire_progress *from, struct lethe_progress *to)
{
    *to = (struct lethe_progress){
        .phase = from->phase,
        .epoch = from->epoch,
        .epochs = from->epochs,
        .step = from->step,
        .steps = from->steps,
        .attempt = from->attempt,
        .loss = from->loss,
        .loss_retain = from->loss_retain,
        .loss_forget = from->loss_forget,
        .loss_depth = from->loss_depth,
        .acc_forget = from->acc_forget,
        .acc_retain = from->acc_retain,
        .acc_valid = from->acc_valid,
        .seconds_left = from->seconds_left,
        .group_norms = from->group_norms,
        .n_group_norms = from->n_group_norms,
    };
}

void convert_event(const struct wire_event *from,
                   struct lethe_progress *progress,
                   struct lethe_event *to)
{
    *to = (struct lethe_event){.state = from->state, .at = from->at};
    convert_id(&from->request_id, to->request_id);
    convert_digest(&from->version, to->version);
    if (from->progress) {
        convert_progress(from->progress, progress);
        to->progress = progress;
    }
}

static bool convert_labels(struct arena *a,
                           const struct wire_label_info *from,
                           size_t n,
                           const struct lethe_label **to,
                           size_t *to_n)
{
    struct lethe_label *list = convert_list(a, n, sizeof *list);
    if (!list)
        return false;
    for (size_t i = 0; i < n; i++) {
        list[i].name = from[i].name;
        list[i].owner = from[i].owner;
        list[i].status = from[i].status;
        convert_id(&from[i].forgotten_by, list[i].forgotten_by);
    }
    *to = list;
    *to_n = n;
    return true;
}

static bool convert_components(struct arena *a,
                               const struct wire_component *from,
                               size_t n,
                               const struct lethe_component **to,
                               size_t *to_n)
{
    struct lethe_component *list = convert_list(a, n, sizeof *list);
    if (!list)
        return false;
    for (size_t i = 0; i < n; i++) {
        list[i] = (struct lethe_component){
            .kind = from[i].kind,
            .name = from[i].name,
            .bytes = from[i].bytes,
            .groups_total = from[i].groups_total,
            .groups_zero = from[i].groups_zero,
            .seed = from[i].seed,
            .lineage = from[i].lineage,
            .n_lineage = from[i].n_lineage,
            .group_norms = from[i].group_norms,
            .n_group_norms = from[i].n_group_norms,
        };
        convert_digest(&from[i].digest, list[i].digest);
    }
    *to = list;
    *to_n = n;
    return true;
}

bool convert_status(struct arena *a, const struct wire_status *from, struct lethe_status *to)
{
    (void)a;
    *to = (struct lethe_status){
        .state = from->state,
        .lethe_version = from->lethe_version,
        .started_at = from->started_at,
        .serving_number = from->serving_number,
        .serving_generation = from->serving_generation,
        .pinned = from->pinned,
        .queue_depth = from->queue_depth,
        .running = from->running,
        .model = from->model,
        .classes_active = from->classes_active,
        .classes_forgotten = from->classes_forgotten,
        .store_bytes = from->store_bytes,
        .store_limit = from->store_limit,
        .predictions = from->predictions,
        .kernel = from->kernel,
        .threads = from->threads,
        .workers_restarted = from->workers_restarted,
        .data_ready = from->data_ready,
        .lanes = from->lanes,
        .experts = from->experts,
        .streams = from->streams,
    };
    convert_digest(&from->serving, to->serving);
    convert_digest(&from->base_digest, to->base);
    return true;
}

bool convert_model(struct arena *a, const struct wire_model *from, struct lethe_model *to)
{
    *to = (struct lethe_model){
        .name = from->name,
        .image_size = from->image_size,
        .channels = from->channels,
        .mean = from->mean,
        .std = from->std,
        .n_mean = from->n_mean < from->n_std ? from->n_mean : from->n_std,
        .resample = from->resample,
        .resize = from->resize,
        .owners = from->owners,
        .n_owners = from->n_owners,
    };
    return convert_labels(a, from->labels, from->n_labels, &to->labels, &to->n_labels);
}

static void convert_request_scalars(const struct wire_request *from, struct lethe_request *to)
{
    *to = (struct lethe_request){
        .kind = from->kind,
        .state = from->state,
        .role = from->role,
        .submitted_at = from->submitted_at,
        .due_at = from->due_at,
        .started_at = from->started_at,
        .finished_at = from->finished_at,
        .seed = from->seed,
        .attempts = from->attempts,
        .ticket = from->ticket,
        .classes = from->classes,
        .n_classes = from->n_classes,
        .probe = from->probe,
        .reason = from->reason,
        .dry_run = from->dry_run,
        .sequence = from->sequence,
        .task = from->task,
    };
    convert_id(&from->id, to->id);
    convert_digest(&from->version_before, to->version_before);
    convert_digest(&from->version_after, to->version_after);
    if (from->error)
        (void)client_error_wire(&to->error, from->error);
}

bool convert_request(struct arena *a, const struct wire_request *from, struct lethe_request *to)
{
    convert_request_scalars(from, to);
    if (from->progress) {
        struct lethe_progress *progress = arena_alloc(a, 1, sizeof *progress);
        if (!progress)
            return false;
        convert_progress(from->progress, progress);
        to->progress = progress;
    }
    return convert_document(a, from->evaluation, &to->evaluation, &to->evaluation_bytes) &&
           convert_document(a, from->receipt, &to->receipt, &to->receipt_bytes);
}

bool convert_requests(struct arena *a, const struct wire_requests *from, struct lethe_requests *to)
{
    struct lethe_request *list = convert_list(a, from->n_items, sizeof *list);
    if (!list)
        return false;
    for (size_t i = 0; i < from->n_items; i++) {
        if (!convert_request(a, &from->items[i], &list[i]))
            return false;
    }
    *to = (struct lethe_requests){list, from->n_items, from->next_before};
    return true;
}

static bool
convert_prediction(struct arena *a, const struct wire_prediction *from, struct lethe_prediction *to)
{
    struct lethe_scored_label *labels = convert_list(a, from->n_labels, sizeof *labels);
    if (!labels)
        return false;
    for (size_t i = 0; i < from->n_labels; i++) {
        const struct wire_scored_label *l = &from->labels[i];
        labels[i] = (struct lethe_scored_label){l->label, l->owner, l->p};
    }
    *to = (struct lethe_prediction){
        .labels = labels,
        .n_labels = from->n_labels,
        .expert = from->expert,
        .logits = from->n_logits > 0 ? from->logits : NULL,
        .n_logits = from->n_logits,
    };
    return true;
}

bool convert_predictions(struct arena *a,
                         const struct wire_predictions *from,
                         struct lethe_predictions *to)
{
    struct lethe_prediction *list = convert_list(a, from->n_items, sizeof *list);
    if (!list)
        return false;
    for (size_t i = 0; i < from->n_items; i++) {
        if (!convert_prediction(a, &from->items[i], &list[i]))
            return false;
    }
    *to = (struct lethe_predictions){
        .number = from->number,
        .items = list,
        .n = from->n_items,
        .logit_labels = from->logit_labels,
        .n_logit_labels = from->n_logit_labels,
        .latency_ms = from->latency_ms,
    };
    convert_digest(&from->version, to->version);
    return true;
}

bool convert_version(struct arena *a, const struct wire_version *from, struct lethe_version *to)
{
    *to = (struct lethe_version){
        .number = from->number,
        .created_at = from->created_at,
        .serving = from->serving,
        .pinned = from->pinned,
        .bytes = from->bytes,
        .kernel = from->kernel,
        .threads = from->threads,
        .served_from = from->served_from,
        .served_until = from->served_until,
    };
    convert_digest(&from->id, to->id);
    convert_digest(&from->parent, to->parent);
    convert_id(&from->request, to->request);
    return convert_components(a, from->components, from->n_components, &to->components,
                              &to->n_components) &&
           convert_labels(a, from->labels, from->n_labels, &to->labels, &to->n_labels) &&
           convert_document(a, from->evaluation, &to->evaluation, &to->evaluation_bytes) &&
           convert_document(a, from->proof, &to->proof, &to->proof_bytes);
}

bool convert_versions(struct arena *a, const struct wire_versions *from, struct lethe_versions *to)
{
    struct lethe_version *list = convert_list(a, from->n_items, sizeof *list);
    if (!list)
        return false;
    for (size_t i = 0; i < from->n_items; i++) {
        if (!convert_version(a, &from->items[i], &list[i]))
            return false;
    }
    *to = (struct lethe_versions){list, from->n_items, from->next_before};
    return true;
}

bool convert_diff(struct arena *a, const struct wire_diff_info *from, struct lethe_diff *to)
{
    *to = (struct lethe_diff){0};
    convert_digest(&from->a, to->a);
    convert_digest(&from->b, to->b);
    return convert_components(a, from->added, from->n_added, &to->added, &to->n_added) &&
           convert_components(a, from->removed, from->n_removed, &to->removed, &to->n_removed) &&
           convert_labels(a, from->labels_a, from->n_labels_a, &to->labels_a, &to->n_labels_a) &&
           convert_labels(a, from->labels_b, from->n_labels_b, &to->labels_b, &to->n_labels_b) &&
           convert_document(a, from->evaluation_a, &to->evaluation_a, &to->evaluation_a_bytes) &&
           convert_document(a, from->evaluation_b, &to->evaluation_b, &to->evaluation_b_bytes);
}

bool convert_report(struct arena *a, const struct wire_report *from, struct lethe_report *to)
{
    convert_digest(&from->version, to->version);
    return convert_document(a, from->evaluation, &to->evaluation, &to->evaluation_bytes);
}

bool convert_export(struct arena *a, const struct wire_exported *from, struct lethe_export *to)
{
    struct lethe_file *files = convert_list(a, from->n_files, sizeof *files);
    if (!files)
        return false;
    for (size_t i = 0; i < from->n_files; i++) {
        files[i].path = from->files[i].path;
        files[i].bytes = from->files[i].bytes;
        convert_digest(&from->files[i].digest, files[i].digest);
    }
    to->files = files;
    to->n_files = from->n_files;
    convert_digest(&from->version, to->version);
    return true;
}

bool convert_dataset(struct arena *a, const struct wire_dataset *from, struct lethe_dataset *to)
{
    (void)a;
    *to = (struct lethe_dataset){
        .name = from->name,
        .role = from->role,
        .images = from->images,
        .height = from->height,
        .width = from->width,
        .channels = from->channels,
        .classes = from->classes,
        .n_classes = from->n_classes,
        .created_at = from->created_at,
        .bytes = from->bytes,
        .multi_label = from->multi_label,
        .subjects = from->subjects,
    };
    convert_digest(&from->digest, to->digest);
    return true;
}

bool convert_datasets(struct arena *a, const struct wire_datasets *from, struct lethe_datasets *to)
{
    struct lethe_dataset *list = convert_list(a, from->n_items, sizeof *list);
    if (!list)
        return false;
    for (size_t i = 0; i < from->n_items; i++) {
        if (!convert_dataset(a, &from->items[i], &list[i]))
            return false;
    }
    *to = (struct lethe_datasets){list, from->n_items};
    return true;
}

bool convert_clients(struct arena *a, const struct wire_client_keys *from, struct lethe_clients *to)
{
    struct lethe_client *list = convert_list(a, from->n_items, sizeof *list);
    if (!list)
        return false;
    for (size_t i = 0; i < from->n_items; i++) {
        const struct wire_client_key *k = &from->items[i];
        list[i] = (struct lethe_client){k->name, k->role, k->fingerprint, k->key.b};
    }
    *to = (struct lethe_clients){list, from->n_items};
    return true;
}

bool convert_fsck(struct arena *a, const struct wire_fsck *from, struct lethe_fsck *to)
{
    (void)a;
    *to = (struct lethe_fsck){
        .ok = from->ok,
        .blobs = from->blobs,
        .versions = from->versions,
        .requests = from->requests,
        .findings = from->findings,
        .n_findings = from->n_findings,
    };
    return true;
}

bool convert_vault(struct arena *a, const struct wire_vault *from, struct lethe_vault *to)
{
    (void)a;
    *to = (struct lethe_vault){
        .epoch = from->epoch,
        .data_keys = from->data_keys,
        .destroyed = from->destroyed,
        .key_store = from->key_store,
        .bytes = from->bytes,
        .copies = from->copies,
        .n_copies = from->n_copies,
    };
    convert_digest(&from->version, to->version);
    return true;
}

bool convert_log(struct arena *a, const struct wire_log_entries *from, struct lethe_log *to)
{
    struct lethe_log_entry *list = convert_list(a, from->n_items, sizeof *list);
    if (!list)
        return false;
    for (size_t i = 0; i < from->n_items; i++) {
        list[i].index = from->items[i].index;
        if (!convert_document(a, from->items[i].entry, &list[i].text, &list[i].bytes))
            return false;
    }
    *to = (struct lethe_log){list, from->n_items, from->size, from->next};
    return true;
}

bool convert_checkpoint(struct arena *a,
                        const struct wire_checkpoint *from,
                        struct lethe_checkpoint *to)
{
    *to = (struct lethe_checkpoint){.size = from->size, .key = from->key};
    return convert_document(a, from->note, &to->note, &to->note_bytes);
}

bool convert_proof(struct arena *a, const struct wire_proof *from, struct lethe_proof *to)
{
    *to = (struct lethe_proof){.index = from->index, .size = from->size};
    return convert_document(a, from->text, &to->text, &to->bytes);
}

bool convert_certificate(struct arena *a,
                         const struct wire_certificate *from,
                         struct lethe_certificate *to)
{
    *to =
        (struct lethe_certificate){.index = from->index, .size = from->size, .level = from->level};
    return convert_document(a, from->text, &to->text, &to->bytes);
}
