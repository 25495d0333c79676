/* SPDX-License-Identifier: MIT */
#include "article.h"

/* One table, so that the list of cases reads in the order of the article. */
const struct worker_case article_cases[] = {
    {.name = "Render",
     .variants = "fresh presized memstream pooled pooled-printf",
     .setup = render_setup,
     .loop = render_loop},
    {.name = "Event",
     .variants = "malloc pool stack value",
     .setup = event_setup,
     .loop = event_loop},
    {.name = "FrameSmall",
     .variants = "malloc pool cap drop adaptive classes",
     .setup = frame_small_setup,
     .loop = frame_loop,
     .finish = frame_finish},
    {.name = "FrameMixed",
     .variants = "malloc pool cap drop adaptive classes",
     .setup = frame_mixed_setup,
     .loop = frame_loop,
     .finish = frame_finish},
    {.name = "FrameRare",
     .variants = "malloc pool cap drop adaptive classes",
     .setup = frame_rare_setup,
     .loop = frame_loop,
     .finish = frame_finish},
    {.name = NULL},
};
