/* histogram.c - bucket arithmetic and the product-limit estimate. */
#include "catalog/histogram.h"

#include <math.h>

#define RELATIVE_ERROR 0.05
#define GROWTH         ((1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR))
#define LOG_GROWTH     0.10008345855698263 /* ln GROWTH */

unsigned histogram_bucket(double ms)
{
    if (!(ms > 1.0))
        return 0;
    double at = ceil(log(ms) / LOG_GROWTH);
    return at < HISTOGRAM_BUCKETS - 1 ? (unsigned)at : HISTOGRAM_BUCKETS - 1;
}

double histogram_value(unsigned bucket)
{
    return bucket == 0 ? 1.0 : 2.0 * exp(LOG_GROWTH * bucket) / (GROWTH + 1.0);
}

unsigned histogram_target(double ms, double *part)
{
    unsigned bucket = histogram_bucket(ms);
    double high = exp(LOG_GROWTH * bucket);
    double low = bucket == 0 ? 0.0 : high / GROWTH;
    double inside = (ms - low) / (high - low);
    *part = inside > 1.0 ? 1.0 : (inside > 0.0 ? inside : 0.0);
    return bucket;
}

void histogram_shares(const float *exact, const float *at_least, float *share)
{
    float at_risk = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        at_risk += exact[i] + at_least[i];
    float longer = 1; /* the share of values above bucket i */
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (exact[i] > 0 && at_risk > 0) {
            float gone = exact[i] / at_risk;
            longer *= gone < 1 ? 1 - gone : 0;
        }
        at_risk -= exact[i] + at_least[i];
        share[i] = 1 - longer;
    }
}
