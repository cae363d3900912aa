/* The vault: key files, data keys, secrets, sealed and veiled records, and what a wrong key opens.
 */
#include "tests/support/vault_fixture.h"

#include "storage/vault/data_keys.h"
#include "storage/vault/key_store.h"
#include "storage/vault/vault.h"

#include <sys/stat.h>
#include <unistd.h>

static const char MARK[] = "a mark that must not be in any file";

static void keys_folder(const struct store_fixture *x, char to[400])
{
    (void)snprintf(to, 400, "%s.keys", x->folder);
}

static struct digest put_mark(struct store_fixture *x)
{
    const struct store_blob blob = {BLOB_PIXELS, MARK, sizeof MARK};
    const struct store_change c = {.now_us = ++x->now_us, .blobs = &blob, .n_blobs = 1};
    assert_ok(store_commit(x->store, &c, NULL, THE_FAULT));
    return seal_hash(MARK, sizeof MARK);
}

/* ---------------------------------------------------------------- key files */

void test_key_store_round_trip_and_destruction(void **state)
{
    (void)state;
    char root[256];
    char folder[300];
    struct key_store s;
    struct key_store other;
    struct seal_key a;
    struct seal_key b;
    size_t destroyed = 0;
    const struct request_id id = fixture_id(1);
    const struct request_id id2 = fixture_id(2);
    test_support_mkdir(root);
    (void)snprintf(folder, sizeof folder, "%s/keys", root);
    assert_ok(key_store_open(folder, &id, &s, THE_FAULT));
    assert_ok(key_store_open(folder, &id2, &other, THE_FAULT));
    seal_key_make(&a);
    assert_fault(key_store_get(&s, 1, &b, THE_FAULT), STATUS_NOT_FOUND, "kek");
    assert_ok(key_store_put(&s, 1, &a, THE_FAULT));
    assert_ok(key_store_put(&s, 2, &a, THE_FAULT));
    assert_ok(key_store_put(&other, 1, &a, THE_FAULT));
    assert_int_equal(folder_occurrences(folder, a.b, sizeof a.b), 3);
    assert_ok(key_store_get(&s, 1, &b, THE_FAULT));
    assert_memory_equal(a.b, b.b, sizeof a.b);
    assert_ok(key_store_keep_only(&s, 2, &destroyed, THE_FAULT));
    assert_int_equal(destroyed, 1);
    assert_fault(key_store_get(&s, 1, &b, THE_FAULT), STATUS_NOT_FOUND, "kek");
    assert_ok(key_store_get(&other, 1, &b, THE_FAULT));
    assert_ok(key_store_destroy(&s, 2, THE_FAULT));
    assert_ok(key_store_destroy(&s, 2, THE_FAULT));
    assert_int_equal(folder_occurrences(folder, a.b, sizeof a.b), 1);
    test_support_rmdir(root);
}

void test_key_store_refuses_damage_and_open_folders(void **state)
{
    (void)state;
    char root[256];
    char name[256] = "";
    char path[600];
    struct key_store s;
    struct seal_key a;
    unsigned char *bytes = NULL;
    size_t size = 0;
    const struct request_id id = fixture_id(1);
    test_support_mkdir(root);
    assert_ok(key_store_open(root, &id, &s, THE_FAULT));
    seal_key_make(&a);
    assert_ok(key_store_put(&s, 7, &a, THE_FAULT));
    assert_int_equal(folder_files(root, name, sizeof name), 1);
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_ok(sysio_read_file(path, 4096, &bytes, &size, THE_FAULT));
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 4;
        assert_ok(sysio_write_file(path, bytes, size, THE_FAULT));
        assert_fault(key_store_get(&s, 7, &a, THE_FAULT), STATUS_DATA_LOSS, "kek");
        bytes[i] ^= 4;
    }
    assert_ok(sysio_write_file(path, bytes, size - 1, THE_FAULT));
    assert_fault(key_store_get(&s, 7, &a, THE_FAULT), STATUS_DATA_LOSS, "kek");
    sysio_free(bytes);
    assert_int_equal(chmod(root, 0750), 0);
    assert_fault(key_store_open(root, &id, &s, THE_FAULT), STATUS_FAILED_PRECONDITION,
                 "kek_folder");
    assert_int_equal(chmod(root, 0700), 0);
    test_support_rmdir(root);
}

