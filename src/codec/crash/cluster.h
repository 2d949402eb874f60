/* Which crashes are the same bug, by how alike their stacks are.
 *
 * Two stacks are compared frame by frame as CASR does, after Dang, Wu, Zhang and Nobel, "ReBucket: a method for clustering
 * duplicate crash reports based on call stack similarity" (ICSE 2012): frames in common count the more the nearer they are
 * to the crash and the less they are shifted against each other. Clusters are built by complete linkage: no two crashes of
 * one are further apart than CLUSTER_DISTANCE. Pure functions. */
#ifndef FF_CODEC_CRASH_CLUSTER_H
#define FF_CODEC_CRASH_CLUSTER_H

#include "base/cleanup.h"
#include "codec/crash/crash.h"

#define CLUSTER_DISTANCE 0.3
/* Distinct stacks that are compared with each other; what comes after them is grouped by type and state. */
#define CLUSTER_STACKS_MAX 4096

/* 0 (nothing in common) to 1 (the same), of the frames that are not ignored; 0 if memory is out. */
double crash_similarity(const struct crash *a, const struct crash *b);

/* Reports are added one by one and need not be kept: of each, only a distinct stack is. */
struct crash_clusters;
int crash_clusters_new(struct crash_clusters **ret, struct err *err);
void crash_clusters_free(struct crash_clusters *c);
DEFINE_CLEANUP(struct crash_clusters *, crash_clusters_free)
/* *ret_first (may be NULL): none like it was there, so it may come to be the first of its group. */
int crash_clusters_add(struct crash_clusters *c, const struct crash *crash, bool *ret_first, struct err *err);
/* (*ret_group)[i] is the number of the i-th crash's group, counted from 0 in order of first appearance; *ret_groups is how
 * many there are. The array is the clusters' own. What has no stack is grouped by type and state; what is no crash
 * (CRASH_NONE) is a group of its own. To be called once, at the end. */
int crash_clusters_finish(struct crash_clusters *c, const size_t **ret_group, size_t *ret_groups, struct err *err);

#endif
