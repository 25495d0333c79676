/* SPDX-License-Identifier: MIT */
/*
 * From an address to its frame description entry (FDE) and the common information entry (CIE) it
 * refers to, by the .eh_frame_hdr search table.
 */
#include "unwind_cfi.h"

/* DW_EH_PE_*: low 4 bits the form, next 3 what it is relative to. */
enum {
    FORM_ABSOLUTE = 0x00,
    FORM_ULEB = 0x01,
    FORM_UDATA2 = 0x02,
    FORM_UDATA4 = 0x03,
    FORM_UDATA8 = 0x04,
    FORM_SLEB = 0x09,
    FORM_SDATA2 = 0x0a,
    FORM_SDATA4 = 0x0b,
    FORM_SDATA8 = 0x0c,
    RELATIVE_NONE = 0x00,
    RELATIVE_PC = 0x10,
    RELATIVE_DATA = 0x30,
    ENCODING_INDIRECT = 0x80,
    ENCODING_OMIT = 0xff,
    TABLE_ENCODING = RELATIVE_DATA | FORM_SDATA4,
};

/* Longest augmentation string accepted; those in use have up to 6 characters. */
#define AUGMENTATION_BYTES 16

enum entry_kind { ENTRY_LAST, ENTRY_COMMON, ENTRY_FRAME };

/* One entry of .eh_frame. */
struct entry {
    enum entry_kind kind;
    struct unwind_cursor body; /* after the CIE pointer */
    uint64_t common;           /* address of the CIE; frames only */
    uint64_t next;
};

static bool read_form(struct unwind_cursor *cursor, uint8_t encoding, uint64_t *ret_value)
{
    switch (encoding & 0x0f) {
    case FORM_ABSOLUTE:
    case FORM_UDATA8:
    case FORM_SDATA8:
        *ret_value = unwind_unsigned(cursor, 8);
        break;
    case FORM_ULEB:
        *ret_value = unwind_uleb(cursor);
        break;
    case FORM_UDATA2:
        *ret_value = unwind_unsigned(cursor, 2);
        break;
    case FORM_UDATA4:
        *ret_value = unwind_unsigned(cursor, 4);
        break;
    case FORM_SLEB:
        *ret_value = (uint64_t)unwind_sleb(cursor);
        break;
    case FORM_SDATA2:
        *ret_value = (uint64_t)unwind_signed(cursor, 2);
        break;
    case FORM_SDATA4:
        *ret_value = (uint64_t)unwind_signed(cursor, 4);
        break;
    default:
        return false;
    }
    return !cursor->broken;
}

bool unwind_encoded(struct unwind_cursor *cursor, uint8_t encoding, uint64_t data_base,
                    uint64_t *ret_value)
{
    uint64_t base;

    switch (encoding & 0xf0) { /* the indirect bit makes none of these */
    case RELATIVE_NONE:
        base = 0;
        break;
    case RELATIVE_PC:
        base = (uint64_t)cursor->at;
        break;
    case RELATIVE_DATA:
        base = data_base;
        break;
    default:
        return false;
    }
    if (!read_form(cursor, encoding, ret_value)) {
        return false;
    }
    *ret_value += base;
    return true;
}

static bool read_entry(uint64_t address, uint64_t start, uint64_t end, struct entry *ret_entry)
{
    if (address < start || address >= end) {
        return false;
    }
    struct unwind_cursor cursor = unwind_cursor(address, end);
    uint64_t length = unwind_unsigned(&cursor, 4);
    if (length == 0) {
        ret_entry->kind = ENTRY_LAST;
        return !cursor.broken;
    }
    if (length == 0xffffffff) {
        length = unwind_unsigned(&cursor, 8);
    }
    if (cursor.broken || length > unwind_left(&cursor)) {
        return false;
    }
    cursor.end = cursor.at + length;
    ret_entry->next = (uint64_t)cursor.end;

    uint64_t here = (uint64_t)cursor.at;
    uint64_t back = unwind_unsigned(&cursor, 4);
    if (cursor.broken || back > here - start) {
        return false;
    }
    ret_entry->kind = back == 0 ? ENTRY_COMMON : ENTRY_FRAME;
    ret_entry->common = here - back;
    ret_entry->body = cursor;
    return true;
}

/* What the letters of the augmentation stand for; an unknown letter may change the meaning of the
 * rest, so it makes the entry unusable. Sets whether FDEs carry a length of augmentation data. */
static bool read_augmentation(struct unwind_cursor *cursor, const uint8_t *letters, uint64_t count,
                              struct unwind_fde *fde)
{
    uint64_t unused;

    if (count == 0) {
        return true;
    }
    if (letters[0] != 'z') {
        return false;
    }
    uint64_t length = unwind_uleb(cursor);
    if (cursor->broken || length > unwind_left(cursor)) {
        return false;
    }
    struct unwind_cursor data = {cursor->at, cursor->at + length, false};
    unwind_skip(cursor, length);
    for (uint64_t i = 1; i < count; i++) {
        uint8_t encoding;
        switch (letters[i]) {
        case 'R':
            fde->pointer_encoding = unwind_u8(&data);
            break;
        case 'P':
            encoding = unwind_u8(&data);
            if ((encoding & 0x70) == 0x50 || !read_form(&data, encoding, &unused)) {
                return false;
            }
            break;
        case 'L':
            unwind_u8(&data);
            break;
        case 'S':
            fde->signal_frame = true;
            break;
        case 'B': /* aarch64: return addresses signed with the B key */
        case 'G': /* aarch64: stack memory is tagged */
            break;
        default:
            return false;
        }
    }
    return !data.broken;
}

