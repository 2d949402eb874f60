/* Where sources are: reports name the folders of the build, people and tools want the paths of the target's tree. */
#ifndef FF_FUZZ_PLACES_H
#define FF_FUZZ_PLACES_H

/* Builds are made in b/ENGINE/src of scratch, and scripts run from b/ENGINE/out. workspace may be NULL. */
struct fuzz_places {
    const char *scratch, *workspace;
};

/* The path of a source as the tree has it, "a/../b" resolved; the caller frees. NULL: it is none of the tree, or no memory. */
char *fuzz_place(const struct fuzz_places *p, const char *path);
/* The same for all paths of the build in a report; the rest stays. The caller frees; NULL: no memory. */
char *fuzz_places_in(const struct fuzz_places *p, const char *report);

/* A line of a source of the workspace, without the blanks around it; the caller frees. NULL: it is not there, or is empty. */
char *fuzz_source_line(const struct fuzz_places *p, const char *path, int line);

#endif
