/* Data flow through one file: an abstract run of its statements in order, branches merged, functions of the file
 * entered with the values they are called with. Each call, assignment, member and return is shown to the rules. */
#ifndef FF_SCAN_FLOW_H
#define FF_SCAN_FLOW_H

#include "scan/rules.h"
#include "scan/syntax.h"

/* Where a value comes from; the greater the worse. */
enum origin { ORIGIN_CONST, ORIGIN_UNKNOWN, ORIGIN_PARAM, ORIGIN_TAINTED };

struct flow_hit {
    const struct rule *rule;
    const struct node *node;
    uint32_t line;
    enum confidence confidence;
    uint32_t source_line; /* where the data came in; 0: not known */
    const struct node *func; /* the function around it; NULL: none */
};

typedef void flow_report(const struct flow_hit *hit, void *arg);

/* Goes through the file. *ret_cut: its steps were used up, the rest was left out. */
int flow_run(struct syntax *sx, enum lang lang, const struct lang_rules *rules, flow_report *report, void *arg,
             bool *ret_cut, struct err *err);

#endif
