/* SPDX-License-Identifier: MIT */
/* turns: twelve sites, one after the other, each with enough blocks to fill several windows of a replay. */
#include "../programs/programs.h"

enum { BLOCKS = 30000 };

#define SITE(n)                                                                                    \
    OWN_FRAME void site_##n(void);                                                                 \
    OWN_FRAME void site_##n(void)                                                                  \
    {                                                                                              \
        for (int i = 0; i < BLOCKS; i++) {                                                         \
            void *block = malloc(64 + n);                                                          \
            CHECK(block != NULL);                                                                  \
            KEEP(block);                                                                           \
            free(block);                                                                           \
        }                                                                                          \
    }
#define ALL(what) what(1) what(2) what(3) what(4) what(5) what(6) what(7) what(8) what(9) what(10) what(11) what(12)
#define CALL(n)   site_##n();

ALL(SITE)

int main(void)
{
    ALL(CALL)
    return 0;
}
