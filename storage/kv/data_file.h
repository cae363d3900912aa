/*
 * Check of LMDB's data file before LMDB maps it.  LMDB trusts its file: a shortened one makes the
 * process die of SIGBUS, a damaged page may crash it or loop.  So, with the store locked and before
 * the file is opened, everything that LMDB will follow is followed here with plain reads: both
 * meta pages, then every branch and leaf page of every tree, the heads of overflow runs and the
 * free list.  What the records say is not looked at; they are checked where they are decoded.
 *
 * Layout (LMDB 0.9, data version 1, 64-bit little-endian; page size P from the meta page):
 *   page:  u64 number | u16 - | u16 flags | u16 lower | u16 upper (overflow: u32 pages) | ...
 *   meta:  page header 16 | u32 magic | u32 version | u64 - | u64 map size |
 *          tree record of the free list 48 | tree record of the main tree 48 |
 *          u64 last page | u64 transaction
 *   tree:  u32 (page size in the first) | u16 flags | u16 depth | u64 branch, leaf, overflow pages
 * | u64 entries | u64 root node:  u16 size low | u16 size high | u16 flags | u16 key size | key |
 * value (branch: the first three are the child's page number)
 */
#ifndef LETHE_STORAGE_DATA_FILE_H
#define LETHE_STORAGE_DATA_FILE_H

#include "daemon/base/status.h"

/*
 * OK if there is no file, or an empty one, and `must_exist` is 0; or if the file is whole.
 * DATA_LOSS otherwise, saying which page and what is wrong with it; IO_ERROR or NO_MEMORY if the
 * check could not be done.
 */
enum status data_file_check(const char *path, int must_exist, struct fault *f) MUST_CHECK;

#endif