/* ---------------------------------------------------------------- opening */

void test_vault_without_its_key_does_not_open(void **state)
{
    (void)state;
    struct store_fixture x;
    char keys[400];
    char away[420];
    struct store *store = NULL;
    fixture_open(&x);
    const struct digest d = put_mark(&x);
    keys_folder(&x, keys);
    (void)snprintf(away, sizeof away, "%s.away", keys);
    store_close(x.store);
    x.store = NULL;
    assert_int_equal(rename(keys, away), 0);
    const struct kv_options o = {.folder = x.folder, .map_size = FIXTURE_MAP};
    assert_fault(store_open(&o, &store, THE_FAULT), STATUS_FAILED_PRECONDITION, "kek");
    assert_non_null(strstr(the_fault.text, "epoch 1"));
    assert_ok(store_open_keyed(&o, away, &store, THE_FAULT));
    void *bytes = NULL;
    size_t size = 0;
    assert_ok(store_read_blob(store, &d, 1000, &bytes, &size, THE_FAULT));
    assert_memory_equal(bytes, MARK, sizeof MARK);
    sysio_free(bytes);
    store_close(store);
    test_support_rmdir(x.root);
}

/* Another key in a sound file of the right name: refused, and it stays where it is. */
void test_vault_with_a_wrong_key_does_not_open(void **state)
{
    (void)state;
    struct store_fixture x;
    char keys[400];
    struct key_store s;
    struct seal_key wrong;
    struct seal_key back;
    struct store *store = NULL;
    fixture_open(&x);
    (void)put_mark(&x);
    keys_folder(&x, keys);
    const struct request_id identity = store_identity(x.store);
    store_close(x.store);
    x.store = NULL;
    assert_ok(key_store_open(keys, &identity, &s, THE_FAULT));
    seal_key_make(&wrong);
    assert_ok(key_store_put(&s, 1, &wrong, THE_FAULT));
    assert_ok(key_store_put(&s, 9, &wrong, THE_FAULT));
    const struct kv_options o = {.folder = x.folder, .map_size = FIXTURE_MAP};
    assert_fault(store_open(&o, &store, THE_FAULT), STATUS_FAILED_PRECONDITION, "kek");
    assert_ok(key_store_get(&s, 9, &back, THE_FAULT));
    test_support_rmdir(x.root);
}

/* ---------------------------------------------------------------- what is in the file */

void test_vault_file_holds_nothing_readable(void **state)
{
    (void)state;
    static const char *const CLASSES[] = {"Marked Person"};
    static const uint8_t label[4];
    struct store_fixture x;
    fixture_open(&x);
    const struct store_blob blobs[] = {{BLOB_PIXELS, "abc", 3}, {BLOB_LABELS, label, 4}};
    const struct dataset set = {.name = "marked-set-name",
                                .role = DATASET_TRAIN,
                                .n = 1,
                                .height = 1,
                                .width = 1,
                                .channels = 3,
                                .label_kind = DATASET_LABELS_CLASS,
                                .class_names = CLASSES,
                                .n_classes = 1,
                                .pixels = seal_hash("abc", 3),
                                .labels = seal_hash(label, 4)};
    const struct replay_memory memory = {.name = "marked-memory", .dataset = "marked-set-name"};
    struct store_change c = {.now_us = ++x.now_us,
                             .blobs = blobs,
                             .n_blobs = 2,
                             .datasets = &set,
                             .n_datasets = 1,
                             .memory = &memory};
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    const struct digest mark = put_mark(&x);
    fixture_enqueue(&x, 1);
    struct subject_key subject;
    assert_ok(store_subject_key(x.store, &subject, THE_FAULT));
    const struct {
        const void *bytes;
        size_t size;
    } SECRETS[] = {
        {MARK, sizeof MARK - 1},       {"Marked Person", 13},
        {"marked-set-name", 15},       {"marked-memory", 13},
        {"privacy:alice", 13},         {"payload of request", 18},
        {mark.b, sizeof mark.b},       {set.pixels.b, sizeof set.pixels.b},
        {subject.b, sizeof subject.b},
    };
    for (size_t i = 0; i < sizeof SECRETS / sizeof *SECRETS; i++)
        assert_int_equal(folder_occurrences(x.root, SECRETS[i].bytes, SECRETS[i].size), 0);
    /* The search finds what is there. */
    assert_true(folder_occurrences(x.root, "datasets", 8) > 0);
    fixture_reopen(&x);
    struct subject_key again;
    assert_ok(store_subject_key(x.store, &again, THE_FAULT));
    assert_memory_equal(subject.b, again.b, sizeof again.b);
    (void)fixture_check(&x);
    fixture_close(&x);
}

