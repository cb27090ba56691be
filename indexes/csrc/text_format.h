/* text_format.h: the bytes of a full-text segment, version 1. All numbers little-endian, nothing aligned.
 *
 *    segment   = header | signature | rows | lengths | fence | dictionary | postings | positions | xxh3 of all before u64
 *    header    = "LSMTEXT\0" | version u32 | flags u32 | size u64 | documents u32 | terms u32 | tokens u64 | first row u64 |
 *                end of header, signature, rows, lengths, fence, dictionary, postings, positions: u64 each | xxh3 of the header so far u64
 *    rows      = row id less the first, ascending: u32 each, or u64 each with flag 1; the place in this list is the document's ordinal
 *    lengths   = tokens of a document: u16 each, or u32 each with flag 2
 *    fence     = (dictionary offset u32 | postings offset u64 | positions offset u64) for every sixteen terms
 *    dictionary= (shared varint | rest varint | rest of the term | documents varint | occurrences - documents varint |
 *                postings bytes varint | positions bytes varint)*      terms ascending bytewise; shared is 0 at every sixteenth
 *    postings  = of one document: its ordinal varint (its frequency is the term's number of occurrences)
 *              | of more: skip* (only with two blocks or more) | block*
 *    skip      = last ordinal u32 | end of block u32 | end of its positions u32 | impact u16 x 4      both ends from the term's first block
 *    block     = width of gaps u8 | width of frequencies u8 | gap - 1, packed | frequency - 1, packed     of 128 documents, the last of fewer
 *    positions = of each block: width u8 for every 128 | (position less the one before in the document, less 1), packed by 128
 *
 * Ownership: none. Threads: none. Invariants: a term is in at least one document, a document's positions of a term ascend.
 */
#ifndef IDX_TEXT_FORMAT_H
#define IDX_TEXT_FORMAT_H

enum {
    TEXT_VERSION = 1,
    TEXT_ROWS_WIDE = 1,
    TEXT_LENGTHS_WIDE = 2,
    TEXT_SECTIONS = 8, /* header, signature, rows, lengths, fence, dictionary, postings, positions */
    TEXT_HEADER = 48 + TEXT_SECTIONS * 8 + 8,
    TEXT_ENDS = 48,
    TEXT_DICT_BLOCK = 16,
    TEXT_FENCE = 20,
    TEXT_SKIP = 20,
};

static const char TEXT_MAGIC[8] = "LSMTEXT";

#endif
