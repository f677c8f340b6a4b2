#include <math.h>

#include "guard/guard.h"

struct guard_step {
    double max_error;
    double level;
};

#include "guard/score.inc"
