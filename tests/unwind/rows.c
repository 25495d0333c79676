/* SPDX-License-Identifier: MIT */
/*
 * Property: each call frame instruction, augmentation and expression, also those that compilers
 * rarely write, has the effect the standard gives it, or the rule is refused; and a step refuses
 * what a rule cannot know. Entries are made by hand.
 */
#include <string.h>

#include "check.h"
#include "unwind.h"

#define CODE_BYTES 4096 /* what the entry made describes, from the section's first byte on */

/* The header: no search table. Then one CIE, one FDE, an end. */
static uint8_t section[1024];
static size_t used;
static const char *augmentation = "zR";
static uint8_t data_align = 0x78; /* -8 */

static void put(const void *bytes, size_t count)
{
    memcpy(section + used, bytes, count);
    used += count;
}

static void put_u8(uint8_t value)
{
    put(&value, 1);
}

static void put_u32(uint32_t value)
{
    put(&value, 4);
}

static void close_entry(size_t length_at)
{
    uint32_t length = (uint32_t)(used - length_at - 4);

    memcpy(section + length_at, &length, 4);
}

/* The rule at `offset`, with rsp + 8 for the CFA and rip at -8 to begin with, and then `code`. */
static struct unwind_rule compile(uint64_t offset, const void *code, size_t code_bytes)
{
    static const uint8_t common_code[] = {0x0c, 7, 8, 0x80 | 16, 1};
    struct unwind_rule rule;

    used = 0;
    put((uint8_t[]){1, 0x1b, 0xff, 0xff}, 4);
    put_u32(4); /* .eh_frame comes next */
    size_t common = used;
    put_u32(0);
    put_u32(0);
    put_u8(1);
    put(augmentation, strlen(augmentation) + 1);
    put_u8(1);
    put_u8(data_align);
    put_u8(16);
    if (augmentation[0] == 'z') {
        put_u8(1);
        put_u8(0x1b);
    }
    put(common_code, sizeof common_code);
    if (data_align == 1) { /* then the common code put rip at +1 */
        put((uint8_t[]){0x11, 16, 0x78}, 3);
    }
    close_entry(common);
    size_t frame = used;
    put_u32(0);
    put_u32((uint32_t)(used - common));
    put_u32((uint32_t)-used);
    put_u32(CODE_BYTES);
    put_u8(0);
    put(code, code_bytes);
    close_entry(frame);
    put_u32(0);
    unwind_rule_compile((uint64_t)section + offset, true, section, (uint64_t)section,
                        (uint64_t)section + used, &rule);
    return rule;
}

