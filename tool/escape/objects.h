/* SPDX-License-Identifier: MIT */
/* For objects.c, points.c and spread.c alone: what they share beyond points.h. */
#pragma once

#include "points.h"

#define NOBODY UINT32_MAX /* no child */

uint32_t stride_join(uint32_t a, uint32_t b);
bool ref_same(struct ref a, struct ref b);
/* Memory that has escaped is outside, whatever name it had: nothing finer can be said of it. */
struct ref ref_outside(const struct points *points, struct ref ref);
bool object_holds_unknown(const struct object *object);
void points_changed(struct points *points, uint32_t object);
void points_touch(struct points *points,
                  uint32_t object); /* the present instruction looks into it */
