/* score.c - the decision behind the vetoes: a logistic model whose coefficients, and the table from
 * error bounds to levels, scripts/guard_train.py makes (src/guard/score.inc). No number of it is
 * written by hand. */
#include <math.h>

#include "guard/guard.h"

struct guard_step {
    double max_error;
    double level;
};

/* score_weights[GUARD_INPUTS], score_bias, score_steps[] in rising order of max_error */
#include "guard/score.inc"

#define STEPS (sizeof score_steps / sizeof *score_steps)

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

void guard_inputs(const struct guard_verdict *verdict, double cosine, double margin,
                  double inputs[GUARD_INPUTS])
{
    const float *soft = verdict->soft;
    for (uint32_t i = 0; i < GUARD_SOFTS; i++)
        inputs[i] = (double)soft[i];
    double near = clamp(cosine, -1, 1);
    double left = (double)(soft[SOFT_HEAVY_LESS] + soft[SOFT_HEAVY_MORE] + soft[SOFT_LIGHT]);
    inputs[SOFT_HEAVY_MORE] = clamp(inputs[SOFT_HEAVY_MORE], 0, 6);
    inputs[SOFT_HEAVY_LESS] = clamp(inputs[SOFT_HEAVY_LESS], 0, 6);
    inputs[SOFT_LIGHT] = clamp(inputs[SOFT_LIGHT], 0, 6);
    double *more = inputs + GUARD_SOFTS;
    more[0] = near;
    more[1] = -log(clamp(1 - near, 0.002, 1));
    more[2] = clamp(margin, -0.1, 0.2);
    more[3] = left > 0;
    more[4] = soft[SOFT_HEAVY_MORE] > 0;
    more[5] = soft[SOFT_HEAVY_LESS] > 0;
    more[6] = (double)soft[SOFT_YES_NO] * (left > 0);
    more[7] = left / (1 + exp((double)soft[SOFT_WORDS]));
}

double guard_score(const struct guard_verdict *verdict, double cosine, double margin)
{
    double inputs[GUARD_INPUTS];
    double sum = score_bias;
    guard_inputs(verdict, cosine, margin, inputs);
    for (uint32_t i = 0; i < GUARD_INPUTS; i++)
        sum += score_weights[i] * inputs[i];
    return 1 / (1 + exp(-sum));
}

double guard_level(double max_error)
{
    /* No score reaches 2: an error that was not calibrated serves nothing. */
    double level = 2;
    for (uint32_t i = 0; i < STEPS; i++) {
        if (score_steps[i].max_error <= max_error)
            level = score_steps[i].level;
    }
    return level;
}