#define RULE(offset, ...)                                                                          \
    compile(offset, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void check_cfa(void)
{
    struct unwind_rule rule = RULE(0, 0);

    CHECK_EQUAL(rule.end, UNWIND_STEP);
    CHECK_EQUAL(rule.cfa, UNWIND_CFA_SP);
    CHECK_EQUAL(rule.cfa_offset, 8);
    CHECK_EQUAL(rule.return_address, -1);
    CHECK_EQUAL(rule.saved[UNWIND_RBX], UNWIND_SAME);
    rule = RULE(0, 0x0e, 0x80, 0x02); /* def_cfa_offset 256 */
    CHECK_EQUAL(rule.cfa_offset, 256);
    rule = RULE(0, 0x13, 0x7e); /* def_cfa_offset_sf -2 */
    CHECK_EQUAL(rule.cfa_offset, 16);
    rule = RULE(0, 0x12, 6, 0x7c); /* def_cfa_sf rbp -4 */
    CHECK_EQUAL(rule.cfa, UNWIND_CFA_REGISTER);
    CHECK_EQUAL(rule.cfa_register, UNWIND_RBP);
    CHECK_EQUAL(rule.cfa_offset, 32);
    rule = RULE(0, 0x0d, 15); /* def_cfa_register r15 */
    CHECK_EQUAL(rule.cfa_register, UNWIND_R15);
    CHECK_EQUAL(rule.cfa_offset, 8);
    rule = RULE(0, 0x0d, 10); /* r10: not preserved */
    CHECK_EQUAL(rule.end, UNWIND_NO_RULE);
    rule = RULE(0, 0x0e, 0xff, 0xff, 0xff, 0xff, 0x7f); /* beyond 32 bits */
    CHECK_EQUAL(rule.end, UNWIND_NO_RULE);
}

static void check_expressions(void)
{
    /* A realigned stack: CFA is *(rbp - 8), rbx at rbp - 16, rbp at rbp. */
    struct unwind_rule rule =
        RULE(0, 0x0f, 3, 0x76, 0x78, 0x06, 0x10, 3, 2, 0x76, 0x70, 0x10, 6, 2, 0x76, 0);

    CHECK_EQUAL(rule.end, UNWIND_STEP);
    CHECK_EQUAL(rule.cfa, UNWIND_CFA_REGISTER_DEREF);
    CHECK_EQUAL(rule.cfa_register, UNWIND_RBP);
    CHECK_EQUAL(rule.deref_offset, -8);
    CHECK_EQUAL(rule.from_base, 1 << UNWIND_RBX | 1 << UNWIND_RBP);
    CHECK_EQUAL(rule.saved[UNWIND_RBX], -2);
    CHECK_EQUAL(rule.saved[UNWIND_RBP], 0);
    CHECK_EQUAL(rule.return_address, -1);
    rule = RULE(0, 0x0f, 5, 0x77, 40, 0x06, 0x38, 0x22); /* *(rsp + 40) + 8 by lit8 plus */
    CHECK_EQUAL(rule.cfa, UNWIND_CFA_SP_DEREF);
    CHECK_EQUAL(rule.deref_offset, 40);
    CHECK_EQUAL(rule.cfa_offset, 8);
    rule = RULE(0, 0x0f, 5, 0x92, 7, 24, 0x23, 16); /* bregx rsp 24, plus_uconst 16 */
    CHECK_EQUAL(rule.cfa, UNWIND_CFA_SP);
    CHECK_EQUAL(rule.cfa_offset, 40);
    rule = RULE(0, 0x0f, 5, 0x77, 24, 0x09, 0xf8, 0x22); /* const1s -8 plus */
    CHECK_EQUAL(rule.cfa_offset, 16);
    rule = RULE(0, 0x0f, 5, 0x77, 24, 0x08, 0x10, 0x1c); /* const1u 16 minus */
    CHECK_EQUAL(rule.cfa_offset, 8);
    /* A plain CFA: what lies at a distance from its register lies at one from the CFA. */
    rule = RULE(0, 0x10, 12, 2, 0x77, 0x78);
    CHECK_EQUAL(rule.saved[UNWIND_R12], -2);
    CHECK_EQUAL(rule.from_base, 0);
    rule = RULE(0, 0x10, 12, 2, 0x76, 0x78); /* of another register: gone */
    CHECK_EQUAL(rule.saved[UNWIND_R12], UNWIND_UNKNOWN);
    CHECK_EQUAL(rule.end, UNWIND_STEP);
    rule = RULE(0, 0x0f, 4, 0x77, 0, 0x06, 0x06); /* dereferenced twice */
    CHECK_EQUAL(rule.end, UNWIND_NO_RULE);
    rule = RULE(0, 0x0f, 3, 0x77, 0, 0x1b); /* divided by nothing */
    CHECK_EQUAL(rule.end, UNWIND_NO_RULE);
    rule = RULE(0, 0x0f, 0); /* empty */
    CHECK_EQUAL(rule.end, UNWIND_NO_RULE);
    rule = RULE(0, 0x0f, 3, 0x76, 0x78, 0x06, 0x0e, 16); /* an offset for a CFA that has none */
    CHECK_EQUAL(rule.end, UNWIND_NO_RULE);
    /* The stub of the linkage table: a second word is pushed from byte 11 on. */
    for (unsigned i = 0; i < 16; i++) {
        uint64_t offset = (16 - (uint64_t)section % 16) % 16 + i;
        rule = RULE(offset, 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22);
        CHECK_EQUAL(rule.cfa, UNWIND_CFA_SP);
        CHECK_EQUAL(rule.cfa_offset, i >= 11 ? 16 : 8);
    }
}

static void check_registers(void)
{
    struct unwind_rule rule = RULE(0, 0x80 | 3, 2, 0x05, 6, 3, 0x11, 12, 4, 0x2f, 13, 5, 0x08, 14);

    CHECK_EQUAL(rule.saved[UNWIND_RBX], -2);
    CHECK_EQUAL(rule.saved[UNWIND_RBP], -3);
    CHECK_EQUAL(rule.saved[UNWIND_R12], -4);
    CHECK_EQUAL(rule.saved[UNWIND_R13], 5);
    CHECK_EQUAL(rule.saved[UNWIND_R14], UNWIND_SAME);
    rule = RULE(0, 0x80 | 3, 2, 0x80 | 12, 3, 0xc0 | 3, 0x06, 12); /* restore, restore_extended */
    CHECK_EQUAL(rule.saved[UNWIND_RBX], UNWIND_SAME);
    CHECK_EQUAL(rule.saved[UNWIND_R12], UNWIND_SAME);
    rule = RULE(0, 0x07, 3, 0x09, 6, 0, 0x14, 12, 1, 0x15, 13, 1, 0x16, 14, 2, 0x77, 0);
    CHECK_EQUAL(rule.end, UNWIND_STEP);
    CHECK_EQUAL(rule.saved[UNWIND_RBX], UNWIND_UNKNOWN);
    CHECK_EQUAL(rule.saved[UNWIND_RBP], UNWIND_UNKNOWN);
    CHECK_EQUAL(rule.saved[UNWIND_R12], UNWIND_UNKNOWN);
    CHECK_EQUAL(rule.saved[UNWIND_R13], UNWIND_UNKNOWN);
    CHECK_EQUAL(rule.saved[UNWIND_R14], UNWIND_UNKNOWN);
    rule = RULE(0, 0x07, 16); /* rip undefined */
    CHECK_EQUAL(rule.end, UNWIND_OUTERMOST);
    rule = RULE(0, 0x09, 16, 5); /* rip in rdi */
    CHECK_EQUAL(rule.end, UNWIND_NO_RULE);
    rule = RULE(0, 0x08, 16); /* rip the same */
    CHECK_EQUAL(rule.end, UNWIND_NO_RULE);
    rule = RULE(0, 0x05, 3, 0xff, 0xff, 0x01); /* 32767 cells down, the last that fits */
    CHECK_EQUAL(rule.saved[UNWIND_RBX], UNWIND_UNKNOWN);
    rule = RULE(0, 0x05, 3, 0xfe, 0xff, 0x01);
    CHECK_EQUAL(rule.saved[UNWIND_RBX], -32766);
    rule = RULE(0, 0x05, 16, 0x80, 0x80, 0x04);
    CHECK_EQUAL(rule.end, UNWIND_NO_RULE);
    rule = RULE(0, 0x14, 7, 0); /* rsp is the CFA, said in words */
    CHECK_EQUAL(rule.end, UNWIND_STEP);
    rule = RULE(0, 0x14, 7, 1);
    CHECK_EQUAL(rule.end, UNWIND_NO_RULE);
    data_align = 1;
    rule = RULE(0, 0x11, 3, 0x70, 0x11, 6, 0x6c); /* 16 down, 20 down */
    CHECK_EQUAL(rule.end, UNWIND_STEP);
    CHECK_EQUAL(rule.saved[UNWIND_RBX], -2);
    CHECK_EQUAL(rule.saved[UNWIND_RBP], UNWIND_UNKNOWN);
    rule = RULE(0, 0x11, 16, 0x79);
    CHECK_EQUAL(rule.end, UNWIND_NO_RULE);
    data_align = 0x78;
}

static void check_locations(void)
{
    static const uint8_t code[] = {
        0x41, 0x0e, 16,                                      /* from 1 */
        0x02, 9,    0x0e, 24,                                /* from 10 */
        0x03, 90,   0,    0x0e, 32,                          /* from 100 */
        0x04, 0x84, 3,    0,    0,  0x0e, 40,                /* from 1000 */
        0x1d, 100,  0,    0,    0,  0,    0,  0, 0, 0x0e, 48 /* from 1100 */
    };
    static const struct {
        uint64_t offset;
        int32_t cfa_offset;
    } rows[] = {{0, 8},
                {1, 16},
                {9, 16},
                {10, 24},
                {99, 24},
                {100, 32},
                {999, 32},
                {1000, 40},
                {1099, 40},
                {1100, 48},
                {CODE_BYTES - 1, 48}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct unwind_rule rule = compile(rows[i].offset, code, sizeof code);
        CHECK_EQUAL(rule.end, UNWIND_STEP);
        CHECK_EQUAL(rule.cfa_offset, rows[i].cfa_offset);
    }
    CHECK_EQUAL(compile(CODE_BYTES, code, sizeof code).end, UNWIND_NO_RULE);
    CHECK_EQUAL(compile((uint64_t)-1, code, sizeof code).end, UNWIND_NO_RULE);
    /* set_loc: backwards, then onwards; the place is relative to the operand's own. */
    CHECK_EQUAL(RULE(0, 0x01, 0, 0, 0, 0x80).end, UNWIND_NO_RULE);
    size_t operand = used - 4 - 4; /* the section ends with it, and a 0 */
    uint8_t onwards = (uint8_t)(200 - operand);
    CHECK_EQUAL(RULE(199, 0x01, onwards, 0, 0, 0, 0x0e, 64).cfa_offset, 8);
    CHECK_EQUAL(RULE(200, 0x01, onwards, 0, 0, 0, 0x0e, 64).cfa_offset, 64);
}

static void check_states(void)
{
    uint8_t code[64];
    size_t count = 0;
    struct unwind_rule rule = RULE(2, 0x0a, 0x0e, 16, 0x80 | 3, 2, 0x42, 0x0b);

    CHECK_EQUAL(rule.cfa_offset, 8);
    CHECK_EQUAL(rule.saved[UNWIND_RBX], UNWIND_SAME);
    CHECK_EQUAL(RULE(1, 0x0a, 0x0e, 16, 0x42, 0x0b).cfa_offset, 16);
    CHECK_EQUAL(RULE(0, 0x0b).end, UNWIND_NO_RULE);
    for (uint8_t i = 0; i < 16; i++) {
        code[count++] = 0x0a;
        code[count++] = 0x0e;
        code[count++] = (uint8_t)(16 + i);
    }
    CHECK_EQUAL(compile(0, code, count).cfa_offset, 31);
    code[count] = 0x0b;
    CHECK_EQUAL(compile(0, code, count + 1).cfa_offset, 30);
    code[count] = 0x0a;
    CHECK_EQUAL(compile(0, code, count + 1).end, UNWIND_NO_RULE);
    CHECK_EQUAL(RULE(0, 0x2e, 16).end, UNWIND_STEP);    /* args_size */
    CHECK_EQUAL(RULE(0, 0x2d).end, UNWIND_NO_RULE);     /* of other processors */
    CHECK_EQUAL(RULE(0, 0x17).end, UNWIND_NO_RULE);     /* of nobody */
    CHECK_EQUAL(RULE(0, 0x0e).end, UNWIND_NO_RULE);     /* cut off */
    CHECK_EQUAL(RULE(0, 0x0f, 90).end, UNWIND_NO_RULE); /* a block longer than the entry */
}

static void check_augmentations(void)
{
    augmentation = "zRS";
    CHECK_EQUAL(RULE(0, 0).signal_frame, true);
    augmentation = "zRB";
    CHECK_EQUAL(RULE(0, 0).end, UNWIND_STEP);
    augmentation = "zRX";
    CHECK_EQUAL(RULE(0, 0).end, UNWIND_NO_RULE);
    augmentation = "eh";
    CHECK_EQUAL(RULE(0, 0).end, UNWIND_NO_RULE);
    augmentation = "zRRRRRRRRRRRRRRRRRRRRRRRRRRRRRR";
    CHECK_EQUAL(RULE(0, 0).end, UNWIND_NO_RULE);
    augmentation = "zR";
    CHECK_EQUAL(RULE(0, 0).signal_frame, false);
}

static void check_steps(void)
{
    _Alignas(16) uint64_t cells[32] = {0};
    struct unwind_frame frame = {.sp = (uint64_t)&cells[4]};
    struct unwind_rule rule = RULE(0, 0x0e, 32, 0x80 | 6, 2);

    cells[7] = 0x1234; /* return address */
    cells[6] = (uint64_t)&cells[20];
    frame.saved[UNWIND_RBP] = (uint64_t)&cells[9];
    CHECK_EQUAL(unwind_step(&frame, &rule), UNWIND_STEP);
    CHECK_EQUAL(frame.pc, 0x1234);
    CHECK_EQUAL(frame.sp, (uint64_t)&cells[8]);
    CHECK_EQUAL(frame.slot, (uint64_t)&cells[7]);
    CHECK_EQUAL(frame.saved[UNWIND_RBP], (uint64_t)&cells[20]);
    CHECK_EQUAL(frame.saved_at[UNWIND_RBP], (uint64_t)&cells[6]);
    CHECK_EQUAL(frame.saved_at[UNWIND_RBX], 0);

    const struct unwind_frame good = frame;
    struct unwind_rule by_rbp = RULE(0, 0x0c, 6, 16);
    cells[21] = 0x5678;
    CHECK_EQUAL(unwind_step(&frame, &by_rbp), UNWIND_STEP);
    CHECK_EQUAL(frame.pc, 0x5678);
    CHECK_EQUAL(frame.sp, (uint64_t)&cells[22]);

    frame = good;
    frame.lost = 1 << UNWIND_RBP;
    CHECK_EQUAL(unwind_step(&frame, &by_rbp), UNWIND_NO_RULE);
    frame = good;
    frame.saved[UNWIND_RBP] = (uint64_t)&cells[6]; /* CFA where sp is: no progress */
    CHECK_EQUAL(unwind_step(&frame, &by_rbp), UNWIND_NO_RULE);
    CHECK_EQUAL(frame.sp, good.sp);
    CHECK_EQUAL(frame.pc, good.pc);
    frame.saved[UNWIND_RBP] = (uint64_t)&cells[20] + 4; /* not aligned */
    CHECK_EQUAL(unwind_step(&frame, &by_rbp), UNWIND_NO_RULE);
    frame.saved[UNWIND_RBP] = UINT64_C(1) << 62; /* no address */
    CHECK_EQUAL(unwind_step(&frame, &by_rbp), UNWIND_NO_RULE);
    frame = good;
    frame.stack_end = (uint64_t)&cells[21];
    CHECK_EQUAL(unwind_step(&frame, &by_rbp), UNWIND_NO_RULE);
    frame.stack_end = (uint64_t)&cells[22];
    CHECK_EQUAL(unwind_step(&frame, &by_rbp), UNWIND_STEP);
    frame = good;
    cells[21] = 0;
    CHECK_EQUAL(unwind_step(&frame, &by_rbp), UNWIND_OUTERMOST);

    /* A register that the frame gives up, and the next but one needs. */
    struct unwind_rule gives_up = RULE(0, 0x0e, 32, 0x07, 6);
    frame = good;
    cells[11] = 0x9abc;
    CHECK_EQUAL(unwind_step(&frame, &gives_up), UNWIND_STEP);
    CHECK_EQUAL(frame.lost, 1 << UNWIND_RBP);
    CHECK_EQUAL(unwind_step(&frame, &by_rbp), UNWIND_NO_RULE);
}

int main(void)
{
    check_cfa();
    check_expressions();
    check_registers();
    check_locations();
    check_states();
    check_augmentations();
    check_steps();
    printf("%u failures\n", failed_count);
    return failed_count ? 1 : 0;
}