static bool read_common(uint64_t address, uint64_t start, uint64_t end, struct unwind_fde *fde,
                        bool *ret_augmented)
{
    struct entry entry;

    if (!read_entry(address, start, end, &entry) || entry.kind != ENTRY_COMMON) {
        return false;
    }
    struct unwind_cursor *cursor = &entry.body;
    uint8_t version = unwind_u8(cursor);
    if (version != 1 && version != 3 && version != 4) {
        return false;
    }
    const uint8_t *letters = cursor->at;
    uint64_t count = 0;
    while (unwind_u8(cursor) != 0) {
        if (++count > AUGMENTATION_BYTES) {
            return false;
        }
    }
    if (cursor->broken) {
        return false;
    }
    if (version == 4 && (unwind_u8(cursor) != 8 || unwind_u8(cursor) != 0)) {
        return false; /* size of an address and of a segment selector */
    }
    fde->code_align = unwind_uleb(cursor);
    fde->data_align = unwind_sleb(cursor);
    fde->return_register = version == 1 ? unwind_u8(cursor) : unwind_uleb(cursor);
    fde->pointer_encoding = FORM_ABSOLUTE;
    fde->signal_frame = false;
    if (!read_augmentation(cursor, letters, count, fde)) {
        return false;
    }
    *ret_augmented = count > 0;
    fde->common_code = *cursor;
    return !cursor->broken;
}

static bool read_frame(const struct entry *entry, uint64_t start, uint64_t end,
                       struct unwind_fde *ret_fde)
{
    struct unwind_cursor cursor = entry->body;
    bool augmented;
    uint64_t count;

    if (!read_common(entry->common, start, end, ret_fde, &augmented) ||
        !unwind_encoded(&cursor, ret_fde->pointer_encoding, 0, &ret_fde->begin) ||
        !read_form(&cursor, ret_fde->pointer_encoding, &count)) {
        return false;
    }
    if ((ret_fde->pointer_encoding & 0x0f) == FORM_SDATA4) {
        count &= UINT32_MAX; /* a count has no sign */
    }
    if (__builtin_add_overflow(ret_fde->begin, count, &ret_fde->end)) {
        return false;
    }
    if (augmented) {
        unwind_skip(&cursor, unwind_uleb(&cursor));
    }
    ret_fde->code = cursor;
    return !cursor.broken;
}

static bool find_by_reading_all(uint64_t eh_frame, uint64_t start, uint64_t end, uint64_t address,
                                struct unwind_fde *ret_fde)
{
    struct entry entry;

    /* Each entry is longer than 0, and 0 ends the section: this comes to an end. */
    for (uint64_t at = eh_frame; read_entry(at, start, end, &entry) && entry.kind != ENTRY_LAST;
         at = entry.next) {
        if (entry.kind == ENTRY_FRAME && read_frame(&entry, start, end, ret_fde) &&
            address >= ret_fde->begin && address < ret_fde->end) {
            return true;
        }
    }
    return false;
}

/* The table holds pairs of (first address, entry), sorted, both relative to its header. */
static uint64_t find_in_table(const uint8_t *table, uint64_t count, uint64_t header,
                              uint64_t address)
{
    uint64_t low = 0, high = count; /* the pair is in [low - 1, high - 1] */

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int32_t first;
        __builtin_memcpy(&first, table + middle * 8, 4);
        if (header + (uint64_t)(int64_t)first <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) {
        return 0;
    }
    int32_t entry;
    __builtin_memcpy(&entry, table + (low - 1) * 8 + 4, 4);
    return header + (uint64_t)(int64_t)entry;
}

bool unwind_fde_find(uint64_t eh_frame_hdr, uint64_t start, uint64_t end, uint64_t address,
                     struct unwind_fde *ret_fde)
{
    uint64_t eh_frame, count;
    struct entry entry;

    if (eh_frame_hdr < start || eh_frame_hdr >= end) {
        return false;
    }
    struct unwind_cursor cursor = unwind_cursor(eh_frame_hdr, end);
    uint8_t version = unwind_u8(&cursor);
    uint8_t eh_frame_encoding = unwind_u8(&cursor);
    uint8_t count_encoding = unwind_u8(&cursor);
    uint8_t table_encoding = unwind_u8(&cursor);
    if (version != 1 || cursor.broken || eh_frame_encoding == ENCODING_OMIT ||
        !unwind_encoded(&cursor, eh_frame_encoding, eh_frame_hdr, &eh_frame)) {
        return false;
    }
    if (table_encoding != TABLE_ENCODING || count_encoding == ENCODING_OMIT ||
        !unwind_encoded(&cursor, count_encoding, eh_frame_hdr, &count)) {
        return find_by_reading_all(eh_frame, start, end, address, ret_fde);
    }
    if (count > unwind_left(&cursor) / 8) {
        return false;
    }
    uint64_t at = find_in_table(cursor.at, count, eh_frame_hdr, address);
    return at != 0 && read_entry(at, start, end, &entry) && entry.kind == ENTRY_FRAME &&
           read_frame(&entry, start, end, ret_fde) && address >= ret_fde->begin &&
           address < ret_fde->end;
}
