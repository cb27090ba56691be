/* value_format.h: the constants of value files that reader and writer agree on; the grammar is at the top of values.h.
 *
 * Ownership: plain values. Threads: constants.
 */
#ifndef LSM_VALUE_FORMAT_H
#define LSM_VALUE_FORMAT_H

#define LSM_VALUE_MAGIC "LSMVALUE"
#define LSM_VALUE_VERSION 1
#define LSM_VALUE_FOOTER (8 + 4 + 4 + 8 + 8 + 8 + 8 + 8 + 4 + 4 + 4)
#endif
