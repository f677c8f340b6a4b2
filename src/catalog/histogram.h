/* histogram.h - logarithmic buckets of milliseconds, and the shares that follow from them.
 *
 * As in DDSketch (Masson et al. 2019): a bucket's bounds differ by (1 + e) / (1 - e), so a value
 * read back is within e = 5 % of the one that went in. Bucket i holds (G^(i-1), G^i]; 0 holds all
 * up to 1 ms. */
#ifndef RELAY_CATALOG_HISTOGRAM_H
#define RELAY_CATALOG_HISTOGRAM_H

#define HISTOGRAM_BUCKETS 135 /* the last one holds all above 600 s */

unsigned histogram_bucket(double ms);
double histogram_value(unsigned bucket); /* the middle: 2 G^i / (G + 1) */

/* The bucket of a target, and which part of that bucket lies below it (0 to 1). */
unsigned histogram_target(double ms, double *part);

/* The share of values at or below each bucket, from exact ones and from those of which only "at
 * least" is known (Kaplan and Meier 1958: such a value counts until it was lost sight of, and not
 * after). */
void histogram_shares(const float *exact, const float *at_least, float *share);

#endif