/* ---------------------------------------------------------------- data keys */

void test_data_keys_rows(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct seal_key a;
    struct seal_key b;
    static const uint8_t ONE[16] = {1};
    static const uint8_t SAME_SLOT[16] = {65};
    struct vault_state v;
    kv_fixture_open(&x);
    memset(&the_fault, 0, sizeof the_fault);
    assert_int_equal(data_key_get(x.txn, ONE, &a, THE_FAULT), STATUS_NOT_FOUND);
    assert_true(the_fault.text[0] == '\0');
    assert_ok(data_key_make(x.txn, ONE, &a, THE_FAULT));
    assert_ok(data_key_make(x.txn, SAME_SLOT, &b, THE_FAULT));
    assert_memory_not_equal(a.b, b.b, sizeof a.b);
    kv_fixture_commit(&x);
    for (unsigned i = 0; i < 3; i++) {
        assert_ok(data_key_get(x.txn, ONE, &b, THE_FAULT));
        assert_memory_equal(a.b, b.b, sizeof a.b);
        assert_ok(data_key_get(x.txn, SAME_SLOT, &b, THE_FAULT));
    }
    assert_ok(vault_state(x.txn, &v, THE_FAULT));
    assert_true(v.epoch == 1 && v.data_keys == 2 && v.dead_keys == 0);
    assert_ok(data_key_delete(x.txn, ONE, THE_FAULT));
    assert_ok(data_key_delete(x.txn, ONE, THE_FAULT));
    assert_int_equal(data_key_get(x.txn, ONE, &b, THE_FAULT), STATUS_NOT_FOUND);
    assert_ok(vault_state(x.txn, &v, THE_FAULT));
    assert_true(v.data_keys == 1 && v.dead_keys == 1);
    for (size_t at = 0; at < 72; at++) {
        kv_fixture_damage(&x, KV_KEYS, kv_bytes_of(SAME_SLOT, 16), at);
        assert_fault(data_key_get(x.txn, SAME_SLOT, &b, THE_FAULT), STATUS_DATA_LOSS, "keys");
        kv_fixture_damage(&x, KV_KEYS, kv_bytes_of(SAME_SLOT, 16), at);
    }
    kv_fixture_close(&x);
}

/* A row that was moved to another name does not open there. */
void test_data_keys_belong_to_their_name(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct seal_key a;
    struct kv_bytes row = {0};
    uint8_t copy[72];
    static const uint8_t ONE[16] = {1};
    static const uint8_t TWO[16] = {2};
    kv_fixture_open(&x);
    assert_ok(data_key_make(x.txn, ONE, &a, THE_FAULT));
    assert_ok(kv_get(x.txn, KV_KEYS, kv_bytes_of(ONE, 16), &row, THE_FAULT));
    memcpy(copy, row.data, sizeof copy);
    assert_ok(kv_put(x.txn, KV_KEYS, kv_bytes_of(TWO, 16), kv_bytes_of(copy, 72), THE_FAULT));
    assert_fault(data_key_get(x.txn, TWO, &a, THE_FAULT), STATUS_DATA_LOSS, "keys");
    kv_fixture_close(&x);
}

/* A reader whose snapshot still has the key does not bring it back for those who come later. */
void test_data_keys_deleted_behind_an_old_reader(void **state)
{
    (void)state;
    struct store_fixture x;
    struct kv_txn *old;
    struct kv_txn *later;
    int there = 1;
    uint8_t back[sizeof MARK];
    fixture_open(&x);
    const struct digest d = put_mark(&x);
    assert_ok(store_read_begin(x.store, &old, THE_FAULT));
    assert_ok(blob_exists(old, &d, &there, THE_FAULT));
    store_read_end(old);
    size_t removed = 0;
    assert_ok(store_collect(x.store, &removed, NULL, THE_FAULT));
    assert_int_equal(removed, 1);
    assert_ok(store_read_begin(x.store, &later, THE_FAULT));
    assert_fault(blob_read(later, &d, back, sizeof back, THE_FAULT), STATUS_NOT_FOUND, "blob");
    store_read_end(later);
    fixture_close(&x);
}

/* ---------------------------------------------------------------- secrets */

void test_vault_secrets_live_on(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct kv_txn *reader;
    struct seal_key a;
    struct seal_key b;
    kv_fixture_open(&x);
    assert_ok(vault_secret(x.txn, "one", &a, THE_FAULT));
    assert_ok(vault_secret(x.txn, "one", &b, THE_FAULT));
    assert_memory_equal(a.b, b.b, sizeof a.b);
    assert_ok(vault_secret(x.txn, "two", &b, THE_FAULT));
    assert_memory_not_equal(a.b, b.b, sizeof a.b);
    kv_fixture_commit(&x);
    assert_ok(kv_begin(x.kv, KV_READ, &reader, THE_FAULT));
    assert_ok(vault_secret(reader, "two", &a, THE_FAULT));
    assert_memory_equal(a.b, b.b, sizeof a.b);
    assert_fault(vault_secret(reader, "three", &a, THE_FAULT), STATUS_NOT_FOUND, "secret");
    kv_abort(reader);
    kv_fixture_damage(&x, KV_META, kv_bytes_of("secret-two", 10), 30);
    assert_fault(vault_secret(x.txn, "two", &a, THE_FAULT), STATUS_DATA_LOSS, "secret");
    kv_fixture_close(&x);
}

/* ---------------------------------------------------------------- sealed databases */

void test_vault_records_are_tied_to_their_place(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct kv_bytes v = {0};
    uint8_t copy[200];
    uint8_t key[KV_KEY_MAX];
    kv_fixture_open(&x);
    static const enum kv_db DBS[] = {KV_PINS, KV_DATASETS};
    for (size_t i = 0; i < 2; i++) {
        assert_ok(kv_put(x.txn, DBS[i], kv_bytes_of("a", 1), kv_bytes_of("one", 3), THE_FAULT));
        assert_ok(kv_put(x.txn, DBS[i], kv_bytes_of("b", 1), kv_bytes_of("", 0), THE_FAULT));
        assert_ok(kv_get(x.txn, DBS[i], kv_bytes_of("b", 1), &v, THE_FAULT));
        assert_int_equal(v.size, 0);
        assert_ok(kv_get(x.txn, DBS[i], kv_bytes_of("a", 1), &v, THE_FAULT));
        assert_memory_equal(v.data, "one", 3);
        const size_t na = kv_fixture_stored_key(&x, DBS[i], kv_bytes_of("a", 1), key);
        assert_ok(kv_get_stored(x.txn, DBS[i], kv_bytes_of(key, na), &v, THE_FAULT));
        const size_t size = v.size;
        memcpy(copy, v.data, size);
        const size_t nb = kv_fixture_stored_key(&x, DBS[i], kv_bytes_of("b", 1), key);
        assert_ok(
            kv_put_stored(x.txn, DBS[i], kv_bytes_of(key, nb), kv_bytes_of(copy, size), THE_FAULT));
        assert_int_equal(kv_get(x.txn, DBS[i], kv_bytes_of("b", 1), &v, THE_FAULT),
                         STATUS_DATA_LOSS);
        assert_ok(
            kv_put_stored(x.txn, DBS[i], kv_bytes_of(key, nb), kv_bytes_of(copy, 39), THE_FAULT));
        assert_int_equal(kv_get(x.txn, DBS[i], kv_bytes_of("b", 1), &v, THE_FAULT),
                         STATUS_DATA_LOSS);
        assert_ok(kv_del(x.txn, DBS[i], kv_bytes_of("b", 1), THE_FAULT));
        assert_int_equal(kv_del(x.txn, DBS[i], kv_bytes_of("b", 1), THE_FAULT), STATUS_NOT_FOUND);
        assert_ok(kv_get(x.txn, DBS[i], kv_bytes_of("a", 1), &v, THE_FAULT));
    }
    kv_fixture_close(&x);
}
